"""The languages whose syntax is known: one table, and grammars that load when they are first asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tree_sitter

# What ends the code before an empty block, as a regular expression; a `{` is checked further in `holes`.
_BRACE = r"\{"
_COLON = r":"
_RUBY_WORDS = "def|class|module|if|unless|while|until|for|case|when|else|elsif|begin|rescue|ensure"
_RUBY = rf"(?m:^[ \t]*(?:{_RUBY_WORDS})\b(?!.*\bend)[^\n=]*)|(?:\bdo|\{{)(?:[ \t]*\|[^|\n]*\|)?"
_BASH = r"\{|\b(?:then|do|else)"
_TAG = r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)[A-Za-z](?:[^<>]*[^<>/])?>"


@dataclass(frozen=True)
class Language:
    """What the server knows of a language; the node kinds are those of its tree-sitter grammar."""

    name: str
    ids: tuple[str, ...]  # LSP language ids
    extensions: tuple[str, ...]
    module: str
    comments: tuple[str, ...]
    strings: tuple[str, ...]
    interpolations: tuple[str, ...] = ()  # code inside a string
    opener: str | None = _BRACE
    data_braces: tuple[str, ...] = ()  # nodes whose braces hold data, not statements
    lone_closers: tuple[str, ...] = ()  # nodes with a ")" that closes nothing
    function: str = "language"


_JAVASCRIPT_STRINGS = ("string", "template_string", "regex")
_JAVASCRIPT_DATA = ("object", "object_pattern", "named_imports", "export_clause")

LANGUAGES = (
    Language(
        name="python",
        ids=("python",),
        extensions=(".py", ".pyi"),
        module="tree_sitter_python",
        comments=("comment",),
        strings=("string",),
        interpolations=("interpolation",),
        opener=_COLON,
    ),
    Language(
        name="javascript",
        ids=("javascript", "javascriptreact", "jsx"),
        extensions=(".js", ".mjs", ".cjs", ".jsx"),
        module="tree_sitter_javascript",
        comments=("comment", "html_comment"),
        strings=_JAVASCRIPT_STRINGS,
        interpolations=("template_substitution",),
        data_braces=(*_JAVASCRIPT_DATA, "jsx_expression"),
    ),
    Language(
        name="typescript",
        ids=("typescript",),
        extensions=(".ts", ".mts", ".cts"),
        module="tree_sitter_typescript",
        function="language_typescript",
        comments=("comment", "html_comment"),
        strings=_JAVASCRIPT_STRINGS,
        interpolations=("template_substitution",),
        data_braces=_JAVASCRIPT_DATA,
    ),
    Language(
        name="tsx",
        ids=("typescriptreact", "tsx"),
        extensions=(".tsx",),
        module="tree_sitter_typescript",
        function="language_tsx",
        comments=("comment", "html_comment"),
        strings=_JAVASCRIPT_STRINGS,
        interpolations=("template_substitution",),
        data_braces=(*_JAVASCRIPT_DATA, "jsx_expression"),
    ),
    Language(
        name="go",
        ids=("go",),
        extensions=(".go",),
        module="tree_sitter_go",
        comments=("comment",),
        strings=("interpreted_string_literal", "raw_string_literal", "rune_literal"),
        data_braces=("literal_value",),
    ),
    Language(
        name="rust",
        ids=("rust",),
        extensions=(".rs",),
        module="tree_sitter_rust",
        comments=("line_comment", "block_comment"),
        strings=("string_literal", "raw_string_literal", "char_literal"),
        data_braces=("field_initializer_list", "use_list", "struct_pattern"),
    ),
    Language(
        name="java",
        ids=("java",),
        extensions=(".java",),
        module="tree_sitter_java",
        comments=("line_comment", "block_comment"),
        strings=("string_literal", "character_literal"),
        interpolations=("string_interpolation",),
        data_braces=("array_initializer", "element_value_array_initializer"),
    ),
    Language(
        name="c",
        ids=("c",),
        extensions=(".c", ".h"),
        module="tree_sitter_c",
        comments=("comment",),
        strings=("string_literal", "char_literal", "system_lib_string"),
        data_braces=("initializer_list",),
    ),
    Language(
        name="cpp",
        ids=("cpp", "c++"),
        extensions=(".cpp", ".cc", ".cxx", ".hpp", ".hh", ".hxx"),
        module="tree_sitter_cpp",
        comments=("comment",),
        strings=("string_literal", "raw_string_literal", "char_literal", "system_lib_string"),
        data_braces=("initializer_list",),
    ),
    Language(
        name="csharp",
        ids=("csharp", "c-sharp"),
        extensions=(".cs",),
        module="tree_sitter_c_sharp",
        comments=("comment",),
        strings=(
            "string_literal",
            "verbatim_string_literal",
            "raw_string_literal",
            "interpolated_string_expression",
            "character_literal",
        ),
        interpolations=("interpolation",),
        data_braces=("initializer_expression",),
    ),
    Language(
        name="ruby",
        ids=("ruby",),
        extensions=(".rb", ".rake", ".gemspec"),
        module="tree_sitter_ruby",
        comments=("comment",),
        strings=("string", "heredoc_body", "regex", "string_array", "symbol_array", "subshell"),
        interpolations=("interpolation",),
        opener=_RUBY,
        data_braces=("hash",),
    ),
    Language(
        name="php",
        ids=("php",),
        extensions=(".php",),
        module="tree_sitter_php",
        function="language_php",
        comments=("comment",),
        strings=("string", "encapsed_string", "heredoc_body", "nowdoc_body"),
    ),
    Language(
        name="bash",
        ids=("shellscript", "bash", "sh"),
        extensions=(".sh", ".bash"),
        module="tree_sitter_bash",
        comments=("comment",),
        strings=("string", "raw_string", "ansi_c_string", "translated_string", "heredoc_body"),
        interpolations=("command_substitution",),
        opener=_BASH,
        lone_closers=("case_item",),
    ),
    Language(
        name="html",
        ids=("html",),
        extensions=(".html", ".htm"),
        module="tree_sitter_html",
        comments=("comment",),
        strings=("quoted_attribute_value",),
        opener=_TAG,
    ),
    Language(
        name="css",
        ids=("css",),
        extensions=(".css",),
        module="tree_sitter_css",
        comments=("comment", "js_comment"),
        strings=("string_value",),
    ),
    Language(
        name="json",
        ids=("json", "jsonc"),
        extensions=(".json",),
        module="tree_sitter_json",
        comments=("comment",),
        strings=("string",),
        opener=None,
    ),
)

_BY_ID = {language_id: language for language in LANGUAGES for language_id in language.ids}


def language_for(language_id: str) -> Language | None:
    """The language of an LSP language id; None for one that is not in the table."""
    return _BY_ID.get(language_id)


def language_id_for_path(path: str) -> str | None:
    """The LSP language id that a file's extension tells; None for an extension that is not in the table."""
    extension = PurePath(path).suffix.lower()
    return next((language.ids[0] for language in LANGUAGES if extension in language.extensions), None)


@cache
def load_grammar(language: Language) -> tree_sitter.Language:
    """The tree-sitter grammar of a language, imported on first use; raises ImportError when it isn't installed."""
    from tree_sitter import Language as Grammar

    return Grammar(getattr(import_module(language.module), language.function)())
