"""Softmax attention with its gradient written out, so that every product takes operands in plain order.

Sums and softmax are float32; products take operands of one type (see linear.py on why that matters on a CPU).
"""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(4,))
def attend(q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """softmax(q k^T + bias) v; the scale belongs to q.

    Args:
        q, k, v: [batch, heads, length, head_dim].
        bias: [batch, 1, length, length] float32, without gradient.
        dtype: type of the products' operands.

    Returns:
        [batch, heads, length, head_dim] in v's type.
    """
    return _forward(q, k, v, bias, dtype)[0]


def _product(equation: str, left: jax.Array, right: jax.Array) -> jax.Array:
    return jnp.einsum(equation, left, right, preferred_element_type=jnp.float32)


def _forward(
    q: jax.Array, k: jax.Array, v: jax.Array, bias: jax.Array, dtype: jnp.dtype
) -> tuple[jax.Array, tuple[jax.Array, ...]]:
    queries, keys, values = q.astype(dtype), k.astype(dtype), v.astype(dtype)
    scores = _product("bhld,bhmd->bhlm", queries, keys)
    weights = jax.nn.softmax(scores + bias, axis=-1).astype(dtype)
    out = _product("bhlm,bhmd->bhld", weights, values)
    return out.astype(v.dtype), (queries, keys, values, weights, out.astype(v.dtype))


def _backward(dtype: jnp.dtype, saved: tuple[jax.Array, ...], grad: jax.Array) -> tuple:
    queries, keys, values, weights, out = saved
    kind = grad.dtype
    centre = jnp.sum(grad.astype(jnp.float32) * out.astype(jnp.float32), axis=-1, keepdims=True)
    grad = jax.lax.optimization_barrier(grad.astype(dtype))
    # Transposing the narrow operand keeps the [length, length] one as it lies.
    values_grad = _turned(_product("bhdl,bhlm->bhdm", _turned(grad), weights))
    weights_grad = _product("bhld,bhmd->bhlm", grad, values)
    scores_grad = jax.lax.optimization_barrier((weights * (weights_grad - centre)).astype(dtype))
    queries_grad = _product("bhlm,bhmd->bhld", scores_grad, keys)
    keys_grad = _turned(_product("bhdl,bhlm->bhdm", _turned(queries), scores_grad))
    return queries_grad.astype(kind), keys_grad.astype(kind), values_grad.astype(kind), None


def _turned(x: jax.Array) -> jax.Array:
    """The last two axes swapped in memory, through five axes so that XLA does not fold it into the product."""
    batch, heads, length, width = x.shape
    halves = 2 if length % 2 == 0 else 1
    split = x.reshape(batch, heads, halves, length // halves, width)
    return split.transpose(0, 1, 4, 2, 3).reshape(batch, heads, width, length)


attend.defvjp(_forward, _backward)
