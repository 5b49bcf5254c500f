"""The mask head."""

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.config import MaskHeadConfig
from maskrcnn_jax.nn.activation import relu
from maskrcnn_jax.nn.conv import UpsamplingConv, interleave
from maskrcnn_jax.nn.dense import output
from maskrcnn_jax.nn.norm import ConvNorm

_output_init = nn.initializers.normal(0.001)  # every cell starts at probability 1/2


class MaskHead(nn.Module):
    """3x3 convolutions, a 2x2 deconvolution of stride 2, and a 1x1 output a class.

    num_classes: classes with background, k.

    Source: He et al. 2017, figure 4, right.
    """

    config: MaskHeadConfig
    num_classes: int

    @nn.compact
    def __call__(self, features: Float[Array, "n q q c"], counted: Bool[Array, "n"] | None = None) -> Float[Array, "n 2*q 2*q _k"]:
        """Mask logits, twice the features' resolution; one map for all classes where class-agnostic; see `BatchNorm` for `counted`."""
        config, x = self.config, features
        for i in range(config.convs):
            x = relu(ConvNorm(config.channels, 3, config.norm, config.norm_epsilon, name=f"conv{i}")(x, counted))
        cells = relu(UpsamplingConv(config.channels, nn.initializers.he_normal(), name="deconv")(x))
        n, h, w, _, _, c = cells.shape
        outputs = 1 if config.class_agnostic else self.num_classes
        logits = output(outputs, init=_output_init, name="masks")(cells.reshape(n, h, 4 * w, c))
        return interleave(logits.reshape(n, h, w, 2, 2, outputs))
