"""The languages whose files holes are cut from, with the tree-sitter grammar of each."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module

from tree_sitter import Language, Node, Parser

_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "java": ("tree_sitter_java", "language"),
    "c": ("tree_sitter_c", "language"),
    "cpp": ("tree_sitter_cpp", "language"),
    "c-sharp": ("tree_sitter_c_sharp", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
}
LANGUAGE_OF = {
    ".py": "python", ".js": "javascript", ".jsx": "javascript", ".mjs": "javascript", ".ts": "typescript",
    ".tsx": "tsx", ".go": "go", ".rs": "rust", ".java": "java", ".c": "c", ".h": "c", ".cc": "cpp", ".cpp": "cpp",
    ".hpp": "cpp", ".cs": "c-sharp", ".rb": "ruby", ".php": "php",
}  # fmt: skip


@cache
def _parser(language: str) -> Parser:
    module, function = _GRAMMARS[language]
    return Parser(Language(getattr(import_module(module), function)()))


def parse(text: str, language: str) -> Node:
    """The root of the syntax tree; positions are bytes of the UTF-8 text."""
    return _parser(language).parse(text.encode("utf-8", "surrogatepass")).root_node


def nodes(root: Node) -> Iterator[Node]:
    """All nodes, in no particular but a fixed order."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.children)


def syntax_errors(text: str, language: str) -> int:
    """How many nodes of the tree are errors or were made up by the parser."""
    root = parse(text, language)
    return sum(node.is_error or node.is_missing for node in nodes(root)) if root.has_error else 0
