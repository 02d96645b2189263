"""Notices when a run can't come to anything: its loss is no number, or it got worse than knowing nothing."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from coda_train.errors import TrainingError
from coda_train.step import report

_DECAY = 0.98
"""Of the running mean: about the last 50 steps count."""

_MARGIN = 1.0
"""Nats by which the mean must exceed both its own best and the cross-entropy of a guess: far from any good run."""


class Watch:
    """Follows a run step by step; start a new one when the run goes on."""

    def __init__(self, vocab_size: int, run: Path):
        self._guess = math.log(vocab_size)
        self._run = run
        self._weight, self._sum, self._best = 0.0, 0.0, math.inf

    def check(self, step: int, results: dict[str, jax.Array], batch: dict[str, jax.Array]) -> dict[str, Any]:
        """A step's results as plain numbers (see `report`).

        Raises TrainingError, after the batch was saved, if they show that the run has failed.
        """
        values = report(results)
        fault = self._fault(values)
        if fault:
            path = self._run / f"failed-batch-{step}.npz"
            whole = multihost_utils.process_allgather(batch, tiled=True) if jax.process_count() > 1 else batch
            if jax.process_index() == 0:
                np.savez_compressed(path, **jax.device_get(whole))
            raise TrainingError(
                f"{fault} at step {step}: lower optimizer.peak or lengthen optimizer.warmup, then run again to go on "
                f"from the last checkpoint; the token ids of the batch are in {path}"
            )
        return values

    def _fault(self, values: dict[str, Any]) -> str:
        for name, what in (("loss", "the loss"), ("grad_norm", "the gradient's norm")):
            if not math.isfinite(values[name]):
                return f"{what} is not a number"
        self._weight = _DECAY * self._weight + 1.0 - _DECAY
        self._sum = _DECAY * self._sum + (1.0 - _DECAY) * values["nll"]
        mean = self._sum / self._weight
        self._best = min(self._best, mean)
        if mean > max(self._best, self._guess) + _MARGIN:
            return f"training has diverged: the cross-entropy is {mean:.2f} nats, after {self._best:.2f},"
        return ""
