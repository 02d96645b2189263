"""Indentation: the fill follows the tabs or spaces of its surroundings and stays in the block it was asked for."""

import re

from coda_lsp.filters.candidate import Candidate

_INDENTATION = re.compile(r"^([ \t]+)[^\s*]", re.MULTILINE)  # not the " *" of a block comment
_OPENS_BLOCK = re.compile(r"[:{]\s*$")
_TAB_WIDTH = 4
_CLOSERS = ")]}"
_NEAR = 4_000  # characters before the hole that tell its style


def wrong_indentation(candidate: Candidate) -> str | None:
    """The fill with tabs or spaces like the text before it, indented once, and cut where it leaves its block.

    A line that begins with a closing bracket may stand further out; whether it may is for `unbalanced_closers` to say.
    """
    if candidate.head.strip():
        return _in_style_of(candidate, candidate.fill)
    fill = _in_style_of(candidate, _indented_once(candidate))
    first, *rest = (candidate.head + fill).split("\n")
    depth = min(map(_width, (first, *filter(str.strip, candidate.replaced.split("\n")[1:]))))
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
    """The fill with the lines after its first indented by tabs or by spaces, whichever the text before it uses only."""
    found = _INDENTATION.findall(candidate.prefix[-_NEAR:] + "x")  # the hole's own line counts
    if not found or "\n" not in fill:
        return fill
    first, *rest = fill.split("\n")
    if all(set(indentation) == {"\t"} for indentation in found):
        rest = [re.sub(f" {{{_TAB_WIDTH}}}", "\t", _spaces(line, _TAB_WIDTH)) + line.lstrip(" \t") for line in rest]
    elif all(set(indentation) == {" "} for indentation in found):
        unit = min(map(len, found))
        rest = [_spaces(line, unit) + line.lstrip(" \t") for line in rest]
    return "\n".join([first, *rest])


def _spaces(line: str, tab_width: int) -> str:
    """A line's indentation as spaces."""
    return line[: len(line) - len(line.lstrip(" \t"))].expandtabs(tab_width)


def _width(line: str) -> int:
    """Columns of white space before a line's text."""
    return len(_spaces(line, _TAB_WIDTH))
