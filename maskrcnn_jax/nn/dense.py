"""Dense layers, and the rule of all layers: kernels meet the features in the features' own dtype, biases meet the products in float32."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array

from maskrcnn_jax.nn.product import product


def as_they_are(*arrays: Any, **_: Any) -> list[Any]:
    """Features, kernel and bias, in the form of Flax's `promote_dtype`.

    `product` and `convolve` round the kernel themselves, and give it a float32 gradient: sums in float32, but for those of a convolution
    that XLA's own form computes from bfloat16, which are rounded to it at their end. The bias stays float32 too: its gradient is a sum over
    all cells, of which bfloat16 would lose most.
    """
    return list(arrays)


def dense(channels: int, *, use_bias: bool = True, init: nn.initializers.Initializer, name: str) -> Callable[[Array], Array]:
    """A hidden layer, kernel [c, channels]: features in, features of the same dtype out."""
    layer = _layer(channels, use_bias, init, name, lambda x: x.dtype)
    return lambda x: layer(x).astype(x.dtype)


def output(channels: int, *, init: nn.initializers.Initializer, name: str) -> nn.Dense:
    """A layer that gives logits or deltas: the float32 sums of features of any dtype.

    Rounded to bfloat16's 8 bits, scores would have ties and boxes steps of pixels.
    """
    return _layer(channels, True, init, name, lambda x: jnp.promote_types(x.dtype, jnp.float32))


def _layer(channels: int, use_bias: bool, init: nn.initializers.Initializer, name: str, dtype_of: Callable[[Array], jnp.dtype]) -> nn.Dense:
    """Flax's, whose one product is ours, in the dtype that the features ask for."""
    return nn.Dense(
        channels,
        use_bias=use_bias,
        kernel_init=init,
        promote_dtype=as_they_are,
        dot_general=lambda x, kernel, *_, **__: product(x, kernel, dtype_of(x)),
        name=name,
    )
