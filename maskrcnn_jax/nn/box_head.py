"""The box head."""

import flax.linen as nn
from jaxtyping import Array, Bool, Float

from maskrcnn_jax.config import BoxHeadConfig
from maskrcnn_jax.nn.activation import relu
from maskrcnn_jax.nn.dense import dense, output
from maskrcnn_jax.nn.norm import ConvNorm


class BoxHead(nn.Module):
    """Convolutions, fully connected layers, and the two outputs.

    num_classes: classes with background, k.
    """

    config: BoxHeadConfig
    num_classes: int

    @nn.compact
    def __call__(
        self, features: Float[Array, "n q q c"], counted: Bool[Array, "n"] | None = None
    ) -> tuple[Float[Array, "n k"], Float[Array, "n _k 4"]]:
        """Class logits, 0 for background, and deltas a class (one for all where class-agnostic); see `BatchNorm` for `counted`."""
        config, x = self.config, features
        for i in range(config.convs):
            x = relu(ConvNorm(config.conv_channels, 3, config.norm, config.norm_epsilon, name=f"conv{i}")(x, counted))
        x = x.reshape(x.shape[0], -1)
        for i in range(config.fcs):
            x = relu(dense(config.fc_width, init=nn.initializers.he_uniform(), name=f"fc{i}")(x))
        logits = output(self.num_classes, init=nn.initializers.normal(0.01), name="classes")(x)
        boxes = 1 if config.class_agnostic else self.num_classes
        deltas = output(4 * boxes, init=nn.initializers.normal(0.001), name="deltas")(x)
        return logits, deltas.reshape(x.shape[0], boxes, 4)
