"""Which span of a text the model fills, for a cursor or for a selection.

The rules go by the line; where the language is known, the syntax tree tells comments, strings and brackets apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from coda_lsp.brackets import open_brackets
from coda_lsp.languages import Language, language_for
from coda_lsp.syntax import SyntaxTree, parse

_CLOSERS = frozenset(")]}>,;:'\"` \t\f")
_OPENER_OF = {")": "(", "]": "[", "}": "{"}
_PLAIN_CONTEXT = 20_000  # characters looked at on each side where the language is unknown
_PLAIN_OPENER = r"\{"
_QUIET_ABOVE = 8  # characters of code after a cursor inside a word, above which a suggestion only disturbs
_DATA_BRACE = re.compile(r"(?:[=(,:\[?$]\s*|\breturn\s*|\")$")  # what stands before a brace that opens no block
_CLOSING_LINE = re.compile(r"[)\]}]|</|(?:end|fi|done|esac)\b")
_DOCSTRING = re.compile(r"(?<=:)[ \t]*[\r\n]\s*\"+$")


@dataclass(frozen=True)
class HoleSpan:
    """A span of the text that the model fills: offsets in code points, `end` excluded.

    `kind` is one of line-tail, line-middle, brackets, blank-line, between-statements, block-body, string, comment,
    selection, body and marker; `single_line` says that the fill may hold no line end. `instruction` is a comment in the
    span that tells what to write.
    """

    start: int
    end: int
    single_line: bool
    kind: str
    instruction: str = ""


def hole_at_cursor(text: str, offset: int, language_id: str, *, invoked: bool = False) -> HoleSpan | None:
    """The span to fill at a cursor; it starts there and ends on the same line.

    None inside a word with more than eight characters of code after it, unless the suggestion was asked for.
    """
    line_start, line_end = _line_around(text, offset)
    head, tail = text[line_start:offset], text[offset:line_end]
    tree = parse(text, language_id, offset)
    context = _Context(text, offset, language_for(language_id) if tree is not None else None, tree)
    if tree is not None and tree.in_comment(offset):
        return HoleSpan(offset, offset, True, "comment")
    if tree is not None and tree.in_string(offset):
        return HoleSpan(offset, offset, True, "string")
    if not head.strip() and not tail.strip():
        kind = _kind_of_blank_line(context)
        return HoleSpan(offset, line_end, kind != "block-body", kind)
    if not tail.strip():
        return HoleSpan(offset, line_end, True, "line-tail")
    if _CLOSERS.issuperset(tail) and not _opens_string(head, tail, tree):
        end = offset if _closes_what_is_open(head, tail, context) else line_end
        return HoleSpan(offset, end, True, "line-tail")
    if not invoked and _splits_word(head, tail) and _code_length(tail) > _QUIET_ABOVE:
        return None
    return HoleSpan(offset, offset, True, "brackets" if context.in_brackets else "line-middle")


def closers_to_line_end(text: str, offset: int) -> str:
    """The closers, if nothing else, that stand between an offset and the end of its line, without blanks at the end."""
    _, line_end = _line_around(text, offset)
    tail = text[offset:line_end].rstrip()
    return tail if tail and _CLOSERS.issuperset(tail) else ""


def hole_for_selection(text: str, start: int, end: int, language_id: str) -> HoleSpan:
    """The span to fill for a selection, whose text is replaced.

    White space at its ends stays: the first line's indentation and the last line's end. A selection of white space only
    keeps the first line's; an empty one is a cursor. The fill may take several lines where whole lines are selected.
    """
    selected = text[start:end]
    if not selected:
        span = hole_at_cursor(text, start, language_id, invoked=True)
        if span is not None:
            return span
    if selected.strip():
        end = start + len(selected.rstrip())
        start += len(selected) - len(selected.lstrip())
    else:
        start += len(selected) - len(selected.lstrip(" \t"))
        end = start + len(text[start:end].rstrip(" \t").removesuffix("\n").removesuffix("\r"))
    line_start, _ = _line_around(text, start)
    _, line_end = _line_around(text, end)
    whole_lines = not text[line_start:start].strip() and not text[end:line_end].strip()
    return HoleSpan(start, end, not whole_lines and not re.search(r"[\r\n]", text[start:end]), "selection")


@dataclass(frozen=True)
class _Context:
    """The code around a cursor, comments and strings blanked where the language is known."""

    text: str
    offset: int
    language: Language | None
    tree: SyntaxTree | None

    @cached_property
    def before(self) -> str:
        if self.tree is None:
            return self.text[max(self.offset - _PLAIN_CONTEXT, 0) : self.offset]
        return self.tree.code_before(self.offset)

    @cached_property
    def after(self) -> str:
        if self.tree is None:
            return self.text[self.offset : self.offset + _PLAIN_CONTEXT]
        return self.tree.code_after(self.offset)

    @cached_property
    def opened(self) -> list[int]:
        """Indices into `before` of the brackets that are open at the cursor, outermost first."""
        return open_brackets(self.before)

    @property
    def in_brackets(self) -> bool:
        """Whether the innermost open bracket holds data, not statements."""
        return bool(self.opened) and self.holds_data(self.opened[-1])

    def holds_data(self, index: int) -> bool:
        """Whether an opening bracket at an index into `before` opens something else than a block of statements."""
        if self.before[index] != "{" or _DATA_BRACE.search(self.before[max(index - 100, 0) : index]):
            return True
        if self.language is None or self.tree is None:
            return False
        if self.language.opener is None or r"\{" not in self.language.opener:
            return True
        return self.tree.parent_kind(self.offset - len(self.before) + index) in self.language.data_braces


def _line_around(text: str, offset: int) -> tuple[int, int]:
    """Start and end, without the line end, of the line that holds an offset."""
    start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    ends = [end for end in (text.find("\n", offset), text.find("\r", offset)) if end >= 0]
    return start, min(ends, default=len(text))


def _kind_of_blank_line(context: _Context) -> str:
    if _is_empty_block(context):
        return "block-body"
    if context.in_brackets:
        return "brackets"
    following = context.after.lstrip()
    if context.before.strip() and following and not _CLOSING_LINE.match(following):
        return "between-statements"
    return "blank-line"


def _is_empty_block(context: _Context) -> bool:
    """Whether the code before the cursor opens a block that holds nothing yet but comments or a docstring."""
    opener = _PLAIN_OPENER if context.language is None else context.language.opener
    code = _DOCSTRING.sub("", context.before.rstrip())
    if opener is None or not re.search(f"(?:{opener})$", code):
        return False
    if code.endswith("{") and context.holds_data(len(code) - 1):
        return False
    if code.endswith(":") and context.opened:  # a slice, a dictionary
        return False
    following = context.after.lstrip()
    if not following:
        return True
    indentation = re.split(r"[\r\n]", context.after[: len(context.after) - len(following)])[-1]
    return _width(indentation) <= _width(_header_indentation(code))


def _header_indentation(code: str) -> str:
    """The indentation of the statement that ends the code; its brackets may span lines."""
    start = len(code)
    while start > 0:
        start = max(code.rfind("\n", 0, start - 1), code.rfind("\r", 0, start - 1)) + 1
        header = code[start:]
        if header.count(")") <= header.count("(") and header.count("]") <= header.count("["):
            break
    header = code[start:]
    return header[: len(header) - len(header.lstrip())]


def _width(indentation: str) -> int:
    return len(indentation.expandtabs(8))


def _opens_string(head: str, tail: str, tree: SyntaxTree | None) -> bool:
    """Whether a quote in the tail opens a string; the cursor is in none that the tree knows of."""
    return any(quote in tail and (tree is not None or head.count(quote) % 2 == 0) for quote in "\"'`")


def _closes_what_is_open(head: str, tail: str, context: _Context) -> bool:
    """Whether each closer in the tail closes something that was opened before the cursor."""
    opened = [context.before[index] for index in context.opened]
    for character in tail:
        if character == ">" and head.count("<") <= head.count(">"):
            return False
        if character in _OPENER_OF:
            while opened and opened[-1] != _OPENER_OF[character]:
                opened.pop()
            if not opened:
                return False
            opened.pop()
    return True


def _splits_word(head: str, tail: str) -> bool:
    return bool(re.search(r"\w$", head) and re.match(r"\w", tail))


def _code_length(tail: str) -> int:
    return sum(character not in _CLOSERS for character in tail[:1000])
