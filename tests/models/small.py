"""A model small enough to compile in seconds, and pictures for it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax.config import (
    AnchorConfig,
    AssignConfig,
    BackboneConfig,
    BoxHeadConfig,
    DetectConfig,
    FpnConfig,
    InputConfig,
    MaskHeadConfig,
    ModelConfig,
    ProposeConfig,
)
from maskrcnn_jax.data import make_batch
from maskrcnn_jax.models import Model
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.structs import Batch, Example

CANVAS = (64, 64)
CAPACITY = 3  # rows of ground truth an image

# Every anchor and every RoI can be sampled, so that the losses do not depend on the key.
CONFIG = ModelConfig(
    num_classes=3,
    input=InputConfig(min_side=64, max_side=64, canvases=(CANVAS,)),
    backbone=BackboneConfig(depth=18, width=32),
    fpn=FpnConfig(channels=32),
    anchors=AnchorConfig(sizes=(8.0, 16.0, 32.0, 48.0, 64.0)),
    propose=ProposeConfig(pre_nms_top_k_train=50, pre_nms_top_k_test=50, post_nms_top_k_train=12, post_nms_top_k_test=12),
    assign=AssignConfig(rpn_samples=2 * 1023, roi_samples=2 * (12 + CAPACITY), roi_positive_fraction=0.5),
    box_head=BoxHeadConfig(fc_width=32),
    mask_head=MaskHeadConfig(channels=32, convs=1),
    detect=DetectConfig(max_candidates=30, max_detections=5),
)
GAIN = {"objectness": 30.0, "deltas": 10.0, "classes": 30.0, "masks": 50.0}


def lively_variables(model: Model, seed: int = 0):
    """Random weights from NumPy (compiling `model.init` takes longer), with larger output layers.

    So scores are far apart, rounding never changes an order, and boxes move.
    """
    rng = np.random.default_rng(seed)

    def fill(path, leaf):
        if path[-1].key != "kernel":
            return jnp.ones(leaf.shape) if path[-1].key in ("scale", "var") else jnp.zeros(leaf.shape)
        layer = path[-2].key
        std = 0.01 * GAIN[layer] if layer in GAIN else np.sqrt(1 / np.prod(leaf.shape[:-1]))
        return jnp.asarray(std * rng.standard_normal(leaf.shape), jnp.float32)

    return jax.tree_util.tree_map_with_path(fill, jax.eval_shape(model.init, jax.random.key(0)))


def value_and_gradient(model: Model):
    """(variables, batch, key) -> the trace of training, and the gradient of the sum of its losses."""

    def run(variables, batch, key):
        def total(params):
            trace = model.trace_train({**variables, "params": params}, batch, key)
            return sum(ratio_value(ratio) for ratio in trace.losses.values()), trace

        (_, trace), gradients = jax.value_and_grad(total, has_aux=True)(variables["params"])
        return trace, gradients

    return run


def by_name(tree) -> dict[str, np.ndarray]:
    """Arrays of a nested dict by their path, `module/layer/name`."""
    return {name: np.asarray(value) for name, value in flatten_dict(tree, sep="/").items()}


def example(seed: int, size: tuple[int, int], boxes: list[tuple[int, int, int, int]], labels: list[int]) -> Example:
    """Noise with an ellipse of its class's colour in each box, the later over the earlier."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (*size, 3), np.uint8)
    masks = np.zeros((len(boxes), *size), np.uint8)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    for mask, (x0, y0, x1, y1), label in zip(masks, boxes, labels, strict=True):
        mask[:] = ((x - (x0 + x1) / 2) / (x1 - x0)) ** 2 + ((y - (y0 + y1) / 2) / (y1 - y0)) ** 2 <= 1 / 4
        image[mask > 0, label - 1] += 180
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return Example(image, seed, masks, boxes, np.asarray(labels, np.int32), np.zeros(len(labels), np.bool_))


def batch_of(examples: list[Example]) -> Batch:
    """As the compiled programs read it."""
    return jax.tree.map(jnp.asarray, make_batch(examples, CANVAS, max_objects=CAPACITY, mask_crop=32)._replace(image_ids=None, faults=None))


FULL = example(0, (64, 64), [(6, 8, 38, 44), (34, 30, 60, 60)], [1, 3])
SMALL = example(1, (44, 56), [(10, 6, 40, 36)], [2])
EMPTY = example(2, (64, 64), [], [])


def crowded(example: Example, crowd: list[bool]) -> Example:
    """`example` with some of its objects turned into crowds."""
    return example._replace(crowd=np.asarray(crowd, np.bool_))


def with_(config: ModelConfig, **changes: dict) -> ModelConfig:
    """`config` with fields of its sub-configs replaced: with_(config, assign={"crowd_ioa": None})."""
    return dataclasses.replace(config, **{name: dataclasses.replace(getattr(config, name), **fields) for name, fields in changes.items()})
