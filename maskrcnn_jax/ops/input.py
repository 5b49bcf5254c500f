"""From pixels to the network's input."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8, UInt16


def normalise(
    image: UInt8[Array, "h w c"] | UInt16[Array, "h w c"] | Float[Array, "h w c"],
    size: Int[Array, "2"],
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    reverse_channels: bool,
) -> Float[Array, "h w c"]:
    """(image - mean) / std inside the image proper, 0 in the padding.

    Args:
      image: canvas, of RGB bytes or of other channels and values, the image proper in its top left corner.
      size: (height, width) of the image proper.
      mean: subtracted from each channel, in the units of the values and the network's channel order.
      std: divides each channel after the mean, the same units and order.
      reverse_channels: the network reads BGR.

    Raises:
      ValueError: a standard deviation is not positive, or there are not as many as channels.
    """
    if min(std) <= 0:
        raise ValueError(f"std must be positive; got {std}")
    if not len(mean) == len(std) == image.shape[2]:
        raise ValueError(f"{len(mean)} means and {len(std)} standard deviations for {image.shape[2]} channels; give one a channel")
    values = (image[..., ::-1] if reverse_channels else image).astype(jnp.float32)
    values = (values - jnp.asarray(mean, values.dtype)[None, None, :]) / jnp.asarray(std, values.dtype)[None, None, :]
    rows = jnp.arange(image.shape[0], dtype=size.dtype) < size[0]
    columns = jnp.arange(image.shape[1], dtype=size.dtype) < size[1]
    return jnp.where(rows[:, None, None] & columns[None, :, None], values, 0)
