"""Each attribute of matterport's Config makes the fields that docs/from_matterport.md names, or is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax import ConfigError, matterport
from maskrcnn_jax.config import ExperimentConfig, differing, from_dict, to_dict
from maskrcnn_jax.matterport.config import FIELDS, ONLY

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "from_matterport.md").read_text(encoding="utf-8")
ATTRIBUTES = {name for name in dir(matterport.Config) if name.isupper()}


class Balloon(matterport.Config):
    NAME = "balloon"
    NUM_CLASSES = 1 + 1


def experiment(**values):
    return type("Other", (Balloon,), values)().experiment()


def test_matterport_defaults_as_fields():
    config = experiment()
    assert isinstance(config, ExperimentConfig)
    assert from_dict(ExperimentConfig, to_dict(config)) == config
    model, data, train = config.model, config.data, config.train
    assert (model.num_classes, model.backbone.depth, model.backbone.norm, model.backbone.frozen_stages) == (1, 101, "frozen_bn", 0)
    assert (model.input.min_side, model.input.max_side, model.input.canvases) == (800, 1024, ((1024, 1024),))
    assert model.input.mean == (123.7, 116.8, 103.9)
    assert (model.anchors.sizes, model.anchors.ratios) == ((32.0, 64.0, 128.0, 256.0, 512.0), (0.5, 1.0, 2.0))
    assert (model.propose.pre_nms_top_k_train, model.propose.pre_nms_top_k_test) == (1200, 1200)
    assert (model.propose.post_nms_top_k_train, model.propose.post_nms_top_k_test) == (2000, 1000)
    assert model.propose.coder_weights == model.detect.coder_weights == (10.0, 10.0, 5.0, 5.0)
    assert (model.assign.roi_samples, model.assign.roi_max_positives, model.assign.append_ground_truth) == (200, 66, False)
    assert (model.detect.score_threshold, model.detect.nms_threshold, model.detect.max_detections) == (0.7, 0.3, 100)
    assert (model.loss.rpn_box_beta, model.loss.roi_box_beta, model.loss.mask_target) == (1.0, 1.0, "binary")
    assert (data.kind, data.max_objects, data.mask_crop, data.augment.flip) == ("own", 100, 56, 0.0)
    assert (train.steps, train.batch_size, train.devices, train.checkpoint_every) == (1000, 2, 1, 1000)
    assert (config.eval.every, config.eval.batch_size, config.eval.max_images, config.eval.losses) == (1000, 2, 100, True)
    optimizer = config.optimizer
    assert (optimizer.kind, optimizer.learning_rate, optimizer.momentum, optimizer.clip_norm) == ("sgd", 0.001, 0.9, 5.0)
    assert (optimizer.weight_decay, optimizer.warmup_steps, optimizer.milestones, optimizer.decay) == (1e-4, 0, (), "not_norms")


CHANGES = [
    ({"GPU_COUNT": 3}, {"train.batch_size": 6, "train.devices": 3, "eval.max_images": 300}),
    ({"IMAGES_PER_GPU": 4}, {"train.batch_size": 4, "eval.batch_size": 4, "eval.max_images": 200}),
    ({"STEPS_PER_EPOCH": 7}, {"train.steps": 7, "train.checkpoint_every": 7, "eval.every": 7}),
    ({"VALIDATION_STEPS": 5}, {"eval.max_images": 10}),
    ({"BACKBONE": "resnet50"}, {"model.backbone.depth": 50}),
    ({"TRAIN_BN": None}, {"model.backbone.norm": "batch_norm"}),
    ({"FPN_CLASSIF_FC_LAYERS_SIZE": 64}, {"model.box_head.fc_width": 64}),
    ({"TOP_DOWN_PYRAMID_SIZE": 64}, {"model.fpn.channels": 64}),
    ({"NUM_CLASSES": np.int64(4)}, {"model.num_classes": 3}),
    ({"RPN_ANCHOR_SCALES": np.array([8, 16, 32, 64, 128])}, {"model.anchors.sizes": [8.0, 16.0, 32.0, 64.0, 128.0]}),
    ({"RPN_ANCHOR_RATIOS": [1, 4]}, {"model.anchors.ratios": [0.25, 1.0]}),
    ({"RPN_NMS_THRESHOLD": 0.9}, {"model.propose.nms_threshold": 0.9}),
    ({"RPN_TRAIN_ANCHORS_PER_IMAGE": 64}, {"model.assign.rpn_samples": 64}),
    ({"PRE_NMS_LIMIT": 101}, {"model.propose.pre_nms_top_k_train": 21, "model.propose.pre_nms_top_k_test": 21}),
    ({"POST_NMS_ROIS_TRAINING": 500}, {"model.propose.post_nms_top_k_train": 500}),
    ({"POST_NMS_ROIS_INFERENCE": 500}, {"model.propose.post_nms_top_k_test": 500}),
    ({"USE_MINI_MASK": False}, {"data.mask_crop": None}),
    ({"MINI_MASK_SHAPE": (28, 28)}, {"data.mask_crop": 28}),
    ({"IMAGE_MIN_DIM": 512}, {"model.input.min_side": 512}),
    ({"IMAGE_MAX_DIM": 512}, {"model.input.min_side": 512, "model.input.max_side": 512, "model.input.canvases": [[512, 512]]}),
    ({"MEAN_PIXEL": np.array([1.0, 2.0, 3.0])}, {"model.input.mean": [1.0, 2.0, 3.0]}),
    ({"TRAIN_ROIS_PER_IMAGE": 32}, {"model.assign.roi_samples": 32}),
    ({"ROI_POSITIVE_RATIO": 0.5}, {"model.assign.roi_positive_fraction": 0.5}),
    ({"POOL_SIZE": 5}, {"model.pool.box_size": 5}),
    ({"MASK_POOL_SIZE": 7, "MASK_SHAPE": [14, 14]}, {"model.pool.mask_size": 7}),
    ({"MAX_GT_INSTANCES": 20}, {"data.max_objects": 20}),
    ({"RPN_BBOX_STD_DEV": np.array([1.0, 0.5, 0.25, 0.125])}, {"model.propose.coder_weights": [2.0, 1.0, 8.0, 4.0]}),
    ({"BBOX_STD_DEV": np.array([1.0, 0.5, 0.25, 0.125])}, {"model.detect.coder_weights": [2.0, 1.0, 8.0, 4.0]}),
    ({"DETECTION_MAX_INSTANCES": 10}, {"model.detect.max_detections": 10}),
    ({"DETECTION_MIN_CONFIDENCE": 0.9}, {"model.detect.score_threshold": 0.9}),
    ({"DETECTION_NMS_THRESHOLD": 0.5}, {"model.detect.nms_threshold": 0.5}),
    ({"LEARNING_RATE": 0.01}, {"optimizer.learning_rate": 0.01}),
    ({"LEARNING_MOMENTUM": 0.5}, {"optimizer.momentum": 0.5}),
    ({"WEIGHT_DECAY": 0}, {"optimizer.weight_decay": 0.0}),
    ({"GRADIENT_CLIP_NORM": 1}, {"optimizer.clip_norm": 1.0}),
]


@pytest.mark.parametrize(("values", "fields"), CHANGES, ids=[next(iter(values)) for values, _ in CHANGES])
def test_an_attribute_makes_these_fields_and_no_other(values, fields):
    changed = differing(experiment(), experiment(**values))
    assert {name: new for name, (_, new) in changed.items()} == fields


def test_every_attribute_makes_a_field_or_can_have_one_value_alone():
    mapped = {name for names, _ in FIELDS.values() for name in names}
    assert mapped | set(ONLY) | {"NAME"} == ATTRIBUTES
    assert not mapped & set(ONLY)
    assert {name for values, _ in CHANGES for name in values} == mapped


def test_the_table_of_the_page_is_that_of_the_code():
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| (.*?) \|", PAGE, re.MULTILINE)
    told = {
        name: set(re.findall(r"`((?:model|data|train|eval|optimizer)\.[a-z_.]+)`", cell))
        for names, cell in rows
        for name in re.findall(r"\w+", names)
    }
    fields = {name: {field for field, (names, _) in FIELDS.items() if name in names} for name in ATTRIBUTES}
    assert {name: found for name, found in told.items() if fields.get(name)} == {name: made for name, made in fields.items() if made}
    assert set(told) == ATTRIBUTES


REFUSED = [
    ({"NAME": None}, "NAME is None", "give it a name"),
    ({"NUM_CLASSES": 1}, "NUM_CLASSES is 1", "count the background"),
    ({"BACKBONE": len}, "BACKBONE is <built-in function len>", "set model.backbone"),
    ({"BACKBONE": "resnet51"}, "model.backbone.depth must be", "made of BACKBONE"),
    ({"COMPUTE_BACKBONE_SHAPE": len}, "COMPUTE_BACKBONE_SHAPE can only be None", "override `experiment`"),
    ({"BACKBONE_STRIDES": [4, 8, 16, 32]}, "BACKBONE_STRIDES", "RPN_ANCHOR_SCALES"),
    ({"RPN_ANCHOR_SCALES": (8, 16)}, "AnchorConfig.sizes needs five values", "made of RPN_ANCHOR_SCALES"),
    ({"RPN_ANCHOR_SCALES": ((8, 16), (32,))}, "model.anchors.sizes must be", "made of RPN_ANCHOR_SCALES"),
    ({"RPN_ANCHOR_RATIOS": (0, 1)}, "RPN_ANCHOR_RATIOS is [0, 1]", "by default (0.5, 1, 2)"),
    ({"RPN_ANCHOR_STRIDE": 2}, "RPN_ANCHOR_STRIDE can only be 1", "RPN_ANCHOR_RATIOS"),
    ({"RPN_BBOX_STD_DEV": (0.1, 0.1)}, "RPN_BBOX_STD_DEV is [0.1, 0.1]", "by default"),
    ({"RPN_NMS_THRESHOLD": 2.0}, "ProposeConfig.nms_threshold", "made of RPN_NMS_THRESHOLD;"),
    ({"DETECTION_NMS_THRESHOLD": 2.0}, "DetectConfig.nms_threshold", "made of DETECTION_NMS_THRESHOLD;"),
    ({"MINI_MASK_SHAPE": (56, 28)}, "MINI_MASK_SHAPE is [56, 28]", "square"),
    ({"MASK_SHAPE": [56, 56]}, "MASK_SHAPE is [56, 56]", "[2 * MASK_POOL_SIZE] * 2"),
    ({"IMAGE_MAX_DIM": 1000}, "InputConfig.canvases sides must be positive multiples of 32", "made of IMAGE_MAX_DIM"),
    ({"IMAGE_MIN_DIM": None}, "IMAGE_MIN_DIM is None", "by default 800"),
    ({"IMAGE_MIN_SCALE": 2.0}, "IMAGE_MIN_SCALE can only be 0", "Raise IMAGE_MIN_DIM"),
    ({"IMAGE_RESIZE_MODE": "pad64"}, "IMAGE_RESIZE_MODE can only be 'square'", "model.input.canvas"),
    ({"IMAGE_CHANNEL_COUNT": 4}, "IMAGE_CHANNEL_COUNT can only be 3", "model.input"),
    ({"LOSS_WEIGHTS": {"rpn_class_loss": 2.0}}, "LOSS_WEIGHTS", "optimizer.layer_rates"),
    ({"USE_RPN_ROIS": False}, "USE_RPN_ROIS can only be True", "supervise"),
    ({"TRAIN_BN": True}, "TRAIN_BN is True", "None trains them"),
    ({"IMAGES_PER_GPU": "2"}, "must be int", "made of IMAGES_PER_GPU"),
    ({"BATCH_SIZE": 8}, "BATCH_SIZE would change nothing", "IMAGES_PER_GPU times GPU_COUNT"),
    ({"IMAGE_MAXDIM": 8}, "IMAGE_MAXDIM would change nothing", "is IMAGE_MAX_DIM meant?"),
    ({"QUX": 8}, "QUX would change nothing", "none of this name"),
]


@pytest.mark.parametrize(("values", "fault", "remedy"), REFUSED, ids=[next(iter(values)) for values, *_ in REFUSED])
def test_what_cannot_be_had_is_refused_by_name(values, fault, remedy):
    with pytest.raises(ConfigError) as refused:
        experiment(**values)
    assert fault in str(refused.value)
    assert remedy in str(refused.value)
    assert str(refused.value).startswith("Other")


def test_attributes_of_your_own_take_lower_case_and_instances_may_change_theirs():
    config = Balloon()
    config.folder = "/data"
    config.LEARNING_RATE = 0.5
    assert config.experiment().optimizer.learning_rate == 0.5
    config.LEARNIN_RATE = 0.5
    with pytest.raises(ConfigError, match="is LEARNING_RATE meant"):
        config.experiment()


def test_loss_weights_cannot_be_changed_in_place():
    with pytest.raises(TypeError):
        Balloon.LOSS_WEIGHTS["rpn_class_loss"] = 2.0
    assert experiment(LOSS_WEIGHTS=dict(Balloon.LOSS_WEIGHTS)) == experiment()


def test_display_prints_all(capsys):
    Balloon().display()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(lines) == ATTRIBUTES
    assert lines["NUM_CLASSES"] == "2"
