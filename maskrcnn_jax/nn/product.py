"""Matrix products whose gradient compiles well."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

PART = 512  # rows


def dense(channels: int, *, use_bias: bool = True, init: nn.initializers.Initializer, name: str) -> nn.Dense:
    """A fully connected layer over the last axis, kernel [c, channels]."""
    return nn.Dense(channels, use_bias=use_bias, kernel_init=init, dot_general=_dot_general, name=name)


@jax.custom_vjp
def product(x: Float[Array, "*n c"], kernel: Float[Array, "c d"]) -> Float[Array, "*n d"]:
    """`x @ kernel`.

    The kernel's gradient is x' g; on CPUs summed over parts that a core's cache holds. JAX's own is (g' x)', for which XLA's CPU compiler
    writes all of g transposed to memory, and takes up to three times as long.
    """
    return x @ kernel


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return product(x, kernel), (x, kernel)


def _backward(residuals: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = residuals
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
    return jnp.einsum("bpnc,bpnd->bpcd", x, gradient).sum(axis=(0, 1))


product.defvjp(_forward, _backward)


def _dot_general(x: Array, kernel: Array, *_: Any, **__: Any) -> Array:
    """Of `nn.Dense` the one product that it makes."""
    return product(x, kernel)
