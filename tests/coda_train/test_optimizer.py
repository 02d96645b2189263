"""Learning-rate schedules, and optimizers over stacked layers against the same rule on each layer alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coda_train.config import OptimizerConfig
from coda_train.optimizer import average, learning_rate, make_optimizer

CONFIG = OptimizerConfig(peak=2.0, warmup=0.1, final=0.1)


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("cosine", 0.0, 0.0),
        ("cosine", 0.05, 1.0),
        ("cosine", 0.1, 2.0),
        ("cosine", 0.55, 1.1),
        ("cosine", 1.0, 0.2),
        ("cosine", 1.3, 0.2),
        ("linear", 0.1, 2.0),
        ("linear", 0.55, 1.1),
        ("linear", 1.0, 0.2),
        ("wsd", 0.5, 2.0),
        ("wsd", 0.82, 2.0),
        ("wsd", 0.91, 1.1),
        ("wsd", 1.0, 0.2),
        ("constant", 0.05, 1.0),
        ("constant", 1.0, 2.0),
    ],
)
def test_learning_rate(schedule, progress, expected):
    assert learning_rate(dataclasses.replace(CONFIG, schedule=schedule), progress) == pytest.approx(expected)


def test_no_warmup_starts_at_the_peak():
    assert learning_rate(dataclasses.replace(CONFIG, warmup=0.0), 0.0) == 2.0


@pytest.fixture(scope="module")
def trees():
    """(parameters, gradients) shaped like a model's: two layers stacked, an embedding, norms."""
    shapes = {
        "embed": (160, 136),
        "layers": {"mlp": {"up_proj": (2, 136, 144)}, "q_norm": (2, 16)},
        "norm": (136,),
    }
    rng = np.random.default_rng(0)

    def draw(shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    def tree():
        return jax.tree.map(draw, shapes, is_leaf=lambda node: isinstance(node, tuple))

    return tree(), tree()


def updates_of(config, params, grads, steps=2):
    optimizer = make_optimizer(config, params)

    @jax.jit
    def run(params, grads):
        state = optimizer.init(params)
        updates = None
        for _ in range(steps):
            updates, state = optimizer.update(grads, state, params)
        return updates

    return run(params, grads)


def single_layer(tree, layer):
    return jax.tree.map(lambda leaf: leaf[layer], tree["layers"])


def test_adafactor_treats_each_layer_as_a_matrix_of_its_own(trees):
    params, grads = trees
    config = OptimizerConfig(name="adafactor", clip=0.0, weight_decay=0.0)
    stacked = updates_of(config, params, grads)
    rule = optax.chain(optax.scale_by_factored_rms(), optax.clip_by_block_rms(1.0), optax.scale(-1.0))
    for layer in range(2):
        own_params, own_grads = single_layer(params, layer), single_layer(grads, layer)
        state = rule.init(own_params)
        for _ in range(2):
            own, state = rule.update(own_grads, state, own_params)
        for got, wanted in zip(jax.tree.leaves(single_layer(stacked, layer)), jax.tree.leaves(own), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


def test_muon_orthogonalises_each_layers_matrices(trees):
    params, grads = trees
    updates = updates_of(OptimizerConfig(name="muon", clip=0.0, weight_decay=0.0), params, grads, steps=1)
    for layer in range(2):
        update = np.asarray(single_layer(updates, layer)["mlp"]["up_proj"])
        singular = np.linalg.svd(update / (0.2 * max(update.shape) ** 0.5), compute_uv=False)
        assert np.quantile(singular, 0.05) > 0.4  # the smallest of a square random matrix start near 0
        assert singular.max() < 1.4


@pytest.mark.parametrize("name", ["adamw", "adafactor", "muon"])
def test_weight_decay_spares_norms(trees, name):
    params, grads = trees
    zero = jax.tree.map(jnp.zeros_like, grads)
    updates = updates_of(OptimizerConfig(name=name, weight_decay=0.5), params, zero, steps=1)
    if name != "muon":  # optax's muon decays its matrices alone
        np.testing.assert_allclose(updates["embed"], -0.5 * params["embed"], atol=1e-6)
    np.testing.assert_allclose(
        updates["layers"]["mlp"]["up_proj"], -0.5 * params["layers"]["mlp"]["up_proj"], atol=1e-6
    )
    assert not np.any(updates["norm"])
    assert not np.any(updates["layers"]["q_norm"])


def test_clipping_bounds_the_global_norm(trees):
    params, grads = trees
    config = OptimizerConfig(name="adamw", clip=1e-3, b1=0.0, b2=0.0, eps=1.0, weight_decay=0.0)
    norm = optax.global_norm(updates_of(config, params, grads, steps=1))
    assert norm == pytest.approx(1e-3, rel=1e-2)


def test_average_forgets_the_start():
    zero, one = {"w": jnp.zeros(2)}, {"w": jnp.ones(2)}
    early = average(zero, one, 0.999, jnp.asarray(0))
    late = average(zero, one, 0.999, jnp.asarray(10**6))
    np.testing.assert_allclose(early["w"], 0.9, rtol=1e-6)
    np.testing.assert_allclose(late["w"], 0.001, rtol=1e-3)
