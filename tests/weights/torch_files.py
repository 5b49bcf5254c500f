"""Files as `torch.save` writes them, made without PyTorch."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from typing import NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
TYPES = {"float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage", "int64": "LongStorage"}


class Stored:
    """A storage and its key in the file."""

    def __init__(self, key, values):
        self.key, self.values = key, values


class Tensor(NamedTuple):
    """A view of a storage; offset and stride in elements."""

    storage: Stored
    offset: int
    size: tuple
    stride: tuple


def state_dict(**arrays):
    """A state dict of contiguous tensors, each with a storage of its own."""
    return OrderedDict(
        (name, Tensor(Stored(str(i), array.ravel()), 0, array.shape, tuple(s // array.itemsize for s in array.strides)))
        for i, (name, array) in enumerate(arrays.items())
    )


def as_zip(path, tree, **others):
    """The serialisation since PyTorch 1.6."""
    data, storages = _pickled(tree, view=())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", others.get("byteorder", "little"))
        for key, values in storages.items():
            archive.writestr(f"archive/data/{key}", values.tobytes())
    return path


def as_stream(path, tree):
    """The serialisation before 1.6."""
    data, storages = _pickled(tree, view=(None,))
    head = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {"little_endian": True}))
    tail = b"".join(np.int64(values.size).tobytes() + values.tobytes() for values in storages.values())
    path.write_bytes(head + data + pickle.dumps(list(storages), 2) + tail)
    return path


def _pickled(tree, view):
    storages = {}
    names = {"_rebuild_tensor_v2": "torch._utils", **dict.fromkeys(TYPES.values(), "torch")}
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for name, module in names.items():
        stand_in = type(name, (), {"__module__": module})
        setattr(modules[module], name, stand_in)

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, Stored):
                return None
            storages[obj.key] = obj.values
            return ("storage", getattr(modules["torch"], TYPES[str(obj.values.dtype)]), obj.key, "cpu", obj.values.size, *view)

        def reducer_override(self, obj):
            if isinstance(obj, Tensor):
                return modules["torch._utils"]._rebuild_tensor_v2, (*obj, False, OrderedDict())
            return NotImplemented

    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        buffer = io.BytesIO()
        Pickler(buffer, 2).dump(tree)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return buffer.getvalue(), storages
