"""A fill that breaks its document's syntax, ended earlier: most often what is wrong with one stands at its end."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

# Fills that are looked at, and ends that are tried of each. A document with errors of its own costs all of them.
_MOST_FILLS, _MOST_ENDS = 4, 24
_INSIDE_WORD = re.compile(r"\w\w")


def shortened(fills: Sequence[str], errors: Callable[[str], int], least: int) -> tuple[int, str] | None:
    """The start of a fill with which the document has fewest errors, fewer than `least`; None where no start has.

    Args:
        fills: the best first. Of starts with as few errors the first fill's is taken, and of one fill's the longest.
        errors: how many errors the document has with a fill.
        least: errors with the best fill as it is.

    Returns: the number of the fill, and its start.
    """
    found = None
    for number, fill in enumerate(fills[:_MOST_FILLS]):
        for end in islice(_ends(fill), _MOST_ENDS):
            if least == 0:
                return found
            count = errors(fill[:end])
            if count < least:
                found, least = (number, fill[:end]), count
    return found


def _ends(fill: str) -> Iterator[int]:
    """Where a fill may end short of its end, from the last on: in its last line between words, then line ends.

    What is left is never blank and ends in no white space.
    """
    last_line = fill.rstrip().rfind("\n") + 1
    between = (end for end in range(len(fill) - 1, last_line, -1) if not _INSIDE_WORD.match(fill, end - 1))
    line_ends = (match.start() for match in reversed([*re.finditer("\n", fill[:last_line])]))
    for end in (*between, *line_ends):
        if fill[:end].strip() and not fill[end - 1].isspace():
            yield end
