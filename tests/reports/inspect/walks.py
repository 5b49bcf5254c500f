"""A model with random weights that finds something of everything, and its walks over procedural pictures."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.checkpoint import Checkpoint
from maskrcnn_jax.config import DetectConfig, PoolConfig, ProposeConfig
from maskrcnn_jax.data import ShapesSource, crop
from maskrcnn_jax.reports import inspect
from maskrcnn_jax.reports.inspect import walking
from maskrcnn_jax.structs import Example
from tests import tiny
from tests.models.small import lively_variables

# 160 candidates of 40 proposals, of which class NMS gets 120; 8 detections.
MODEL = replace(
    tiny.MODEL,
    pool=PoolConfig(box_size=3, mask_size=4, samples=1, canonical_size=64.0),
    propose=ProposeConfig(pre_nms_top_k_train=32, pre_nms_top_k_test=32, post_nms_top_k_train=16, post_nms_top_k_test=40),
    detect=DetectConfig(score_threshold=0.2, nms_threshold=0.5, max_candidates=120, max_detections=8),
)
NAME = "a <b>&.png"


@cache
def stored() -> Checkpoint:
    config = tiny.experiment(model=MODEL)
    return Checkpoint(0, config, lively_variables(models.build(config.model)), ShapesSource.categories)


def example() -> Example:
    """Of 160 x 120 pixels (height x width), which are 64 x 48 of the canvas; the last object is a crowd."""
    shown = crop(ShapesSource(3, 1)[0], (0, 0, 120, 160))
    return shown._replace(crowd=np.arange(len(shown.labels)) == len(shown.labels) - 1)


@cache
def walk() -> inspect.Walk:
    """Compiled without optimisation, as all that tests run a few times: that takes half of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walking, "jit_once", jax.jit)
        return walking.walk(stored(), example(), NAME, annotated=True)  # not by the name that tests replace


def lucky() -> inspect.Walk:
    """With ground truth where the model finds something: objects found, found roughly and missed, and a crowd over some detections."""
    whole = walk()
    found, truth = whole.trace.detections, whole.resized
    assert truth.crowd.tolist() == [False, False, False, True]
    rough = found.boxes[3] + np.float32([2, 2, 0, 0])
    boxes = np.stack([found.boxes[0], rough, truth.boxes[2], np.float32([0, 0, 48, 64])])
    labels = np.array([found.labels[0], found.labels[3], truth.labels[2], found.labels[6]], np.int32)
    return whole._replace(resized=truth._replace(boxes=boxes, labels=labels))


def without_truth() -> inspect.Walk:
    return walk()._replace(training=None)
