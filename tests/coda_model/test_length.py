import math

import pytest

from coda_model.length import Baselines, Start, best_lengths, first_starts, length_grid, unbalanced_brackets
from coda_model.request import Hole


@pytest.mark.parametrize(
    ("hole", "hint_tokens", "most", "free", "fixed"),
    [
        (Hole(single_line=True), 0, 11, [12], [4, 2, 6, 1, 3, 8, 5, 10, 7, 12]),
        (Hole(single_line=True), 0, 3, [12], [4, 2]),
        (Hole(single_line=True), 0, 1, [12], []),
        (Hole(), 0, 1, [32], []),
        (Hole(), 0, 3, [32, 12], [12, 24, 4, 2]),
        (Hole(), 0, 11, [32, 4, 12], [12, 24, 6, 36, 4, 2, 6, 1, 3, 8, 5, 10, 7, 12]),
        (Hole(max_tokens=5), 0, 11, [5, 4, 5], [5, 4, 2, 5, 1, 3]),  # none twice
        (Hole(), 8, 11, [8], [4, 8, 2, 6, 10]),
        (Hole(), 1, 11, [1], [1]),
        (Hole(max_tokens=20), 90, 2, [20], [20]),
        (Hole(length=3), 7, 9, [], [3]),
    ],
)
def test_first_starts(hole: Hole, hint_tokens: int, most: int, free: list[int], fixed: list[int]) -> None:
    starts = first_starts(hole, hint_tokens, most)
    assert [start.tokens for start in starts if not start.fixed] == free
    assert [start.tokens for start in starts if start.fixed] == fixed
    assert hole.length is not None or starts[0] == Start(free[0], False)
    assert any(start.one_line for start in starts) is (
        not (hole.single_line or hole.length or hint_tokens) and most > 1
    )


@pytest.mark.parametrize(
    ("hole", "hint_tokens", "expected"),
    [
        (Hole(max_tokens=12), 0, [1, 2, 3, 4, 6, 8, 12]),
        (Hole(max_tokens=10), 0, [1, 2, 3, 4, 6, 8, 10]),
        (Hole(max_tokens=1), 0, [1]),
        (Hole(max_tokens=6), 5, [1, 2, 3, 4, 5, 6]),
        (Hole(max_tokens=4), 50, [1, 2, 3, 4]),
        (Hole(length=9), 5, [9]),
    ],
)
def test_length_grid(hole: Hole, hint_tokens: int, expected: list[int]) -> None:
    assert length_grid(hole, hint_tokens) == expected


def test_best_lengths() -> None:
    assert best_lengths([1, 2, 4, 8], [0.3, 0.9, 0.5, 0.9], 2) == [2, 8]
    assert best_lengths([5], [0.1], 2) == [5]


@pytest.mark.parametrize(
    ("text", "lonely"),
    [("", 0), ("f(x[1], {2: 3})", 0), ("f(x", 1), ("x)", 1), ("([)]", 2), ("}{", 2), ("((()", 2)],
)
def test_unbalanced_brackets(text: str, lonely: int) -> None:
    assert unbalanced_brackets(text) == lonely


def test_confidences_are_compared_with_those_of_masks_alone() -> None:
    baselines, hole, line = Baselines(), Hole(), Hole(single_line=True)
    assert baselines.missing([1, 2], hole) == [1, 2]
    baselines.note([1, 2], [0.5, 0.2], hole)
    assert (baselines.missing([1, 2, 3], hole), baselines.missing([1], line)) == ([3], [1])
    # The model is surer of one mask than of two wherever they stand; here the document speaks for two.
    compared = baselines.compared([1, 2], [0.6, 0.4], hole)
    assert compared == pytest.approx([math.log(1.2), math.log(2)])
    assert best_lengths([1, 2], compared, 1) == [2]
