"""Pickled arrays, PyTorch's and Detectron2's, read without PyTorch and without running what a pickle names."""

import io
import os
import pickle
import re
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
    type: str
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
        with path.open("rb") as file:
            zipped = file.read(2) == b"PK"
            file.seek(0)
            return _read_zip(path) if zipped else _read_stream(file)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except MemoryError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(f"{path}: not a whole file of weights ({type(error).__name__}: {error}); get it anew") from error


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
            raise WeightsError("its parts are compressed, which torch.save never does; save it anew")
        (main,) = [name for name in archive.namelist() if is_main(name)]
        folder = main.removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.namelist() and archive.read(f"{folder}byteorder") != b"little":
            raise WeightsError("written on a big-endian machine; save it anew on a little-endian one")
        tree = _Unpickler(io.BytesIO(archive.read(main))).load()
        return _with_arrays(tree, lambda storage: np.frombuffer(archive.read(f"{folder}data/{storage.key}"), STORAGES[storage.type]))


def is_main(name: str) -> bool:
    """Whether a part of a zip file is the pickle of `torch.save`."""
    return name == "data.pkl" or name.endswith("/data.pkl")


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
        dtype = STORAGES[unpickler.types[key]]
        stored[key] = np.frombuffer(_exactly(file, int(count) * dtype.itemsize), dtype)
    return _with_arrays(tree, lambda storage: stored[storage.key])


def _no_storage(storage: _Storage) -> np.ndarray:
    raise WeightsError(f"a tensor's storage {storage.key} is not in the file; get it anew")


def _exactly(file: BinaryIO, count: int) -> bytes:
    left = os.fstat(file.fileno()).st_size - file.tell()
    if not 0 <= count <= left:
        raise EOFError(f"{count} bytes are announced, {left} are left")
    return file.read(count)


def _with_arrays(tree: Any, read: Callable[[_Storage], np.ndarray]) -> Any:
    """`tree` with an array for each tensor; a storage is read once."""
    storages: dict[str, np.ndarray] = {}
    seen: dict[int, Any] = {}  # what several containers hold is resolved once

    def resolve(node: Any) -> Any:
        if id(node) not in seen:
            seen[id(node)] = fresh(node)
        return seen[id(node)]

    def fresh(node: Any) -> Any:
        if isinstance(node, _Tensor):
            if node.storage.key not in storages:
                storages[node.storage.key] = read(node.storage)
            return _view(node, storages[node.storage.key])
        if isinstance(node, _Array):
            return node.value
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


class _Array:
    """Stands for a NumPy array until its state, which says what it holds, has come."""

    _value: np.ndarray | None = None

    @classmethod
    def of(cls, value: np.ndarray) -> "_Array":
        """One whose content is there; pickles make empty ones alone."""
        array = cls()
        array._value = value
        return array

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self._value = _from_bytes(data, dtype).reshape(tuple(map(int, shape)), order="F" if fortran else "C")

    @property
    def value(self) -> np.ndarray:
        if self._value is None:
            raise WeightsError("an array has no content; get the file anew")
        return self._value


class _Dtype:
    """Stands for a NumPy dtype of plain numbers: no object, no structure, nothing that a state could turn into one."""

    def __init__(self, code: Any, *_: Any) -> None:
        if not (isinstance(code, str) and re.fullmatch("[biuf][0-9]+", code)):
            raise WeightsError(f"an array of dtype {code!r}, which holds no plain numbers; save the weights alone")
        self.value = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">", "|", "="):
            self.value = self.value.newbyteorder(state[1])


class _Callable:
    """A function that a pickle may call, and nothing else may be done with it."""

    __slots__ = ("_function",)
    _function: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, _: Any) -> None:
        raise WeightsError("the file changes a function; it is no file of weights")


class _Ignored:
    """Stands for settings that training scripts save beside the weights."""

    __slots__ = ()

    def __setstate__(self, _: Any) -> None:
        """Keep nothing."""


class _StorageType(NamedTuple):
    """Stands for a PyTorch class such as FloatStorage."""

    name: str


class _Unpickler(pickle.Unpickler):
    """Knows tensors, arrays and containers, and nothing else; what it hands out is of this file, never NumPy's own."""

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")  # pickles of Python 2
        self.types: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a global that pickles of arrays need."""
        module = module.replace("numpy._core", "numpy.core")
        if module in ("torch", "torch.storage") and name in STORAGES:
            return _StorageType(name)
        if (module, name) == ("argparse", "Namespace"):
            return _Ignored
        if (module, name) in GLOBALS:
            return _Callable(GLOBALS[module, name])
        raise WeightsError(
            f"the file names {module}.{name}, which is neither tensor, array nor container, and was not loaded; "
            "save the arrays alone (in PyTorch torch.save(model.state_dict(), path))"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        """A tensor's storage: ("storage", type, key, device, count[, view])."""
        kind, storage_type, key, *rest = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise WeightsError(f"unknown reference {kind!r}; get the file anew")
        self.types[key] = storage_type.name
        view = rest[2] if len(rest) > 2 else None  # of the older serialisation: (key, offset, count)
        return _Storage(key, storage_type.name, int(view[1]) if view else 0)


def _rebuild_tensor(storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, storage.offset + int(offset), tuple(map(int, size)), tuple(map(int, stride)))


def _rebuild_parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


def _from_bytes(data: Any, dtype: Any) -> np.ndarray:
    """The numbers in `data`, which Python 2 pickled as text."""
    if not isinstance(dtype, _Dtype):
        raise WeightsError(f"an array's dtype is a {type(dtype).__name__}, which is none; get the file anew")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype.value)


def _encode(text: str, encoding: str) -> bytes:
    return text.encode({"latin1": "latin1", "latin-1": "latin1"}[encoding])


def _scalar(dtype: Any, data: Any) -> Any:
    return _from_bytes(data, dtype)[0]


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> _Array:
    """An array of protocol 5; since NumPy 2.4 order K is C with the axes in `axis_order`."""
    values, sides = _from_bytes(data, dtype), tuple(map(int, shape))
    if order == "K" and axis_order is not None:
        return _Array.of(values.reshape(sides).transpose(tuple(map(int, axis_order))))
    return _Array.of(values.reshape(sides, order=order))


GLOBALS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): dict,  # of a schedule's milestones
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("numpy", "ndarray"): _Array,  # only ever an argument of the next
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy.core.numeric", "_frombuffer"): _frombuffer,
    ("_codecs", "encode"): _encode,
}
