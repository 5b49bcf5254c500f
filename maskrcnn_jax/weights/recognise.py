"""Whose weights these are, and of which model: told from the names and shapes of the arrays alone."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np

from maskrcnn_jax.config import BackboneConfig, ConfigError, ModelConfig, differing, presets
from maskrcnn_jax.download import has_digest
from maskrcnn_jax.errors import misfits
from maskrcnn_jax.nn.resnet import BLOCKS, STAGES, has_bottlenecks
from maskrcnn_jax.weights.detectors import entries, todays_names
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import WRAPPERS, Arrays
from maskrcnn_jax.weights.names import System, entry
from maskrcnn_jax.weights.published import EPSILON_ZERO
from maskrcnn_jax.weights.stem import is_bgr

TRUNKS: dict[System, str] = {"torchvision": "backbone.body.", "detectron2": "backbone.bottom_up."}
PRESETS = {
    "torchvision": (presets.torchvision_v1(), presets.torchvision_v2()),
    "detectron2": (presets.detectron2(), presets.detectron2_lsj()),
}
CAFFE2_STD = (57.375, 57.12, 58.395)  # of the ImageNet weights that Detectron2's ResNeXts start from, BGR
# What of a model's config inference does not read, and what weights tell: of norms, only whether there are any.
OF_TRAINING = ("assign.", "loss.", "propose.pre_nms_top_k_train", "propose.post_nms_top_k_train", "backbone.frozen_stages")
TOLD = ("num_classes", "backbone.norm", "fpn.norm", "box_head.norm", "mask_head.norm")
HEADS = ("rpn_head.convs", "box_head.convs", "box_head.fcs", "mask_head.convs")

NUMBERS = range(64)  # of a layer among those of its kind; no model has more of one
CONV, NORM = ("conv", "kernel"), ("norm", "scale")
BLOCK = [(f"conv{i}", *part) for i in (1, 2, 3) for part in (CONV, NORM)]
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
      WeightsError: they are no Mask R-CNN with a feature pyramid of torchvision or Detectron2, or one that lacks an array which
        tells its sizes: all that is missing is listed.
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


def unlike_published(system: System, model: ModelConfig) -> list[str]:
    """Each number of a head's layers that is another than in the system's published models: a line a field of the config.

    Such a head may be meant; but a file that lacks a head's last layer looks the same.
    """
    published = PRESETS[system][model.fpn.norm != "none"]
    return [
        f"model.{name} is {here}, in {system}'s own models {there}"
        for name, (here, there) in differing(model, published).items()
        if name in HEADS
    ]


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
    trains_norms = any(name.startswith(TRUNKS[system]) and name.endswith("num_batches_tracked") for name in bare)
    advice = "maskrcnn_jax.weights.from_arrays takes a config of your own and lists what does not fit it"
    layers = {_layer(name) for name in shapes}
    config = _preset(system, layers)
    try:
        config = _depths(system, layers, config)
        config = _widths(system, lambda *path: shapes[entry(system, path, config).name], config)
    except KeyError as error:
        wanted = {of.name: () for _, (of, _) in entries(system, config)}
        raise WeightsError(
            f"{system}'s names, but not those of a Mask R-CNN with a feature pyramid as it builds them; give all arrays of one ({advice}):"
            "\n  " + "\n  ".join(misfits(dict.fromkeys(shapes, ()), wanted))
        ) from error
    except (IndexError, ValueError) as error:  # an array has a shape that none has
        raise WeightsError(
            f"{system}'s names, but no Mask R-CNN with a feature pyramid as it builds them ({error.args[0]}); {advice}"
        ) from error
    if trains_norms:
        config = replace(config, backbone=replace(config.backbone, norm="batch_norm"))
    return _detectron2_input(config, bare) if system == "detectron2" else config


def _layer(name: str) -> str:
    """The layer that an array is of, by its name there."""
    return name.rpartition(".")[0]


def _holds(system: System, layers: set[str], config: ModelConfig, *path: str) -> bool:
    """Whether anything is there of the layer of the array at `path`, (module, layer, ..., leaf), of a model `config`."""
    return _layer(entry(system, path, config).name) in layers


def _preset(system: System, layers: set[str]) -> ModelConfig:
    """The system's preset whose pyramid has norms, or has none, as `layers`."""
    plain, deep = PRESETS[system]
    return deep if any(_holds(system, layers, plain, "fpn", f"lateral{i}", *NORM) for i in range(2, 6)) else plain


def _depths(system: System, layers: set[str], config: ModelConfig) -> ModelConfig:
    """`config`, a preset, with as many layers as `layers` counts.

    A number below one that is there counts, so that it is found missing. Where there is no layer of a kind that all models
    have, the preset's stand, for the same reason.
    """

    def count(config: ModelConfig, module: str, layer: str, *parts: tuple[str, ...]) -> int:
        there = (i for i in NUMBERS if any(_holds(system, layers, config, module, f"{layer}{i}", *part) for part in parts))
        return max(there, default=-1) + 1

    blocks = tuple(count(config, "backbone", f"{stage}_", *BLOCK) for stage in STAGES[1:])
    if any(blocks):
        bottlenecks = any(count(config, "backbone", f"{stage}_", ("conv3", *CONV)) for stage in STAGES[1:])
        config = replace(config, backbone=_of_blocks(config.backbone, blocks, bottlenecks))
    of_convs = [replace(config, box_head=replace(config.box_head, convs=convs)) for convs in NUMBERS]
    # torchvision numbers fully connected layers after the convolutions: the first tells their number too.
    before = next((i for i in NUMBERS if _holds(system, layers, of_convs[i], "box_head", "fc0", "kernel")), 0)
    box_convs = max(count(config, "box_head", "conv", CONV, NORM), before)
    fcs = count(of_convs[box_convs], "box_head", "fc", ("kernel",))
    if not fcs:
        box_convs, fcs = box_convs or config.box_head.convs, config.box_head.fcs
    # Detectron2 names the RPN's only convolution otherwise than one of several.
    one, several = (replace(config, rpn_head=replace(config.rpn_head, convs=convs)) for convs in (1, 2))
    rpn_convs = count(several, "rpn_head", "conv", ("kernel",))
    if not _holds(system, layers, one, "rpn_head", "conv0", "kernel"):
        rpn_convs = max(rpn_convs, 2) if rpn_convs else config.rpn_head.convs
    return replace(
        config,
        rpn_head=replace(config.rpn_head, convs=rpn_convs or 1),
        box_head=replace(config.box_head, convs=box_convs, fcs=fcs),
        mask_head=replace(config.mask_head, convs=count(config, "mask_head", "conv", CONV, NORM) or config.mask_head.convs),
    )


def _of_blocks(config: BackboneConfig, blocks: tuple[int, ...], bottlenecks: bool) -> BackboneConfig:
    depths = [depth for depth, counts in BLOCKS.items() if counts == blocks and has_bottlenecks(depth) == bottlenecks]
    if not depths:
        raise ConfigError(f"a trunk of {blocks} blocks is no ResNet known here")
    return replace(config, depth=cast(Any, depths[0]), stride_on=config.stride_on if bottlenecks else "3x3")


def _widths(system: System, shape: Shape, config: ModelConfig) -> ModelConfig:
    """`config`, whose numbers of layers are right, with the widths, classes and sides that the shapes tell."""
    width, (inner, of_group, *_) = shape("backbone", "stem", "conv", "kernel")[0], shape("backbone", "res2_0", "conv2", "conv", "kernel")
    groups = inner // of_group
    inside: dict[str, Any] = {"groups": groups, "width_per_group": 64 * inner // (width * groups)}
    anchors = shape("rpn_head", "objectness", "kernel")[0]
    if anchors != len(config.anchors.ratios):
        raise ConfigError(f"{anchors} anchors a cell, whose ratios the weights do not tell")
    classes = shape("box_head", "classes", "kernel")[0] - 1
    rows = classes + 1 if system == "torchvision" else classes  # of an output a class
    box_rows, mask_rows = shape("box_head", "deltas", "kernel")[0] // 4, shape("mask_head", "masks", "kernel")[0]
    channels = read_channels = shape("fpn", "output2", "conv", "kernel")[0]
    box_head = replace(config.box_head, class_agnostic=system == "detectron2" and box_rows == 1 < rows)
    if box_head.convs:
        read_channels = shape("box_head", "conv0", "conv", "kernel")[0]
        box_head = replace(box_head, conv_channels=read_channels)
    fc_width, read = shape("box_head", "fc0", "kernel")
    return replace(
        config,
        num_classes=classes,
        backbone=replace(config.backbone, width=width, **inside if has_bottlenecks(config.backbone.depth) else {}),
        fpn=replace(config.fpn, channels=channels),
        pool=replace(config.pool, box_size=math.isqrt(read // read_channels)),
        box_head=replace(box_head, fc_width=fc_width),
        mask_head=replace(
            config.mask_head,
            channels=shape("mask_head", "deconv", "kernel")[1],
            class_agnostic=system == "detectron2" and mask_rows == 1 < rows,
        ),
    )


def _detectron2_input(config: ModelConfig, arrays: Arrays) -> ModelConfig:
    """`config` with the constants of the input that the file has, or else with those of Caffe2's ResNeXts."""
    backbone, image = config.backbone, config.input
    if backbone.groups > 1:
        backbone, image = replace(backbone, stride_on="3x3"), replace(image, std=CAFFE2_STD)
    if "pixel_mean" in arrays and "pixel_std" in arrays:
        mean, std = (_three(name, arrays[name]) for name in ("pixel_mean", "pixel_std"))
        if min(std) <= 0:
            raise WeightsError(f"pixel_std is {std}, whose numbers must be positive; correct it, or leave it and pixel_mean out")
        order: Any = "bgr" if is_bgr(arrays) else "rgb"
        image = replace(image, channel_order=order, mean=mean, std=std)
    return replace(config, backbone=backbone, input=image)


def _three(name: str, array: np.ndarray) -> tuple[float, float, float]:
    """The numbers of a constant, as they were written before they became float32."""
    if array.size != 3:
        raise WeightsError(f"{name} has {array.size} numbers, and images 3 channels; correct it, or leave pixel_mean and pixel_std out")
    first, second, third = (float(str(x)) for x in array.ravel())
    return first, second, third
