"""What two sequences begin with alike."""

from collections.abc import Sequence
from itertools import takewhile


def common_length(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items both begin with; of strings, characters."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
