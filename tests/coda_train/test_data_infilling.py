"""Infilling rows: what is masked, what it weighs, and that merging and deleting can be undone."""

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coda_train.data.infilling import (
    CONTEXT,
    DELETE,
    MIDDLE,
    InfillConfig,
    TokenIds,
    append_deletes,
    crop,
    merge_pairs,
    noise_row,
)

IDS = TokenIds(pad=0, end=2, mask=3, expand=4, delete=5)
PLAIN = InfillConfig(no_delete=1, expand=0)
PIECES = st.lists(st.lists(st.integers(6, 99), min_size=1, max_size=12), min_size=1, max_size=3).flatmap(
    lambda holes: st.lists(
        st.lists(st.integers(100, 199), min_size=1, max_size=6), min_size=len(holes) + 1, max_size=len(holes) + 1
    ).map(lambda texts: [piece for pair in zip(texts, [*holes, []], strict=True) for piece in pair][:-1])
)


@given(pieces=PIECES, seed=st.integers(0, 2**32))
def test_deletes_end_their_holes(pieces: list[list[int]], seed: int) -> None:
    tokens, kinds = append_deletes(pieces, InfillConfig(no_delete=0, max_delete=4), IDS, np.random.default_rng(seed))
    assert tokens[kinds != DELETE].tolist() == list(chain(*pieces))
    place = 0
    for number, piece in enumerate(pieces):
        hole = number % 2 == 1
        assert set(kinds[place : place + len(piece)]) == ({MIDDLE} if hole else {CONTEXT})
        place += len(piece)
        deletes = int(np.argmin(np.append(kinds[place:] == DELETE, False)))
        assert (1 <= deletes <= 4) if hole else deletes == 0
        assert (tokens[place : place + deletes] == IDS.delete).all()
        place += deletes


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_number_of_holes_without_deletes(share: float) -> None:
    rng = np.random.default_rng(0)
    config = InfillConfig(no_delete=share)
    counts = [(append_deletes([[9], [9], [9]], config, IDS, rng)[1] == DELETE).sum() for _ in range(2_000)]
    assert np.mean(np.array(counts) == 0) == pytest.approx(share, abs=0.04)
    assert share == 1 or max(counts) == 16


@given(pieces=PIECES, seed=st.integers(0, 2**32))
def test_a_row_without_merging(pieces: list[list[int]], seed: int) -> None:
    config = InfillConfig(expand=0)
    rng = np.random.default_rng(seed)
    tokens, kinds = append_deletes(pieces, config, IDS, rng)
    row = noise_row(tokens, kinds, config, IDS, rng)
    masked = row.inputs == IDS.mask
    assert (row.weights > 0).tolist() == masked.tolist()
    assert (row.inputs == row.targets)[~masked].all()
    assert row.targets[row.targets != IDS.delete].tolist() == list(chain(*pieces))
    assert masked[row.targets == IDS.delete].all(), "a delete that is not masked has been removed"
    assert (masked & (row.targets != IDS.delete)).any(), "something is left to predict"
    assert not masked[(row.targets >= 100)].any(), "text around the holes is never masked"


@given(pieces=PIECES, seed=st.integers(0, 2**32))
def test_merged_rows_stand_for_the_same_tokens(pieces: list[list[int]], seed: int) -> None:
    """A mask that expands stands for 2 to 2^rounds tokens; everything else of the row is as it was."""
    config = InfillConfig(no_delete=1, expand=1, expand_rounds=3)
    tokens, kinds = append_deletes(pieces, config, IDS, np.random.default_rng(seed))
    row = noise_row(tokens, kinds, config, IDS, np.random.default_rng(seed))
    place = 0
    for number, target in enumerate(row.targets.tolist()):
        if target != IDS.expand:
            assert tokens[place] == target
            place += 1
            continue
        assert row.inputs[number] == IDS.mask and row.weights[number] > 0
        rest = row.targets[number + 1 :].tolist()
        spans = [n for n in range(2, 9) if _stands_for(tokens[place + n :].tolist(), rest)]
        assert spans and (kinds[place : place + spans[0]] == MIDDLE).all()
        place += spans[0]
    assert place == len(tokens)


def _stands_for(tokens: list[int], targets: list[int]) -> bool:
    """Whether `targets`, each expand standing for 2 to 8 tokens, can be `tokens`."""
    reachable = {0}
    for target in targets:
        if target == IDS.expand:
            reachable = {p + n for p in reachable for n in range(2, 9)}
        else:
            reachable = {p + 1 for p in reachable if p < len(tokens) and tokens[p] == target}
    return len(tokens) in reachable


def test_weights_are_unbiased() -> None:
    """Over all noise, the summed weight of a token's targets is near one: E[1/sigma · sigma] = 1."""
    rng = np.random.default_rng(0)
    tokens, kinds = np.arange(6, 46, dtype=np.int32), np.full(40, MIDDLE, np.int8)
    rows = [noise_row(tokens, kinds, PLAIN, IDS, rng).weights for _ in range(6_000)]
    assert np.mean(rows) == pytest.approx(1, abs=0.05)


def test_a_row_of_an_empty_hole_has_only_deletes_to_predict() -> None:
    total = 0.0
    for seed in range(4_000):
        rng = np.random.default_rng(seed)
        tokens, kinds = append_deletes([[100], [], [101]], PLAIN, IDS, rng)
        row = noise_row(tokens, kinds, PLAIN, IDS, rng)
        assert row.targets[row.weights > 0].tolist() == [IDS.delete] * (len(row.targets) - 2) != []
        total += row.weights.sum()
    assert total / 4_000 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("deletes", [1, 3, 12])
def test_deletes_of_a_row_weigh_as_one_token(deletes: int) -> None:
    rng = np.random.default_rng(0)
    tokens = np.array([9] * 4 + [IDS.delete] * deletes, np.int32)
    kinds = np.array([MIDDLE] * 4 + [DELETE] * deletes, np.int8)
    total = 0.0
    for _ in range(8_000):
        row = noise_row(tokens, kinds, replace(PLAIN, eps=0.05), IDS, rng)
        total += row.weights[row.targets == IDS.delete].sum()
    assert total / 8_000 == pytest.approx(1, abs=0.1)


def test_weights_are_bounded_by_the_number_of_middle_tokens() -> None:
    tokens, kinds = np.array([9, 10, 11], np.int32), np.array([CONTEXT, MIDDLE, MIDDLE], np.int8)
    rows = [noise_row(tokens, kinds, PLAIN, IDS, np.random.default_rng(seed)).weights for seed in range(300)]
    assert max(weights.max() for weights in rows) == 2
    assert min(weights.sum() for weights in rows) >= 1


@pytest.mark.parametrize(("expand", "seen"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_share_of_rows_that_merge(expand: float, seen: float) -> None:
    tokens, kinds = np.arange(6, 206, dtype=np.int32), np.full(200, MIDDLE, np.int8)
    config = InfillConfig(no_delete=1, expand=expand, eps=0.5)
    rows = [noise_row(tokens, kinds, config, IDS, np.random.default_rng(seed)).targets for seed in range(400)]
    assert np.mean([IDS.expand in row for row in rows]) == pytest.approx(seen, abs=0.06)


@given(st.lists(st.booleans(), max_size=40), st.floats(0, 1), st.integers(0, 2**32))
def test_pairs_are_neighbours_and_disjoint(mergeable: list[bool], share: float, seed: int) -> None:
    flags = np.array(mergeable, bool)
    kept, merged = merge_pairs(flags, share, np.random.default_rng(seed))
    swallowed = np.flatnonzero(~kept)
    assert np.array_equal(np.flatnonzero(merged), swallowed - 1)
    assert kept[merged].all() and flags[merged].all() and flags[swallowed].all()


@pytest.mark.parametrize(("run", "left"), [(1, 1), (2, 1), (7, 4), (8, 4)])
def test_merging_all_pairs_halves_a_run(run: int, left: int) -> None:
    kept, merged = merge_pairs(np.ones(run, bool), 1.0, np.random.default_rng(0))
    assert kept.sum() == left and merged.sum() == run - left


@given(st.integers(0, 30), st.integers(1, 12), st.integers(0, 30), st.integers(12, 40), st.integers(0, 99))
def test_crop_keeps_the_hole(before: int, hole: int, after: int, length: int, seed: int) -> None:
    tokens = np.arange(before + hole + after, dtype=np.int32)
    kinds = np.array([CONTEXT] * before + [MIDDLE] * hole + [CONTEXT] * after, np.int8)
    cut, cut_kinds = crop(tokens, kinds, length, np.random.default_rng(seed))
    assert len(cut) == len(cut_kinds) == min(length, len(tokens))
    assert (np.diff(cut) == 1).all()
    assert (cut_kinds == MIDDLE).sum() == hole


def test_crop_of_a_hole_longer_than_the_row() -> None:
    tokens, kinds = np.arange(50, dtype=np.int32), np.array([CONTEXT] * 5 + [MIDDLE] * 40 + [CONTEXT] * 5, np.int8)
    for seed in range(20):
        cut, cut_kinds = crop(tokens, kinds, 16, np.random.default_rng(seed))
        assert len(cut) == 16 and (cut_kinds == MIDDLE).any()
