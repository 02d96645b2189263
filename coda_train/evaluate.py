"""What a run measures on held-out text: the stage's own loss, and a bound on the likelihood at fixed noise levels."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from coda_train.batches import HELD_OUT_SEED, Batch, Batches, open_batches
from coda_train.config import TrainConfig
from coda_train.data.infilling import TokenIds
from coda_train.data.loaders import TooFewTokensError
from coda_train.data.problems import line_problems
from coda_train.data.split import has_split
from coda_train.fills import MIN_PROBLEMS, Fills, row_length
from coda_train.sharding import Layout
from coda_train.step import make_targets, report

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels of the bound: the midpoints of five equal ranges, so that their mean integrates over all levels."""

EvalStep = Callable[[Any, dict[str, jax.Array]], dict[str, jax.Array]]
"""(params, batch with targets) -> sums, see `make_steps`."""


class Evaluation:
    """Held-out batches, the same in every evaluation of every run.

    Args:
        config: the run's configuration.
        layout: the devices.
        ids: special tokens.
        rows: held-out batches of the stage's own kind, read from their start; None where that is whole documents.
        packed: held-out batches of whole documents; None where the own loss measures likelihood: a causal model, chats.
        fills: measures exact match; None for nothing.
    """

    def __init__(
        self,
        config: TrainConfig,
        layout: Layout,
        ids: TokenIds,
        rows: Batches | None,
        packed: Batches | None,
        fills: Fills | None = None,
    ):
        self._fills = fills
        count, size = config.stage.eval_batches, config.stage.batch_size
        self._rows: list[dict[str, jax.Array]] = []
        self._levels: list[tuple[float, dict[str, jax.Array]]] = []
        if rows is not None:
            targets, plain = make_targets(config, ids, layout), np.array([0, 0, 0, 1], np.float32)
            placed = (layout.place(next(rows), size) for _ in range(count))
            self._rows = [targets(jax.random.key(i), batch, plain) for i, batch in enumerate(placed)]
        if packed is not None:
            rounds = 1 if rows is not None else max(1, round(count / len(LEVELS)))
            levels = LEVELS * rounds
            held = layout.process_rows(size)
            masked = (mask_at(level, next(packed), ids.mask, i, held) for i, level in enumerate(levels))
            self._levels = [(level, layout.place(batch, size)) for level, batch in zip(levels, masked, strict=True)]

    def __call__(self, eval_step: EvalStep, params: Any) -> dict[str, Any]:
        """Measure.

        Returns:
            `loss`, `nll` and `nll_by_noise` as in training, of the stage's own rows. But for a causal model also
            `elbo`: nats a token that the text costs at most (the bound of arXiv 2406.07524), and `nll_at`: the mean
            cross-entropy of masks at each of LEVELS. With fills what these give (see `Fills`).
        """
        rows = [jax.device_get(eval_step(params, batch)) for batch in self._rows]
        at_levels = [(level, jax.device_get(eval_step(params, batch))) for level, batch in self._levels]
        values = _mean(rows or [sums for _, sums in at_levels])
        if at_levels:
            by_level = [_mean([sums for at, sums in at_levels if at == level]) for level in LEVELS]
            values["elbo"] = float(np.mean([level["loss"] for level in by_level]))
            values["nll_at"] = [level["nll"] for level in by_level]
        return values | (self._fills(params) if self._fills else {})


def open_evaluation(
    config: TrainConfig,
    layout: Layout,
    corpus: Path,
    tokenizer: Path,
    ids: TokenIds,
    progress: Callable[[str, int, int], None] | None = None,
) -> Evaluation | None:
    """What to measure on the held-out text of a corpus; None if it has none, or less than a row of it."""
    kind, length = config.stage.batches, row_length(config)
    if kind != "chat" and not has_split(corpus, "held_out"):
        return None

    def open_as(batches: str) -> Batches:
        stage = dataclasses.replace(config.stage, batches=batches)
        held = layout.process_rows(stage.batch_size)
        changed = dataclasses.replace(config, stage=stage)
        return open_batches(changed, corpus, tokenizer, "held_out", progress, rows=held)

    of_documents = kind not in ("causal", "chat")
    fills = None
    if of_documents and length:
        count = math.ceil(MIN_PROBLEMS / config.stage.batch_size) * config.stage.batch_size
        problems = line_problems(corpus, tokenizer, count, length, HELD_OUT_SEED)
        fills = Fills(config, layout, ids, tokenizer, problems) if problems else None
    try:
        rows = open_as(kind) if kind != "packed" else None
        return Evaluation(config, layout, ids, rows, open_as("packed") if of_documents else None, fills)
    except TooFewTokensError:
        return None


def mask_at(level: float, batch: Batch, mask_id: int, seed: int, rows: np.ndarray) -> Batch:
    """A packed batch with each maskable token masked at one noise level, with weights as `noise.corrupt` gives them.

    `rows` are the numbers of its rows in the whole batch, of which other processes may hold the rest.
    """
    length = batch["tokens"].shape[1]
    draws = np.stack([np.random.default_rng((seed, row)).random(length) for row in rows.tolist()])
    masked = batch["maskable"] & (draws < level)
    return {
        "inputs": np.where(masked, mask_id, batch["tokens"]).astype(np.int32),
        "targets": batch["tokens"],
        "weights": np.where(masked, 1.0 / level, 0.0).astype(np.float32),
        "segment_ids": batch["segment_ids"],
    }


def _mean(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    total = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *results)
    return report({**total, "loss": total["loss"] / len(results)})
