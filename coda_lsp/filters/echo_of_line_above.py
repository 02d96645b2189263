"""Echoes: a line written a second time below itself helps nobody."""

from coda_lsp.filters.candidate import Candidate, is_meaningful


def echo_of_line_above(candidate: Candidate) -> str | None:
    """None for a fill that makes its first line the same as the line above."""
    first = candidate.lines[0].strip()
    return None if is_meaningful(first) and first == candidate.line_above.strip() else candidate.fill
