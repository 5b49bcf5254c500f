"""Matrix products whose gradient compiles well."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

PART = 512  # rows


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def product(x: Float[Array, "*n c"], kernel: Float[Array, "c d"], dtype: jnp.dtype) -> Float[Array, "*n d"]:
    """`x @ kernel` in `dtype`, the kernel rounded to the dtype of `x`.

    The kernel's gradient is x' g in the kernel's own dtype, so that devices add float32 sums; on CPUs over parts that a core's cache
    holds. JAX's own is (g' x)', for which XLA's CPU compiler writes all of g transposed to memory, and takes up to three times as long.
    """
    return jnp.dot(x, kernel.astype(x.dtype), preferred_element_type=dtype)


def _forward(x: Array, kernel: Array, dtype: jnp.dtype) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel, dtype), (x, kernel)


def _backward(dtype: jnp.dtype, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    gradient = gradient.astype(x.dtype)
    whole, in_parts = (partial(form, dtype=kernel.dtype) for form in (_whole, _in_parts))
    return gradient @ kernel.astype(x.dtype).T, lax.platform_dependent(x, gradient, cpu=in_parts, default=whole)


def _whole(x: Float[Array, "*n c"], gradient: Float[Array, "*n d"], dtype: jnp.dtype) -> Float[Array, "c d"]:
    rows = tuple(range(x.ndim - 1))
    return lax.dot_general(x, gradient, ((rows, rows), ((), ())), preferred_element_type=dtype)


def _in_parts(x: Float[Array, "*n c"], gradient: Float[Array, "*n d"], dtype: jnp.dtype) -> Float[Array, "c d"]:
    """The sum over images, and over equal parts of each with `PART` rows or more; of less than an image, such as a RoI, the whole."""
    x = after(gradient, x)
    rows = math.prod(x.shape[1:-1])
    if rows < PART:
        return _whole(x, gradient, dtype)
    parts = next(parts for parts in range(rows // PART, 0, -1) if rows % parts == 0)
    x, gradient = (values.reshape(-1, parts, rows // parts, values.shape[-1]) for values in (x, gradient))
    return jnp.einsum("bpnc,bpnd->bpcd", x, gradient, preferred_element_type=dtype).sum(axis=(0, 1))


product.defvjp(_forward, _backward)


def after(gradient: Array, x: Array) -> Array:
    """`x`, but nothing that is computed from it can be before `gradient` is there.

    XLA's CPU compiler otherwise prepares features for kernels' gradients, such as transposed copies, or keeps what the forward pass made
    of them, long before it needs them: gigabytes. It drops `optimization_barrier` before it decides about the order.
    """
    if not gradient.size:
        return x
    return x + 0 * gradient[(0,) * gradient.ndim].astype(x.dtype)
