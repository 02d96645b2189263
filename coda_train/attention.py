"""Softmax attention within segments: one table of kernels, each built once a batch and called by every layer.

A kernel maps q [batch, length, heads, head_dim] and k, v [batch, length, kv heads, head_dim] to q's shape. The scale
belongs to q.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash_kernels
from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as splash_masks

from coda_train.attention_cpu import attend
from coda_train.errors import ConfigError
from coda_train.sharding import Layout

Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
SAVED = "attention"
"""Name under which the remat policy `dots` finds what a kernel wants kept."""

LANES = 128
"""Splash attention takes lengths and head sizes in multiples of a TPU's vector lanes."""

_MASKED_SCORE = -1e30


@dataclass(frozen=True)
class Sight:
    """What tokens see: [batch, length] int32 segment ids; `causal` hides what comes after; `tail` says that the only
    segments of a row are its text and a tail of padding with id 0, which seeing kernels may take as a length."""

    segment_ids: jax.Array
    causal: bool
    tail: bool


def segment_mask(segment_ids: jax.Array, causal: bool = False) -> jax.Array:
    """[batch, length] segment ids -> [batch, 1, length, length] bool: which tokens a token sees.

    With `causal` a token sees itself and what stands before it: only for the base that CoDA adapts.
    """
    seen = segment_ids[:, :, None] == segment_ids[:, None, :]
    if causal:
        seen &= jnp.tri(segment_ids.shape[1], dtype=bool)
    return seen[:, None]


def segment_bias(segment_ids: jax.Array, causal: bool = False) -> jax.Array:
    """`segment_mask` as [batch, 1, length, length] float32: 0 where a token is seen, far below else."""
    return jnp.where(segment_mask(segment_ids, causal), 0.0, _MASKED_SCORE).astype(jnp.float32)


def _cpu(sight: Sight, dtype: jnp.dtype, layout: Layout) -> Attend:
    """Products in plain order with a gradient written out (attention_cpu.py); [length, length] weights are kept."""
    bias = segment_bias(sight.segment_ids, sight.causal)

    def call(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        groups = q.shape[2] // k.shape[2]
        k, v = (jnp.repeat(x.swapaxes(1, 2), groups, axis=1) for x in (k, v))
        return attend(q.swapaxes(1, 2), k, v, bias, dtype).swapaxes(1, 2)

    return call


def _reference(sight: Sight, dtype: jnp.dtype, layout: Layout) -> Attend:
    """XLA's own, on any machine: what the other kernels are compared with."""
    mask = segment_mask(sight.segment_ids, sight.causal)

    def call(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return jax.nn.dot_product_attention(*_cast(dtype, q, k, v), mask=mask, scale=1.0, implementation="xla")

    return call


def _cudnn(sight: Sight, dtype: jnp.dtype, layout: Layout) -> Attend:
    """cuDNN's fused attention. It has no segment ids: documents packed into a row cost it a [length, length] mask."""
    attend = functools.partial(jax.nn.dot_product_attention, scale=1.0, implementation="cudnn")
    if sight.tail:
        lengths = jnp.sum(sight.segment_ids > 0, axis=1, dtype=jnp.int32)
        attend = functools.partial(
            attend, query_seq_lengths=lengths, key_value_seq_lengths=lengths, is_causal=sight.causal
        )
    else:
        attend = functools.partial(attend, mask=segment_mask(sight.segment_ids, sight.causal))

    def call(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return checkpoint_name(attend(*_cast(dtype, q, k, v)), SAVED)

    return call


def _splash(sight: Sight, dtype: jnp.dtype, layout: Layout) -> Attend:
    """Pallas' splash attention, with segment ids; interpreted where there is no TPU.

    A Mosaic kernel can't be partitioned by XLA, so each device runs it on its rows and heads (`jax.shard_map`).
    """
    length = sight.segment_ids.shape[1]
    _in_lanes("stage.length", length)
    block = next(size for size in (1024, 512, 256, LANES) if length % size == 0)
    blocks = splash_kernels.BlockSizes(
        block_q=block, block_kv=block, block_kv_compute=min(block, 512),
        block_q_dkv=block, block_kv_dkv=block, block_kv_dkv_compute=min(block, 512),
        block_q_dq=block, block_kv_dq=block,
    )  # fmt: skip
    mask = splash_masks.CausalMask if sight.causal else splash_masks.FullMask
    heads = layout.sharding("batch", None, "heads", None).spec
    kv_heads = layout.sharding("batch", None, "kv_heads", None).spec
    rows = layout.sharding("batch", None).spec

    def local(q: jax.Array, k: jax.Array, v: jax.Array, segment_ids: jax.Array) -> jax.Array:
        masks = splash_masks.MultiHeadMask([mask((length, length)) for _ in range(q.shape[2])])
        kernel: Any = splash_kernels.make_splash_mha_single_device(
            masks, block_sizes=blocks, residual_checkpoint_name=SAVED, interpret=layout.platform == "cpu"
        )
        segments = splash_kernels.SegmentIds(segment_ids, segment_ids)
        q, k, v = (x.swapaxes(1, 2) for x in (q, k, v))
        return jax.vmap(kernel)(q, k, v, segments).swapaxes(1, 2)

    # Splash's scalars do not say over which axes they vary, so shard_map can't check it.
    specs = (heads, kv_heads, kv_heads, rows)
    mapped = jax.shard_map(local, mesh=layout.mesh, in_specs=specs, out_specs=heads, check_vma=False)

    def call(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        _in_lanes("model.head_dim", q.shape[-1])
        return mapped(q.astype(dtype), k.astype(dtype), v.astype(dtype), sight.segment_ids)

    return call


def _in_lanes(setting: str, size: int) -> None:
    if size % LANES:
        raise ConfigError(
            f"splash attention takes multiples of {LANES}, not {setting}={size}: change it, or set "
            "model.attention=reference"
        )


def _cast(dtype: jnp.dtype, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(array.astype(dtype) for array in arrays)


KERNELS: dict[str, Callable[[Sight, jnp.dtype, Layout], Attend]] = {
    "cpu": _cpu,
    "cudnn": _cudnn,
    "splash": _splash,
    "reference": _reference,
}
AUTO = {"cpu": "cpu", "gpu": "cudnn", "tpu": "splash"}
"""What `model.attention=auto` stands for on each platform."""
