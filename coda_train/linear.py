"""Matrix products with operands of one type and sums in float32.

With bfloat16 operands and float32 activations this is mixed precision for a CPU: XLA's CPU backend runs such products
on the matrix units (AMX), four times as fast as float32 ones, as long as both operands lie in plain order.
"""

import functools

import jax
import jax.numpy as jnp


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def linear(x: jax.Array, weight: jax.Array, dtype: jnp.dtype) -> jax.Array:
    """x [..., in] @ weight [in, out], the operands cast to `dtype`; the result has x's type."""
    return _forward(x, weight, dtype)[0]


def _forward(x: jax.Array, weight: jax.Array, dtype: jnp.dtype) -> tuple[jax.Array, tuple]:
    narrow = x.astype(dtype)
    out = jnp.matmul(narrow, weight.astype(dtype), preferred_element_type=x.dtype)
    # An empty array carries x's type to the backward pass.
    return out, (narrow, weight, jnp.zeros(0, x.dtype))


def _backward(dtype: jnp.dtype, saved: tuple, grad: jax.Array) -> tuple[jax.Array, jax.Array]:
    narrow, weight, like = saved
    return jax.lax.platform_dependent(
        narrow,
        weight,
        like,
        grad,
        cpu=functools.partial(_gradients_cpu, dtype),
        default=functools.partial(_gradients, dtype),
    )


def _gradients(
    dtype: jnp.dtype, narrow: jax.Array, weight: jax.Array, like: jax.Array, grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
    grad = grad.astype(dtype)
    x_grad = jnp.einsum("...f,df->...d", grad, weight.astype(dtype), preferred_element_type=like.dtype)
    return x_grad, jnp.einsum("...d,...f->df", narrow, grad, preferred_element_type=jnp.float32)


def _gradients_cpu(
    dtype: jnp.dtype, narrow: jax.Array, weight: jax.Array, like: jax.Array, grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
    # Without the barrier XLA's CPU backend computes the gradient's elementwise producers once more, in transposed
    # order, to feed the second product: a third of the whole step.
    narrow, grad = jax.lax.optimization_barrier((narrow, grad.astype(dtype)))
    x_grad = jnp.einsum("...f,df->...d", grad, weight.astype(dtype), preferred_element_type=like.dtype)
    return x_grad, _outer_sum_cpu(narrow.reshape(-1, narrow.shape[-1]), grad.reshape(-1, grad.shape[-1]))


linear.defvjp(_forward, _backward)


def outer_sum(left_NxD: jax.Array, right_NxF: jax.Array) -> jax.Array:
    """Sum over rows of the outer products: left^T @ right, [D, F] float32."""
    plain = functools.partial(jnp.einsum, "nd,nf->df", preferred_element_type=jnp.float32)
    return jax.lax.platform_dependent(left_NxD, right_NxF, cpu=_outer_sum_cpu, default=plain)


def _outer_sum_cpu(left_NxD: jax.Array, right_NxF: jax.Array) -> jax.Array:
    rows, width = left_NxD.shape
    # Through three axes, for a plain transpose would be folded into the product and take it off the matrix units.
    halves = 2 if rows % 2 == 0 else 1
    turned = left_NxD.reshape(halves, rows // halves, width).transpose(2, 0, 1).reshape(width, rows)
    return jnp.matmul(turned, right_NxF, preferred_element_type=jnp.float32)
