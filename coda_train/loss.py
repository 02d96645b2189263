"""The shifted, weighted cross-entropy, with the head applied to a few rows at a time."""

import functools

import jax
import jax.numpy as jnp

from coda_train.linear import outer_sum


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def weighted_cross_entropy(
    hidden_NxD: jax.Array,
    head_VxD: jax.Array,
    targets_N: jax.Array,
    weights_N: jax.Array,
    chunk: int,
    dtype: jnp.dtype,
) -> tuple[jax.Array, jax.Array]:
    """(sum of weight * cross-entropy, [N] cross-entropy, 0 where the weight is 0).

    Only `chunk` rows of logits exist at a time, and rows without weight are never computed: rows are taken in an
    order that puts weighted ones first, in as many chunks as these fill. Gradients of hidden states and head are made
    in the same pass, while a chunk's logits are at hand. Only the sum has a gradient. Products take operands of
    `dtype` and add up in float32.
    """
    return _sweep(hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype)[0]


def _sweep(
    hidden_NxD: jax.Array,
    head_VxD: jax.Array,
    targets_N: jax.Array,
    weights_N: jax.Array,
    chunk: int,
    dtype: jnp.dtype,
) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    rows = hidden_NxD.shape[0]
    chunk = min(chunk, rows)
    narrow_NxD = hidden_NxD.astype(dtype)
    head = head_VxD.astype(dtype)
    order = jnp.argsort(weights_N == 0, stable=True)
    # Row numbers past the end are dropped on writing and carry no weight on reading.
    order = jnp.concatenate([order, jnp.full((-rows % chunk,), rows, order.dtype)])
    chunks = (jnp.count_nonzero(weights_N) + chunk - 1) // chunk

    def body(index, carry):
        total, losses_N, hidden_grad, head_grad = carry
        picked = jax.lax.dynamic_slice_in_dim(order, index * chunk, chunk)
        hidden = narrow_NxD.at[picked].get(mode="fill", fill_value=0)
        weights = weights_N.at[picked].get(mode="fill", fill_value=0)
        targets = targets_N.at[picked].get(mode="fill", fill_value=0)
        logits = jnp.einsum("nd,vd->nv", hidden, head, preferred_element_type=jnp.float32)
        top = jnp.max(logits, axis=-1, keepdims=True)
        exponentials = jnp.exp(logits - top)
        normaliser = jnp.sum(exponentials, axis=-1, keepdims=True)
        at_target = jnp.take_along_axis(logits, targets[:, None], axis=-1)
        losses = jnp.where(weights == 0, 0.0, (jnp.log(normaliser) + top - at_target)[:, 0])
        hit = jnp.arange(head.shape[0]) == targets[:, None]
        logits_grad = (weights[:, None] * (exponentials / normaliser - hit)).astype(dtype)
        rows_grad = jnp.matmul(logits_grad, head, preferred_element_type=jnp.float32).astype(hidden_grad.dtype)
        hidden_grad = hidden_grad.at[picked].set(rows_grad, mode="drop", unique_indices=True)
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


def _forward(hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype):
    return _sweep(hidden_NxD, head_VxD, targets_N, weights_N, chunk, dtype)


def _backward(_chunk, _dtype, gradients, cotangents):
    hidden_grad, head_grad = gradients
    scale = cotangents[0]
    return hidden_grad * scale.astype(hidden_grad.dtype), head_grad * scale, None, None


weighted_cross_entropy.defvjp(_forward, _backward)
