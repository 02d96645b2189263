"""Filling holes while a model trains, all rows of a batch at once, in JAX.

The engine (coda_model) is what users get; this is its rule in the smallest form, to see what a training run has learnt.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from coda_train.data.infilling import TokenIds
from coda_train.data.problems import MAX_FILL, Problem

START_MASKS = 12
"""Masks a hole starts with when the model finds the length itself, as in the engine."""

THRESHOLD = 0.9
"""A step commits the surest mask and all whose probability is at least this (Fast-dLLM, arXiv 2505.22618)."""

_MAX_STEPS = 2 * MAX_FILL

Rows = dict[str, jax.Array]
"""`tokens` [B, L] int32, `start` [B] where the hole begins, `size` [B] its tokens, `used` [B] tokens before the pad."""


def make_rows(
    problems: Sequence[Problem], batch: int, length: int, ids: TokenIds, oracle: bool
) -> dict[str, np.ndarray]:
    """Problems as rows, each hole with masks: as many as its tokens with `oracle`, else START_MASKS.

    Rows that no problem fills are pad with a hole of no tokens.
    """
    tokens = np.full((batch, length), ids.pad, np.int32)
    start, size, used = np.ones(batch, np.int32), np.zeros(batch, np.int32), np.ones(batch, np.int32)
    for row, problem in enumerate(problems):
        masks = len(problem.middle) if oracle else START_MASKS
        line = [*problem.prefix, *[ids.mask] * masks, *problem.suffix]
        tokens[row, : len(line)] = line
        start[row], size[row], used[row] = len(problem.prefix), masks, len(line)
    return {"tokens": tokens, "start": start, "size": size, "used": used}


def fill(
    hidden_of: Callable[[jax.Array, jax.Array], jax.Array],
    logits_of: Callable[[jax.Array], jax.Array],
    rows: Rows,
    ids: TokenIds,
    oracle: bool,
) -> jax.Array:
    """Unmask every hole, in at most 2 * MAX_FILL steps.

    Args:
        hidden_of: ([B, L] tokens, [B, L] segment ids) -> [B, L, hidden].
        logits_of: [..., hidden] -> [..., vocabulary] float32.
        rows: see `Rows`.
        ids: special tokens, which no fill holds.
        oracle: the lengths are given; else masks may grow and go away by `<|expand|>` and `<|delete|>`.

    Returns:
        [B, MAX_FILL] int32, each row's fill, then pads.
    """
    window = rows["start"][:, None] + jnp.arange(MAX_FILL)  # the hole is in here
    last = rows["tokens"].shape[1] - 1

    def unfinished(carry: tuple[jax.Array, Rows]) -> jax.Array:
        step, rows = carry
        return (step < _MAX_STEPS) & jnp.any(_holes(rows, window) & (_at(rows["tokens"], window) == ids.mask))

    def advance(carry: tuple[jax.Array, Rows]) -> tuple[jax.Array, Rows]:
        step, rows = carry
        tokens = rows["tokens"]
        segment_ids = (jnp.arange(last + 1) < rows["used"][:, None]).astype(jnp.int32)
        hidden = hidden_of(tokens, segment_ids)
        picked = jnp.take_along_axis(hidden, jnp.clip(window - 1, 0, last)[..., None], axis=1)  # row i-1 predicts i
        logits_BxWxV = _forbid(logits_of(picked), rows["size"], ids, oracle or step >= _MAX_STEPS // 2)
        best, sureness = jnp.argmax(logits_BxWxV, -1), jnp.max(jax.nn.softmax(logits_BxWxV, -1), -1)
        masked = _holes(rows, window) & (_at(tokens, window) == ids.mask)
        sureness = jnp.where(masked, sureness, -1.0)
        surest = jnp.arange(MAX_FILL) == jnp.argmax(sureness, axis=1)[:, None]
        committed = masked & (surest | (sureness >= THRESHOLD))
        return step + 1, commit(rows, window, committed, best, ids)

    _, rows = jax.lax.while_loop(unfinished, advance, (jnp.zeros((), jnp.int32), rows))
    return jnp.where(_holes(rows, window), _at(rows["tokens"], window), ids.pad)


def commit(rows: Rows, window: jax.Array, committed: jax.Array, chosen: jax.Array, ids: TokenIds) -> Rows:
    """Put chosen tokens into the holes: an expand becomes two masks, a delete goes away, and the rest of the row moves.

    Args:
        rows: see `Rows`.
        window: [B, W] positions; those past the row are ignored.
        committed: [B, W] bool, where a mask is decided.
        chosen: [B, W] int32 tokens.
        ids: special tokens.
    """
    batch, length = rows["tokens"].shape
    row = jnp.arange(batch)[:, None]
    grows, goes = committed & (chosen == ids.expand), committed & (chosen == ids.delete)
    change = grows.astype(jnp.int32) - goes.astype(jnp.int32)
    values = jnp.where(committed & ~grows, chosen, _at(rows["tokens"], window)).astype(jnp.int32)
    tokens = rows["tokens"].at[row, window].set(values, mode="drop")
    copies = jnp.ones((batch, length), jnp.int32).at[row, window].add(change, mode="drop")
    target = jnp.cumsum(copies, axis=1) - copies
    moved = jnp.full_like(tokens, ids.pad).at[row, jnp.where(copies > 0, target, length)].set(tokens, mode="drop")
    moved = moved.at[row, jnp.where(copies > 1, target + 1, length)].set(ids.mask, mode="drop")
    total = jnp.sum(change, axis=1)
    return {"tokens": moved, "start": rows["start"], "size": rows["size"] + total, "used": rows["used"] + total}


def _forbid(logits_BxWxV: jax.Array, size_B: jax.Array, ids: TokenIds, fixed: jax.Array | bool) -> jax.Array:
    """Without special tokens; without growth and shrinking where the length is fixed or each mask could double."""
    vocabulary = jnp.arange(logits_BxWxV.shape[-1])
    never = (vocabulary == ids.mask) | (vocabulary == ids.pad) | (vocabulary == ids.end)
    full = (size_B * 2 > MAX_FILL)[:, None] | fixed
    forbidden_BxV = never | (full & (vocabulary == ids.expand)) | (fixed & (vocabulary == ids.delete))
    return jnp.where(forbidden_BxV[:, None], -jnp.inf, logits_BxWxV)


def _at(tokens: jax.Array, window: jax.Array) -> jax.Array:
    return jnp.take_along_axis(tokens, jnp.clip(window, 0, tokens.shape[1] - 1), axis=1)


def _holes(rows: Rows, window: jax.Array) -> jax.Array:
    return window < (rows["start"] + rows["size"])[:, None]


def fills_of(decoded: np.ndarray, ids: TokenIds, count: int) -> list[list[int]]:
    """The first `count` rows that `fill` gave, without pads."""
    return [[int(token) for token in row if token not in (ids.pad, ids.mask)] for row in decoded[:count]]


def is_exact(text: str, reference: str) -> bool:
    """Whether the first line of a fill is the reference's, but for space around it."""
    return text.strip().partition("\n")[0].strip() == reference.strip().partition("\n")[0].strip()
