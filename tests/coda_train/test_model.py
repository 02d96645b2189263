"""The backbone: attention by segment, layers, types, and the hand-written gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from coda_train.attention import attend, segment_bias
from coda_train.config import load_preset
from coda_train.linear import linear, outer_sum
from coda_train.model import Coda

NANO = load_preset("nano", "pretrain").model


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-4), (jnp.bfloat16, 0.06)])
@pytest.mark.parametrize("length", [16, 15])
def test_attention_gradient(length, dtype, tolerance):
    q, k, v, out_weights = (normal(i, 2, 3, length, 8) for i in range(4))
    segment_ids = jnp.where(jnp.arange(length) < 9, 1, 2)[None].repeat(2, 0).at[1, -3:].set(0)
    bias = segment_bias(segment_ids)

    def reference(q, k, v):
        scores = jnp.einsum("bhld,bhmd->bhlm", q, k) + bias
        return jnp.sum(out_weights * jnp.einsum("bhlm,bhmd->bhld", jax.nn.softmax(scores, -1), v))

    def ours(q, k, v):
        return jnp.sum(out_weights * attend(q, k, v, bias, dtype))

    got = jax.jit(jax.value_and_grad(ours, (0, 1, 2)))(q, k, v)
    wanted = jax.value_and_grad(reference, (0, 1, 2))(q, k, v)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.02)])
def test_linear_gradient(dtype, tolerance):
    x, weight, out_weights = normal(0, 2, 7, 8), normal(1, 8, 6), normal(2, 2, 7, 6)
    got = jax.value_and_grad(lambda x, w: jnp.sum(out_weights * linear(x, w, dtype)), (0, 1))(x, weight)
    wanted = jax.value_and_grad(lambda x, w: jnp.sum(out_weights * (x @ w)), (0, 1))(x, weight)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max() + tolerance


@pytest.mark.parametrize("rows", [1, 6, 7])
def test_outer_sum(rows):
    left, right = normal(0, rows, 4), normal(1, rows, 3)
    np.testing.assert_allclose(outer_sum(left, right), left.T @ right, rtol=1e-5, atol=1e-5)


def test_a_token_sees_its_segment_on_both_sides_and_nothing_else():
    model = Coda(NANO, rngs=nnx.Rngs(0))
    tokens = jnp.arange(12)[None] + 6
    segment_ids = jnp.array([[1] * 5 + [2] * 5 + [0] * 2])
    before = model(tokens, segment_ids)
    for changed in range(12):
        after = model(tokens.at[0, changed].set(99), segment_ids)
        moved = np.abs(after - before).max(axis=-1)[0] > 1e-6
        np.testing.assert_array_equal(moved, np.asarray(segment_ids[0] == segment_ids[0, changed]))


def test_segments_of_one_row_equal_documents_of_their_own():
    """Rotary positions are relative, so where a document lies in the row makes no difference."""
    model = Coda(NANO, rngs=nnx.Rngs(0))
    first, second = jnp.arange(7)[None] + 6, jnp.arange(9)[None] + 30
    row = model(jnp.concatenate([first, second], 1), jnp.array([[1] * 7 + [2] * 9]))
    np.testing.assert_allclose(row[:, :7], model(first, jnp.ones_like(first)), atol=2e-5)
    np.testing.assert_allclose(row[:, 7:], model(second, jnp.ones_like(second)), atol=2e-5)


@pytest.mark.parametrize(
    "changes", [{"remat": "dots"}, {"remat": "full"}, {"unroll_layers": True}], ids=lambda c: "-".join(map(str, c))
)
def test_memory_and_speed_settings_change_no_number(changes):
    tokens = jnp.arange(20).reshape(2, 10) + 6

    def value_and_grad(config):
        graph, params = nnx.split(Coda(config, rngs=nnx.Rngs(1)))
        return jax.jit(
            jax.value_and_grad(lambda p: jnp.sum(jnp.square(nnx.merge(graph, p)(tokens, jnp.ones_like(tokens)))))
        )(params)

    plain, changed = value_and_grad(NANO), value_and_grad(dataclasses.replace(NANO, **changes))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(changed), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("tied", [True, False])
def test_parameter_count_and_head(tied):
    config = dataclasses.replace(NANO, tie_word_embeddings=tied)
    model = Coda(config, rngs=nnx.Rngs(0))
    c = config
    attention = c.hidden_size * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads) + 2 * c.head_dim
    layer = attention + 3 * c.hidden_size * c.intermediate_size + 2 * c.hidden_size
    embeddings = c.vocab_size * c.hidden_size * (1 if tied else 2)
    count = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model)))
    assert count == embeddings + c.num_layers * layer + c.hidden_size
    logits = model.logits(model(jnp.ones((1, 4), jnp.int32), jnp.ones((1, 4), jnp.int32)))
    assert logits.shape == (1, 4, c.vocab_size)
    assert logits.dtype == jnp.float32


def test_bfloat16_compute_keeps_float32_parameters():
    config = dataclasses.replace(NANO, compute_dtype="bfloat16")
    model = Coda(config, rngs=nnx.Rngs(0))
    tokens = jnp.arange(16)[None]
    assert model(tokens, jnp.ones_like(tokens)).dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(model))} == {jnp.dtype("float32")}
    exact = Coda(dataclasses.replace(NANO, compute_dtype="float32"), rngs=nnx.Rngs(0))
    difference = model(tokens, jnp.ones_like(tokens)) - exact(tokens, jnp.ones_like(tokens))
    assert 0 < np.abs(difference).max() < 0.2
