"""Whole detectors of torchvision and Detectron2: arrays <-> variables."""

import re
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax import models
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.errors import misfits
from maskrcnn_jax.models import Variables
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, weights_only
from maskrcnn_jax.weights.layouts import Entry, their_shape, to_ours, to_theirs
from maskrcnn_jax.weights.names import System, entry


def from_arrays(system: System, arrays: Arrays, config: ModelConfig) -> Variables:
    """Variables of the model `config` with the weights of another system's.

    Args:
      system: whose names and layouts `arrays` have.
      arrays: by name; half precision becomes float32. Prefixes that wrappers add (`module.`, `_orig_mod.`) and torchvision's
        names before 0.12 are understood.
      config: one of the presets, say; its classes are the weights'.

    Raises:
      WeightsError: arrays that are missing, unexpected or of another shape, all of them in one list; or the config has a VGG.
    """
    found = _named(system, arrays)
    wanted = dict(_entries(system, config))
    names = {e.name: their_shape(leaf.shape, e) for e, leaf in wanted.values()}
    if problems := misfits({name: array.shape for name, array in found.items()}, names):
        raise WeightsError(
            f"these weights are not those of a {system} model with this config (check the preset, backbone.depth and num_classes):\n  "
            + "\n  ".join(problems)
        )
    ours = {path: to_ours(found[e.name], e, len(leaf.shape)) for path, (e, leaf) in wanted.items()}
    loaded: Variables = unflatten_dict(ours)
    return {"params": {}, "batch_stats": {}} | loaded


def to_arrays(system: System, variables: Variables, config: ModelConfig) -> Arrays:
    """The arrays of `variables` by another system's names and in its layouts; the inverse of `from_arrays`.

    Raises:
      WeightsError: the config has a VGG, as no detector of theirs does.
    """
    leaves = flatten_dict(variables)
    return {e.name: np.ascontiguousarray(to_theirs(np.asarray(leaves[path]), e)) for path, (e, _) in _entries(system, config)}


def _entries(system: System, config: ModelConfig) -> Iterator[tuple[tuple[str, ...], tuple[Entry, Any]]]:
    """Path of each of the model's leaves, its entry there, and the leaf's shape and type."""
    if config.backbone.kind != "resnet":
        raise WeightsError(
            f"{system} has no Mask R-CNN with backbone.kind {config.backbone.kind}, hence no names for it: "
            "keep such a model in a checkpoint of this package (maskrcnn_jax.checkpoint), or take kind resnet"
        )
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    for path, leaf in flatten_dict(shapes).items():
        yield path, (entry(system, path[1:], config), leaf)


def _named(system: System, arrays: Arrays) -> Arrays:
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
