"""The region proposal network's head."""

from collections.abc import Sequence

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.config import RpnHeadConfig
from maskrcnn_jax.nn.activation import relu
from maskrcnn_jax.nn.conv import conv
from maskrcnn_jax.nn.dense import output

_init = nn.initializers.normal(0.01)  # Ren et al. 2015, section 3.1.3


class RpnHead(nn.Module):
    """3x3 convolutions and two 1x1 outputs, the same weights on every level."""

    config: RpnHeadConfig
    num_anchors: int

    @nn.compact
    def __call__(self, pyramid: Sequence[Float[Array, "b _h _w c"]]) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Objectness logits [b, h * w * a] and deltas [b, h * w * a, 4], one of each a level, in order (row, column, anchor)."""
        channels = pyramid[0].shape[-1]
        convs = [conv(channels, 3, init=_init, name=f"conv{i}") for i in range(self.config.convs)]
        objectness = output(self.num_anchors, init=_init, name="objectness")
        deltas = output(4 * self.num_anchors, init=_init, name="deltas")
        outputs = []
        for x in pyramid:
            for layer in convs:
                x = relu(layer(x))
            outputs.append((objectness(x).reshape(x.shape[0], -1), deltas(x).reshape(x.shape[0], -1, 4)))
        logits, shifts = zip(*outputs, strict=True)
        return logits, shifts
