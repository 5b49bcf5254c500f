"""Pictures of what passes between the stages of a model: anchors, matches with ground truth, RoIs as tiles."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Int

from maskrcnn_jax.visualize.boxes import Picture, draw_boxes, line_width, readable, rectangle
from maskrcnn_jax.visualize.colors import ASIDE, Color
from maskrcnn_jax.visualize.grid import grid
from maskrcnn_jax.visualize.rendering import AnyImage

TILE = 88
"""Side of a tile, pixels."""
_PLACES = ((0.5, 0.5), (0.22, 0.25), (0.78, 0.75))  # (y, x), shares of the image, whose cells show their anchors
_APART = 8.0  # pixels of the picture between cells from which their centres are dotted
_GROUND = (255, 255, 255)  # of ground truth among its anchors and RoIs


def draw_anchors(image: AnyImage, anchors: Float[np.ndarray, "h w a 4"], color: Color) -> Picture:
    """The anchors of three cells of one level, bold, and a dot at the centre of each cell where these are 8 pixels apart or more.

    Args:
      image: RGB, or of other channels and values, see `as_rgb`.
      anchors: of each cell, all about the same centre, in the pixels of `image`; cells beyond the image have no dot.
      color: of the level.

    Returns:
      RGB picture, enlarged as by `readable`.
    """
    centres = (anchors[:, :, 0, :2] + anchors[:, :, 0, 2:]) / 2
    height, width = image.shape[:2]
    nearest = [np.abs(centres - (width * x, height * y)).sum(axis=2).argmin() for y, x in _PLACES]
    chosen = np.unique(nearest)
    boxes = anchors.reshape(-1, *anchors.shape[2:])[chosen].reshape(-1, 4)
    picture = draw_boxes(image, boxes, [color] * len(boxes), bold=True)
    factor = picture.shape[1] / width
    apart = np.abs(np.diff(centres[:, 0, 1])).min(initial=height) * factor
    for x, y in centres.reshape(-1, 2) * factor if apart >= _APART else centres.reshape(-1, 2)[chosen] * factor:
        if x < picture.shape[1] and y < picture.shape[0]:
            cv2.circle(picture, (int(x), int(y)), line_width(picture) + 1, color, cv2.FILLED)
    return picture


def draw_matches(
    image: AnyImage,
    boxes: Float[np.ndarray, "n 4"],
    owners: Int[np.ndarray, "n"],
    gt_boxes: Float[np.ndarray, "g 4"],
    colors: Sequence[Color],
) -> Picture:
    """Anchors or RoIs in the colour of the object each is matched with, the objects themselves bold and edged with white.

    Args:
      image: RGB, or of other channels and values, see `as_rgb`.
      boxes: in the pixels of `image`.
      owners: of each box, the row of its object, or -1 of those that are background, which are grey and lie below.
      gt_boxes: the objects, the same pixels.
      colors: one an object.

    Returns:
      RGB picture, enlarged as by `readable`.
    """
    order = np.argsort(owners < 0, kind="stable")
    picture = draw_boxes(image, boxes[order], [colors[owner] if owner >= 0 else ASIDE for owner in owners[order].tolist()])
    factor, width = readable(image)[1], line_width(picture)
    for box, color in zip(gt_boxes, colors, strict=True):
        x0, y0, x1, y1 = rectangle(box, factor, picture)
        for ink, breadth in ((_GROUND, 3 * width + 2), (color, 3 * width)):
            cv2.rectangle(picture, (x0, y0), (x1 - 1, y1 - 1), ink, breadth)
    return picture


def part(image: Picture, box: Float[np.ndarray, "4"]) -> Picture:
    """What a RoI covers, stretched to a tile as RoIAlign stretches it; what lies outside of the image is repeated from its edge.

    Args:
      image: RGB.
      box: (x0, y0, x1, y1), pixels of `image`.
    """
    x0, y0, x1, y1 = (float(side) for side in box)
    scale = np.array([[max(x1 - x0, 1e-3) / TILE, 0, 0], [0, max(y1 - y0, 1e-3) / TILE, 0]])
    scale[:, 2] = x0 + scale[0, 0] / 2 - 0.5, y0 + scale[1, 1] / 2 - 0.5  # the centre of the tile's first pixel
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, scale, (TILE, TILE), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def tiles(rows: Sequence[Sequence[Picture]]) -> Picture:
    """Pictures as squares of one size in a table: a column is a RoI, a row what is shown of each.

    Args:
      rows: as many pictures each, at least one; those of grids have one pixel a cell.

    Raises:
      ValueError: there is no row, or one is empty.
    """
    squares = [cv2.resize(tile, (TILE, TILE), interpolation=cv2.INTER_NEAREST) for row in rows for tile in row]
    return grid(squares, len(rows[0]) if rows else 0)
