"""Files of weights to arrays by name."""

import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.lib.npyio import NpzFile

from maskrcnn_jax.weights.errors import WeightsError

Arrays = dict[str, np.ndarray]


def read_npz(path: Path) -> Arrays:
    """Arrays of an `.npz` file by their torchvision names.

    Besides plain arrays the file may hold layers as product quantisation writes them, `X.codes`, `X.codebook` and `X.shape`
    (the weight is codebook[codes], reshaped), and batch norms folded to an affine, `X.scale` and `X.bias` of a convolution X:
    these become the norm of that convolution with mean 0 and variance 1.

    Raises:
      WeightsError: the file is missing, is no `.npz` file, or holds a layer without all of its arrays.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give an .npz file of weights with torchvision's names, or a checkpoint folder")
    try:
        with path.open("rb") as opened, NpzFile(opened, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, BadZipFile, zlib.error) as error:
        raise WeightsError(f"{path}: not a readable .npz file ({error}); save the arrays with numpy.savez") from error
    try:
        return _unfold_norms(_unquantise(stored))
    except KeyError as error:
        raise WeightsError(f"{path}: {error.args[0]} is missing; save all arrays of a layer") from error


def _unquantise(stored: Arrays) -> Arrays:
    arrays = {name: value for name, value in stored.items() if not name.endswith((".codes", ".codebook", ".shape"))}
    for name in stored:
        if name.endswith(".codes"):
            layer = name.removesuffix(".codes")
            codebook = stored[f"{layer}.codebook"].astype(np.float32)
            arrays[f"{layer}.weight"] = codebook[stored[name].astype(np.int64)].reshape(stored[f"{layer}.shape"])
    return arrays


def _unfold_norms(stored: Arrays) -> Arrays:
    arrays = dict(stored)
    for name in stored:
        if name.endswith(".scale"):
            layer = name.removesuffix(".scale")
            norm = layer.replace("downsample.0", "downsample.1").replace("conv", "bn")
            scale = arrays.pop(name).astype(np.float32)
            arrays[f"{norm}.weight"] = scale
            arrays[f"{norm}.bias"] = arrays.pop(f"{layer}.bias").astype(np.float32)
            arrays[f"{norm}.running_mean"] = np.zeros_like(scale)
            arrays[f"{norm}.running_var"] = np.ones_like(scale)
    return arrays
