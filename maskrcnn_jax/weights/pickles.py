"""Pickled arrays, PyTorch's and Detectron2's, read without PyTorch and without running what a pickle names."""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.weights.errors import WeightsError

MAGIC = 0x1950A86A20F9469CFC6C  # first object of PyTorch's serialisation before 1.6
STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(jnp.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class _Storage(NamedTuple):
    """What a tensor views: its bytes are read later."""

    key: str
    dtype: np.dtype
    offset: int = 0


class _Tensor(NamedTuple):
    """A tensor whose storage is not read yet; offset and stride in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_pickle(path: Path) -> Any:
    """The object in a pickle of arrays and containers, or in a file of `torch.save`, zip or older; tensors become arrays.

    Raises:
      WeightsError: the file is cut short, is something else, or names a class or function that is not of arrays or containers;
        none of those is ever imported or called.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as file:
            return _read_stream(file)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(f"{path}: not a whole file of weights ({type(error).__name__}: {error}); get it anew") from error


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        (main,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
        folder = main.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise WeightsError("written on a big-endian machine; save it anew on a little-endian one")
        tree = _Unpickler(io.BytesIO(archive.read(main))).load()
        return _with_arrays(tree, lambda storage: np.frombuffer(archive.read(f"{folder}data/{storage.key}"), storage.dtype))


def _read_stream(file: BinaryIO) -> Any:
    first = _Unpickler(file).load()
    if first != MAGIC:
        return _with_arrays(first, _no_storage)
    for _ in ("version of the protocol", "about the machine"):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    tree = unpickler.load()
    stored = {}
    for key in _Unpickler(file).load():
        (count,) = np.frombuffer(_exactly(file, 8), "<i8")
        dtype = unpickler.dtypes[key]
        stored[key] = np.frombuffer(_exactly(file, int(count) * dtype.itemsize), dtype)
    return _with_arrays(tree, lambda storage: stored[storage.key])


def _no_storage(storage: _Storage) -> np.ndarray:
    raise WeightsError(f"a tensor's storage {storage.key} is not in the file; get it anew")


def _exactly(file: BinaryIO, count: int) -> bytes:
    found = file.read(count)
    if len(found) != count:
        raise EOFError(f"{count - len(found)} bytes are missing")
    return found


def _with_arrays(tree: Any, read: Callable[[_Storage], np.ndarray]) -> Any:
    """`tree` with an array for each tensor; a storage is read once."""
    storages: dict[str, np.ndarray] = {}

    def resolve(node: Any) -> Any:
        if isinstance(node, _Tensor):
            if node.storage.key not in storages:
                storages[node.storage.key] = read(node.storage)
            return _view(node, storages[node.storage.key])
        if isinstance(node, dict):
            return {key: resolve(value) for key, value in node.items()}
        if isinstance(node, list | tuple):
            return [resolve(value) for value in node]
        return node

    return resolve(tree)


def _view(tensor: _Tensor, values: np.ndarray) -> np.ndarray:
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.size, tensor.stride, strict=True))
    if 0 in tensor.size:
        return np.zeros(tensor.size, values.dtype)
    if min(tensor.size, default=1) < 0 or min(tensor.stride, default=0) < 0 or tensor.offset < 0 or last >= values.size:
        raise WeightsError(f"a tensor of shape {tensor.size} reaches beyond its {values.size} stored values; get the file anew")
    strides = [step * values.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.size, strides, writeable=False)


class _Unpickler(pickle.Unpickler):
    """Knows tensors, arrays and containers, and nothing else."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")  # pickles of Python 2
        self.dtypes: dict[str, np.dtype] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global that pickles of arrays need."""
        module = module.replace("numpy._core", "numpy.core")
        if module in ("torch", "torch.storage") and name in STORAGES:
            return STORAGES[name]
        if (module, name) in GLOBALS:
            return GLOBALS[module, name]
        raise WeightsError(
            f"the file names {module}.{name}, which is neither tensor, array nor container, and was not loaded; "
            "save the arrays alone (in PyTorch torch.save(model.state_dict(), path))"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """A tensor's storage: ("storage", type, key, device, count[, view])."""
        kind, dtype, key, *rest = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise WeightsError(f"unknown reference {kind!r}; get the file anew")
        self.dtypes[key] = dtype
        view = rest[2] if len(rest) > 2 else None  # of the older serialisation: (key, offset, count)
        return _Storage(key, dtype, int(view[1]) if view else 0)


def _rebuild_tensor(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, storage.offset + int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _rebuild_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


def _encode(text: str, encoding: str) -> bytes:
    return text.encode({"latin1": "latin1", "latin-1": "latin1"}[encoding])


def _scalar(dtype: np.dtype, data: bytes | str) -> Any:
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)[0]


def _frombuffer(data: Any, dtype: np.dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _reconstruct(_: Any, shape: tuple[int, ...], __: Any) -> np.ndarray:
    return np.ndarray(shape, "i1")  # its state, which follows, says what it holds


GLOBALS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
}
