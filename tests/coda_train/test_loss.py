"""The chunked cross-entropy against the direct one, and the shift."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coda_train.loss import shift_targets, weighted_cross_entropy


def direct(hidden, head, targets, weights):
    """Sum of weight * cross-entropy with all logits at once."""
    log_probabilities = jax.nn.log_softmax(hidden @ head.T, axis=-1)
    losses = -jnp.take_along_axis(log_probabilities, targets[:, None], axis=-1)[:, 0]
    return jnp.sum(weights * losses), losses


CHUNKED = jax.jit(jax.value_and_grad(weighted_cross_entropy, (0, 1), has_aux=True), static_argnums=(4, 5))
DIRECT = jax.jit(jax.value_and_grad(direct, (0, 1), has_aux=True))


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 1.0])
@pytest.mark.parametrize("chunk", [1, 7, 16, 1000])
def test_chunks_equal_the_direct_form(chunk, share):
    rows, width, vocabulary = 64, 12, 40
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(rows, width)).astype(np.float32)
    head = rng.normal(size=(vocabulary, width)).astype(np.float32)
    targets = rng.integers(0, vocabulary, rows).astype(np.int32)
    weights = np.where(rng.random(rows) < share, 3 * rng.random(rows), 0).astype(np.float32)

    (total, losses), gradients = CHUNKED(hidden, head, targets, weights, chunk, jnp.float32)
    (expected, expected_losses), expected_gradients = DIRECT(hidden, head, targets, weights)
    np.testing.assert_allclose(total, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(losses, np.where(weights > 0, expected_losses, 0), rtol=1e-5, atol=1e-5)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_large_logits_stay_finite():
    hidden, head = jnp.full((4, 8), 100.0), jnp.eye(8)[jnp.arange(16) % 8] * 100.0
    total, _ = weighted_cross_entropy(hidden, head, jnp.arange(4), jnp.ones(4), 2, jnp.float32)
    assert np.isfinite(total)


def test_row_before_predicts_and_row_zero_predicts_twice():
    hidden = jnp.arange(10.0).reshape(2, 5, 1)
    targets = jnp.arange(10).reshape(2, 5)
    weights = jnp.arange(10.0).reshape(2, 5) / 10
    rows, flat_targets, flat_weights = shift_targets(targets, weights, hidden)
    np.testing.assert_array_equal(rows[:, 0], [0, 0, 1, 2, 3, 5, 5, 6, 7, 8])
    np.testing.assert_array_equal(flat_targets, np.arange(10))
    np.testing.assert_allclose(flat_weights, np.arange(10) / 10)
