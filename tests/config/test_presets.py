"""The presets are the models whose weights they are for: every name and shape, without reading a weight."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import presets
from maskrcnn_jax.weights import from_arrays

GOLDEN = Path(__file__).parent.parent / "golden"
CASES = {
    "tv_maskrcnn_resnet50_fpn": ("torchvision", presets.torchvision_v1),
    "tv_maskrcnn_resnet50_fpn_v2": ("torchvision", presets.torchvision_v2),
    "d2_mask_rcnn_R_50_FPN_1x": ("detectron2", presets.detectron2),
    "d2_mask_rcnn_R_50_FPN_100ep_LSJ": ("detectron2", presets.detectron2_lsj),
}


@pytest.mark.parametrize("name", CASES)
def test_every_name_and_shape_is_known(name):
    system, preset = CASES[name]
    state_dict = json.loads((GOLDEN / f"{name}.json").read_text())["state_dict"]
    arrays = {key: np.broadcast_to(np.float32(i), shape) for i, (key, shape) in enumerate(state_dict.items())}
    variables = from_arrays(system, arrays, preset())
    shapes = jax.eval_shape(models.build(preset()).init, jax.random.key(0))
    assert jax.tree.structure(variables) == jax.tree.structure(shapes)
    assert all(jax.tree.leaves(jax.tree.map(lambda array, leaf: array.shape == leaf.shape, variables, shapes)))


def test_another_class_count_changes_only_that():
    for _, preset in CASES.values():
        assert preset(num_classes=3).num_classes == 3
        assert preset(num_classes=preset().num_classes) == preset()
    assert presets.detectron2(101).backbone.depth == 101
