"""Indentation: the fill follows the tabs or spaces of its surroundings and stays in the block it was asked for."""

import re

from coda_lsp.filters.candidate import Candidate

_INDENTATION = re.compile(r"^([ \t]+)\S", re.MULTILINE)
_OPENS_BLOCK = re.compile(r"[:{]\s*$")
_TAB_WIDTH = 4
_CLOSERS = ")]}"


def wrong_indentation(candidate: Candidate) -> str | None:
    """The fill with tabs or spaces like the text before it, indented once, and cut where it leaves its block.

    A line that begins with a closing bracket may stand further out; whether it may is for `unbalanced_closers` to say.
    """
    if candidate.head.strip():
        return _in_style_of(candidate, candidate.fill)
    fill = _in_style_of(candidate, _indented_once(candidate))
    first, *rest = (candidate.head + fill).split("\n")
    depth = _width(first)
    inside = next((index for index, line in enumerate(rest) if _leaves(line, depth)), len(rest))
    return fill if inside == len(rest) else "\n".join([first[len(candidate.head) :], *rest[:inside]]).rstrip()


def _leaves(line: str, depth: int) -> bool:
    text = line.strip()
    return bool(text) and text[0] not in _CLOSERS and _width(line) < depth


def _indented_once(candidate: Candidate) -> str:
    """The fill without the indentation that stands before it already."""
    unindented = candidate.fill.lstrip(" \t")
    opens_block = _OPENS_BLOCK.search(candidate.line_above) is not None
    above = _width(candidate.line_above)
    depth = _width(candidate.head)
    if depth > above or (depth == above and not opens_block and candidate.head):
        return unindented
    return candidate.fill


def _in_style_of(candidate: Candidate, fill: str) -> str:
    """The fill with the lines after its first indented by tabs or by spaces, whichever the text before it uses."""
    found = _INDENTATION.findall(candidate.prefix[-4000:])
    tabs = sum(indentation.startswith("\t") for indentation in found)
    if not found or "\n" not in fill:
        return fill
    first, *rest = fill.split("\n")
    convert = _to_tabs if tabs * 2 > len(found) else _to_spaces
    return "\n".join([first, *map(convert, rest)])


def _to_tabs(line: str) -> str:
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    width = len(indentation.expandtabs(_TAB_WIDTH))
    return "\t" * (width // _TAB_WIDTH) + " " * (width % _TAB_WIDTH) + line.lstrip(" \t")


def _to_spaces(line: str) -> str:
    indentation = line[: len(line) - len(line.lstrip(" \t"))]
    return indentation.expandtabs(_TAB_WIDTH) + line.lstrip(" \t")


def _width(line: str) -> int:
    """Columns of white space before a line's text."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(_TAB_WIDTH))
