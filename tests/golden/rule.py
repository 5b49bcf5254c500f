"""The rule that filled the networks of the golden files, and the pictures they saw; `test_rule.py` holds it to their checksums."""

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


def picture(height, width, seed):
    """uint8[height, width, 3]: a slope, 14 blobs, 12 rectangles, 6 patches of waves and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.zeros((height, width, 3))
    for channel in range(3):
        down, across = rng.uniform(-60, 60, 2)
        image[..., channel] = 110 + down * (y / height - 0.5) + across * (x / width - 0.5)
    for _ in range(14):
        middle_y, middle_x = rng.uniform(0, height), rng.uniform(0, width)
        long, short = rng.uniform(12, 90, 2)
        angle = rng.uniform(0, np.pi)
        u = (x - middle_x) * np.cos(angle) + (y - middle_y) * np.sin(angle)
        v = -(x - middle_x) * np.sin(angle) + (y - middle_y) * np.cos(angle)
        image += np.exp(-0.5 * ((u / short) ** 2 + (v / long) ** 2))[..., None] * rng.uniform(-110, 110, 3)
    for _ in range(12):
        h, w = rng.integers(20, 140, 2)
        top, left = rng.integers(0, height - 20), rng.integers(0, width - 20)
        image[top : top + h, left : left + w] += rng.uniform(-90, 90, 3)
    for _ in range(6):
        frequency, angle, phase = rng.uniform(0.03, 0.5), rng.uniform(0, np.pi), rng.uniform(0, 6.28)
        middle_y, middle_x, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(30, 80)
        envelope = np.exp(-0.5 * (((x - middle_x) / size) ** 2 + ((y - middle_y) / size) ** 2))
        waves = envelope * np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        image += waves[..., None] * rng.uniform(-70, 70, 3)
    image += rng.normal(0, 5, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
