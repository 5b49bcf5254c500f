"""Arrays -> a file that `torch.load` reads, written without PyTorch."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays

FOLDER = "archive"  # within the zip file, as `torch.save` calls it
EMPTY_DICT = b"ccollections\nOrderedDict\n)R"  # call collections.OrderedDict without arguments


def write_weights(path: Path, arrays: Arrays) -> None:
    """Write a state dict of float32 arrays in PyTorch's zip serialisation; on an error no file is left, nor one changed.

    Args:
      path: a `.pth` file, new.
      arrays: by name.

    Raises:
      WeightsError: the file exists, or has another suffix.
      OSError: it cannot be written.
    """
    require_new(path)
    with TemporaryDirectory(dir=path.parent) as folder:
        part = Path(folder) / path.name
        with zipfile.ZipFile(part, "w") as archive:

            def add(name: str, content: bytes) -> None:  # not deflated, which torch.load cannot read, and without today's date
                archive.writestr(zipfile.ZipInfo(f"{FOLDER}/{name}"), content)

            add("data.pkl", _pickle_of({name: array.shape for name, array in arrays.items()}))
            add("byteorder", b"little")
            for i, array in enumerate(arrays.values()):
                add(f"data/{i}", np.ascontiguousarray(array, "<f4").tobytes())
            add("version", b"3\n")
        part.rename(path)


def require_new(path: Path) -> None:
    """Raise WeightsError where `write_weights` would not write: another suffix than .pth, an existing file, a missing folder."""
    if path.suffix not in (".pth", ".pt"):
        raise WeightsError(f"{path}: weights are written as PyTorch's files; give a name that ends with .pth")
    if path.exists():
        raise WeightsError(f"{path}: exists already and would be overwritten; give another name")
    if not path.absolute().parent.is_dir():
        raise WeightsError(f"{path}: its folder does not exist; make it first")


def _pickle_of(shapes: dict[str, tuple[int, ...]]) -> bytes:
    """Pickle of an OrderedDict of tensors, tensor i in the storage called i.

    The opcodes are put together by hand: Python's pickler would import the functions of PyTorch that it names.
    """
    items = b"".join(_value(name) + _tensor(str(i), shape) for i, (name, shape) in enumerate(shapes.items()))
    return b"\x80\x02" + EMPTY_DICT + b"(" + items + b"u" + b"."


def _tensor(key: str, shape: tuple[int, ...]) -> bytes:
    """Opcodes of torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, requires_grad=False, backward_hooks=OrderedDict())."""
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    storage = _tuple([_value("storage"), b"ctorch\nFloatStorage\n", _value(key), _value("cpu"), _value(int(np.prod(shape)))])
    arguments = [storage + b"Q", _value(0), _tuple(map(_value, shape)), _tuple(map(_value, strides)), b"\x89", EMPTY_DICT]
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(arguments) + b"R"


def _tuple(values: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(values) + b"t"


def _value(value: str | int) -> bytes:
    """Opcode of a string, or of a number below 2^31."""
    if isinstance(value, int):
        return b"J" + value.to_bytes(4, "little")
    text = value.encode()
    return b"X" + len(text).to_bytes(4, "little") + text
