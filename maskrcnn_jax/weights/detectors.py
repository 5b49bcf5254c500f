"""Whole detectors of torchvision and Detectron2: arrays <-> variables."""

import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax import models
from maskrcnn_jax.config import ModelConfig, norm_groups
from maskrcnn_jax.errors import first_few, misfits
from maskrcnn_jax.models import Variables
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, weights_only
from maskrcnn_jax.weights.layouts import Entry, their_shape, to_ours, to_theirs
from maskrcnn_jax.weights.names import System, entry
from maskrcnn_jax.weights.stem import inflate, is_bgr, stem_path

CLASS_LAYERS = {("box_head", "classes"), ("box_head", "deltas"), ("mask_head", "masks")}  # their shapes depend on the number of classes
GROUPS = 32  # of every group norm of torchvision's and Detectron2's models


def from_arrays(system: System, arrays: Arrays, config: ModelConfig, *, new_classes: bool = False) -> Variables:
    """Variables of the model `config` with the weights of another system's.

    Args:
      system: whose names and layouts `arrays` have.
      arrays: by name; half precision becomes float32. Prefixes that wrappers add (`module.`, `_orig_mod.`) and torchvision's
        names before 0.12 are understood.
      config: one of the presets, say; its classes are the weights'. The first layer's kernel, of RGB, is inflated to other channels of its
        `input`, see `weights.stem`.
      new_classes: whether the layers whose shapes depend on the classes (`CLASS_LAYERS`) are left out, whatever they are there.

    Raises:
      WeightsError: arrays that are missing, unexpected or of another shape, all of them in one list; numbers that are not
        finite; or a model that the other system does not have.
    """
    found = todays_names(system, arrays)
    wanted = dict(entries(system, config))
    stem = wanted["params", *stem_path(config.backbone)][0].name
    if stem in found:
        found[stem] = inflate(found[stem], config.input.channels, axis=1, reverse=system == "detectron2" and is_bgr(arrays))
    names = {e.name: their_shape(leaf.shape, e) for e, leaf in wanted.values()}
    left_out = {path for path in wanted if new_classes and path[1:3] in CLASS_LAYERS}
    if problems := misfits({name: array.shape for name, array in found.items()}, names, {wanted[path][0].name for path in left_out}):
        raise WeightsError(
            f"these weights are not all those of {system}'s model of this config (num_classes, depths, widths); give a whole file, or the "
            "config that it is of:\n  " + "\n  ".join(problems)
        )
    if broken := [name for name, array in found.items() if not np.isfinite(array.astype(np.float32)).all()]:
        raise WeightsError(f"not all numbers are finite in {first_few(broken)}; give weights of a training that did not diverge")
    ours = {path: to_ours(found[e.name], e, len(leaf.shape)) for path, (e, leaf) in wanted.items() if path not in left_out}
    loaded: Variables = unflatten_dict(ours)
    return {"params": {}, "batch_stats": {}} | loaded


def to_arrays(system: System, variables: Variables, config: ModelConfig) -> Arrays:
    """The arrays of `variables` by another system's names and in its layouts; the inverse of `from_arrays`.

    Raises:
      WeightsError: the config has a VGG, or other images than RGB, as no detector of theirs does.
    """
    if config.input.channels != 3:
        raise WeightsError(
            f"{system}'s models read images of 3 channels, and model.input.channels is {config.input.channels}: "
            "keep such a model in a checkpoint of this package"
        )
    leaves = flatten_dict(variables)
    return {e.name: np.ascontiguousarray(to_theirs(np.asarray(leaves[path]), e)) for path, (e, _) in entries(system, config)}


def entries(system: System, config: ModelConfig) -> Iterator[tuple[tuple[str, ...], tuple[Entry, Any]]]:
    """Path of each of the model's leaves, its entry there, and the leaf's shape and type.

    Raises:
      WeightsError: the other system does not have such a model.
    """
    if config.backbone.kind != "resnet":
        raise WeightsError(
            f"{system} has no Mask R-CNN with backbone.kind {config.backbone.kind}, hence no names for it: "
            "keep such a model in a checkpoint of this package (maskrcnn_jax.checkpoint), or take kind resnet"
        )
    if system == "torchvision" and (config.box_head.class_agnostic or config.mask_head.class_agnostic):
        raise WeightsError("torchvision's heads have an output a class: model.box_head and model.mask_head must not be class_agnostic")
    _require_same_groups(config)
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    for path, leaf in flatten_dict(shapes).items():
        yield path, (entry(system, path[1:], config), leaf)


def _require_same_groups(config: ModelConfig) -> None:
    """Raise WeightsError where a group norm has other groups here than in PyTorch's detectors, which have 32 in every layer."""
    widths = {
        "backbone": config.backbone.width,
        "fpn": config.fpn.channels,
        "box_head": config.box_head.conv_channels,
        "mask_head": config.mask_head.channels,
    }
    for part, width in widths.items():
        groups = norm_groups(width)
        if getattr(config, part).norm == "group_norm" and groups != GROUPS:
            raise WeightsError(
                f"model.{part}.norm: group_norm over {width} channels has {groups} groups here and {GROUPS} in torchvision and Detectron2; "
                "a model for them, or of them, has frozen_bn or batch_norm"
            )


def todays_names(system: System, arrays: Arrays) -> Arrays:
    """`arrays` by the names of today, without wrappers' prefixes and what is no weight."""
    named: Arrays = {}
    for given, array in weights_only(arrays).items():
        name = _today(given) if system == "torchvision" else given
        if "anchor_generator" in name:
            continue
        if name in named:
            raise WeightsError(f"{name} is there twice, under this name and an older one; drop one of them")
        named[name] = array
    return named


def _today(name: str) -> str:
    """torchvision's name since 0.12 of an array that may have the one before."""
    name = re.sub(r"^(backbone\.fpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", name)
    name = re.sub(r"^rpn\.head\.conv\.(weight|bias)$", r"rpn.head.conv.0.0.\1", name)
    return re.sub(r"^(roi_heads\.mask_head)\.mask_fcn([1-9])\.", lambda found: f"{found[1]}.{int(found[2]) - 1}.0.", name)
