"""Filling holes in JAX: a scripted model shows that lengths are found, a reference that rows move rightly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coda_train.data.infilling import TokenIds
from coda_train.data.problems import MAX_FILL, Problem
from coda_train.decode import START_MASKS, commit, fill, fills_of, is_exact, make_rows

IDS = TokenIds(pad=0, end=1, mask=2, expand=3, delete=4)
VOCABULARY, LENGTH = 40, 64


def problem(size: int) -> Problem:
    return Problem([10, 11, 12], [20 + i for i in range(size)], [13, 14], "", "")


@functools.partial(jax.jit, static_argnums=(2, 3))
def filled(rows, sizes, oracle, final):
    """Decode with a model that knows each hole's length and, if the length is right, its tokens."""
    start, used = rows["start"], rows["start"] + sizes + 2

    def hidden_of(tokens, segment_ids):
        wanted = jnp.arange(LENGTH) + 1 - start[:, None] + 20
        there = segment_ids.sum(1)
        grow, shrink = (there < used)[:, None], (there > used)[:, None]
        return jnp.stack(
            [wanted * jnp.ones_like(tokens), grow * jnp.ones_like(tokens), shrink * jnp.ones_like(tokens)], -1
        )

    def logits_of(hidden):
        one = functools.partial(jax.nn.one_hot, num_classes=VOCABULARY)
        right = 20.0 * one(hidden[..., 0]) + (30.0 * one(jnp.full(hidden.shape[:-1], IDS.mask)) if final else 0.0)
        change = 4.0 * jnp.where(hidden[..., 1:2] > 0, one(IDS.expand), one(IDS.delete))
        return jnp.where((hidden[..., 1] + hidden[..., 2])[..., None] > 0, change, right)

    return fill(hidden_of, logits_of, rows, IDS, oracle)


@pytest.mark.parametrize("oracle", [True, False])
def test_a_model_that_knows_is_right_whatever_the_length(oracle):
    sizes = [1, 5, START_MASKS, 15, 16]
    problems = [problem(size) for size in sizes]
    rows = jax.tree.map(jnp.asarray, make_rows(problems, 8, LENGTH, IDS, oracle))
    out = filled(rows, jnp.array([*sizes, 0, 0, 0]), oracle, True)
    assert fills_of(np.asarray(out), IDS, len(sizes)) == [problem.middle for problem in problems]


def commit_one(tokens: list[int], start: int, decisions: dict[int, int]) -> list[int]:
    """The reference: a list."""
    out: list[int] = []
    for place, token in enumerate(tokens):
        choice = decisions.get(place - start)
        out += [token] if choice is None else {IDS.expand: [IDS.mask] * 2, IDS.delete: []}.get(choice, [choice])
    return out


@settings(deadline=None)
@given(
    before=st.integers(1, 6),
    size=st.integers(1, 10),
    after=st.integers(0, 6),
    choices=st.dictionaries(st.integers(0, 9), st.sampled_from([IDS.expand, IDS.delete, 30, 31]), max_size=10),
)
def test_a_row_moves_like_a_list(before, size, after, choices):
    line = [*range(5, 5 + before), *[IDS.mask] * size, *range(20, 20 + after)]
    tokens = np.full((1, 40), IDS.pad, np.int32)
    tokens[0, : len(line)] = line
    decisions = {place: token for place, token in choices.items() if place < size}
    committed, chosen = np.zeros((1, MAX_FILL), bool), np.zeros((1, MAX_FILL), np.int32)
    for place, token in decisions.items():
        committed[0, place], chosen[0, place] = True, token
    rows = {"tokens": tokens, "start": np.array([before]), "size": np.array([size]), "used": np.array([len(line)])}
    window = before + np.arange(MAX_FILL)[None]
    moved = COMMIT(rows, window, committed, chosen)
    expected = commit_one(line, before, decisions)
    used = int(moved["used"][0])
    assert np.asarray(moved["tokens"][0, :used]).tolist() == expected
    assert not np.asarray(moved["tokens"][0, used:]).any()
    assert int(moved["size"][0]) == size + len(expected) - len(line)


COMMIT = jax.jit(functools.partial(commit, ids=IDS))


@pytest.mark.parametrize(
    ("text", "reference", "exact"),
    [(" x + 1 ", "x + 1", True), ("x + 1\nmore", "x + 1", True), ("x", "x + 1", False), ("", "x", False)],
)
def test_exact_match_is_of_the_stripped_first_line(text, reference, exact):
    assert is_exact(text, reference) is exact
