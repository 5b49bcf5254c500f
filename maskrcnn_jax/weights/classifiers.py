"""Trunks of classifiers, as torchvision and timm save them, both ways."""

import re
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax.errors import misfits
from maskrcnn_jax.models import Variables
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, weights_only
from maskrcnn_jax.weights.layouts import Entry, their_shape, to_ours, to_theirs
from maskrcnn_jax.weights.names import resnet_name, vgg_name
from maskrcnn_jax.weights.stem import inflate

UNUSED = ("fc", "classifier.0", "classifier.3", "classifier.6", "pre_logits.fc1", "pre_logits.fc2", "head.fc")  # layers after the trunk

STEMS = {"conv1.weight", "features.0.weight"}  # a ResNet's and a VGG's first layer


def backbone_from_classifier(arrays: Arrays, variables: Variables) -> Variables:
    """`variables` with the backbone replaced by the arrays of a ResNet, ResNeXt, wide ResNet or VGG-16.

    Args:
      arrays: by torchvision's or timm's names, which differ after the trunk alone, in PyTorch's layouts. The layers that
        classify and `num_batches_tracked` are not used. timm's ResNets with anti-aliasing (resnetaa, resnetblur) have the arrays
        of plain ones and compute something else: do not give them.
      variables: of a model, or their shapes alone, for the names and shapes wanted. The first layer's kernel, of RGB, is inflated
        to other channels of theirs, see `weights.stem`.

    Raises:
      WeightsError: arrays that are missing, unexpected or of another shape, all of them in one list; or the model has group norms.
    """
    wanted, entries = _entries(variables)
    normed = any("norm" in path for path in wanted)
    if normed and not any(path[-1] == "mean" for path in wanted):
        raise WeightsError(
            "model.backbone.norm is group_norm, whose groups are others than those of classifiers; set it to frozen_bn or batch_norm"
        )
    used = {name: array for name, array in weights_only(arrays).items() if name.rpartition(".")[0] not in UNUSED}
    used = _fold_biases(used) if normed else used
    names = {entry.name: their_shape(wanted[path].shape, entry) for path, entry in entries.items()}
    for stem in names.keys() & used.keys() & STEMS:
        used[stem] = inflate(used[stem], names[stem][1], axis=1)
    if problems := misfits({name: array.shape for name, array in used.items()}, names):
        raise WeightsError(
            "these weights do not fit the backbone (check model.backbone.kind, depth, width, groups, width_per_group and norm, which is "
            "frozen_bn or batch_norm for torchvision's and timm's classifiers, and none for a VGG-16 without batch norms):\n  "
            + "\n  ".join(problems)
        )
    found = {path: to_ours(used[entry.name], entry, len(wanted[path].shape)) for path, entry in entries.items()}
    loaded: dict[str, Any] = unflatten_dict({(path[0], "backbone", *path[1:]): value for path, value in found.items()})
    return {collection: {**modules, **loaded.get(collection, {})} for collection, modules in variables.items()}


def backbone_to_classifier(variables: Variables) -> Arrays:
    """The backbone's arrays by torchvision's names and in its layouts, to start a classifier's trunk from; it has no `fc`.

    A VGG's convolutions before norms have no bias here, hence none in the arrays; torchvision's layers take zeros for them.

    Args:
      variables: of a model with batch norms, or a VGG without norms.
    """
    leaves, entries = _entries(variables)
    return {entry.name: np.ascontiguousarray(to_theirs(np.asarray(leaves[path]), entry)) for path, entry in entries.items()}


def _entries(variables: Variables) -> tuple[dict[tuple[str, ...], Any], dict[tuple[str, ...], Entry]]:
    """The backbone's leaves by (collection, layer, ..., leaf), and where a classifier has them."""
    leaves = {
        (collection, *path): leaf
        for collection in variables
        for path, leaf in flatten_dict(variables[collection].get("backbone", {})).items()
    }
    normed = any("norm" in path for path in leaves)
    return leaves, {path: Entry(_name(path[1:], normed), "conv" if path[-1] == "kernel" else "vector") for path in leaves}


def _name(path: tuple[str, ...], normed: bool) -> str:
    """By torchvision and timm; a VGG's layers are conv1_1 ... conv5_3, a ResNet's have other names."""
    return vgg_name(path, normed=normed) if path[0].startswith("conv") else resnet_name(path)


def _fold_biases(arrays: Arrays) -> Arrays:
    """`arrays` with each bias that a VGG's convolution has before a norm taken off its mean: (x + bias) - mean = x - (mean - bias)."""
    folded = dict(arrays)
    for name, mean in arrays.items():
        if found := re.fullmatch(r"features\.(\d+)\.running_mean", name):
            bias = f"features.{int(found[1]) - 1}.bias"
            if bias in arrays and arrays[bias].shape == mean.shape:
                folded[name] = mean.astype(np.float32) - folded.pop(bias).astype(np.float32)
    return folded
