"""Normalisation layers, and the one place that chooses among them; they compute in float32 and give the dtype of what they are given."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.config import BackboneConfig, Norm, norm_groups
from maskrcnn_jax.nn.conv import conv

MOMENTUM = 0.1  # of the running statistics, the share of the newest batch; PyTorch's default, which every reference keeps


def stage_norm(config: BackboneConfig, stage: int) -> Norm:
    """Normalisation of a trunk's stage, 0 for the stem: where a stage is not trained, its batch norms keep their statistics too."""
    return "frozen_bn" if config.norm == "batch_norm" and stage < config.frozen_stages else config.norm


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
        return _affine(x, mean, var, scale, bias, self.epsilon)


class BatchNorm(nn.Module):
    """Batch normalisation whose scale and bias are trained.

    Where the caller lets the collection `batch_stats` change, as training does, it normalises with the statistics of the
    batch - the global one, however many devices hold it - and moves the running ones towards them; elsewhere it uses those.

    Source: Ioffe and Szegedy 2015, algorithms 1 and 2; the running variance is the unbiased one, as PyTorch has it.
    """

    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], counted: Bool[Array, "n"] | None = None) -> Float[Array, "n h w c"]:
        """Normalise each channel; rows that are not `counted` (padding) take no part in the statistics."""
        shape = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, shape)
        bias = self.param("bias", nn.initializers.zeros, shape)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape)
        if self.is_initializing() or not self.is_mutable_collection("batch_stats"):
            return _affine(x, running_mean.value, running_var.value, scale, bias, self.epsilon)
        values = x.astype(scale.dtype)
        rows = jnp.ones(x.shape[:1], values.dtype) if counted is None else counted.astype(values.dtype)
        weights = rows.reshape(-1, 1, 1, 1)
        cells = jnp.sum(rows) * (x.shape[1] * x.shape[2])
        mean = jnp.sum(values * weights, axis=(0, 1, 2)) / jnp.maximum(cells, 1)
        var = jnp.sum(jnp.square(values - mean.reshape(1, 1, 1, -1)) * weights, axis=(0, 1, 2)) / jnp.maximum(cells, 1)
        mean, var = jnp.where(cells > 1, mean, running_mean.value), jnp.where(cells > 1, var, running_var.value)
        share = jnp.where(cells > 1, MOMENTUM, 0)  # a batch without a counted row says nothing
        running_mean.value += share * (mean - running_mean.value)
        running_var.value += share * (var * cells / jnp.maximum(cells - 1, 1) - running_var.value)
        return _affine(x, mean, var, scale, bias, self.epsilon)


@partial(jax.jit, static_argnames="epsilon")  # called with the same shapes again and again: traced once
def _affine(x: Array, mean: Array, var: Array, scale: Array, bias: Array, epsilon: float) -> Array:
    mean, gain, bias = (v.reshape((1,) * (x.ndim - 1) + v.shape) for v in (mean, scale / jnp.sqrt(var + epsilon), bias))
    return ((x - mean) * gain + bias).astype(x.dtype)  # folding the mean into the bias would cancel digits in the gradient of `scale`


class ConvNorm(nn.Module):
    """A convolution and its normalisation; with a norm the convolution has no bias."""

    channels: int
    kernel: int
    norm: Norm
    epsilon: float
    stride: int = 1
    groups: int = 1
    kernel_init: nn.initializers.Initializer = nn.initializers.variance_scaling(2.0, "fan_out", "normal")  # He et al. 2015

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"], counted: Bool[Array, "n"] | None = None) -> Float[Array, "n _h _w d"]:
        """Convolve and normalise; rows that are not `counted` do not enter a batch's statistics."""
        layer = conv(
            self.channels,
            self.kernel,
            stride=self.stride,
            groups=self.groups,
            use_bias=self.norm == "none",
            init=self.kernel_init,
            name="conv",
        )
        x = layer(x)
        match self.norm:
            case "frozen_bn":
                return FrozenBatchNorm(self.epsilon, name="norm")(x)
            case "batch_norm":
                return BatchNorm(self.epsilon, name="norm")(x, counted)
            case "group_norm":
                return nn.GroupNorm(num_groups=norm_groups(self.channels), epsilon=self.epsilon, dtype=x.dtype, name="norm")(x)
            case _:
                return x
