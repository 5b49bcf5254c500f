"""Normalisation layers, and the one place that chooses among them."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.config import Norm, norm_groups
from maskrcnn_jax.nn.conv import conv


class FrozenBatchNorm(nn.Module):
    """(x - mean) / sqrt(var + epsilon) * scale + bias with all four constant.

    They live in the collection `batch_stats`, so no optimizer ever sees them.
    """

    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "*n c"]) -> Float[Array, "*n c"]:
        """Normalise each channel."""
        shape = (x.shape[-1],)
        mean = self.variable("batch_stats", "mean", jnp.zeros, shape).value
        var = self.variable("batch_stats", "var", jnp.ones, shape).value
        scale = self.variable("batch_stats", "scale", jnp.ones, shape).value
        bias = self.variable("batch_stats", "bias", jnp.zeros, shape).value
        gain = scale / jnp.sqrt(var + self.epsilon)
        row = (1,) * (x.ndim - 1) + shape
        return x * gain.reshape(row) + (bias - mean * gain).reshape(row)


class ConvNorm(nn.Module):
    """A convolution and its normalisation; with a norm the convolution has no bias."""

    channels: int
    kernel: int
    norm: Norm
    epsilon: float
    stride: int = 1
    kernel_init: nn.initializers.Initializer = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # He et al. 2015

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n _h _w d"]:
        """Convolve and normalise."""
        x = conv(self.channels, self.kernel, stride=self.stride, use_bias=self.norm == "none", init=self.kernel_init, name="conv")(x)
        if self.norm == "frozen_bn":
            return FrozenBatchNorm(self.epsilon, name="norm")(x)
        if self.norm == "group_norm":
            return nn.GroupNorm(num_groups=norm_groups(self.channels), epsilon=self.epsilon, name="norm")(x)
        return x
