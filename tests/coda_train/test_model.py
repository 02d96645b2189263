"""The backbone: attention by segment, layers, types, and the hand-written gradients."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from coda_train.attention import KERNELS, Sight, segment_bias
from coda_train.attention_cpu import attend
from coda_train.config import MeshConfig, load_preset
from coda_train.errors import ConfigError
from coda_train.linear import linear, outer_sum
from coda_train.model import graph_of, init_params, resolve
from coda_train.sharding import make_layout

NANO = load_preset("nano", "pretrain").model


GRAPH, PARAMS = graph_of(NANO), init_params(NANO, 0)


@jax.jit
def forward(tokens: jax.Array, segment_ids: jax.Array) -> jax.Array:
    return nnx.merge(GRAPH, PARAMS)(tokens, segment_ids)


def normal(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@pytest.mark.parametrize(
    ("length", "dtype", "tolerance"), [(16, jnp.float32, 1e-4), (15, jnp.float32, 1e-4), (16, jnp.bfloat16, 0.06)]
)
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
    wanted = jax.jit(jax.value_and_grad(reference, (0, 1, 2)))(q, k, v)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert np.abs(a - b).max() <= tolerance * max(np.abs(b).max(), 1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kernel", ["cpu", "splash"])
def test_kernels_agree_with_the_reference(kernel, causal):
    """Splash attention runs here in Pallas' interpreter, within shard_map as on a TPU."""
    q, k, v, out_weights = (normal(i, 1, 128, heads, 128) for i, heads in enumerate((2, 1, 1, 2)))
    sight = Sight(jnp.where(jnp.arange(128) < 50, 1, 2)[None].at[0, -20:].set(0), causal, tail=False)
    layout = make_layout(MeshConfig(), jax.devices()[:1])

    def value_and_grad(name):
        attend = KERNELS[name](sight, jnp.dtype("float32"), layout)
        return jax.jit(jax.value_and_grad(lambda *qkv: jnp.sum(out_weights * attend(*qkv)), (0, 1, 2)))(q * 0.1, k, v)

    got, wanted = value_and_grad(kernel), value_and_grad("reference")
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("tail", "causal", "call"),
    [
        (True, False, "fmhaSoftmax"),  # padding is a length
        (True, True, "fmhaSoftmax"),
        (False, False, "fmhaScaleBiasSoftmax"),  # documents in a row are a mask
        (False, True, "fmhaScaleBiasSoftmax"),
    ],
)
def test_attention_for_a_gpu_is_one_fused_call_each_way(monkeypatch, tail, causal, call):
    """Lowered for CUDA, not run: there is no cuDNN to ask for its version."""
    monkeypatch.setattr("jax._src.cudnn.fused_attention_stablehlo.check_cudnn_version", lambda: 91200)
    for check in ("check_compute_capability", "is_cuda_compute_capability_equal"):
        monkeypatch.setattr(f"jax._src.cudnn.fused_attention_stablehlo.{check}", lambda capability: False)
    q, k = (jax.ShapeDtypeStruct((2, 256, heads, 64), jnp.bfloat16) for heads in (4, 2))
    layout = make_layout(MeshConfig(), jax.devices()[:1])

    def loss(q, k, v, segment_ids):
        attend = KERNELS["cudnn"](Sight(segment_ids, causal, tail), jnp.dtype("bfloat16"), layout)
        return jnp.sum(attend(q, k, v).astype(jnp.float32))

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))
    text = (
        gradient.trace(q, k, k, jax.ShapeDtypeStruct((2, 256), jnp.int32)).lower(lowering_platforms=("cuda",)).as_text()
    )
    assert text.count(f"@__cudnn${call}(") == 1
    assert text.count(f"@__cudnn${call}Backward(") == 1
    assert "256x256xf32" not in text  # no weights outside the kernel


@pytest.mark.parametrize(
    ("length", "width", "message"), [(100, 128, r"stage\.length=100"), (128, 64, r"model\.head_dim=64")]
)
def test_splash_says_what_it_can_not_do(length, width, message):
    sight = Sight(jnp.ones((1, length), jnp.int32), causal=False, tail=False)
    q = jnp.ones((1, length, 1, width))
    with pytest.raises(ConfigError, match=rf"multiples of 128, not {message}: .* model\.attention=reference"):
        KERNELS["splash"](sight, jnp.dtype("float32"), make_layout(MeshConfig(), jax.devices()[:1]))(q, q, q)


def test_each_platform_has_its_kernel():
    config = dataclasses.replace(NANO, matmul_dtype="auto")
    for platform, kernel in (("cpu", "cpu"), ("gpu", "cudnn"), ("tpu", "splash")):
        resolved, dtype = resolve(config, platform), "float32" if platform == "cpu" else "bfloat16"
        assert (resolved.attention, resolved.compute_dtype, resolved.matmul_dtype) == (kernel, dtype, dtype)
    assert resolve(dataclasses.replace(config, attention="reference"), "tpu").attention == "reference"


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 1e-5), (jnp.bfloat16, 0.02)])
def test_linear_gradient(dtype, tolerance):
    x, weight, out_weights = normal(0, 2, 7, 8), normal(1, 8, 6), normal(2, 2, 7, 6)

    def gradient(product):
        return jax.jit(jax.value_and_grad(lambda x, w: jnp.sum(out_weights * product(x, w)), (0, 1)))(x, weight)

    got, wanted = gradient(lambda x, w: linear(x, w, dtype)), gradient(jnp.matmul)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max() + tolerance


@pytest.mark.parametrize("rows", [1, 6, 7])
def test_outer_sum(rows):
    left, right = normal(0, rows, 4), normal(1, rows, 3)
    np.testing.assert_allclose(outer_sum(left, right), left.T @ right, rtol=1e-5, atol=1e-5)


def test_a_token_sees_its_segment_on_both_sides_and_nothing_else():
    tokens = jnp.arange(12)[None] + 6
    segment_ids = jnp.array([[1] * 5 + [2] * 5 + [0] * 2])
    before = forward(tokens, segment_ids)
    for changed in range(12):
        after = forward(tokens.at[0, changed].set(99), segment_ids)
        moved = np.abs(after - before).max(axis=-1)[0] > 1e-6
        np.testing.assert_array_equal(moved, np.asarray(segment_ids[0] == segment_ids[0, changed]))


def test_segments_of_one_row_equal_documents_of_their_own():
    """Rotary positions are relative, so where a document lies in the row makes no difference."""
    first, second, ones = jnp.arange(8)[None] + 6, jnp.arange(8)[None] + 30, jnp.ones((1, 8), jnp.int32)
    row = forward(jnp.concatenate([first, second], 1), jnp.concatenate([ones, 2 * ones], 1))
    np.testing.assert_allclose(row[:, :8], forward(first, ones), atol=2e-5)
    np.testing.assert_allclose(row[:, 8:], forward(second, ones), atol=2e-5)


def test_memory_and_speed_settings_change_no_number():
    tokens = jnp.arange(20).reshape(2, 10) + 6

    def value_and_grad(**changes):
        graph = graph_of(dataclasses.replace(NANO, **changes))

        def loss(params):
            return jnp.sum(jnp.square(nnx.merge(graph, params)(tokens, jnp.ones_like(tokens))))

        return jax.jit(jax.value_and_grad(loss))(PARAMS)

    plain = value_and_grad()
    for changes in ({"remat": "full"}, {"remat": "dots", "unroll_layers": True}):
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(value_and_grad(**changes)), strict=True):
            np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=str(changes))


@pytest.mark.parametrize("tied", [True, False])
def test_parameter_count_and_head(tied):
    config = dataclasses.replace(NANO, tie_word_embeddings=tied)
    c, params = config, init_params(config, 0)
    attention = c.hidden_size * c.head_dim * (2 * c.num_heads + 2 * c.num_kv_heads) + 2 * c.head_dim
    layer = attention + 3 * c.hidden_size * c.intermediate_size + 2 * c.hidden_size
    embeddings = c.vocab_size * c.hidden_size * (1 if tied else 2)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == embeddings + c.num_layers * layer + c.hidden_size
    hidden = jnp.ones((1, 4, c.hidden_size), jnp.bfloat16)
    logits = jax.eval_shape(lambda: nnx.merge(graph_of(config), params).logits(hidden))
    assert (logits.shape, logits.dtype) == ((1, 4, c.vocab_size), jnp.float32)


def test_bfloat16_compute_keeps_float32_parameters():
    config = dataclasses.replace(NANO, compute_dtype="bfloat16")
    graph, params = graph_of(config), init_params(config, 0)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    tokens = jnp.arange(8)[None]
    rounded = jax.jit(lambda tokens: nnx.merge(graph, params)(tokens, jnp.ones_like(tokens)))(tokens)
    assert rounded.dtype == jnp.bfloat16
    assert 0 < np.abs(rounded - forward(tokens, jnp.ones_like(tokens))).max() < 0.2
