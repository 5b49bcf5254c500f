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
    """`x @ kernel` in `dtype`.

    The kernel's gradient is x' g; on CPUs summed over parts that a core's cache holds. JAX's own is (g' x)', for which XLA's CPU compiler
    writes all of g transposed to memory, and takes up to three times as long.
    """
    return jnp.dot(x, kernel, preferred_element_type=dtype)


def _forward(x: Array, kernel: Array, dtype: jnp.dtype) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel, dtype), (x, kernel)


def _backward(dtype: jnp.dtype, residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
    gradient = gradient.astype(x.dtype)
    return gradient @ kernel.T, lax.platform_dependent(x, gradient, cpu=_in_parts, default=_whole)


def _whole(x: Float[Array, "*n c"], gradient: Float[Array, "*n d"]) -> Float[Array, "c d"]:
    rows = tuple(range(x.ndim - 1))
    return lax.dot_general(x, gradient, ((rows, rows), ((), ())))


def _in_parts(x: Float[Array, "*n c"], gradient: Float[Array, "*n d"]) -> Float[Array, "c d"]:
    """The sum over images, and over equal parts of each with `PART` rows or more; of less than an image, such as a RoI, the whole."""
    rows = math.prod(x.shape[1:-1])
    if rows < PART:
        return _whole(x, gradient)
    parts = next(parts for parts in range(rows // PART, 0, -1) if rows % parts == 0)
    x, gradient = (values.reshape(-1, parts, rows // parts, values.shape[-1]) for values in (x, gradient))
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return jnp.einsum("bpnc,bpnd->bpcd", x, gradient, preferred_element_type=wide).sum(axis=(0, 1)).astype(x.dtype)


product.defvjp(_forward, _backward)
