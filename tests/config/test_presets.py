"""The presets are the models whose weights they are for: their numbers, and every name and shape, without reading a weight."""

import json
import math
from operator import attrgetter

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import presets
from maskrcnn_jax.weights import from_arrays
from tests.golden.reference import FOLDER, PRESETS

# Of the project's reference/numerics.md, "Numerics of the reference systems" (torchvision 0.28; Detectron2's zoo and LSJ), value by
# value. LSJ's size of 1024 there is that of training; tests/golden/README.md says what it is tested at.
SHARED = {
    "input.min_side": 800,
    "input.max_side": 1333,
    "input.canvas": "multiple",
    "input.multiple": 32,
    "backbone.kind": "resnet",
    "backbone.depth": 50,
    "backbone.norm_epsilon": 1e-5,
    "fpn.channels": 256,
    "anchors.sizes": (32, 64, 128, 256, 512),
    "anchors.ratios": (0.5, 1, 2),
    "anchors.in_padding": "keep",
    "propose.coder_weights": (1, 1, 1, 1),
    "propose.max_log_scale": math.log(1000 / 16),
    "propose.pre_nms_top_k_train": 2000,
    "propose.pre_nms_top_k_test": 1000,
    "propose.post_nms_top_k_test": 1000,
    "propose.nms_threshold": 0.7,
    "assign.rpn_foreground_iou": 0.7,
    "assign.rpn_background_iou": 0.3,
    "assign.rpn_low_quality": True,
    "assign.rpn_samples": 256,
    "assign.rpn_positive_fraction": 0.5,
    "assign.roi_foreground_iou": 0.5,
    "assign.roi_background_iou": 0.5,
    "assign.roi_samples": 512,
    "assign.roi_positive_fraction": 0.25,
    "assign.append_ground_truth": True,
    "assign.crowd_ioa": None,
    "pool.box_size": 7,
    "pool.mask_size": 14,
    "pool.canonical_size": 224,
    "pool.canonical_level": 4,
    "box_head.conv_channels": 256,
    "box_head.fc_width": 1024,
    "box_head.class_agnostic": False,
    "mask_head.convs": 4,
    "mask_head.channels": 256,
    "mask_head.class_agnostic": False,
    "detect.coder_weights": (10, 10, 5, 5),
    "detect.max_log_scale": math.log(1000 / 16),
    "detect.score_threshold": 0.05,
    "detect.nms_threshold": 0.5,
    "detect.max_detections": 100,
    "loss.mask_target_sampling": "adaptive",
    "paste.threshold": 0.5,
}
SYSTEMS = {  # torchvision, Detectron2
    "num_classes": (90, 80),
    "input.channel_order": ("rgb", "bgr"),
    "input.mean": ((123.675, 116.28, 103.53), (103.53, 116.28, 123.675)),  # torchvision's .485 .456 .406 of 255
    "input.std": ((58.395, 57.12, 57.375), (1, 1, 1)),  # its .229 .224 .225 of 255
    "input.resize": ("float", "pillow"),
    "backbone.stride_on": ("3x3", "1x1"),
    "anchors.round_base": (True, False),
    "anchors.stride": ("canvas", "level"),
    "propose.post_nms_top_k_train": (2000, 1000),
    "propose.rank_by": ("sigmoid", "logits"),
    "propose.min_side": (1e-3, 0),
    "pool.aligned": (False, True),
    "pool.sampling": ("fixed", "adaptive"),
    "pool.samples": (2, 2),  # not read where they are adaptive
    "pool.level_epsilon": (1e-6, 1e-8),
    "pool.level_epsilon_at": ("log", "ratio"),
    "detect.min_side": (1e-2, 0),
    "loss.rpn_denominator": ("sampled", "capacity"),
    "loss.rpn_box_beta": (1 / 9, 0),
    "loss.roi_box_beta": (1 / 9, 0),
    "loss.mask_target": ("soft", "binary"),
    "loss.mask_target_aligned": (False, True),
    "paste.kind": ("expanded", "continuous"),
}
DEPTHS = {  # v1 and Detectron2's zoo, v2 and LSJ
    "backbone.norm": ("frozen_bn", "batch_norm"),
    "backbone.frozen_stages": (2, 0),
    "fpn.norm": ("none", "batch_norm"),
    "rpn_head.convs": (1, 2),
    "box_head.convs": (0, 4),
    "box_head.fcs": (2, 1),
    "box_head.norm": ("none", "batch_norm"),
    "mask_head.norm": ("none", "batch_norm"),
}


@pytest.mark.parametrize("name", PRESETS)
def test_every_number_is_that_of_the_reference(name):
    system, preset = PRESETS[name]
    deep = name.endswith(("v2", "LSJ"))
    expected = SHARED | {field: values[system == "detectron2"] for field, values in SYSTEMS.items()}
    expected |= {field: values[deep] for field, values in DEPTHS.items()}
    assert {field: attrgetter(field)(preset()) for field in expected} == expected


@pytest.mark.parametrize("name", PRESETS)
def test_every_name_and_shape_is_known(name):
    system, preset = PRESETS[name]
    state_dict = json.loads((FOLDER / f"{name}.json").read_text())["state_dict"]
    arrays = {key: np.broadcast_to(np.float32(i), shape) for i, (key, shape) in enumerate(state_dict.items())}
    variables = from_arrays(system, arrays, preset())
    shapes = jax.eval_shape(models.build(preset()).init, jax.random.key(0))
    assert jax.tree.structure(variables) == jax.tree.structure(shapes)
    assert all(jax.tree.leaves(jax.tree.map(lambda array, leaf: array.shape == leaf.shape, variables, shapes)))


def test_another_class_count_changes_only_that():
    for _, preset in PRESETS.values():
        assert preset(num_classes=3).num_classes == 3
        assert preset(num_classes=preset().num_classes) == preset()
    assert presets.detectron2(101).backbone.depth == 101
