"""From bytes to the network's input."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8


def normalise(
    image: UInt8[Array, "h w 3"] | Float[Array, "h w 3"],
    size: Int[Array, "2"],
    *,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    reverse_channels: bool,
) -> Float[Array, "h w 3"]:
    """(image - mean) / std inside the image proper, 0 in the padding.

    Args:
      image: RGB canvas, 0-255, the image proper in its top left corner.
      size: (height, width) of the image proper.
      mean: subtracted from each channel, 0-255 units, in the network's channel order.
      std: divides each channel after the mean, the same units and order.
      reverse_channels: the network reads BGR.

    Raises:
      ValueError: a standard deviation is not positive.
    """
    if min(std) <= 0:
        raise ValueError(f"std must be positive; got {std}")
    values = (image[..., ::-1] if reverse_channels else image).astype(jnp.float32)
    values = (values - jnp.asarray(mean, values.dtype)[None, None, :]) / jnp.asarray(std, values.dtype)[None, None, :]
    rows = jnp.arange(image.shape[0], dtype=size.dtype) < size[0]
    columns = jnp.arange(image.shape[1], dtype=size.dtype) < size[1]
    return jnp.where(rows[:, None, None] & columns[None, :, None], values, 0)
