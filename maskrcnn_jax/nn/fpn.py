"""The feature pyramid."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.config import FpnConfig
from maskrcnn_jax.nn.norm import ConvNorm

_init = nn.initializers.variance_scaling(1.0, "fan_in", "uniform")  # Lin et al. 2017 do not say; this is the usual choice


class Fpn(nn.Module):
    """Lateral 1x1 convolutions, nearest upsampling from the top, 3x3 output convolutions.

    Source: Lin et al. 2017, figure 3.
    """

    config: FpnConfig

    @nn.compact
    def __call__(self, features: Sequence[Float[Array, "b _h _w _c"]]) -> tuple[Float[Array, "b _h _w d"], ...]:
        """P2 ... P6 from C2 ... C5 whose sides double exactly from level to level; P6 is every second cell of P5."""
        config = self.config
        merged: list[Array] = []
        for i in reversed(range(len(features))):
            lateral = ConvNorm(config.channels, 1, config.norm, config.norm_epsilon, kernel_init=_init, name=f"lateral{i + 2}")(features[i])
            merged.append(lateral + upsample(merged[-1]) if merged else lateral)
        pyramid = [
            ConvNorm(config.channels, 3, config.norm, config.norm_epsilon, kernel_init=_init, name=f"output{i + 2}")(x)
            for i, x in enumerate(reversed(merged))
        ]
        return (*pyramid, pyramid[-1][:, ::2, ::2])


def upsample(x: Float[Array, "b h w c"]) -> Float[Array, "b 2*h 2*w c"]:
    """Nearest upsampling by 2."""
    return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
