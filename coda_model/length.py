"""How long a hole's fill is: first guesses, the grid of lengths, and what separates two fills of equal probability."""

from collections.abc import Sequence

from coda_model.request import Hole

# Tokens a hole starts with when the model itself grows and shrinks it.
SINGLE_LINE_GUESS, BLOCK_GUESS = 12, 32
# Lengths tried when the model cannot: dense where most fills are.
GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)

_CLOSERS = {")": "(", "]": "[", "}": "{"}


def first_guess(hole: Hole, hint_tokens: int) -> int:
    """Masks to start with, from 1 to `hole.max_tokens`; `hint_tokens` is 0 without a hint."""
    if hole.length is not None:
        return hole.length
    guess = hint_tokens or (SINGLE_LINE_GUESS if hole.single_line else BLOCK_GUESS)
    return min(guess, hole.max_tokens)


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
