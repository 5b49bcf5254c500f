"""One image through a model, every intermediate kept that is shown."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from maskrcnn_jax import models, ops, stages
from maskrcnn_jax.checkpoint import Checkpoint
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import Size, example_of
from maskrcnn_jax.inference import as_result
from maskrcnn_jax.models import Model, Trace, Variables
from maskrcnn_jax.models.losses import of_label
from maskrcnn_jax.models.mask_rcnn import pool_levels
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.reports.one_image import batch_of
from maskrcnn_jax.structs import AnchorSamples, Array, Batch, Category, Example, Result, RoiSamples
from maskrcnn_jax.training.compiled import jit_once
from maskrcnn_jax.training.placement import to_devices

BEST = 30
"""Anchors that `Boxes` holds."""


class Boxes(NamedTuple):
    """What the page draws of the way from anchors to RoIs, beside the trace.

    anchors: float32[n, 4], the best of all levels by objectness. moved: [n, 4], the same by the network's deltas, clipped.
    usable: int32[], anchors that may be proposed. levels: int32[p], index into P2 ... P5 of the level that each proposal is read from.
    """

    anchors: Array
    moved: Array
    usable: Array
    levels: Array


class Training(NamedTuple):
    """What a step of training makes of the image, if it is the whole batch.

    mask_logits: float32[s, m, m], of each RoI's own class. mask_targets: [s, m, m]. losses: by name.
    """

    anchor_samples: AnchorSamples
    roi_samples: RoiSamples
    mask_logits: Array
    mask_targets: Array
    losses: dict[str, Any]


class Walk(NamedTuple):
    """An image's way through a model; nothing has a leading b.

    name: of the image. example: the image, and its ground truth if it is known, in its own pixels. resized: both as the network
    gets them, objects before crowds. canvas: (height, width) that the network sees. config, categories: the model's. trace: NumPy
    arrays; candidates have any score, so that `trace.detections` are the best that class NMS keeps, those over the model's threshold
    among them. boxes: see there. result: the same detections in the image's pixels. training: None where ground truth is not known.
    """

    name: str
    example: Example
    resized: Example
    canvas: Size
    config: ExperimentConfig
    categories: tuple[Category, ...]
    trace: Trace
    boxes: Boxes
    result: Result
    training: Training | None


def walk(stored: Checkpoint, example: Example, name: str, *, annotated: bool) -> Walk:
    """Take an image through the model, and where it has ground truth through a step of training up to the losses.

    The score threshold is 0 here: a higher one only ends the list of candidates, which is in descending order, and the list of
    detections, on which candidates behind have no influence, earlier.

    Args:
      stored: the model.
      example: the image, as `config.model.input` says, and its objects, with the model's labels.
      name: of the image.
      annotated: whether the objects of `example` are its ground truth; otherwise it has none, and none are known.

    Raises:
      DataError: the image fits no canvas of the model's.
    """
    config = stored.config
    batch = batch_of(example, config, name)
    model = models.build(replace(config.model, detect=replace(config.model.detect, score_threshold=0.0)))
    on_device = to_devices(batch, model.mesh)
    trace, boxes = jax.device_get(jit_once(partial(_inference, model))(stored.variables, on_device.image, on_device.sizes))
    training = _training(model, stored.variables, on_device, config.train.seed) if annotated else None
    trace = _first(trace)._replace(features=_first(trace.features)._replace(anchors=trace.features.anchors))
    height, width = (int(side) for side in batch.sizes[0])
    return Walk(
        name=name,
        example=example,
        resized=example_of(batch, 0, config.model.input.dtype),
        canvas=(batch.image.shape[1], batch.image.shape[2]),
        config=config,
        categories=stored.categories,
        trace=trace,
        boxes=boxes,
        result=as_result(trace.detections, (example.image.shape[0], example.image.shape[1]), (height, width), config.model.paste),
        training=training,
    )


def _inference(model: Model, variables: Variables, images: Array, sizes: Array) -> tuple[Trace, Boxes]:
    config, trace = model.config, model.trace(variables, images, sizes)
    size, features = sizes[0].astype(jnp.float32), trace.features
    anchors = jnp.concatenate(features.anchors)
    logits, deltas = jnp.concatenate(features.objectness, axis=1), jnp.concatenate(features.deltas, axis=1)
    usable = stages.usable_anchors(anchors, size, config.anchors)
    _, best = jax.lax.top_k(jnp.where(usable, logits[0], -jnp.inf), min(BEST, usable.shape[0]))
    weights, limit = config.propose.coder_weights, config.propose.max_log_scale
    moved = ops.clip_boxes(ops.decode_boxes(deltas[0, best], anchors[best], weights=weights, max_log_scale=limit), size)
    return trace, Boxes(anchors[best], moved, jnp.sum(usable), pool_levels(trace.proposals.boxes[0], config.pool))


def _training(model: Model, variables: Variables, batch: Batch, seed: int) -> Training:
    def run(variables: Variables, batch: Batch, key: Array) -> Training:
        trace = model.trace_train(variables, batch, key)
        shown = trace.mask_logits.shape[1]
        return Training(
            anchor_samples=trace.anchor_samples,
            roi_samples=trace.roi_samples,
            mask_logits=of_label(jnp.moveaxis(trace.mask_logits, -1, 2), trace.roi_samples.labels[:, :shown]),
            mask_targets=trace.mask_targets,
            losses={name: ratio_value(ratio) for name, ratio in trace.losses.items()},
        )

    found = jax.device_get(jit_once(run)(variables, batch, jax.random.key(seed)))
    return _first(found._replace(losses={}))._replace(losses={name: float(value) for name, value in found.losses.items()})


def _first(tree: Any) -> Any:
    """The tree without the leading b of its arrays."""
    return jax.tree.map(lambda x: x[0], tree)


def over_threshold(result: Result, score_threshold: float) -> Result:
    """The detections of a walk that have a score above a threshold."""
    count = int((result.scores > score_threshold).sum())
    return result._replace(**{name: getattr(result, name)[:count] for name in ("boxes", "scores", "labels", "masks")})
