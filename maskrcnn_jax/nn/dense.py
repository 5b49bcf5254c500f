"""Dense layers, and the rule of all layers: kernels meet the features in the features' own dtype, biases meet the products in float32."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def as_features(*arrays: Any, **_: Any) -> list[Any]:
    """Features x, the kernel in their dtype, and the bias; in the form of Flax's `promote_dtype`.

    The bias stays float32: its gradient is a sum over all cells, of which bfloat16 would lose most.
    """
    x, kernel, bias = arrays
    return [x, kernel.astype(x.dtype), bias]


def dense(channels: int, *, use_bias: bool = True, init: nn.initializers.Initializer, name: str) -> Callable[[Array], Array]:
    """A hidden layer: features in, features of the same dtype out."""
    layer = nn.Dense(channels, use_bias=use_bias, kernel_init=init, promote_dtype=as_features, name=name)
    return lambda x: layer(x).astype(x.dtype)


def output(channels: int, *, init: nn.initializers.Initializer, name: str) -> nn.Dense:
    """A layer that gives logits or deltas: the float32 sums of features of any dtype.

    Rounded to bfloat16's 8 bits, scores would have ties and boxes steps of pixels.
    """
    product = partial(lax.dot_general, preferred_element_type=jnp.float32)
    return nn.Dense(channels, kernel_init=init, dot_general=product, promote_dtype=as_features, name=name)
