"""A batch in parts is the same step; a run ends when its held-out loss has stopped falling."""

import jax
import numpy as np
import pytest

from coda_train.config import load_preset
from coda_train.data.infilling import TokenIds
from coda_train.optimizer import make_optimizer
from coda_train.patience import Patience
from coda_train.sharding import make_layout
from coda_train.step import init_state, make_steps, make_targets, param_shapes

IDS = TokenIds(pad=0, end=2, mask=3, expand=4, delete=5)


def one_step(parts: int):
    overrides = [f"stage.accumulate={parts}", "stage.length=16", "optimizer.name=adafactor"]
    config = load_preset("nano", "pretrain", overrides)
    layout = make_layout(config.mesh, jax.devices()[:1])
    optimizer = make_optimizer(config.optimizer, param_shapes(config))
    tokens = np.random.default_rng(0).integers(6, 512, (8, 16), np.int32)
    one = np.ones_like(tokens)
    rows = {"tokens": tokens, "segment_ids": one, "maskable": one > 0}
    batch = make_targets(config, IDS, layout)(jax.random.key(0), rows, np.array([0, 0, 0, 1], np.float32))
    return make_steps(config, optimizer, layout)[0](init_state(config, optimizer, layout), batch, np.float32(1e-3))


def test_a_batch_in_parts_is_the_same_step():
    (state, values), (parted, parted_values) = one_step(1), one_step(4)
    for name, value in values.items():
        np.testing.assert_allclose(parted_values[name], value, rtol=1e-5, err_msg=name)
    for a, b in zip(jax.tree.leaves(parted.params), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


@pytest.mark.parametrize(
    ("limit", "losses", "ends"),
    [
        (0, [3.0, 4.0, 5.0, 6.0], []),
        (2, [3.0, 2.0, 2.5, 1.0, 1.0, 1.1], [5]),
        (1, [3.0, 2.0, 2.0], [2]),
    ],
)
def test_patience(limit, losses, ends):
    patience, over = Patience(limit), []
    for number, loss in enumerate(losses):
        patience.see(loss)
        over += [number] if patience.over else []
    assert over == ends
