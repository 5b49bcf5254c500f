"""torchvision's ResNets, as classifiers save them."""

from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax.errors import misfits
from maskrcnn_jax.models import Variables
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, weights_only
from maskrcnn_jax.weights.layouts import Entry, their_shape, to_ours
from maskrcnn_jax.weights.names import torchvision_trunk_name

CLASSIFIER = ("fc.weight", "fc.bias")


def backbone_from_torchvision(arrays: Arrays, variables: Variables) -> Variables:
    """`variables` with the backbone replaced by the arrays of a torchvision ResNet.

    Args:
      arrays: by torchvision's names, in its layouts; the classifier `fc` and `num_batches_tracked` are not used.
      variables: of a model, or their shapes alone, for the names and shapes wanted.

    Raises:
      WeightsError: arrays that are missing, unexpected or of another shape, all of them in one list.
    """
    wanted = {
        (collection, *path): leaf
        for collection in variables
        for path, leaf in flatten_dict(variables[collection].get("backbone", {})).items()
    }
    entries = {path: Entry(torchvision_trunk_name(path[1:]), "conv" if path[-1] == "kernel" else "vector") for path in wanted}
    used = {name: array for name, array in weights_only(arrays).items() if name not in CLASSIFIER}
    names = {entry.name: their_shape(wanted[path].shape, entry) for path, entry in entries.items()}
    if problems := misfits({name: array.shape for name, array in used.items()}, names):
        raise WeightsError(
            "these weights do not fit the backbone (check model.backbone.depth, width and norm; "
            "torchvision's ResNets have norm frozen_bn or batch_norm):\n  " + "\n  ".join(problems)
        )
    found = {path: to_ours(used[entry.name], entry, len(wanted[path].shape)) for path, entry in entries.items()}
    loaded: dict[str, Any] = unflatten_dict({(path[0], "backbone", *path[1:]): value for path, value in found.items()})
    return {collection: {**modules, **loaded.get(collection, {})} for collection, modules in variables.items()}
