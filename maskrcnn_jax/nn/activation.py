"""The activation of every hidden layer."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def relu(x: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """max(x, 0), whose gradient is 0 at 0.

    It remembers its output, which the next layer remembers as well; JAX's own remembers its input: another map a layer.
    """
    return jnp.maximum(x, 0)


def _forward(x: Array) -> tuple[Array, Array]:
    y = relu(x)
    return y, y


def _backward(y: Array, gradient: Array) -> tuple[Array]:
    return (jnp.where(y > 0, gradient, 0),)


relu.defvjp(_forward, _backward)
