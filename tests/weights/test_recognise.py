"""Models told from the names and shapes of their arrays."""

from dataclasses import replace
from functools import cache

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import presets
from maskrcnn_jax.weights import WeightsError, from_arrays, other_numerics, recognise, system_of, to_arrays, unlike_published
from tests.golden.reference import PRESETS, Reference

THIN = {"backbone": {"depth": 18, "width": 16, "stride_on": "3x3"}}  # few arrays to trace


@cache
def arrays_of(system, config):
    """Names and shapes of a state dict, without numbers."""
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    zeros = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    return to_arrays(system, zeros, config)


def changed(config, **parts):
    """`config` with fields of its parts changed."""
    return replace(config, **{part: replace(getattr(config, part), **fields) for part, fields in parts.items()})


@pytest.mark.parametrize("name", PRESETS)
def test_the_real_networks(name):
    system, preset = PRESETS[name]
    shapes = Reference(name).about["state_dict"]
    arrays = {f"module.{name}": np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    assert recognise(arrays) == (system, preset())


@pytest.mark.parametrize(
    ("system", "config"),
    [
        ("torchvision", changed(presets.torchvision_v1(1), pool={"box_size": 5}, fpn={"channels": 48}, **THIN)),
        ("torchvision", changed(presets.torchvision_v1(7), backbone={"groups": 32, "width_per_group": 4})),
        ("torchvision", changed(presets.torchvision_v2(3), backbone={"depth": 34}, mask_head={"convs": 2, "channels": 64})),
        ("torchvision", changed(presets.torchvision_v2(3), box_head={"convs": 3, "fcs": 2, "fc_width": 40, "conv_channels": 24}, **THIN)),
        ("detectron2", changed(presets.detectron2(), box_head={"class_agnostic": True}, mask_head={"class_agnostic": True}, **THIN)),
        ("detectron2", changed(presets.detectron2_lsj(1), rpn_head={"convs": 4}, **THIN)),
    ],
)
def test_other_depths_widths_and_heads(system, config):
    assert recognise(arrays_of(system, config)) == (system, config)


def test_detectron2_s_resnext_strides_in_its_3x3_convolution_and_has_another_scale():
    config = presets.detectron2()
    backbone = replace(config.backbone, groups=32, width_per_group=4, stride_on="3x3")
    config = replace(config, backbone=backbone, input=replace(config.input, std=(57.375, 57.12, 58.395)))
    assert recognise(arrays_of("detectron2", config)).config == config


def test_constants_of_the_input_are_taken_where_the_file_has_them():
    arrays = arrays_of("detectron2", changed(presets.detectron2(), **THIN))
    arrays |= {"pixel_mean": np.array([1.0, 2, 3]).reshape(3, 1, 1), "pixel_std": np.array([4.0, 5, 6]).reshape(3, 1, 1)}
    image = recognise(arrays).config.input
    assert (image.mean, image.std, image.channel_order) == ((1, 2, 3), (4, 5, 6), "bgr")
    arrays |= {"pixel_mean": np.array([123.675, 116.28, 103.53], np.float32), "pixel_std": np.array([58.395, 57.12, 57.375], np.float32)}
    image = recognise(arrays).config.input
    assert (image.mean, image.std, image.channel_order) == ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), "rgb")


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([1.0, 2, 3], [1.0, 0, 1], "pixel_std is (1.0, 0.0, 1.0), whose numbers must be positive"),
        ([1.0], [1.0, 1, 1], "pixel_mean has 1 numbers, and images 3 channels"),
    ],
)
def test_constants_of_the_input_that_cannot_be_are_an_error(mean, std, message):
    arrays = arrays_of("detectron2", changed(presets.detectron2(), **THIN)) | {"pixel_mean": np.array(mean), "pixel_std": np.array(std)}
    with pytest.raises(WeightsError) as error:
        recognise(arrays)
    assert message in str(error.value)


def test_counters_tell_that_the_backbone_s_norms_were_trained():
    arrays = arrays_of("torchvision", changed(presets.torchvision_v1(), **THIN))
    assert recognise(arrays).config.backbone.norm == "frozen_bn"
    arrays = arrays | {"backbone.body.bn1.num_batches_tracked": np.array(7)}
    assert recognise(arrays).config.backbone.norm == "batch_norm"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["conv1.weight", "layer1.0.conv1.weight"], "a classifier's weights, not a detector's; train with them: --train.weights"),
        (["module.features.0.weight"], "a classifier's weights"),
        (["backbone.res2.0.conv1.weight", "roi_heads.res5.0.conv1.weight"], "C4 or DC5"),
        (["a", "b"], "neither torchvision's nor Detectron2's names (a, b, ...)"),
        (["backbone.body.conv1.weight"], "torchvision's names, but not those of a Mask R-CNN with a feature"),
    ],
)
def test_what_is_no_mask_rcnn_is_an_error_that_says_what_it_is(names, message):
    with pytest.raises(WeightsError) as error:
        recognise({name: np.zeros(3) for name in names})
    assert message in str(error.value)


def without(arrays, *parts):
    """`arrays` but for those whose name has one of `parts`."""
    return {name: array for name, array in arrays.items() if not any(part in name for part in parts)}


@pytest.mark.parametrize(
    ("system", "preset", "lacks"),
    [
        ("torchvision", presets.torchvision_v1, ["mask"]),
        ("torchvision", presets.torchvision_v1, ["fc6", "fc7", "rpn.head.cls_logits.weight"]),
        ("torchvision", presets.torchvision_v2, ["box_head.5.", "mask_head.1.0.", "rpn.head.conv.0."]),
        ("torchvision", presets.torchvision_v2, ["roi_heads.box_head.", "mask_head"]),
        ("detectron2", presets.detectron2, ["mask_fcn", "fc1", "rpn_head.conv."]),
        ("detectron2", presets.detectron2_lsj, ["conv.conv0", "fpn_lateral2.norm", "predictor.weight", "cls_score"]),
    ],
)
def test_all_that_is_missing_is_in_one_error(system, preset, lacks):
    whole = arrays_of(system, changed(preset(num_classes=3), **THIN))
    arrays = without(whole, *lacks)
    with pytest.raises(WeightsError) as error:
        recognise(arrays)
    first, *listed = str(error.value).split("\n  ")
    assert "from_arrays takes a config of your own" in first
    assert sorted(listed) == sorted(f"missing {name}" for name in whole.keys() - arrays.keys())


@pytest.mark.parametrize(
    ("system", "preset", "lacks"),
    [
        ("torchvision", presets.torchvision_v1, ["mask_head.1.0."]),
        ("torchvision", presets.torchvision_v2, ["rpn.head.conv.0.", "roi_heads.box_head.3.", "mask_head.3.0."]),
        ("torchvision", presets.torchvision_v1, ["roi_heads.mask_head."]),
        ("detectron2", presets.detectron2_lsj, ["conv.conv1.", "box_head.conv4.weight", "mask_fcn2", "res3.0."]),
    ],
)
def test_a_gap_is_no_shallower_model(system, preset, lacks):
    config = changed(preset(num_classes=3), **THIN)
    whole = arrays_of(system, config)
    arrays = without(whole, *lacks)
    assert recognise(arrays).config == config
    with pytest.raises(WeightsError) as error:
        from_arrays(system, arrays, config)
    assert all(f"missing {name}" in str(error.value) for name in whole.keys() - arrays.keys())
    assert "unexpected" not in str(error.value)


@pytest.mark.parametrize(
    ("system", "preset", "lacks", "lines"),
    [
        ("torchvision", presets.torchvision_v1, [], []),
        ("torchvision", presets.torchvision_v2, [], []),
        ("torchvision", presets.torchvision_v1, ["fc7"], ["model.box_head.fcs is 1, in torchvision's own models 2"]),
        ("torchvision", presets.torchvision_v1, ["mask_head.3.0."], ["model.mask_head.convs is 3, in torchvision's own models 4"]),
        ("torchvision", presets.torchvision_v2, ["rpn.head.conv.1."], ["model.rpn_head.convs is 1, in torchvision's own models 2"]),
        ("detectron2", presets.detectron2, ["fc2"], ["model.box_head.fcs is 1, in detectron2's own models 2"]),
        ("detectron2", presets.detectron2, ["mask_fcn4"], ["model.mask_head.convs is 3, in detectron2's own models 4"]),
        ("detectron2", presets.detectron2_lsj, ["box_head.conv4"], ["model.box_head.convs is 3, in detectron2's own models 4"]),
    ],
)
def test_a_head_s_last_layer_that_is_not_there_is_told(system, preset, lacks, lines):
    arrays = without(arrays_of(system, changed(preset(num_classes=3), **THIN)), *lacks)
    assert unlike_published(system, recognise(arrays).config) == lines


def test_more_anchors_a_cell_are_an_error_that_names_the_way():
    config = changed(presets.detectron2(), anchors={"ratios": (0.5, 1.0, 2.0, 4.0)}, **THIN)
    with pytest.raises(WeightsError) as error:
        recognise(arrays_of("detectron2", config))
    assert "4 anchors a cell, whose ratios the weights do not tell" in str(error.value)
    assert "from_arrays takes a config of your own" in str(error.value)


def test_system():
    assert system_of({"module.backbone.bottom_up.stem.conv1.weight": np.zeros(3)}) == "detectron2"
    assert system_of({"_orig_mod.backbone.body.conv1.weight": np.zeros(3)}) == "torchvision"
    assert system_of({"layer1.0.conv1.weight": np.zeros(3)}) is None


def test_differences_are_what_the_weights_do_not_tell_and_inference_reads():
    config = changed(presets.torchvision_v1(3), **THIN)
    assert other_numerics(config, arrays_of("torchvision", config)) == []
    ours = changed(config, pool={"aligned": True}, assign={"roi_samples": 32}, loss={"rpn_box_beta": 0.0}, detect={"max_detections": 7})
    ours = changed(ours, backbone={"norm": "batch_norm", "frozen_stages": 5})
    assert other_numerics(ours, arrays_of("torchvision", ours)) == [
        "model.pool.aligned is True here, False there",
        "model.detect.max_detections is 7 here, 100 there",
    ]
    more = changed(config, anchors={"ratios": (1.0,)})
    (line,) = other_numerics(more, arrays_of("torchvision", more))
    assert "1 anchors a cell" in line
