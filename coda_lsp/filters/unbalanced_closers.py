"""Closing brackets that close nothing, or what the text after the fill closes already."""

from coda_lsp.brackets import open_brackets, unmatched_closers
from coda_lsp.filters.candidate import Candidate
from coda_lsp.syntax import parse

_CLOSERS = ")]}"
_TRIMMED = ")]};, \t\n"


def unbalanced_closers(candidate: Candidate) -> str | None:
    """The fill without the closers at its end that are one too many; None where such a closer stands inside it.

    Nothing is judged where the text around has closers too many already: their openers are out of sight, or missing.
    """
    fill = candidate.fill
    if not any(closer in fill for closer in _CLOSERS):
        return fill
    before, inside, after = _code(candidate)
    opened = [before[index] for index in open_brackets(before)]
    if unmatched_closers(after, opened):
        return fill
    for end in range(len(fill), 0, -1):
        if not unmatched_closers(inside[:end] + after, opened):
            return fill if end == len(fill) else fill[:end].rstrip()
        if fill[end - 1] not in _TRIMMED:
            return None
    return None


def _code(candidate: Candidate) -> tuple[str, str, str]:
    """The text before, in and after the hole, without strings and comments where the language is known."""
    start, end = len(candidate.prefix), len(candidate.prefix) + len(candidate.fill)
    tree = parse(candidate.prefix + candidate.fill + candidate.suffix, candidate.language_id, start)
    if tree is None:
        return candidate.prefix, candidate.fill, candidate.suffix
    return tree.code_before(start), tree.code_after(start)[: end - start], tree.code_after(end)
