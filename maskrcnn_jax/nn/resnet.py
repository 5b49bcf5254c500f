"""ResNet trunks, C2 ... C5."""

import flax.linen as nn
from jaxtyping import Array, Float

from maskrcnn_jax.config import BackboneConfig, Norm
from maskrcnn_jax.nn.activation import relu
from maskrcnn_jax.nn.norm import ConvNorm, stage_norm
from maskrcnn_jax.nn.pool import max_pool

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STAGES = ("stem", "res2", "res3", "res4", "res5")


def has_bottlenecks(depth: int) -> bool:
    """Whether a ResNet of this depth is made of bottlenecks rather than basic blocks."""
    return depth >= 50


class ResNet(nn.Module):
    """Trunk of a ResNet: stem, then four stages of blocks named `res{stage}_{block}`.

    Source: He et al. 2016, table 1.
    """

    config: BackboneConfig
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[Float[Array, "b _h _w _c"], ...]:
        """C2, C3, C4, C5 at strides 4, 8, 16, 32."""
        config = self.config
        x = ConvNorm(config.width, 7, stage_norm(config, 0), config.norm_epsilon, stride=2, name="stem")(x)
        x = max_pool(relu(x), 3, 1)
        block = Bottleneck if has_bottlenecks(config.depth) else BasicBlock
        block = nn.remat(block) if self.remat else block
        outputs = []
        for stage, count in enumerate(BLOCKS[config.depth]):
            norm = stage_norm(config, stage + 1)
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                x = block(config, config.width * 2**stage, stride, norm, name=f"{STAGES[stage + 1]}_{i}")(x)
            outputs.append(x)
        return tuple(outputs)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of C2 ... C5."""
        expansion = 4 if has_bottlenecks(self.config.depth) else 1
        return tuple(self.config.width * 2**stage * expansion for stage in range(4))

    @staticmethod
    def stage(layer: str) -> int:
        """The stage that a layer belongs to, 0 for the stem."""
        return STAGES.index(layer.split("_")[0])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    config: BackboneConfig
    channels: int
    stride: int
    norm: Norm

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _h _w d"]:
        """relu(conv(relu(conv(x))) + shortcut(x))."""
        norm, epsilon = self.norm, self.config.norm_epsilon
        y = relu(ConvNorm(self.channels, 3, norm, epsilon, stride=self.stride, name="conv1")(x))
        y = ConvNorm(self.channels, 3, norm, epsilon, name="conv2")(y)
        if self.stride > 1 or x.shape[-1] != self.channels:
            x = ConvNorm(self.channels, 1, norm, epsilon, stride=self.stride, name="shortcut")(x)
        return relu(x + y)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut; the output has four times the width.

    Source: He et al. 2016, figure 5; with groups, Xie et al. 2017, figure 3 (c).
    """

    config: BackboneConfig
    channels: int
    stride: int
    norm: Norm

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b _h _w d"]:
        """relu(conv(relu(conv(relu(conv(x))))) + shortcut(x))."""
        config, norm, epsilon, out = self.config, self.norm, self.config.norm_epsilon, 4 * self.channels
        first, second = (self.stride, 1) if config.stride_on == "1x1" else (1, self.stride)
        inner = self.channels * config.width_per_group // 64 * config.groups
        y = relu(ConvNorm(inner, 1, norm, epsilon, stride=first, name="conv1")(x))
        y = relu(ConvNorm(inner, 3, norm, epsilon, stride=second, groups=config.groups, name="conv2")(y))
        y = ConvNorm(out, 1, norm, epsilon, name="conv3")(y)
        if self.stride > 1 or x.shape[-1] != out:
            x = ConvNorm(out, 1, norm, epsilon, stride=self.stride, name="shortcut")(x)
        return relu(x + y)
