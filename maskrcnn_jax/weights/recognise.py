"""Whose weights these are, and of which model: told from the names and shapes of the arrays alone."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

from maskrcnn_jax.config import BackboneConfig, ConfigError, ModelConfig, differing, presets
from maskrcnn_jax.nn.resnet import BLOCKS, STAGES, has_bottlenecks
from maskrcnn_jax.weights.detectors import todays_names
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import WRAPPERS, Arrays
from maskrcnn_jax.weights.names import System, entry
from maskrcnn_jax.weights.published import EPSILON_ZERO, has_digest

TRUNKS: dict[System, str] = {"torchvision": "backbone.body.", "detectron2": "backbone.bottom_up."}
PRESETS = {
    "torchvision": (presets.torchvision_v1(), presets.torchvision_v2()),
    "detectron2": (presets.detectron2(), presets.detectron2_lsj()),
}
CAFFE2_STD = (57.375, 57.12, 58.395)  # of the ImageNet weights that Detectron2's ResNeXts start from, BGR
# What of a model's config inference does not read, and what weights tell: of norms, only whether there are any.
OF_TRAINING = ("assign.", "loss.", "propose.pre_nms_top_k_train", "propose.post_nms_top_k_train", "backbone.frozen_stages")
TOLD = ("num_classes", "backbone.norm", "fpn.norm", "box_head.norm", "mask_head.norm")

Shape = Callable[..., tuple[int, ...]]


class Origin(NamedTuple):
    """Whose weights, and the model."""

    system: System
    config: ModelConfig


def recognise(arrays: Arrays, file: Path | None = None) -> Origin:
    """The system that `arrays` come from and the model's config.

    What leaves no mark in the arrays (how images are resized, whether a bottleneck strides in its 1x1 or its 3x3 convolution,
    the epsilon of norms) is that of the preset which the rest points to; for a trained batch norm counts its own counter.

    Args:
      arrays: as `read_weights` gives them, of a whole detection model.
      file: that they are from; tells the one whose norms have epsilon 0, see `EPSILON_ZERO`.

    Raises:
      WeightsError: they are no Mask R-CNN with a feature pyramid of torchvision or Detectron2.
    """
    if system := system_of(arrays):
        config = _config(system, arrays)
        if file is not None and has_digest(file, EPSILON_ZERO):
            config = replace(config, backbone=replace(config.backbone, norm_epsilon=0.0))
        return Origin(system, config)
    bare = [WRAPPERS.sub("", name) for name in arrays]
    if any(name.startswith(("layer1.0.", "features.0.")) for name in bare):
        raise WeightsError("these are a classifier's weights, not a detector's; train with them: --train.weights FILE")
    if any(name.startswith("backbone.res") for name in bare):
        raise WeightsError("these are a C4 or DC5 model's weights; only models with a feature pyramid (FPN) are known here")
    raise WeightsError(f"neither torchvision's nor Detectron2's names ({', '.join(bare[:3])}, ...); give a Mask R-CNN's of either")


def system_of(arrays: Arrays) -> System | None:
    """Whose detection model `arrays` are of, by their names; None where they are of neither."""
    bare = [WRAPPERS.sub("", name) for name in arrays]
    return next((system for system, trunk in TRUNKS.items() if any(name.startswith(trunk) for name in bare)), None)


def other_numerics(model: ModelConfig, arrays: Arrays, file: Path | None = None) -> list[str]:
    """`differences` of `model` from the one that `arrays`, from `file`, come from.

    A model that the other system does not build by itself is one line, which says why.
    """
    try:
        return differences(model, recognise(arrays, file).config)
    except WeightsError as error:
        return [str(error)]


def differences(model: ModelConfig, other: ModelConfig) -> list[str]:
    """What `other` does otherwise at inference than `model` with the same weights: a line a field of the config."""
    return [
        f"model.{name} is {here} here, {there} there"
        for name, (here, there) in differing(model, other).items()
        if name not in TOLD and not name.startswith(OF_TRAINING)
    ]


def _config(system: System, arrays: Arrays) -> ModelConfig:
    bare = {WRAPPERS.sub("", name): array for name, array in arrays.items()}
    shapes = {name: array.shape for name, array in todays_names(system, arrays).items()}

    def shape(config: ModelConfig, *path: str) -> tuple[int, ...]:
        """Shape there of the array at `path`, (module, layer, ..., leaf)."""
        name = entry(system, path, config).name
        if name not in shapes:
            raise KeyError(f"{name} is missing")
        return shapes[name]

    plain, deep = PRESETS[system]
    config = deep if _has(shape, plain, "fpn", "lateral2", "norm", "scale") else plain
    trains_norms = any(name.startswith(TRUNKS[system]) and name.endswith("num_batches_tracked") for name in bare)
    try:
        config = replace(config, backbone=_backbone(partial(shape, config), config.backbone))
        config = _heads(system, shape, config)
    except (IndexError, KeyError, ValueError) as error:  # an array is missing that all have, or has a shape that none has
        raise WeightsError(
            f"{system}'s names, but no Mask R-CNN with a feature pyramid as it builds them ({error.args[0]}); "
            "maskrcnn_jax.weights.from_arrays takes a config of your own and lists what does not fit it"
        ) from error
    if trains_norms:
        config = replace(config, backbone=replace(config.backbone, norm="batch_norm"))
    return _detectron2_input(config, bare) if system == "detectron2" else config


def _backbone(shape: Shape, config: BackboneConfig) -> BackboneConfig:
    blocks = tuple(_count(shape, "backbone", f"{stage}_{{}}", "conv1", "conv", "kernel") for stage in STAGES[1:])
    bottlenecks = _has(shape, "backbone", "res2_0", "conv3", "conv", "kernel")
    depths = [depth for depth, counts in BLOCKS.items() if counts == blocks and has_bottlenecks(depth) == bottlenecks]
    if not depths:
        raise ConfigError(f"a trunk of {blocks} blocks is no ResNet known here")
    width, (inner, of_group, *_) = shape("backbone", "stem", "conv", "kernel")[0], shape("backbone", "res2_0", "conv2", "conv", "kernel")
    groups = inner // of_group
    inside: dict[str, Any] = {"groups": groups, "width_per_group": 64 * inner // (width * groups)} if bottlenecks else {"stride_on": "3x3"}
    return replace(config, depth=cast(Any, depths[0]), width=width, **inside)


def _heads(system: System, shape: Shape, config: ModelConfig) -> ModelConfig:
    """`config` with the FPN, the RPN's head and the two RoI heads that the shapes tell."""
    several = replace(config, rpn_head=replace(config.rpn_head, convs=2))  # Detectron2 names the only convolution otherwise
    rpn_convs = _count(shape, several, "rpn_head", "conv{}", "kernel") or 1
    box_convs = _count(shape, config, "box_head", "conv{}", "conv", "kernel")
    config = replace(
        config,
        fpn=replace(config.fpn, channels=shape(config, "fpn", "output2", "conv", "kernel")[0]),
        rpn_head=replace(config.rpn_head, convs=rpn_convs),
        box_head=replace(config.box_head, convs=box_convs),
    )
    anchors = shape(config, "rpn_head", "objectness", "kernel")[0]
    if anchors != len(config.anchors.ratios):
        raise ConfigError(f"{anchors} anchors a cell, whose ratios the weights do not tell")
    classes = shape(config, "box_head", "classes", "kernel")[0] - 1
    rows = classes + 1 if system == "torchvision" else classes  # of an output a class
    box_rows, mask_rows = shape(config, "box_head", "deltas", "kernel")[0] // 4, shape(config, "mask_head", "masks", "kernel")[0]
    channels = config.fpn.channels
    fcs = _count(shape, config, "box_head", "fc{}", "kernel")
    if box_convs:
        channels = shape(config, "box_head", "conv0", "conv", "kernel")[0]
        config = replace(config, box_head=replace(config.box_head, conv_channels=channels))
    width, read = shape(config, "box_head", "fc0", "kernel")
    mask_convs = _count(shape, config, "mask_head", "conv{}", "conv", "kernel")
    return replace(
        config,
        num_classes=classes,
        pool=replace(config.pool, box_size=math.isqrt(read // channels)),
        box_head=replace(config.box_head, fcs=fcs, fc_width=width, class_agnostic=system == "detectron2" and box_rows == 1 < rows),
        mask_head=replace(
            config.mask_head,
            convs=mask_convs,
            channels=shape(config, "mask_head", "deconv", "kernel")[1],
            class_agnostic=system == "detectron2" and mask_rows == 1 < rows,
        ),
    )


def _has(shape: Shape, *path: Any) -> bool:
    try:
        return bool(shape(*path))
    except KeyError:
        return False


def _count(shape: Shape, *path: Any) -> int:
    """How many arrays 0, 1, ... there are; {} in the path is the number."""
    return next(i for i in count() if not _has(shape, *(part.format(i) if isinstance(part, str) else part for part in path)))


def _detectron2_input(config: ModelConfig, arrays: Arrays) -> ModelConfig:
    """`config` with the constants of the input that the file has, or else with those of Caffe2's ResNeXts."""
    backbone, image = config.backbone, config.input
    if backbone.groups > 1:
        backbone, image = replace(backbone, stride_on="3x3"), replace(image, std=CAFFE2_STD)
    if "pixel_mean" in arrays and "pixel_std" in arrays:
        mean, std = (cast(Any, tuple(float(x) for x in arrays[name].ravel())) for name in ("pixel_mean", "pixel_std"))
        image = replace(image, mean=mean, std=std)
    return replace(config, backbone=backbone, input=image)
