"""matterport's Config: its attributes, and the field of ours that each makes."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np
from flax.traverse_util import unflatten_dict

from maskrcnn_jax.config import ConfigError, ExperimentConfig, from_dict


class Config:
    """matterport's configuration: subclass it and override attributes; names, units, defaults are matterport's.

    docs/from_matterport.md says what each becomes. What has no name there is changed by overriding `experiment`.
    """

    NAME: Any = None
    GPU_COUNT = 1
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 1000
    VALIDATION_STEPS = 50
    BACKBONE: Any = "resnet101"
    COMPUTE_BACKBONE_SHAPE: Any = None
    BACKBONE_STRIDES: Sequence[int] = (4, 8, 16, 32, 64)
    FPN_CLASSIF_FC_LAYERS_SIZE = 1024
    TOP_DOWN_PYRAMID_SIZE = 256
    NUM_CLASSES = 1
    RPN_ANCHOR_SCALES: Sequence[float] = (32, 64, 128, 256, 512)
    RPN_ANCHOR_RATIOS: Sequence[float] = (0.5, 1, 2)
    RPN_ANCHOR_STRIDE = 1
    RPN_NMS_THRESHOLD = 0.7
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256
    PRE_NMS_LIMIT = 6000
    POST_NMS_ROIS_TRAINING = 2000
    POST_NMS_ROIS_INFERENCE = 1000
    USE_MINI_MASK = True
    MINI_MASK_SHAPE: Sequence[int] = (56, 56)
    IMAGE_RESIZE_MODE = "square"
    IMAGE_MIN_DIM = 800
    IMAGE_MAX_DIM = 1024
    IMAGE_MIN_SCALE: float = 0
    IMAGE_CHANNEL_COUNT = 3
    MEAN_PIXEL: Any = (123.7, 116.8, 103.9)
    TRAIN_ROIS_PER_IMAGE = 200
    ROI_POSITIVE_RATIO = 0.33
    POOL_SIZE = 7
    MASK_POOL_SIZE = 14
    MASK_SHAPE: Sequence[int] = (28, 28)
    MAX_GT_INSTANCES = 100
    RPN_BBOX_STD_DEV: Any = (0.1, 0.1, 0.2, 0.2)
    BBOX_STD_DEV: Any = (0.1, 0.1, 0.2, 0.2)
    DETECTION_MAX_INSTANCES = 100
    DETECTION_MIN_CONFIDENCE = 0.7
    DETECTION_NMS_THRESHOLD = 0.3
    LEARNING_RATE = 0.001
    LEARNING_MOMENTUM = 0.9
    WEIGHT_DECAY = 0.0001
    LOSS_WEIGHTS: Mapping[str, float] = MappingProxyType(
        dict.fromkeys(("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss"), 1.0)
    )
    USE_RPN_ROIS = True
    TRAIN_BN: bool | None = False
    GRADIENT_CLIP_NORM: float = 5.0

    def experiment(self) -> ExperimentConfig:
        """The configuration that these attributes make, of one epoch, with all layers trained; `MaskRCNN.train` changes both.

        Raises:
          ConfigError: an attribute that matterport does not have, or a value that cannot be used; names the attribute and the remedy.
        """
        values = self._values()
        fields = {field: self._made(field, values) for field in FIELDS}
        try:
            return from_dict(ExperimentConfig, unflatten_dict(fields | CONSTANTS, sep="."))
        except ConfigError as error:
            names = [name for field, (names, _) in FIELDS.items() if _is_about(str(error), field) for name in names]
            raise ConfigError(f"{type(self).__name__}: {error}, made of {' and '.join(names)}; see {PAGE}") from error

    def display(self) -> None:
        """Print all attributes."""
        for name in _names(self):
            print(f"{name:30} {getattr(self, name)}")

    def _values(self) -> dict[str, Any]:
        """All attributes as plain Python values; those that may have one value alone have it."""
        known, own = _names(Config), type(self).__name__
        for name in _names(self):
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = COMPUTED.get(name) or (f"is {near[0]} meant?" if near else "matterport has none of this name.")
                raise ConfigError(f"{own}.{name} would change nothing: {hint} Attributes of your own take lower case; {PAGE} lists all")
        values = {name: _plain(getattr(self, name)) for name in known}
        for name, (only, remedy) in ONLY.items():
            if values[name] != _plain(only):
                raise ConfigError(f"{own}.{name} can only be {only!r} here; got {values[name]!r}. {remedy}")
        if not (isinstance(self.NAME, str) and self.NAME):
            raise ConfigError(f"{own}.NAME is {self.NAME!r}; give it a name, with which the folders of its runs begin")
        return values

    def _made(self, field: str, values: Mapping[str, Any]) -> Any:
        names, make = FIELDS[field]
        try:
            return make(*(values[name] for name in names))
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            given = ", ".join(f"{name} is {values[name]!r}, by default {getattr(Config, name)!r}" for name in names)
            raise ConfigError(f"{type(self).__name__}: {given}: {error}; see {PAGE}") from error


PAGE = "docs/from_matterport.md"
OVERRIDE = "override `experiment`"


def _same(value: Any) -> Any:
    return value


def _coder_weights(deviations: Sequence[float]) -> list[float]:
    """Of dx, dy, dw, dh, from standard deviations of dy, dx, dh, dw."""
    y, x, height, width = deviations
    return [1 / x, 1 / y, 1 / width, 1 / height]


def _depth(name: Any) -> int:
    if not (isinstance(name, str) and name.startswith("resnet")):
        raise ValueError(f'give "resnet50", "resnet101", 18, 34 or 152; for others {OVERRIDE} and set model.backbone')
    return int(name.removeprefix("resnet"))


def _norm(train_bn: bool | None) -> str:
    if train_bn:
        raise ValueError("False freezes batch norms, None trains them; with True matterport uses a batch's statistics in detection, too")
    return "batch_norm" if train_bn is None else "frozen_bn"


def _mask_crop(use: bool, shape: Sequence[int]) -> int | None:
    if use and shape[0] != shape[1]:
        raise ValueError("mini-masks are square here: give the longer side twice")
    return shape[0] if use else None


def _mask_size(pool: int, shape: Sequence[int]) -> int:
    if list(shape) != [2 * pool] * 2:
        raise ValueError("masks are twice as fine as their features: MASK_SHAPE is [2 * MASK_POOL_SIZE] * 2")
    return pool


def _classes(count: int) -> int:
    if count < 2:
        raise ValueError("count the background, too: NUM_CLASSES = 1 + the dataset's classes")
    return count - 1


FIELDS: dict[str, tuple[tuple[str, ...], Callable[..., Any]]] = {
    "data.mask_crop": (("USE_MINI_MASK", "MINI_MASK_SHAPE"), _mask_crop),
    "data.max_objects": (("MAX_GT_INSTANCES",), _same),
    "eval.batch_size": (("IMAGES_PER_GPU",), _same),
    "eval.every": (("STEPS_PER_EPOCH",), _same),
    "eval.max_images": (("VALIDATION_STEPS", "IMAGES_PER_GPU", "GPU_COUNT"), lambda steps, images, devices: steps * images * devices),
    "model.anchors.ratios": (("RPN_ANCHOR_RATIOS",), lambda ratios: sorted(1 / ratio for ratio in ratios)),  # theirs: width over height
    "model.anchors.sizes": (("RPN_ANCHOR_SCALES",), _same),
    "model.assign.roi_positive_fraction": (("ROI_POSITIVE_RATIO",), _same),
    "model.assign.roi_samples": (("TRAIN_ROIS_PER_IMAGE",), _same),
    "model.assign.rpn_samples": (("RPN_TRAIN_ANCHORS_PER_IMAGE",), _same),
    "model.backbone.depth": (("BACKBONE",), _depth),
    "model.backbone.norm": (("TRAIN_BN",), _norm),
    "model.box_head.fc_width": (("FPN_CLASSIF_FC_LAYERS_SIZE",), _same),
    "model.detect.coder_weights": (("BBOX_STD_DEV",), _coder_weights),
    "model.detect.max_detections": (("DETECTION_MAX_INSTANCES",), _same),
    "model.detect.nms_threshold": (("DETECTION_NMS_THRESHOLD",), _same),
    "model.detect.score_threshold": (("DETECTION_MIN_CONFIDENCE",), _same),
    "model.fpn.channels": (("TOP_DOWN_PYRAMID_SIZE",), _same),
    "model.input.canvases": (("IMAGE_MAX_DIM",), lambda side: [[side, side]]),
    "model.input.max_side": (("IMAGE_MAX_DIM",), _same),
    "model.input.mean": (("MEAN_PIXEL",), _same),
    "model.input.min_side": (("IMAGE_MIN_DIM", "IMAGE_MAX_DIM"), min),
    "model.num_classes": (("NUM_CLASSES",), _classes),
    "model.pool.box_size": (("POOL_SIZE",), _same),
    "model.pool.mask_size": (("MASK_POOL_SIZE", "MASK_SHAPE"), _mask_size),
    "model.propose.coder_weights": (("RPN_BBOX_STD_DEV",), _coder_weights),
    "model.propose.nms_threshold": (("RPN_NMS_THRESHOLD",), _same),
    "model.propose.post_nms_top_k_test": (("POST_NMS_ROIS_INFERENCE",), _same),
    "model.propose.post_nms_top_k_train": (("POST_NMS_ROIS_TRAINING",), _same),
    "model.propose.pre_nms_top_k_test": (("PRE_NMS_LIMIT",), lambda limit: -(-limit // 5)),  # of all five levels there, of each here
    "model.propose.pre_nms_top_k_train": (("PRE_NMS_LIMIT",), lambda limit: -(-limit // 5)),
    "optimizer.clip_norm": (("GRADIENT_CLIP_NORM",), _same),
    "optimizer.learning_rate": (("LEARNING_RATE",), _same),
    "optimizer.momentum": (("LEARNING_MOMENTUM",), _same),
    "optimizer.weight_decay": (("WEIGHT_DECAY",), _same),
    "train.batch_size": (("IMAGES_PER_GPU", "GPU_COUNT"), lambda images, devices: images * devices),
    "train.checkpoint_every": (("STEPS_PER_EPOCH",), _same),
    "train.devices": (("GPU_COUNT",), _same),
    "train.steps": (("STEPS_PER_EPOCH",), _same),
}
"""Field of an ExperimentConfig -> the attributes that make it, and how."""

CONSTANTS: dict[str, Any] = {
    "data.kind": "own",
    "data.augment.flip": 0.0,  # nothing is augmented but by the argument of `train`
    "eval.losses": True,
    "model.assign.append_ground_truth": False,
    "model.backbone.frozen_stages": 0,
    "model.loss.mask_target": "binary",
    "model.loss.roi_box_beta": 1.0,
    "model.loss.rpn_box_beta": 1.0,
    "optimizer.decay": "not_norms",
    "optimizer.warmup_steps": 0,
}
"""What matterport's code fixes and is a field here."""

ONLY: dict[str, tuple[Any, str]] = {
    "BACKBONE_STRIDES": ((4, 8, 16, 32, 64), "The pyramid's levels have these strides; other objects' sizes want other RPN_ANCHOR_SCALES."),
    "COMPUTE_BACKBONE_SHAPE": (None, f"Shapes follow from the trunk; for another one {OVERRIDE} and set model.backbone."),
    "IMAGE_CHANNEL_COUNT": (
        3,
        f"For other channels {OVERRIDE} and set channels, mean and std of model.input: matterport has no name for the last.",
    ),
    "IMAGE_MIN_SCALE": (0, "Raise IMAGE_MIN_DIM, to which the short side is brought."),
    "IMAGE_RESIZE_MODE": (
        "square",
        f'For pad64 {OVERRIDE} and set model.input.canvas "multiple", multiple 64; for crop set data.augment.crop or scale there; '
        "every image is resized.",
    ),
    "LOSS_WEIGHTS": (
        dict(Config.LOSS_WEIGHTS),
        f'The five losses are summed as they are; to move a part more slowly {OVERRIDE} and set optimizer.layer_rates ("rpn_head/*=0.5").',
    ),
    "RPN_ANCHOR_STRIDE": (1, "Every cell has anchors; give fewer RPN_ANCHOR_RATIOS, or a lower PRE_NMS_LIMIT."),
    "USE_RPN_ROIS": (True, "The heads are trained on the RPN's proposals; on RoIs of your own by maskrcnn_jax.models.mask_rcnn.supervise."),
}
"""Attribute -> the one value that it may have, and what to do instead of another."""

COMPUTED = {
    "BATCH_SIZE": "it is IMAGES_PER_GPU times GPU_COUNT, set those.",
    "IMAGE_SHAPE": "it is IMAGE_MAX_DIM twice and 3, set that.",
    "IMAGE_META_SIZE": "images carry no such vector.",
}
"""What matterport computes of other attributes."""


def _names(config: Config | type[Config]) -> list[str]:
    return [name for name in dir(config) if name.isupper() and not name.startswith("_")]


def _plain(value: Any) -> Any:
    """Arrays, tuples and NumPy's numbers as lists and Python's numbers."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _is_about(message: str, field: str) -> bool:
    """Whether the error of a configuration is about a field: it begins with its dotted name, or with its class and name."""
    owner: Any = ExperimentConfig
    *above, name = field.split(".")
    for part in above:
        owner = get_type_hints(owner)[part]
    return message.startswith((f"{field} ", f"{owner.__name__}.{name} "))
