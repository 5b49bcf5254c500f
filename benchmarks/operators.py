"""NMS and RoIAlign."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.reference import BACKBONE_FPN_MS, NMS_MS, ROI_ALIGN, SIZE, against
from benchmarks.rows import Row
from maskrcnn_jax import ops
from tests.parity import kernels

IOU = 0.7
STRIDES, CHANNELS, SAMPLES = (4, 8, 16, 32), 256, 2
# Of the largest value: positions up to 272 cells, rounded in another order, weigh neighbours otherwise by 272 x 2^-23; and what
# bfloat16 keeps of the features.
SAME = {"float32": 1e-4, "bfloat16": 2e-2}


def nms(reference: Any, repeats: int) -> Iterator[Row]:
    """NMS of one group, all survivors wanted."""
    for kind, count in NMS_MS:
        yield nms_row(reference, kind, count, NMS_MS[kind, count] / BACKBONE_FPN_MS, repeats)


def nms_row(reference: Any, kind: str, count: int, factor: float, repeats: int) -> Row:
    """Boxes of one kind and number; those kept are the same ones in the same order."""
    boxes, scores = nms_boxes(kind, count)
    arrays = jax.device_put((boxes, scores, np.ones(count, np.bool_), np.zeros(count, np.int32)))
    compiled = jax.jit(lambda *arrays: ops.nms(*arrays, iou_threshold=IOU, max_output=count))
    indices, kept = jax.device_get(compiled(*arrays))
    np.testing.assert_array_equal(indices[kept], kernels.nms(boxes, scores, IOU))  # no tolerance: the same comparisons

    def theirs() -> Any:
        return reference.torchvision.ops.nms(given[0], given[1], IOU)

    given = [reference.tensor(values) for values in (boxes, scores)] if reference.compiled else []
    return against(
        reference,
        f"NMS, {count:,} {kind} boxes",
        lambda: jax.block_until_ready(compiled(*arrays)),
        reference.waited(theirs) if reference.compiled else theirs,
        factor=factor,
        repeats=repeats,
        note=f"{int(kept.sum())} kept",
    )


def nms_boxes(kind: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes all over the image, or 20 moved copies of each of fewer; and their scores."""
    rng = np.random.default_rng(count)
    centres = count if kind == "spread" else max(1, count // 20)
    middle, side = rng.uniform((0, 0), SIZE[::-1], (centres, 2)), rng.uniform(16, 256, (centres, 2))
    if kind != "spread":
        which = rng.integers(centres, size=count)
        middle, side = middle[which] + rng.normal(0, 0.05, (count, 2)) * side[which], side[which] * rng.uniform(0.9, 1.1, (count, 2))
    boxes = np.concatenate([middle - side / 2, middle + side / 2], axis=1)
    return boxes.astype(np.float32), rng.permutation(np.linspace(0, 1, count, dtype=np.float32))


def roi_align(reference: Any, repeats: int) -> Iterator[Row]:
    """RoIAlign of four levels, forward, and its gradient to the pyramid."""
    dtype = jnp.dtype(reference.dtype)
    rng = np.random.default_rng(0)
    pyramid = [rng.standard_normal((SIZE[0] // stride, SIZE[1] // stride, CHANNELS), np.float32) for stride in STRIDES]
    levels = [jnp.asarray(level, dtype) for level in pyramid]
    maps = [reference.tensor(level.transpose(2, 0, 1)[None]).to(getattr(reference.torch, reference.dtype)) for level in pyramid]
    for (count, size), factors in ROI_ALIGN.items():
        rois = roi_boxes(count)
        boxes = jnp.asarray(rois)
        gradient = rng.standard_normal((count, size, size, CHANNELS), np.float32)
        forward, backward = ours(levels, boxes, jnp.asarray(gradient, dtype), size)
        theirs_forward, theirs_backward = theirs(reference, maps, rois, gradient, size)
        _check(forward, backward, theirs_forward, theirs_backward, reference.dtype)
        name = f"RoIAlign, {count:,} RoIs {size}x{size}"
        calls = ((forward, theirs_forward, "forward"), (backward, theirs_backward, "backward"))
        for (mine, live, way), factor in zip(calls, factors, strict=True):
            yield against(reference, f"{name}, {way}", mine, live, factor=factor, repeats=repeats)


def roi_boxes(count: int) -> np.ndarray:
    """RoIs of all levels inside the image: sides of 16 to 512 pixels, as many of each octave."""
    rng = np.random.default_rng(count)
    side = np.exp2(rng.uniform(4, 9, (count, 1))) * np.exp2(rng.uniform(-0.5, 0.5, (count, 2)))
    corner = rng.uniform(0, 1, (count, 2)) * (np.array(SIZE[::-1]) - side)
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


def ours(levels: list[Any], boxes: Any, gradient: Any, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Forward; and the gradient alone, of values that a forward pass has left."""

    def align(levels: list[Any], boxes: Any) -> Any:
        own = ops.roi_levels(boxes, levels=4, finest=2, canonical_size=224, canonical_level=4, epsilon=1e-6, epsilon_at="log")
        return ops.roi_align(levels, boxes, own, strides=STRIDES, size=size, samples=SAMPLES, aligned=False)

    forward = jax.jit(align)
    # A gradient that is not read is not computed: of the forward pass nothing is left here but the gradient to the pyramid.
    backward = jax.jit(lambda levels, boxes, gradient: jax.vjp(lambda levels: align(levels, boxes), levels)[1](gradient)[0])
    return lambda: jax.block_until_ready(forward(levels, boxes)), lambda: jax.block_until_ready(backward(levels, boxes, gradient))


def theirs(
    reference: Any, maps: list[Any], rois: np.ndarray, gradient: np.ndarray, size: int
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """The same of torchvision's `MultiScaleRoIAlign`."""
    torch = reference.torch
    pool = reference.torchvision.ops.MultiScaleRoIAlign(["0", "1", "2", "3"], size, SAMPLES)
    boxes, own = [reference.tensor(rois)], [level.clone().requires_grad_() for level in maps]
    to_values = reference.tensor(gradient.transpose(0, 3, 1, 2)).to(maps[0].dtype)
    values = reference.waited(lambda: pool({str(i): level for i, level in enumerate(own)}, boxes, [SIZE]))()

    def forward() -> Any:
        with torch.inference_mode():
            return pool({str(i): level for i, level in enumerate(maps)}, boxes, [SIZE])

    return (
        reference.waited(forward),
        reference.waited(lambda: torch.autograd.grad(values, own, to_values, retain_graph=True)),
    )


def _check(forward: Any, backward: Any, theirs_forward: Any, theirs_backward: Any, dtype: str) -> None:
    pairs = [(forward(), theirs_forward().permute(0, 2, 3, 1))]
    pairs += [(mine, level[0].permute(1, 2, 0)) for mine, level in zip(backward(), theirs_backward(), strict=True)]
    for found, tensor in pairs:
        expected = tensor.float().cpu().numpy()
        worst = np.abs(np.asarray(found, np.float32) - expected).max() / np.abs(expected).max()
        if worst > SAME[dtype]:
            raise SystemExit(f"RoIAlign differs from torchvision's by {worst:.1e} of the largest value, more than {SAME[dtype]:.0e}")
