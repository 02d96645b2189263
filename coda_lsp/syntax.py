"""What tree-sitter knows of the text around an offset: comments, strings, and the code without them."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

from coda_lsp.languages import Language, language_for, load_grammar

if TYPE_CHECKING:
    import tree_sitter

logger = logging.getLogger(__name__)

# Characters parsed before and after the offset, some 900 lines: a long file costs no more than a few milliseconds.
_WINDOW_BEFORE, _WINDOW_AFTER = 20_000, 10_000

_NON_ASCII = re.compile(r"[^\x00-\x7f]")
# Where a long text is cut, in order of preference: at such lines one is hardly inside a string or a comment.
_WORDS = "async|class|const|def|export|fn|func|function|impl|private|protected|pub|public|static|struct|type"
_CUTS = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (rf"^(?:@\w|#\w|(?:{_WORDS})\b)", r"^[A-Za-z]", rf"^[ \t]+(?:{_WORDS})\b")
)
_LONE_CR = re.compile(r"\r(?!\n)")  # a line end to an editor, but not to most grammars
_NOT_LINE_END = re.compile(r"[^\r\n]")
_QUOTE_KINDS = ('"', "'", "`", '"""')  # tokens that open a string and stand alone when it is never closed
_COMMENT_ENDS = {"/*": "*/", "<!--": "-->", "=begin": "=end"}


@dataclass(frozen=True)
class SyntaxTree:
    """The tree of a window of a text; all offsets here count code points of the whole text.

    The grammars count bytes, so they are given an ASCII copy with one byte for each code point: other characters stand
    in names, strings and comments, where a letter parses as well.
    """

    language: Language
    start: int
    source: str
    tree: tree_sitter.Tree

    def in_comment(self, offset: int) -> bool:
        """Whether text typed at the offset becomes part of a comment."""
        at = offset - self.start
        for node in self._nodes_before(at):
            if node.type in self.language.comments:
                comment = self.source[node.start_byte : at]
                end = next((end for start, end in _COMMENT_ENDS.items() if comment.startswith(start)), "\n")
                return at < node.end_byte or not comment.endswith(end)
        return False

    def in_string(self, offset: int) -> bool:
        """Whether text typed at the offset becomes part of a string literal; code interpolated in one is code."""
        at = offset - self.start
        for node in self._nodes_before(at):
            if at == node.end_byte and not _is_unclosed(node):
                continue
            if node.type in self.language.interpolations:
                return False
            if node.type in self.language.strings:
                return True
        line_start = self.source.rfind("\n", 0, at) + 1
        return sum(line_start <= quote < at for quote in self._loose_quotes) % 2 == 1

    def code_before(self, offset: int) -> str:
        """The window's text up to the offset with comments blanked and string literals replaced by `"` characters."""
        return self._code[: offset - self.start]

    def code_after(self, offset: int) -> str:
        """The window's text from the offset on, treated like `code_before`."""
        return self._code[offset - self.start :]

    def parent_kind(self, offset: int) -> str | None:
        """The kind of the node that the token at the offset belongs to, None for the root."""
        token = self.tree.root_node.descendant_for_byte_range(offset - self.start, offset - self.start + 1)
        return token.parent.type if token is not None and token.parent is not None else None

    def _nodes_before(self, at: int) -> list[tree_sitter.Node]:
        """The nodes that hold the character before a place in the window, innermost first."""
        node = self.tree.root_node.descendant_for_byte_range(at - 1, at) if at > 0 else None
        nodes = []
        while node is not None:
            nodes.append(node)
            node = node.parent
        return nodes

    @cached_property
    def _code(self) -> str:
        spans = [(node.start_byte, -node.end_byte, kind) for kind, nodes in self._captures.items() for node in nodes]
        code = bytearray(self.source, "ascii")
        for start, negative_end, kind in sorted(spans):  # outer nodes first, so that inner ones paint over them
            end = -negative_end
            if kind == "string":
                code[start:end] = b'"' * (end - start)
            elif kind == "comment":
                code[start:end] = _NOT_LINE_END.sub(" ", self.source[start:end]).encode()
            elif kind == "interpolation":
                code[start:end] = self.source[start:end].encode()
        return code.decode()

    @property
    def _loose_quotes(self) -> list[int]:
        if not self.tree.root_node.has_error:
            return []
        return [node.start_byte for node in self._captures.get("quote", [])]

    @cached_property
    def _captures(self) -> dict[str, list[tree_sitter.Node]]:
        from tree_sitter import QueryCursor

        return QueryCursor(_query(self.language)).captures(self.tree.root_node)


def parse(text: str, language_id: str, offset: int) -> SyntaxTree | None:
    """Parse the text around an offset; None for a language that is not in the table or whose grammar can't load."""
    language = language_for(language_id)
    parser = parser_for(language) if language is not None else None
    if language is None or parser is None:
        return None
    start, end = _window(text, offset)
    source = _LONE_CR.sub("\n", _NON_ASCII.sub("x", text[start:end]))
    return SyntaxTree(language, start, source, parser.parse(source.encode()))


def _window(text: str, offset: int) -> tuple[int, int]:
    """A span around the offset that, in a long text, starts at an unindented line."""
    start = max(offset - _WINDOW_BEFORE, 0)
    if start > 0:
        cuts = (cut.search(text, start, offset) for cut in _CUTS)
        start = next((found.start() for found in cuts if found), start)
    return start, min(offset + _WINDOW_AFTER, len(text))


def _is_unclosed(node: tree_sitter.Node) -> bool:
    return node.child_count > 0 and node.child(node.child_count - 1).is_missing


@cache
def parser_for(language: Language) -> tree_sitter.Parser | None:
    """The parser of a language; None where its grammar can't be loaded."""
    try:
        from tree_sitter import Parser

        return Parser(load_grammar(language))
    except (ImportError, ValueError) as error:
        logger.warning(
            "The grammar of %s can't be loaded (%s); its files are treated as plain lines.", language.name, error
        )
        return None


@cache
def _query(language: Language) -> tree_sitter.Query:
    """Captures comments, strings, the code interpolated in them, and quotes left alone in an error.

    Closers that close nothing are taken for comments: both are blanked.
    """
    from tree_sitter import Query

    grammar = load_grammar(language)
    patterns = [f"({kind}) @comment" for kind in language.comments]
    patterns += [f'({kind} ")" @comment)' for kind in language.lone_closers]
    patterns += [f"({kind}) @string" for kind in language.strings]
    patterns += [f"({kind}) @interpolation" for kind in language.interpolations]
    patterns += [f"(ERROR {_literal(kind)} @quote)" for kind in _QUOTE_KINDS if grammar.id_for_node_kind(kind, False)]
    if grammar.id_for_node_kind("string_start", True):
        patterns.append("(ERROR (string_start) @quote)")
    return Query(grammar, "\n".join(patterns))


def _literal(kind: str) -> str:
    escaped = kind.replace('"', '\\"')
    return f'"{escaped}"'
