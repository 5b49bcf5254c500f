"""The rule that filled the networks of the golden files; `test_rule.py` holds it to their checksums."""

import zlib

import numpy as np


def fill(shapes, salt, gains, overrides):
    """{name: float32 array} of a PyTorch state dict.

    shapes: {name: shape}. gains: (end of a name, factor), multiplied in this order in float64. overrides: {name: values}.
    """
    filled = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            continue
        if name in overrides:
            filled[name] = np.asarray(overrides[name], np.float64).reshape(shape).astype(np.float32)
            continue
        values = _values(name, tuple(shape), len(shapes.get(f"{name.rpartition('.')[0]}.weight", (0, 0))) == 1, salt)
        for end, factor in gains:
            if name.endswith(end):
                values = values * factor
        filled[name] = values.astype(np.float32)
    return filled


def _values(name, shape, of_norm, salt):
    rng = np.random.default_rng(zlib.crc32((salt + name).encode()))
    leaf = name.rpartition(".")[2]
    if leaf == "running_mean":
        return rng.standard_normal(shape) * 0.1
    if leaf == "running_var":
        return rng.uniform(0.5, 1.5, shape)
    if of_norm and leaf == "weight":
        last = name.endswith(("bn3.weight", "conv3.norm.weight"))
        return rng.uniform(0.5, 1.0, shape) * (0.25 if last else 1)
    if leaf == "bias":
        return rng.standard_normal(shape) * (0.1 if of_norm else 0.05)
    return rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
