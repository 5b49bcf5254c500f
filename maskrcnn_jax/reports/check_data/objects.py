"""The objects of one image, and what is wrong with them that no reader refuses."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from pycocotools import mask as coco_mask

from maskrcnn_jax.data import CocoSource, PreparedSource, bitmap, object_box, tight_box
from maskrcnn_jax.reports.check_data.polygons import crossing, is_degenerate
from maskrcnn_jax.structs import Category, Example

Box = Float32[np.ndarray, "4"]
Mask = UInt8[np.ndarray, "h w"]

BOX_PIXELS, BOX_SHARE = 2.0, 0.1
"""A box disagrees with its mask where a side is off by more than both: pixels, and the share of the longer side. COCO's own boxes
are of polygons, whose pixels end up to a pixel or two earlier."""
SAME_OBJECT = 0.95
"""IoU of two masks from which they are one object annotated twice."""


class Objects(NamedTuple):
    """The objects of one image. `polygons` of each, none where it is run lengths; `mask(k)` draws object k, `box(k, mask)` is its box."""

    ids: Sequence[int | None]
    labels: Sequence[int]
    crowd: Sequence[bool]
    polygons: Sequence[list[list[float]]]
    mask: Callable[[int], Mask]
    box: Callable[[int, Mask], Box]


class Seen(NamedTuple):
    """Object `k` of an image, which training would see: its box in the image's pixels, and the tight box of its mask."""

    k: int
    box: Box
    tight: Box


class ObjectFault(NamedTuple):
    """What is wrong with one object of an image, or with two of them."""

    kind: str
    message: str
    ids: tuple[int | None, ...]


def coco_objects(source: CocoSource | PreparedSource, i: int) -> Objects:
    """Of image `i`."""
    found = source.objects(i)
    height, width = (int(side) for side in source.sizes[i])
    return Objects(
        ids=[o.id for o in found],
        labels=[o.label for o in found],
        crowd=[o.crowd for o in found],
        polygons=[o.segmentation if isinstance(o.segmentation, list) else [] for o in found],
        mask=lambda k: bitmap(found[k].segmentation, height, width),
        box=lambda k, mask: object_box(found[k], mask, height, width),
    )


def example_objects(example: Example) -> Objects:
    """Of an example, whose annotations have no ids."""
    count = len(example.labels)
    return Objects(
        ids=[None] * count,
        labels=example.labels.tolist(),
        crowd=example.crowd.tolist(),
        polygons=[[]] * count,
        mask=lambda k: example.masks[k],
        box=lambda k, mask: example.boxes[k].astype(np.float32),
    )


def inspect_objects(objects: Objects, categories: Sequence[Category], faults: list[ObjectFault]) -> list[Seen]:
    """The objects that have a pixel; what is wrong with any goes to `faults`. One mask at a time is in memory."""
    seen = []
    for k, id_ in enumerate(objects.ids):
        mask = objects.mask(k)
        tight = np.array(tight_box(mask), np.float32)
        if not tight[2]:
            faults.append(ObjectFault("no-pixel", "it covers the centre of no pixel, and is left out; enlarge or remove it", (id_,)))
            continue
        box = objects.box(k, mask)
        faults += [ObjectFault(kind, message, (id_,)) for kind, message in _shape_faults(objects.polygons[k], box, tight)]
        seen.append(Seen(k, box, tight))
    faults += _twice(objects, seen, categories)
    return seen


def _shape_faults(polygons: list[list[float]], box: Box, tight: Box) -> Iterator[tuple[str, str]]:
    flat, crossed = [], []
    for number, polygon in enumerate(polygons):
        points = np.array(polygon, np.float64).reshape(-1, 2)
        if is_degenerate(points):
            flat.append(number)
        elif (edges := crossing(points)) is not None:
            crossed.append((number, *edges))
    if flat:
        yield "degenerate-polygon", f"all points of segmentation[{flat[0]}] lie on one line; remove it"
    if crossed:
        number, first, second = crossed[0]
        yield (
            "self-intersection",
            f"edges {first} and {second} of segmentation[{number}] cross; draw it again, or split it in two",
        )
    off, side = float(np.abs(box - tight).max()), float(max(tight[2] - tight[0], tight[3] - tight[1]))
    if off > BOX_PIXELS and off > BOX_SHARE * side:
        numbers = [" ".join(f"{value:g}" for value in of) for of in (box, tight)]
        yield (
            "box-mask",
            f"the box is {numbers[0]} (x0 y0 x1 y1), that of the mask {numbers[1]}: {off:.0f} pixels off; correct or leave out the bbox",
        )


def _twice(objects: Objects, seen: list[Seen], categories: Sequence[Category]) -> Iterator[ObjectFault]:
    """Each object that has the mask of an earlier one, with that. Masks are drawn again, of the few whose boxes are nearly equal."""
    boxes = np.array([s.tight for s in seen], np.float64).reshape(-1, 4)
    rows = np.stack([boxes[:, 0], boxes[:, 1], boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]], axis=1)
    near = np.triu(coco_mask.iou(rows, rows, [0] * len(rows)), 1) if len(rows) > 1 else np.zeros((0, 0))
    told: set[int] = set()
    for a, b in np.argwhere(near >= SAME_OBJECT**2):  # a box that is off by a row or two may still hold the same pixels but for 5%
        first, second = seen[a].k, seen[b].k
        if objects.crowd[first] != objects.crowd[second] or told & {first, second}:
            continue
        one, other = objects.mask(first) > 0, objects.mask(second) > 0
        iou = (one & other).sum() / (one | other).sum()
        if iou >= SAME_OBJECT:
            told.add(second)
            names = [categories[objects.labels[k] - 1].name for k in (first, second)]
            labelled = f"both as {names[0]}" if names[0] == names[1] else f"as {names[0]} and as {names[1]}"
            yield ObjectFault(
                "duplicate-annotation", f"the same mask (IoU {iou:.2f}) {labelled}; remove one", (objects.ids[first], objects.ids[second])
            )
