"""VGG-16 trunks, C2 ... C5."""

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.config import BackboneConfig
from maskrcnn_jax.nn.activation import relu
from maskrcnn_jax.nn.norm import ConvNorm, stage_norm
from maskrcnn_jax.nn.pool import max_pool

CONVS = (2, 2, 3, 3, 3)  # of each block


class Vgg(nn.Module):
    """Trunk of a VGG-16: blocks of 3x3 convolutions, named `conv{block}_{i}` from 1 on, with a 2x2 max pool after each.

    Source: Simonyan and Zisserman 2015, table 1, column D.
    """

    config: BackboneConfig
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[Float[Array, "b _h _w _c"], ...]:
        """C2, C3, C4, C5 at strides 4, 8, 16, 32: conv3_3, conv4_3, conv5_3 and the last pool; odd sides are rounded down."""
        convs = nn.remat(_convs, static_argnums=2) if self.remat else _convs
        outputs = []
        for block in range(len(CONVS)):
            x = convs(self, x, block)
            outputs.append(x)
            x = max_pool(x, 2, 0)
        return (*outputs[2:], x)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of C2 ... C5."""
        return tuple(self.config.width * factor for factor in (4, 8, 8, 8))

    @staticmethod
    def stage(layer: str) -> int:
        """The stage that a layer belongs to, 0 for the stem, which is the first two blocks; C5 has no layers of its own."""
        block = int(layer.removeprefix("conv").split("_")[0])
        return max(block - 2, 0)


def _convs(trunk: Vgg, x: Float[Array, "b h w c"], block: int) -> Float[Array, "b h w d"]:
    """The convolutions of a block, layers of `trunk`."""
    config = trunk.config
    for i in range(CONVS[block]):
        name = f"conv{block + 1}_{i + 1}"
        norm = stage_norm(config, trunk.stage(name))
        x = relu(ConvNorm(config.width * 2 ** min(block, 3), 3, norm, config.norm_epsilon, name=name)(x))
    return x
