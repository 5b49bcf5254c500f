"""Training examples: what is drawn for each, and what is done with it, `example, rng -> example`."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from maskrcnn_jax.config import AugmentConfig, InputConfig
from maskrcnn_jax.data.canvas import Size, resized_size, shrink_to_fit, train_min_sides
from maskrcnn_jax.data.colour import blur, jitter_colour
from maskrcnn_jax.data.composites import mosaic, paste
from maskrcnn_jax.data.transforms import Fill, crop, drop_vanished, fit_boxes, flip_horizontal, flip_vertical, pad, resize, rotate
from maskrcnn_jax.structs import Example

Another = Callable[[np.random.Generator], Example]
"""Draws another training image, as the source gives it."""

_PASTED = 0.5  # share of the other image's objects
_MIDDLE = 0.3, 0.7  # where the corners of a mosaic meet, in shares of its sides


class _Settings(NamedTuple):
    """What all functions below read."""

    inputs: InputConfig
    augment: AugmentConfig
    canvas: Size

    @property
    def fill(self) -> Fill:
        """The mean colour, which is 0 where the network begins, as padding is."""
        mean = self.inputs.mean if self.inputs.channel_order == "rgb" else self.inputs.mean[::-1]
        return tuple(min(max(round(value), 0), np.iinfo(self.inputs.dtype).max) for value in mean)


def train_transform(
    example: Example, rng: np.random.Generator, canvas: Size, input_config: InputConfig, augment: AugmentConfig, another: Another
) -> Example:
    """Example as training sees it, no larger than `canvas`.

    Alone: rotated, resized to a short side drawn from the configured ones with the cuts of crop and large-scale jitter, flipped,
    recoloured, blurred; with large-scale jitter made as large as `canvas`. Or as a mosaic, of the size that this image alone would have
    without the cuts (with large-scale jitter that of `canvas`): to each of its parts the same is done, but that neither crop nor jitter
    cuts it, nor a short side scales it; its largest part of the corner's shape fills the corner. Then objects of another image, to which
    all was done that is done alone, are pasted over it. Without crop, rotation, large-scale jitter, copy-paste and mosaic boxes are the
    source's, moved; with any of them all are the tight boxes of masks. Nothing is drawn from `rng` for what is off.

    Args:
      example: as the source gives it.
      rng: for all that is drawn, what `another` draws too.
      canvas: (height, width), pixels; an image whose shape has changed may be shrunk to fit.
      input_config: how images are resized, and the mean colour, which fills what no pixel comes to.
      augment: what is done. With one short side and all else off it is the transform of validation losses.
      another: gives the other images of mosaics and copy-paste.
    """
    settings = _Settings(input_config, augment, canvas)
    composed = augment.mosaic > 0 and rng.random() < augment.mosaic
    shown = _mosaic(example, rng, settings, another) if composed else _alone(example, rng, settings)
    if augment.copy_paste and rng.random() < augment.copy_paste:
        shown = _pasted(shown, rng, settings, another)
    return fit_boxes(shown) if augment.cuts else shown


def _alone(example: Example, rng: np.random.Generator, settings: _Settings) -> Example:
    size = _resized(example, rng, settings)

    def frame(turned: Example) -> Example:
        return _window(turned, rng, size, settings)

    shown = _changed(example, rng, settings, frame)
    return pad(shown, settings.canvas, settings.fill) if settings.augment.jitters else shown


def _mosaic(example: Example, rng: np.random.Generator, settings: _Settings, another: Another) -> Example:
    """Of the size that the first of the four would have: each fills a corner with its largest part of that shape."""
    height, width = settings.canvas if settings.augment.jitters else _resized(example, rng, settings)
    if min(height, width) < 2:  # it has no four corners
        return _alone(example, rng, settings)
    top, left = (min(max(round(side * rng.uniform(*_MIDDLE)), 1), side - 1) for side in (height, width))
    corners = [(h, w) for h in (top, height - top) for w in (left, width - left)]
    examples = [example, *(another(rng) for _ in corners[1:])]
    return mosaic([_corner(part, rng, corner, settings) for part, corner in zip(examples, corners, strict=True)])


def _corner(example: Example, rng: np.random.Generator, size: Size, settings: _Settings) -> Example:
    """The largest part of the shape of `size`, at a random place, resized to it."""

    def frame(turned: Example) -> Example:
        sides = turned.image.shape[:2]
        shrinks = min(sides[0] / size[0], sides[1] / size[1])
        window = max(1, round(size[0] * shrinks)), max(1, round(size[1] * shrinks))
        return resize(_random_crop(turned, rng, window), size, settings.inputs.resize)

    return _changed(example, rng, settings, frame)


def _pasted(example: Example, rng: np.random.Generator, settings: _Settings, another: Another) -> Example:
    other = _alone(another(rng), rng, settings)
    chosen = (rng.random(len(other.labels)) < _PASTED) & ~other.crowd
    room = [mine - theirs for mine, theirs in zip(example.image.shape[:2], other.image.shape[:2], strict=True)]
    # Where it is smaller it lies within, where it is larger it reaches all edges.
    y, x = (int(rng.integers(min(0, free), max(0, free) + 1)) for free in room)
    return paste(example, other, chosen, (y, x))


def _changed(example: Example, rng: np.random.Generator, settings: _Settings, frame: Callable[[Example], Example]) -> Example:
    """Example rotated, resized by `frame`, flipped, recoloured and blurred."""
    config = settings.augment
    mirrored = rng.random() < config.flip
    upside_down = config.flip_vertical > 0 and rng.random() < config.flip_vertical
    turned = rotate(example, rng.uniform(-config.rotate, config.rotate), settings.fill) if config.rotate else example
    framed = drop_vanished(frame(turned))
    framed = flip_horizontal(framed) if mirrored else framed
    framed = flip_vertical(framed) if upside_down else framed
    return _recoloured(framed, rng, config, float(np.iinfo(example.image.dtype).max))


def _recoloured(example: Example, rng: np.random.Generator, config: AugmentConfig, white: float) -> Example:
    reach = config.brightness, config.contrast, config.saturation, config.hue
    if any(reach):
        brightness, contrast, saturation, hue = (rng.uniform(-amount, amount) for amount in reach)
        factors = {"brightness": 1 + brightness, "contrast": 1 + contrast, "saturation": 1 + saturation}
        example = jitter_colour(example, **factors, hue=hue, white=white)
    return blur(example, rng.uniform(0, config.blur)) if config.blur else example


def _resized(example: Example, rng: np.random.Generator, settings: _Settings) -> Size:
    """Size at one of the short sides, shrunk where it does not fit the canvas: the planned image does, others may not."""
    min_side = int(rng.choice(train_min_sides(settings.augment, settings.inputs)))
    size = example.image.shape[:2]
    return shrink_to_fit(resized_size(size, min_side, settings.inputs.max_side, settings.inputs.resize), settings.canvas)


def _window(example: Example, rng: np.random.Generator, size: Size, settings: _Settings) -> Example:
    """What a random crop leaves, with `size` the size of the whole, times the factor of large-scale jitter, and no more than the canvas.

    It is cut before it is enlarged: the masks of a large image that is enlarged take gigabytes.
    """
    config = settings.augment
    scale = rng.uniform(*config.scale) if config.jitters else 1.0
    shares = [rng.uniform(config.crop, 1) if config.crop < 1 else 1.0 for _ in size]
    axes = zip(example.image.shape[:2], size, settings.canvas, shares, strict=True)
    (height, tall), (width, wide) = (_cut(side, max(1, round(whole * scale)), room, share) for side, whole, room, share in axes)
    return resize(_random_crop(example, rng, (height, width)), (tall, wide), settings.inputs.resize)


def _cut(side: int, whole: int, room: int, share: float) -> tuple[int, int]:
    """Along an axis of `side` pixels that are to become `whole`: how many a crop keeps, at most `share` of them, and what these become."""
    kept = min(math.ceil(side * share), -(-room * side // whole))  # a part of a pixel more than `room` holds, rather than a stripe of fill
    return kept, max(1, min(room, round(kept * whole / side)))


def _random_crop(example: Example, rng: np.random.Generator, sides: Size) -> Example:
    """A window of at most `sides` (height, width) at a random place; the example itself where that is all of it."""
    height, width = (min(wanted, side) for wanted, side in zip(sides, example.image.shape[:2], strict=True))
    if (height, width) == example.image.shape[:2]:
        return example
    y, x = (int(rng.integers(side - kept + 1)) for side, kept in zip(example.image.shape[:2], (height, width), strict=True))
    return crop(example, (x, y, x + width, y + height))
