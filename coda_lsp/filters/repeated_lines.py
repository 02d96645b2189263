"""Loops: a weak model, once it repeats itself, goes on doing so."""

import re

from coda_lsp.filters.candidate import Candidate, is_meaningful

_LONGEST_PERIOD = 4  # lines
_STUTTER = re.compile(r"(\S.{1,24}?)\1{4,}")


def repeated_lines(candidate: Candidate) -> str | None:
    """The fill cut where its lines begin to repeat; None where it stutters within a line.

    A line may stand twice in a row, not three times; a group of two to four lines may not come twice in a row. Within a
    line a unit with letters may not come five times in a row.
    """
    if any(sum(map(str.isalpha, unit)) > 1 for unit in _STUTTER.findall(candidate.fill)):
        return None
    lines = [line.strip() for line in candidate.lines]
    for start in range(len(lines)):
        for period in range(1, _LONGEST_PERIOD + 1):
            times = 3 if period == 1 else 2
            group = lines[start : start + period]
            if lines[start : start + period * times] == group * times and is_meaningful("".join(group)):
                return candidate.first_lines(start + period)
    return candidate.fill
