"""The shifted, weighted cross-entropy, with the head applied to a few rows at a time."""

import functools

import jax
import jax.numpy as jnp

from coda_train.linear import outer_sum
from coda_train.sharding import MESH_AXES, Layout


def shift_targets(targets: jax.Array, weights: jax.Array, hidden: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Line up predictions with targets: row i-1 predicts token i, row 0 also predicts token 0.

    Args:
        targets: [batch, length] int32.
        weights: [batch, length] float32, at the targets' own positions.
        hidden: [batch, length, hidden].

    Returns:
        (hidden [N, hidden], targets [N], weights [N]) with N = batch * length and each target beside the row that
        predicts it.
    """
    shifted = jnp.concatenate([hidden[:, :1], hidden[:, :-1]], axis=1)
    return shifted.reshape(-1, hidden.shape[-1]), targets.reshape(-1), weights.reshape(-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def weighted_cross_entropy(
    hidden_NxD: jax.Array,
    head_VxD: jax.Array,
    targets_N: jax.Array,
    weights_N: jax.Array,
    chunk: int,
    dtype: jnp.dtype,
    layout: Layout | None = None,
) -> tuple[jax.Array, jax.Array]:
    """(sum of weight * cross-entropy, [N] cross-entropy, 0 where the weight is 0).

    Only `chunk` rows of logits exist at a time on a device, and rows without weight are never computed: rows are taken
    in an order that puts weighted ones first, in as many chunks as these fill. Gradients of hidden states and head are
    made in the same pass, while a chunk's logits are at hand. Only the sum has a gradient. Products take operands of
    `dtype` and add up in float32.

    On a `layout` of several devices each takes the rows of its part of the batch, and its part of the vocabulary.
    """
    return _forward(hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype, layout)[0]


def _forward(hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype, layout):
    if layout is None or layout.mesh.size == 1:
        return _sweep(hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype)

    def local(hidden_NxD, head_VxD, targets_N, weights_N):
        head_VxD = jax.lax.all_gather(head_VxD.astype(dtype), "fsdp", axis=1, tiled=True)
        (total, losses_N), (hidden_grad, head_grad) = _sweep(
            hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype, MESH_AXES
        )
        head_grad = jax.lax.psum(jax.lax.psum_scatter(head_grad, "fsdp", scatter_dimension=1, tiled=True), "data")
        return (jax.lax.psum(total, ("data", "fsdp")), losses_N), (hidden_grad, head_grad)

    rows, head, one = (layout.sharding(*axes).spec for axes in (("batch",), ("vocabulary", "hidden"), ()))
    # The loop's carry starts equal on all devices and ends different: shard_map's check would want that spelt out.
    return jax.shard_map(
        local,
        mesh=layout.mesh,
        in_specs=(rows, head, rows, rows),
        out_specs=((one, rows), (rows, head)),
        check_vma=False,
    )(hidden_NxD, head_VxD, targets_N, weights_N)


def _backward(_chunk, _dtype, _layout, gradients, cotangents):
    hidden_grad, head_grad = gradients
    scale = cotangents[0]
    return hidden_grad * scale.astype(hidden_grad.dtype), head_grad * scale, None, None


weighted_cross_entropy.defvjp(_forward, _backward)


def _sweep(
    hidden_NxD: jax.Array,
    head_VxD: jax.Array,
    targets_N: jax.Array,
    weights_N: jax.Array,
    chunk: int,
    dtype: jnp.dtype,
    axes: tuple[str, ...] = (),
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """((sum, losses), (gradient of hidden, of head)) of one device's rows and, with mesh `axes`, part of the head."""
    rows, vocabulary = hidden_NxD.shape[0], head_VxD.shape[0]
    chunk = min(chunk, rows)
    narrow_NxD = hidden_NxD.astype(dtype)
    head = head_VxD.astype(dtype)
    order = jnp.argsort(weights_N == 0, stable=True)
    # Row numbers past the end are dropped on writing and carry no weight on reading.
    order = jnp.concatenate([order, jnp.full((-rows % chunk,), rows, order.dtype)])
    chunks = (jnp.count_nonzero(weights_N) + chunk - 1) // chunk
    if axes:  # the loop holds collectives, so it must turn equally often everywhere
        chunks = jax.lax.pmax(chunks, axes)
    over_parts = functools.partial(jax.lax.psum, axis_name="tensor") if axes else lambda x: x
    first = jax.lax.axis_index("tensor") * vocabulary if axes else 0

    def body(index, carry):
        total, losses_N, hidden_grad, head_grad = carry
        picked = jax.lax.dynamic_slice_in_dim(order, index * chunk, chunk)
        hidden = narrow_NxD.at[picked].get(mode="fill", fill_value=0)
        weights = weights_N.at[picked].get(mode="fill", fill_value=0)
        targets = targets_N.at[picked].get(mode="fill", fill_value=0) - first
        logits = jnp.einsum("nd,vd->nv", hidden, head, preferred_element_type=jnp.float32)
        top = jnp.max(logits, axis=-1, keepdims=True)
        if axes:
            top = jax.lax.pmax(top, "tensor")
        exponentials = jnp.exp(logits - top)
        normaliser = over_parts(jnp.sum(exponentials, axis=-1, keepdims=True))
        hit = jnp.arange(vocabulary) == targets[:, None]
        at_target = over_parts(jnp.sum(jnp.where(hit, logits, 0.0), axis=-1, keepdims=True))
        losses = jnp.where(weights == 0, 0.0, (jnp.log(normaliser) + top - at_target)[:, 0])
        logits_grad = (weights[:, None] * (exponentials / normaliser - hit)).astype(dtype)
        rows_grad = over_parts(jnp.matmul(logits_grad, head, preferred_element_type=jnp.float32))
        hidden_grad = hidden_grad.at[picked].set(rows_grad.astype(hidden_grad.dtype), mode="drop", unique_indices=True)
        head_grad += outer_sum(hidden, logits_grad)
        total += jnp.sum(weights * losses)
        return total, losses_N.at[picked].set(losses, mode="drop"), hidden_grad, head_grad

    start = (
        jnp.zeros((), jnp.float32),
        jnp.zeros(rows, jnp.float32),
        jnp.zeros_like(hidden_NxD),
        jnp.zeros(head_VxD.shape[::-1], jnp.float32),
    )
    total, losses_N, hidden_grad, head_grad = jax.lax.fori_loop(0, chunks, body, start)
    return (total, losses_N), (hidden_grad, head_grad.T)
