"""White space: a fill of nothing else is dropped, and what a fill leaves at the end of a line is trimmed."""

from coda_lsp.filters.candidate import Candidate


def blank(candidate: Candidate) -> str | None:
    """The fill without blanks before a line end, None when nothing is left."""
    if not candidate.fill.strip():
        return None
    if not candidate.suffix or candidate.suffix.startswith("\n"):
        return candidate.fill.rstrip()
    return candidate.fill
