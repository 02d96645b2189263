"""A run that can't come to anything ends, and says what to do; one that is merely noisy goes on."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from coda_train.errors import TrainingError
from coda_train.watch import Watch

BATCH = {"inputs": jnp.arange(6).reshape(2, 3)}


def results(loss=1.0, grad_norm=1.0, nll=4.0) -> dict[str, Any]:
    sums = np.array([nll, 0.0, 0.0, 0.0])
    return {"loss": loss, "grad_norm": grad_norm, "nll_sums": sums, "counts": np.array([1, 0, 0, 0])}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (results(loss=math.nan), "the loss is not a number at step 7"),
        (results(grad_norm=math.inf), "the gradient's norm is not a number at step 7"),
    ],
)
def test_no_number_ends_the_run(tmp_path, values, message):
    with pytest.raises(TrainingError, match=message):
        Watch(512, tmp_path).check(7, values, BATCH)
    with np.load(tmp_path / "failed-batch-7.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["inputs"], BATCH["inputs"])


def test_worse_than_guessing_for_long_is_divergence(tmp_path):
    watch = Watch(512, tmp_path)
    for step in range(100):
        watch.check(step, results(nll=3.0), BATCH)
    with pytest.raises(TrainingError, match="diverged: the cross-entropy is 7"):
        for step in range(100, 400):
            watch.check(step, results(nll=20.0), BATCH)


@pytest.mark.parametrize("losses", [[12.0, 11.0, 10.0] * 40, [3.0] * 60 + [30.0] + [3.0] * 60, [2.0, 9.0] * 60])
def test_a_bad_start_a_spike_and_noise_are_none(tmp_path, losses):
    watch = Watch(512, tmp_path)
    for step, nll in enumerate(losses):
        watch.check(step, results(nll=nll), BATCH)
