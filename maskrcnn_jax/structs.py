"""The pytrees that travel between rooms: NamedTuples of arrays, without JAX.

Letters: b images, g padded ground truth, p proposals, r sampled RoIs, d detections, m mask side,
h rows, w columns, c channels. Boxes are (x0, y0, x1, y1) in continuous pixels of the network's canvas, float32.
A struct of one image has the shapes below; inside a batch every field has a leading b.
Every variable-length set has a static size and a `valid` mask; other fields of invalid rows mean nothing.
"""

from typing import Any, NamedTuple

Array = Any  # np.ndarray on the host, jax.Array inside the compiled programs


class Category(NamedTuple):
    """One class of a dataset. The model's label is its position in the category table plus one."""

    id: int
    name: str


class Example(NamedTuple):
    """One image with its objects on the host, before padding: NumPy arrays, n objects.

    image: uint8[h, w, 3], RGB; [h, w, c] of as many channels as `InputConfig.channels` says, uint16 where its `dtype` does;
      float32 once resized where its `resize` is float.
    image_id: the dataset's own id.
    masks: uint8[n, h, w], 0 or 1, full bitmaps in the image's pixels.
    boxes: float32[n, 4], in the image's pixels.
    labels: int32[n], 1 ... number of categories.
    crowd: bool[n], a region of many objects rather than one.
    """

    image: Array
    image_id: int
    masks: Array
    boxes: Array
    labels: Array
    crowd: Array


class Instances(NamedTuple):
    """Padded ground truth of one image.

    boxes: float32[g, 4].
    labels: int32[g], 1 ... number of classes.
    crowd: bool[g].
    masks: uint8[g, m, m], coverage of each cell, 255 inside; the whole canvas, uint8[g, h, w], where masks are not cropped.
    mask_frames: float32[g, 4], the box on the canvas that the grid of `masks` covers.
    valid: bool[g].
    """

    boxes: Array
    labels: Array
    crowd: Array
    masks: Array
    mask_frames: Array
    valid: Array


class Batch(NamedTuple):
    """What one step of training reads.

    image: uint8[b, h, w, c] or uint16, as `Example.image`, float32 where `InputConfig.resize` is float; zero outside the image proper.
    sizes: int32[b, 2], height and width of the image proper in the canvas's top left corner.
    instances: Instances with a leading b.
    positions: int32[b], of each image in the global batch of the step; what is drawn for an image depends on its position.
    image_ids: int64[b], the dataset's own ids (host only: errors name them).
    objects_cut: int32[b], objects beyond the capacity g, left out.
    stand_ins: int32[b], how many others stand in for images that could not be read: for this one, or one to be added to it.
    faults: str[b], what is wrong with those, "" elsewhere (host only).
    void: bool[b], whether this is no image of the batch, and has no weight in the losses: it could not be read and none stands in, for
      which a step of training does nothing, or it fills up a batch of validation.
    """

    image: Array
    sizes: Array
    instances: Instances
    positions: Array
    image_ids: Array
    objects_cut: Array
    stand_ins: Array
    faults: Array
    void: Array


class Proposals(NamedTuple):
    """Boxes of the RPN after NMS, best first.

    boxes: float32[p, 4]. scores: float32[p], the quantity they are ranked by. valid: bool[p].
    """

    boxes: Array
    scores: Array
    valid: Array


class AnchorSamples(NamedTuple):
    """Anchors sampled for the RPN's losses, positives first.

    indices: int32[s] into the anchors. positive: bool[s]. gt_boxes: float32[s, 4], matched ground truth. valid: bool[s].
    """

    indices: Array
    positive: Array
    gt_boxes: Array
    valid: Array


class RoiSamples(NamedTuple):
    """RoIs sampled for the heads' losses, positives first.

    boxes: float32[r, 4]. labels: int32[r], 0 for background. gt_indices: int32[r] into the ground truth.
    gt_boxes: float32[r, 4], matched ground truth (meaningful where labels > 0). valid: bool[r].
    """

    boxes: Array
    labels: Array
    gt_indices: Array
    gt_boxes: Array
    valid: Array


class Candidates(NamedTuple):
    """What enters class NMS in one image: boxes with a class each, best first.

    boxes: float32[n, 4]. scores: float32[n]. labels: int32[n], 1 ... number of classes. valid: bool[n].
    cut: int32[], candidates beyond the capacity n, left out.
    """

    boxes: Array
    scores: Array
    labels: Array
    valid: Array
    cut: Array


class Detections(NamedTuple):
    """What was found in one image, best first.

    boxes: float32[d, 4]. scores: float32[d]. labels: int32[d], 1 ... number of classes. valid: bool[d].
    masks: float32[d, m, m], probability in each cell (None before the mask head has run).
    mask_frames: float32[d, 4], the box the grid covers.
    cut: int32[], candidates beyond the capacity of class NMS, left out.
    """

    boxes: Array
    scores: Array
    labels: Array
    valid: Array
    masks: Array
    mask_frames: Array
    cut: Array


class Outcomes(NamedTuple):
    """What became of one image's detections and of its ground truth, where they are matched with each other.

    found: bool[n], true positives. aside: bool[n], detections in a crowd, which do not count; all others are false positives.
    missed: bool[g], objects, but for crowds, that no detection was matched with.
    """

    found: Array
    aside: Array
    missed: Array


class Ratio(NamedTuple):
    """A mean in two parts, float32[] each, so that sums over devices and slices come before the division."""

    numerator: Array
    denominator: Array


class Result(NamedTuple):
    """Detections of one image on the host, in the original image's pixels, best first.

    boxes: float32[n, 4], (x0, y0, x1, y1). scores: float32[n]. labels: int32[n], 1 ... number of categories.
    masks: n COCO run-length encodings, {"size": [h, w], "counts": bytes}.
    size: (h, w) of the original image.
    cut: candidates beyond the capacity of class NMS, left out.
    """

    boxes: Array
    scores: Array
    labels: Array
    masks: list[dict[str, Any]]
    size: tuple[int, int]
    cut: int = 0
