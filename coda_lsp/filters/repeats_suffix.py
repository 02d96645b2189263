"""Text that already stands after the cursor: the oldest complaint about completion."""

from coda_lsp.filters.candidate import Candidate, is_meaningful

_LONGEST_OVERLAP = 400  # characters
_SEPARATORS = frozenset(";,: \t")
_CLOSERS = frozenset(")]};,: \t\"'`")


def repeats_suffix(candidate: Candidate) -> str | None:
    """The fill without the lines, or the end of its last line, that the text after it begins with.

    Closing brackets are left to `unbalanced_closers`: the ones in `f(x)` before a `)` are no repetition.
    """
    kept = _lines_not_in_suffix(candidate)
    if kept < len(candidate.lines):
        return candidate.first_lines(kept) if kept else None
    overlap = _overlap(candidate.fill, candidate.suffix)
    return candidate.fill[: len(candidate.fill) - overlap].rstrip() if overlap else candidate.fill


def _lines_not_in_suffix(candidate: Candidate) -> int:
    """How many lines of the fill come before those that the next lines repeat."""
    if candidate.suffix.partition("\n")[0].strip():
        return len(candidate.lines)
    lines = [line.strip() for line in candidate.lines]
    following = [line.strip() for line in candidate.suffix.split("\n", 2 * len(lines) + 20)]
    following = [line for line in following if line]
    for start in range(len(lines)):
        repeated = [line for line in lines[start:] if line]
        if is_meaningful("".join(repeated)) and following[: len(repeated)] == repeated:
            return start
    return len(lines)


def _overlap(fill: str, suffix: str) -> int:
    """Length of the longest end of the fill that the suffix begins with and that can't be there by chance."""
    for length in range(min(len(fill), len(suffix), _LONGEST_OVERLAP), 0, -1):
        end = suffix[:length]
        if fill.endswith(end) and (is_meaningful(end) or _is_separator(end) or _is_closing_quote(end, fill)):
            return length
    return 0


def _is_separator(end: str) -> bool:
    return _SEPARATORS.issuperset(end) and not end.isspace()


def _is_closing_quote(end: str, fill: str) -> bool:
    """Whether it begins with a quote that closes a string begun before the fill."""
    return end[0] in "\"'`" and fill.count(end[0]) % 2 == 1 and _CLOSERS.issuperset(end)
