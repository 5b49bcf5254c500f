"""How well anchors fit the objects, and sizes and ratios that fit them better."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int

from maskrcnn_jax import ops
from maskrcnn_jax.config import AnchorConfig

FIT = 0.5
"""IoU that an object's best anchor should have."""
_FINEST_STRIDE = 4
_SAMPLE = 20_000  # objects that sizes and ratios are sought with: more take longer and change little
_ROUNDS = 30


class Placed(NamedTuple):
    """Objects where the network sees them.

    boxes: x0 y0 x1 y1, pixels of the resized image. sizes: (height, width) of each object's resized image. canvases: of its canvas.
    """

    boxes: Float[np.ndarray, "n 4"]
    sizes: Int[np.ndarray, "n 2"]
    canvases: Int[np.ndarray, "n 2"]


@dataclass(frozen=True, kw_only=True)
class AnchorFit:
    """Anchors and how they fit.

    sizes, ratios: as in `AnchorConfig`. under: objects whose best anchor has an IoU under 0.5. mean_iou: of the objects' best anchors.
    """

    sizes: tuple[float, ...]
    ratios: tuple[float, ...]
    under: int
    mean_iou: float


def fit_of(config: AnchorConfig, best: Float64[np.ndarray, "n"]) -> AnchorFit:
    """`best` is what `best_iou` says of the same anchors."""
    return AnchorFit(
        sizes=config.sizes, ratios=config.ratios, under=int((best < FIT).sum()), mean_iou=float(best.mean()) if len(best) else 0.0
    )


def best_iou(placed: Placed, config: AnchorConfig) -> Float64[np.ndarray, "n"]:
    """The IoU of each object's best anchor."""
    return base_iou(placed, config).max(axis=1)


def base_iou(placed: Placed, config: AnchorConfig) -> Float64[np.ndarray, "n a"]:
    """For each object and base anchor, level by level and ratio by ratio, the largest IoU that it has at any cell.

    Intersections shrink as an anchor's centre moves away along either axis, so the nearest centre is the best, and no grid is made.
    """
    boxes, sizes, canvases = placed
    boxes = boxes.astype(np.float64)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    found = []
    for level, size in enumerate(config.sizes):
        stride = _FINEST_STRIDE << level
        cells = -(-canvases // stride)
        strides = np.full_like(canvases, stride) if config.stride == "level" else canvases // cells
        if config.in_padding == "drop":  # centres below the image's side
            cells = np.minimum(cells, -(-sizes // strides))
        for anchor in ops.base_anchors(size, config.ratios, round_corners=config.round_base).astype(np.float64):
            middle = (anchor[:2] + anchor[2:]) / 2  # not 0 where corners were rounded
            wanted = (boxes[:, :2] + boxes[:, 2:]) / 2 - middle
            centre = np.clip(np.round(wanted / strides[:, ::-1]), 0, cells[:, ::-1] - 1) * strides[:, ::-1]
            sides = np.minimum(boxes[:, 2:], centre + anchor[2:]) - np.maximum(boxes[:, :2], centre + anchor[:2])
            common = np.maximum(sides, 0).prod(axis=1)
            found.append(common / np.maximum(area + (anchor[2:] - anchor[:2]).prod() - common, 1e-9))
    return np.stack(found, axis=1)


def better_anchors(placed: Placed, config: AnchorConfig) -> AnchorConfig:
    """As many sizes and ratios as `config` has, found by k-means in IoU from its own: the round that misses the fewest objects.

    An object belongs to the anchor that it has the largest IoU with (Redmon and Farhadi 2017, section 2; there both are centred, here
    anchors stand on their level's cells, without which large strides look better than they are). Sizes and ratios move to the median, in
    logarithms, of their objects; they are rounded to half pixels and two digits.

    Args:
      placed: at least one object.
      config: what to start from, and what else anchors are.
    """
    if len(placed.boxes) > _SAMPLE:
        chosen = np.random.default_rng(0).choice(len(placed.boxes), _SAMPLE, replace=False)
        placed = Placed(*(field[chosen] for field in placed))
    sides = np.maximum(placed.boxes[:, 2:] - placed.boxes[:, :2], 1e-3).astype(np.float64)
    own_sizes, own_ratios = np.log(sides).mean(axis=1), np.log(sides[:, 1] / sides[:, 0])
    tried: list[tuple[int, float, int, AnchorConfig]] = []  # the fewest missed, of these the largest mean, of these the first
    current = config
    for number in range(_ROUNDS):
        iou = base_iou(placed, current)
        best = iou.max(axis=1)
        tried.append((int((best < FIT).sum()), -float(best.mean()), number, current))
        level, ratio = np.divmod(iou.argmax(axis=1), len(config.ratios))
        sizes = np.round(2 * np.exp(_medians(own_sizes, level, np.log(current.sizes)))) / 2
        ratios = np.exp(_medians(own_ratios, ratio, np.log(current.ratios)))
        moved = replace(config, sizes=tuple(np.maximum(sizes, 1).tolist()), ratios=tuple(float(f"{r:.2g}") for r in ratios))
        if moved == current:
            break
        current = moved
    return min(tried)[3]


def _medians(values: Float64[np.ndarray, "n"], group: Int[np.ndarray, "n"], before: Float64[np.ndarray, "g"]) -> Float64[np.ndarray, "g"]:
    """The median of each group; that of before where it is empty."""
    members = [group == k for k in range(len(before))]
    return np.array([np.median(values[of]) if of.any() else old for of, old in zip(members, before, strict=True)])
