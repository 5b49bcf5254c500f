"""Several examples to one, by given numbers: copy-paste and mosaic."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.transforms import fit_boxes
from maskrcnn_jax.structs import Example


def paste(example: Example, other: Example, chosen: Bool[np.ndarray, "n"], offset: tuple[int, int]) -> Example:
    """The `chosen` objects of `other` over `example`; objects covered whole are left out, boxes are tight.

    What is hidden is taken off the masks of `example`, crowds among them. Pixels are copied as they are: the paper found that blending
    the edges makes no difference.

    Args:
      example: what is pasted on; its objects come first.
      other: where objects come from, of any size.
      chosen: which of them.
      offset: row and column of `example` that the top left pixel of `other` comes to; may be negative.

    Source: Ghiasi et al. 2021, Simple Copy-Paste.
    """
    height, width = example.image.shape[:2]
    here, there = zip(*(_overlap(start, *sides) for start, sides in zip(offset, _pairs(example, other), strict=True)), strict=True)
    masks = np.zeros((int(chosen.sum()), height, width), np.uint8)
    masks[:, here[0], here[1]] = other.masks[chosen][:, there[0], there[1]]
    hidden = masks.max(axis=0, initial=0)
    image = example.image.copy()
    np.copyto(image[here], other.image[there], where=hidden[here][..., None] == 1)
    return fit_boxes(
        example._replace(
            image=image,
            masks=np.concatenate([example.masks * (1 - hidden), masks]),
            boxes=np.concatenate([example.boxes, other.boxes[chosen]]),
            labels=np.concatenate([example.labels, other.labels[chosen]]),
            crowd=np.concatenate([example.crowd, other.crowd[chosen]]),
        )
    )


def mosaic(parts: Sequence[Example]) -> Example:
    """Four examples as one: top left, top right, bottom left, bottom right; it has the first one's image id, boxes are tight.

    Args:
      parts: those above each other are equally wide, those side by side equally high.
    """
    height = parts[0].image.shape[0] + parts[2].image.shape[0]
    width = parts[0].image.shape[1] + parts[1].image.shape[1]
    top, left = parts[0].image.shape[:2]
    corners = [(0, 0), (0, left), (top, 0), (top, left)]
    placed = [_placed(part, corner, (height, width)) for part, corner in zip(parts, corners, strict=True)]
    rows = [np.concatenate([parts[i].image, parts[i + 1].image], axis=1) for i in (0, 2)]
    return fit_boxes(
        Example(
            image=np.concatenate(rows),
            image_id=parts[0].image_id,
            masks=np.concatenate(placed),
            boxes=np.concatenate([part.boxes for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            crowd=np.concatenate([part.crowd for part in parts]),
        )
    )


def _placed(part: Example, corner: tuple[int, int], size: Size) -> np.ndarray:
    """The masks of `part` in an image of `size`."""
    (y, x), (height, width) = corner, part.image.shape[:2]
    masks = np.zeros((len(part.masks), *size), np.uint8)
    masks[:, y : y + height, x : x + width] = part.masks
    return masks


def _pairs(example: Example, other: Example) -> list[tuple[int, int]]:
    """Of each axis, the two sides."""
    return list(zip(example.image.shape[:2], other.image.shape[:2], strict=True))


def _overlap(start: int, side: int, other: int) -> tuple[slice, slice]:
    """Along an axis, what a side of the length `other` that begins at `start` shares with [0, side): there, and from its own begin."""
    low, high = max(0, start), max(0, start, min(side, start + other))
    return slice(low, high), slice(low - start, high - start)
