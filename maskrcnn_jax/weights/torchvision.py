"""torchvision's names and layouts of a ResNet trunk."""

from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax.errors import first_few
from maskrcnn_jax.models import Variables
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays

NORM_LEAVES = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
CLASSIFIER = ("fc.weight", "fc.bias")


def backbone_from_torchvision(arrays: Arrays, variables: Variables) -> Variables:
    """`variables` with the backbone replaced by the arrays of a torchvision ResNet.

    Args:
      arrays: by torchvision's names, in its layouts; the classifier `fc` and `num_batches_tracked` are not used.
      variables: of a model, or their shapes alone, for the names and shapes wanted.

    Raises:
      WeightsError: arrays that are missing, unexpected or of another shape, the first few of them in one list.
    """
    wanted = {
        (collection, *path): leaf
        for collection in variables
        for path, leaf in flatten_dict(variables[collection].get("backbone", {})).items()
    }
    names = {path: torchvision_name(path[1:]) for path in wanted}
    unused = {name for name in arrays if name not in CLASSIFIER and not name.endswith("num_batches_tracked")} - set(names.values())
    problems = [f"unexpected {name}" for name in sorted(unused)] + [f"missing {name}" for name in names.values() if name not in arrays]
    found = {path: to_layout(arrays[name], wanted[path].ndim) for path, name in names.items() if name in arrays}
    problems += [
        f"{names[path]} is {arrays[names[path]].shape}, which gives {value.shape}; the model has {wanted[path].shape}"
        for path, value in found.items()
        if value.shape != wanted[path].shape
    ]
    if problems:
        raise WeightsError(
            "these weights do not fit the backbone (check model.backbone.depth, width and norm; "
            "torchvision's ResNets have norm frozen_bn):\n  " + first_few(problems, "\n  ")
        )
    loaded: dict[str, Any] = unflatten_dict({(path[0], "backbone", *path[1:]): value for path, value in found.items()})
    return {collection: {**modules, **loaded.get(collection, {})} for collection, modules in variables.items()}


def torchvision_name(path: tuple[str, ...]) -> str:
    """torchvision's name of the backbone leaf at (block, [convolution,] conv or norm, leaf)."""
    block, *middle, kind, leaf = path
    if block == "stem":
        prefix, layer = "", "1"
    else:
        stage, index = block.removeprefix("res").split("_")
        prefix, layer = f"layer{int(stage) - 1}.{index}.", middle[0].removeprefix("conv")
    if layer == "shortcut":
        module = "downsample.0" if kind == "conv" else "downsample.1"
    else:
        module = ("conv" if kind == "conv" else "bn") + layer
    return f"{prefix}{module}.{'weight' if kind == 'conv' else NORM_LEAVES[leaf]}"


def to_layout(array: np.ndarray, ndim: int) -> np.ndarray:
    """OIHW to HWIO, and a 1x1 convolution to the [in, out] kernel of a matrix product, where the leaf has two axes."""
    if array.ndim != 4:
        return array.astype(np.float32)
    kernel = array.transpose(2, 3, 1, 0).astype(np.float32)
    return kernel[0, 0] if ndim == 2 and kernel.shape[:2] == (1, 1) else kernel
