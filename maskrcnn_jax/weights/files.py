"""Files of weights to arrays by name."""

import re
import zipfile
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.lib.npyio import NpzFile

from maskrcnn_jax.errors import first_few
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.pickles import is_main, read_pickle
from maskrcnn_jax.weights.safetensors import is_safetensors, read_safetensors

Arrays = dict[str, np.ndarray]
WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")  # of DataParallel and torch.compile
NOT_WEIGHTS = ("num_batches_tracked", "pixel_mean", "pixel_std")  # counters, and constants that other rooms here compute
PICKLE = b"\x80"  # how a pickle begins, since protocol 2
STATE_DICTS = ("model", "state_dict", "model_state_dict")  # where training scripts keep the weights among other things


def read_weights(path: Path) -> Arrays:
    """Arrays by name of a file of weights: of `torch.save` (zip or older), a pickle of arrays, safetensors, or NumPy's `.npz`.

    The content says which it is. Of a training script's file the weights alone are taken.

    Raises:
      WeightsError: the file is missing, cut short, holds something else or no array, or a pickle names what is neither tensor,
        array nor container.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; give a file of weights (.pth, .pkl, .safetensors or .npz), or a checkpoint folder")
    if is_safetensors(path):
        return _numbers(path, read_safetensors(path))
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"PK" and not _is_torch(path):
        return _unfolded(path, _numbers(path, _read_npz(path)))
    if start != b"PK" and start[:1] != PICKLE:
        raise WeightsError(f"{path}: not a file of weights (.pth, .pkl, .safetensors or .npz), or not a whole one; give another")
    found = read_pickle(path)
    for name in STATE_DICTS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    return _numbers(path, _arrays(found))


def weights_only(arrays: Arrays) -> Arrays:
    """`arrays` without counters and constants, by their names without the prefixes of wrappers.

    Raises:
      WeightsError: two of them have one name then.
    """
    named: Arrays = {}
    for given, array in arrays.items():
        name = WRAPPERS.sub("", given)
        if name in named:
            raise WeightsError(f"{name} is there twice, with a wrapper's prefix and without; drop one of them")
        if not name.endswith(NOT_WEIGHTS):
            named[name] = array
    return named


def _is_torch(path: Path) -> bool:
    """Whether a zip file is of `torch.save`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(is_main(name) for name in archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise WeightsError(f"{path}: not a whole zip file, or one of another kind ({error}); get it anew") from error


def _arrays(found: Any) -> Arrays:
    """The arrays in a pickle's dictionary; what else a training script keeps there is passed over."""
    return {str(name): value for name, value in found.items() if isinstance(value, np.ndarray)} if isinstance(found, dict) else {}


def _numbers(path: Path, found: dict[str, Any]) -> Arrays:
    """`found`, all of it arrays of plain numbers.

    Raises:
      WeightsError: there are none, or something else is among them.
    """
    if not found:
        raise WeightsError(f"{path}: holds no arrays by name; give a file of a model's weights (in PyTorch its state_dict())")
    others = {name: getattr(value, "dtype", type(value).__name__) for name, value in found.items() if not _is_numeric(value)}
    if others:
        listed = first_few([f"{name} ({kind})" for name, kind in others.items()])
        raise WeightsError(f"{path}: holds what is no array of numbers: {listed}; save the weights alone")
    return found


def _is_numeric(value: Any) -> bool:
    return isinstance(value, np.ndarray) and (value.dtype.kind in "biuf" or value.dtype == jnp.bfloat16)


def _read_npz(path: Path) -> dict[str, Any]:
    """What the parts of an `.npz` file hold, by name; of a part that is no array the bytes."""
    try:
        with path.open("rb") as opened, NpzFile(opened, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive can raise anything; one that is encrypted raises RuntimeError
        raise WeightsError(f"{path}: not a readable .npz file ({error}); save the arrays with numpy.savez") from error


def _unfolded(path: Path, stored: Arrays) -> Arrays:
    """The layers' arrays of an `.npz` file that may hold some in another form.

    Besides plain arrays the file may hold layers as product quantisation writes them, `X.codes`, `X.codebook` and `X.shape`
    (the weight is codebook[codes], reshaped), and batch norms folded to an affine, `X.scale` and `X.bias` of a convolution X:
    these become the norm of that convolution with mean 0 and variance 1.

    Raises:
      WeightsError: the file holds a layer without all of its arrays.
    """
    try:
        return _unfold_norms(_unquantise(stored))
    except KeyError as error:
        raise WeightsError(f"{path}: {error.args[0]} is missing; save all arrays of a layer") from error
    except (IndexError, ValueError, TypeError) as error:
        raise WeightsError(f"{path}: codes, codebook and shape of a layer do not fit each other ({error}); save it anew") from error


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
