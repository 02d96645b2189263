"""How long a hole's fill is: first guesses, the grid of lengths, and what separates two fills of equal probability."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from coda_model.request import Hole


class Start(NamedTuple):
    """Tokens a hole starts with, whether it stays so long, and whether it takes no line end though it might."""

    tokens: int
    fixed: bool
    one_line: bool = False


# What a hole becomes depends on where it starts, so several drafts start apart and the best is taken. Of a hole that
# may shrink little is left: where the model cannot say which token comes, that none comes is likelier than each of
# them. So most drafts keep their length (docs/log.md). The best guess first, and that one grows and shrinks.
SINGLE_LINE_STARTS = (Start(12, False), *(Start(length, True) for length in (4, 2, 6, 1, 3, 8, 5, 10, 7, 12)))
BLOCK_STARTS = (Start(32, False), *(Start(length, True) for length in (12, 24, 6, 36)), Start(4, False))
# Most holes that may be a block are one statement: from these on a draft writes no second line (docs/log.md).
ONE_LINE_STARTS = tuple(start._replace(one_line=True) for start in SINGLE_LINE_STARTS)
# The same as parts of a hint's length.
_HINT_SHARES = (0.5, 1, 0.25, 0.75, 1.25)
# Lengths tried when the model cannot: dense where most fills are.
GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

_CLOSERS = {")": "(", "]": "[", "}": "{"}


def first_starts(hole: Hole, hint_tokens: int, most: int) -> list[Start]:
    """What to start from, 1 to `hole.max_tokens` tokens each, the best guess first.

    At most `most` different ones, of a hole that may be a block as many again of one line. `hint_tokens` is 0 without a
    hint.
    """
    if hole.length is not None:
        return [Start(hole.length, True)]
    if hint_tokens:
        starts = [Start(hint_tokens, False), *(Start(round(hint_tokens * share), True) for share in _HINT_SHARES)]
        return _within(hole, starts)[:most]
    if hole.single_line:
        return _within(hole, SINGLE_LINE_STARTS)[:most]
    return _within(hole, BLOCK_STARTS)[:most] + (_within(hole, ONE_LINE_STARTS)[:most] if most > 1 else [])


def _within(hole: Hole, starts: Sequence[Start]) -> list[Start]:
    """The starts as the hole can hold them, none twice."""
    return list(dict.fromkeys(start._replace(tokens=min(max(start.tokens, 1), hole.max_tokens)) for start in starts))


def length_grid(hole: Hole, hint_tokens: int) -> list[int]:
    """Ascending lengths to score for a model without expand and delete tokens: the grid, the bound and the hint's."""
    if hole.length is not None:
        return [hole.length]
    lengths = {length for length in GRID if length < hole.max_tokens} | {hole.max_tokens}
    if hint_tokens:
        lengths.add(min(hint_tokens, hole.max_tokens))
    return sorted(lengths)


def best_lengths(lengths: Sequence[int], confidences: Sequence[float], count: int) -> list[int]:
    """The `count` lengths of highest mean first-step confidence, best first; the shorter one first among equals."""
    order = sorted(range(len(lengths)), key=lambda i: (-confidences[i], lengths[i]))
    return [lengths[i] for i in order[:count]]


class Baselines:
    """How sure a model is of masks alone, without a document, for each length: what its confidence is compared with.

    A model is surer of the first step of some lengths than of others whatever stands around them; the logarithm of the
    quotient leaves what the document has to do with it (calibration by a content-free input, arXiv 2102.09690).
    """

    def __init__(self) -> None:
        self._logs: dict[tuple[bool, int], float] = {}

    def missing(self, lengths: Sequence[int], hole: Hole) -> list[int]:
        """The lengths that have no baseline yet."""
        return [length for length in lengths if (hole.single_line, length) not in self._logs]

    def note(self, lengths: Sequence[int], means: Sequence[float], hole: Hole) -> None:
        """Keep the mean first-step confidences of masks alone."""
        for length, mean in zip(lengths, means, strict=True):
            self._logs[hole.single_line, length] = math.log(max(mean, 1e-9))

    def compared(self, lengths: Sequence[int], means: Sequence[float], hole: Hole) -> list[float]:
        """Logarithms of the mean confidences over their baselines."""
        return [
            math.log(max(mean, 1e-9)) - self._logs[hole.single_line, length]
            for length, mean in zip(lengths, means, strict=True)
        ]


def unbalanced_brackets(text: str) -> int:
    """How many brackets of the text have no partner."""
    open_brackets: list[str] = []
    lonely = 0
    for character in text:
        if character in "([{":
            open_brackets.append(character)
        elif character in _CLOSERS:
            if open_brackets and open_brackets[-1] == _CLOSERS[character]:
                open_brackets.pop()
            else:
                lonely += 1
    return lonely + len(open_brackets)
