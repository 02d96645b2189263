"""The slots of a hole: committed, grown, opened again; the sequence they stand in."""

import math

import pytest
import torch

from coda_model.draft import MASK, Draft, repeats_itself

from .drafts import draft_of, open_hole


def test_assemble_applies_the_shift() -> None:
    draft = draft_of(open_hole([50, MASK]), open_hole([MASK]))
    ids, sites = draft.assemble(mask_id=3)
    assert ids == [10, 11, 12, 50, 3, 13, 14, 3, 13, 14]
    assert [(site.hole, site.slot, site.row) for site in sites] == [(0, 1, 3), (1, 0, 6)]
    bare = Draft([[], []], [open_hole([MASK, MASK])], 0.0, torch.Generator())
    assert [site.row for site in bare.assemble(3)[1]] == [0, 0]


@pytest.mark.parametrize(
    ("given", "first"),
    [
        (None, []),
        ([50, 51, 52], []),  # in the order in which the model is sure of them
        ([50, None, 52], [0, 2]),
        ([None, 51, None], [1]),
    ],
)
def test_given_tokens_come_before_those_that_are_not(given: list[int | None] | None, first: list[int]) -> None:
    hole = open_hole([MASK] * 3, given=given)
    assert [slot for slot in range(3) if hole.comes_first(slot)] == first


def test_an_expansion_that_no_longer_fits_stays_a_mask() -> None:
    hole = open_hole([MASK, MASK], max_tokens=3)
    hole.expand(1)
    hole.expand(0)
    assert hole.slots == [MASK, MASK, MASK]
    assert len(hole.log_probabilities) == 3
    assert hole.expansions_left == 7
    spent = open_hole([MASK], expansions_left=0)
    spent.expand(0)
    assert spent.slots == [MASK]


@pytest.mark.parametrize(
    ("slots", "slot", "expected"),
    [
        ([7, 7, 7, 7, 7, 7], 3, True),
        ([7, 7, 7, 7, 7], 4, False),
        ([7, 8, 7, 8, 7, 8], 5, True),
        ([1, 7, 8, 7, 8, 7, 8, 2], 1, True),
        ([7, 8, 7, 8, 7, 9], 4, False),
        ([7, 8, MASK, 8, 7, 8], 0, False),
        ([7, 8, 9, 7, 8, 9, 7, 8, 9], 8, True),
        ([7, 8, 9, 7, 8, 9], 5, False),
        ([*range(8), *range(8), *range(8)], 23, True),
        ([*range(9), *range(9), *range(9)], 26, False),
        ([MASK, 7, MASK], 1, False),
    ],
)
def test_loops_are_seen(slots: list[int | None], slot: int, expected: bool) -> None:
    assert repeats_itself(slots, slot) is expected
    assert repeats_itself(slots[::-1], len(slots) - 1 - slot) is expected


def test_reopened_tokens_are_those_below_the_bound_and_the_length_stays() -> None:
    hole = open_hole([MASK] * 3)
    for slot, probability in enumerate((0.9, 0.2, 0.5)):
        hole.commit(slot, 40 + slot, math.log(probability))
    hole.reopen(0.5)
    assert hole.slots == [40, MASK, 42]
    assert hole.log_probabilities[1] == 0.0
    assert hole.fixed
