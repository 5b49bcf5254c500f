"""The safetensors format: a JSON header, then the arrays' bytes."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from maskrcnn_jax.weights.errors import WeightsError

DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as safetensors do: the header's length, then the header."""
    with path.open("rb") as file:
        start = file.read(9)
    return len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") <= path.stat().st_size - 8


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Arrays by name.

    Raises:
      WeightsError: the file is cut short, its header is not one, or an array's type is not known here.
    """
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    data = memoryview(content)[8 + length :]
    arrays = {}
    try:
        for name, about in json.loads(content[8 : 8 + length]).items():
            if name != "__metadata__":
                start, end = about["data_offsets"]
                if not 0 <= start <= end <= len(data):
                    raise ValueError(f"{name} ends at byte {end} of {len(data)}")
                if about["dtype"] not in DTYPES:
                    raise WeightsError(f"{path}: {name} has dtype {about['dtype']}; convert it to one of {', '.join(DTYPES)}")
                if min(about["shape"], default=0) < 0:
                    raise ValueError(f"{name} has shape {about['shape']}")
                arrays[name] = np.frombuffer(data[start:end], DTYPES[about["dtype"]]).reshape(about["shape"])
    except WeightsError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a whole safetensors file ({error}); get it anew") from error
    return arrays
