"""Detectors of torchvision and Detectron2 to variables and back, small ones with random numbers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import BackboneConfig, presets
from maskrcnn_jax.weights import WeightsError, from_arrays, to_arrays

SYSTEMS = {"torchvision": presets.torchvision_v1, "detectron2": presets.detectron2}
DEEP = {"torchvision": presets.torchvision_v2, "detectron2": presets.detectron2_lsj}


def small(preset, **changes):
    """A preset with a thin ResNet-18, 32 channels and three classes."""
    config = preset(num_classes=3)
    return replace(
        config,
        backbone=BackboneConfig(depth=18, width=16, norm=config.backbone.norm, frozen_stages=0),
        fpn=replace(config.fpn, channels=32),
        box_head=replace(config.box_head, conv_channels=32, fc_width=48, **changes),
        mask_head=replace(config.mask_head, channels=32, **changes),
    )


def arrays_of(system, config):
    """A state dict of that model, every number another."""
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    counter = iter(range(1, 1000))
    variables = jax.tree.map(lambda leaf: np.random.default_rng(next(counter)).random(leaf.shape, np.float32), shapes)
    return to_arrays(system, variables, config)


@pytest.mark.parametrize(("system", "agnostic"), [("torchvision", False), ("detectron2", False), ("detectron2", True)])
@pytest.mark.parametrize("presets_of", [SYSTEMS, DEEP])
def test_there_and_back(system, presets_of, agnostic):
    config = small(presets_of[system], class_agnostic=agnostic)
    arrays = arrays_of(system, config)
    back = to_arrays(system, from_arrays(system, arrays, config), config)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == np.float32
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize("part", ["box_head", "mask_head"])
def test_torchvision_has_no_class_agnostic_heads(part):
    config = small(presets.torchvision_v1)
    config = replace(config, **{part: replace(getattr(config, part), class_agnostic=True)})
    with pytest.raises(WeightsError, match="must not be class_agnostic"):
        arrays_of("torchvision", config)


def test_layouts_and_classes_by_hand():
    config = small(presets.detectron2)
    arrays = arrays_of("detectron2", config)
    params = from_arrays("detectron2", arrays, config)["params"]
    score = arrays["roi_heads.box_predictor.cls_score.weight"]
    assert score.shape == (4, 48)
    np.testing.assert_array_equal(params["box_head"]["classes"]["kernel"], score[[3, 0, 1, 2]].T)  # background is the last there
    boxes = arrays["roi_heads.box_predictor.bbox_pred.bias"]
    assert boxes.shape == (12,)
    np.testing.assert_array_equal(params["box_head"]["deltas"]["bias"], np.concatenate([np.zeros(4), boxes]))
    kernel = arrays["roi_heads.box_head.fc1.weight"]  # reads 32 channels of 7 x 7 cells, channels first
    np.testing.assert_array_equal(params["box_head"]["fc0"]["kernel"][(2 * 7 + 5) * 32 + 6], kernel[:, 6 * 49 + 2 * 7 + 5])
    deconv = arrays["roi_heads.mask_head.deconv.weight"]  # [in, out, row, column]
    np.testing.assert_array_equal(params["mask_head"]["deconv"]["kernel"][3, 0, 1], deconv[3, :, 0, 1])
    assert arrays["roi_heads.mask_head.predictor.weight"].shape == (3, 32, 1, 1)
    assert not params["mask_head"]["masks"]["kernel"][:, 0].any()


def test_names_of_older_torchvisions_and_of_wrappers():
    config = small(presets.torchvision_v1)
    arrays = arrays_of("torchvision", config)
    before = {"_blocks.0.0.": "_blocks.0.", "rpn.head.conv.0.0.": "rpn.head.conv.", "mask_head.2.0.": "mask_head.mask_fcn3."}
    older = dict(arrays)
    for today, then in before.items():
        older = {name.replace(today, then): array for name, array in older.items()}
    assert len(older.keys() - arrays.keys()) == 8
    wrapped = {f"_orig_mod.module.{name}": x for name, x in older.items()} | {"module.x.num_batches_tracked": np.array(3)}
    found, expected = (from_arrays("torchvision", a, config) for a in (wrapped, arrays))
    assert jax.tree.all(jax.tree.map(np.array_equal, found, expected))


@pytest.mark.parametrize("twin", ["module.rpn.head.cls_logits.bias", "rpn.head.conv.bias"])
def test_one_array_under_two_names(twin):
    config = small(presets.torchvision_v1)
    with pytest.raises(WeightsError, match="is there twice"):
        from_arrays("torchvision", arrays_of("torchvision", config) | {twin: np.zeros(3)}, config)


@pytest.mark.parametrize("dtype", [np.float16, jnp.bfloat16])
def test_half_precision_becomes_float32(dtype):
    config = small(presets.torchvision_v1)
    arrays = {name: array.astype(dtype) for name, array in arrays_of("torchvision", config).items()}
    for leaf in jax.tree.leaves(from_arrays("torchvision", arrays, config)):
        assert leaf.dtype == np.float32
    bias = from_arrays("torchvision", arrays, config)["params"]["box_head"]["fc1"]["bias"]
    np.testing.assert_array_equal(bias, arrays["roi_heads.box_head.fc7.bias"].astype(np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_an_error_that_names_their_array(value):
    config = small(presets.torchvision_v1)
    arrays = arrays_of("torchvision", config)
    arrays["rpn.head.cls_logits.bias"][1] = value
    with pytest.raises(WeightsError, match=r"not all numbers are finite in rpn\.head\.cls_logits\.bias; give"):
        from_arrays("torchvision", arrays, config)


def test_all_that_does_not_fit_is_in_one_error():
    config = small(presets.torchvision_v1)
    arrays = arrays_of("torchvision", config)
    dropped = sorted(arrays)[::9]
    arrays = {name: array for name, array in arrays.items() if name not in dropped}
    arrays["roi_heads.keypoint_head.0.weight"] = np.zeros(3)
    arrays["rpn.head.cls_logits.bias"] = np.zeros(5)
    with pytest.raises(WeightsError) as error:
        from_arrays("torchvision", arrays, config)
    first, *listed = str(error.value).split("\n  ")
    assert "torchvision" in first
    assert "num_classes" in first
    expected = ["unexpected roi_heads.keypoint_head.0.weight", "rpn.head.cls_logits.bias is (5,); the model has (3,)"]
    assert sorted(listed) == sorted(expected + [f"missing {name}" for name in dropped])


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_vgg_has_no_names_there(system):
    config = replace(small(SYSTEMS[system]), backbone=BackboneConfig(kind="vgg", depth=16, width=16))
    for convert in (to_arrays, from_arrays):
        with pytest.raises(WeightsError, match=f"{system} has no Mask R-CNN with backbone.kind vgg, .* or take kind resnet"):
            convert(system, {}, config)
