"""The Qwen3 backbone with full attention, in Flax NNX (arXiv 2510.03270, section 2)."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from coda_train.attention import AUTO, KERNELS, SAVED, Attend, Sight
from coda_train.config import MeshConfig, ModelConfig
from coda_train.linear import linear
from coda_train.sharding import Layout, make_layout


def _matrix(rngs: nnx.Rngs, shape: tuple[int, ...], scale: float = 1.0) -> nnx.Param:
    return nnx.Param(0.02 * scale * jax.random.normal(rngs.params(), shape, jnp.float32))


def rms_norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    """RMSNorm over the last axis, computed in float32, returned in x's type."""
    wide = x.astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + eps)
    return (wide * scale * weight).astype(x.dtype)


def rope_tables(length: int, head_dim: int, theta: float) -> tuple[jax.Array, jax.Array]:
    """(cos, sin), each [length, head_dim] float32, for rotate-half rotary positions."""
    frequencies = theta ** (-jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    angles = jnp.arange(length, dtype=jnp.float32)[:, None] * frequencies
    angles = jnp.concatenate([angles, angles], axis=-1)
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x_BxLxHxD: jax.Array, cos_LxD: jax.Array, sin_LxD: jax.Array) -> jax.Array:
    """Rotate heads by their positions, in float32."""
    wide = x_BxLxHxD.astype(jnp.float32)
    first, second = jnp.split(wide, 2, axis=-1)
    turned = jnp.concatenate([-second, first], axis=-1)
    return (wide * cos_LxD[:, None, :] + turned * sin_LxD[:, None, :]).astype(x_BxLxHxD.dtype)


class Attention(nnx.Module):
    """Grouped-query attention, never causal, with RMSNorm of each query and key head before RoPE."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        width, heads, kv_heads = config.hidden_size, config.num_heads, config.num_kv_heads
        self.q_proj = _matrix(rngs, (width, heads * config.head_dim))
        self.k_proj = _matrix(rngs, (width, kv_heads * config.head_dim))
        self.v_proj = _matrix(rngs, (width, kv_heads * config.head_dim))
        self.o_proj = _matrix(rngs, (heads * config.head_dim, width), (2 * config.num_layers) ** -0.5)
        self.q_norm = nnx.Param(jnp.ones(config.head_dim))
        self.k_norm = nnx.Param(jnp.ones(config.head_dim))

    def __call__(self, x_BxLxD: jax.Array, rope: tuple[jax.Array, jax.Array], attend: Attend) -> jax.Array:
        config, products = self.config, jnp.dtype(self.config.matmul_dtype)
        batch, length, _ = x_BxLxD.shape

        def heads(weight: nnx.Param, count: int) -> jax.Array:
            return linear(x_BxLxD, weight[...], products).reshape(batch, length, count, config.head_dim)

        q = rotate(rms_norm(heads(self.q_proj, config.num_heads), self.q_norm[...], config.rms_norm_eps), *rope)
        k = rotate(rms_norm(heads(self.k_proj, config.num_kv_heads), self.k_norm[...], config.rms_norm_eps), *rope)
        v = heads(self.v_proj, config.num_kv_heads)
        mixed = attend(q * config.head_dim**-0.5, k, v).astype(x_BxLxD.dtype)
        return linear(mixed.reshape(batch, length, -1), self.o_proj[...], products)


class FeedForward(nnx.Module):
    """SwiGLU: down(silu(gate(x)) * up(x))."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        width, inner = config.hidden_size, config.intermediate_size
        self.gate_proj = _matrix(rngs, (width, inner))
        self.up_proj = _matrix(rngs, (width, inner))
        self.down_proj = _matrix(rngs, (inner, width), (2 * config.num_layers) ** -0.5)

    def __call__(self, x: jax.Array) -> jax.Array:
        products = jnp.dtype(self.config.matmul_dtype)
        inner = jax.nn.silu(linear(x, self.gate_proj[...], products)) * linear(x, self.up_proj[...], products)
        return linear(inner, self.down_proj[...], products)


class Block(nnx.Module):
    """One pre-norm layer."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.input_norm = nnx.Param(jnp.ones(config.hidden_size))
        self.attention = Attention(config, rngs=rngs)
        self.post_norm = nnx.Param(jnp.ones(config.hidden_size))
        self.mlp = FeedForward(config, rngs=rngs)

    def __call__(self, x: jax.Array, rope: tuple[jax.Array, jax.Array], attend: Attend) -> jax.Array:
        eps = self.config.rms_norm_eps
        x = x + self.attention(rms_norm(x, self.input_norm[...], eps), rope, attend)
        return x + self.mlp(rms_norm(x, self.post_norm[...], eps))


class Coda(nnx.Module):
    """Token ids to hidden states and logits. `layers` holds every layer's parameters stacked on a leading axis."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs):
        self.config = config
        self.embed = _matrix(rngs, (config.vocab_size, config.hidden_size))

        @nnx.split_rngs(splits=config.num_layers)
        @nnx.vmap(in_axes=(0,), out_axes=0)
        def stack(rngs: nnx.Rngs) -> Block:
            return Block(config, rngs=rngs)

        self.layers = stack(rngs)
        self.norm = nnx.Param(jnp.ones(config.hidden_size))
        if not config.tie_word_embeddings:
            self.head = _matrix(rngs, (config.vocab_size, config.hidden_size))

    def __call__(
        self,
        tokens: jax.Array,
        segment_ids: jax.Array,
        causal: bool = False,
        tail: bool = False,
        layout: Layout | None = None,
    ) -> jax.Array:
        """Hidden states after the last norm.

        Args:
            tokens: [batch, length] int32.
            segment_ids: [batch, length] int32; a token attends to the tokens with its own id.
            causal: hide what comes after each token.
            tail: the ids are those of one text and a tail of padding, 0 there.
            layout: the mesh to compute on; None for the default device.

        Returns:
            [batch, length, hidden] in the compute type.
        """
        config, layout = self.config, layout or make_layout(MeshConfig(), jax.devices()[:1])
        x = _look_up(self.embed[...], tokens, layout).astype(config.compute_dtype)
        rope = rope_tables(tokens.shape[1], config.head_dim, config.rope_theta)
        attend = KERNELS[config.attention](Sight(segment_ids, causal, tail), jnp.dtype(config.matmul_dtype), layout)
        graph, stacked = nnx.split(self.layers)

        def layer(x: jax.Array, parameters: nnx.State) -> tuple[jax.Array, None]:
            # The gradient of a constraint is the same constraint: without it a scan's gradients lose their placement.
            placements = layout.parameters(parameters, stacked=False)
            placed = jax.tree.map(layout.constrain_to, parameters, placements)
            return layout.constrain(nnx.merge(graph, placed)(x, rope, attend), "batch"), None

        x = layout.constrain(x, "batch")
        x, _ = jax.lax.scan(_remat(layer, config.remat), x, stacked, unroll=config.unroll_layers or 1)
        return rms_norm(x, self.norm[...], config.rms_norm_eps)

    def head_weight(self) -> jax.Array:
        """[vocabulary, hidden] float32: the embedding, or the untied head."""
        return (self.embed if self.config.tie_word_embeddings else self.head)[...]

    def logits(self, hidden: jax.Array) -> jax.Array:
        """[..., hidden] -> [..., vocabulary] float32. Training never holds these for a whole batch: see loss.py."""
        return jnp.matmul(hidden, self.head_weight().T.astype(hidden.dtype), preferred_element_type=jnp.float32)


def resolve(config: ModelConfig, platform: str) -> ModelConfig:
    """The configuration with every `auto` replaced by what it stands for on cpu, gpu or tpu."""
    auto = "float32" if platform == "cpu" else "bfloat16"
    compute = auto if config.compute_dtype == "auto" else config.compute_dtype
    products = compute if config.matmul_dtype == "auto" else config.matmul_dtype
    attention = AUTO[platform] if config.attention == "auto" else config.attention
    return dataclasses.replace(config, compute_dtype=compute, matmul_dtype=products, attention=attention)


def graph_of(config: ModelConfig, platform: str | None = None) -> nnx.GraphDef:
    """The model's structure without its parameters, to merge with an `nnx.State` of them.

    It computes as is best on `platform`: cpu, gpu, tpu or None for this machine's.
    """
    resolved = resolve(config, platform or jax.default_backend())
    return nnx.graphdef(nnx.eval_shape(lambda: Coda(resolved, rngs=nnx.Rngs(0))))


@functools.partial(jax.jit, static_argnums=0)
def init_params(config: ModelConfig, seed: int) -> nnx.State:
    """New parameters."""
    return nnx.state(Coda(config, rngs=nnx.Rngs(jax.random.key(seed))))


def _look_up(table_VxD: jax.Array, tokens: jax.Array, layout: Layout) -> jax.Array:
    """Rows of the embedding, [batch, length, hidden] float32; each device gathers the table for its own tokens."""
    if layout.mesh.size == 1:
        return table_VxD[tokens]

    def local(part: jax.Array, tokens: jax.Array) -> jax.Array:
        part = jax.lax.all_gather(part, "fsdp", axis=1, tiled=True)
        tokens -= jax.lax.axis_index("tensor") * part.shape[0]
        inside = (tokens >= 0) & (tokens < part.shape[0])
        return jax.lax.psum(jnp.where(inside[..., None], part[jnp.where(inside, tokens, 0)], 0.0), "tensor")

    table, rows = layout.sharding("vocabulary", "hidden").spec, layout.sharding("batch").spec
    return jax.shard_map(local, mesh=layout.mesh, in_specs=(table, rows), out_specs=rows)(table_VxD, tokens)


def _remat(layer: Callable, policy: str) -> Callable:
    if policy == "none":
        return layer
    policies = jax.checkpoint_policies
    products = policies.save_from_both_policies(
        policies.dots_with_no_batch_dims_saveable, policies.save_only_these_names(SAVED)
    )
    return functools.partial(jax.checkpoint, prevent_cse=False, policy=products if policy == "dots" else None)(layer)
