"""Gradients of kernels from images that eight devices share, against one device's; and what the devices send each other for them.

A process of its own: the number of CPU devices is fixed when JAX starts. Images are small, so what makes forms worth while is set aside.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from maskrcnn_jax import models
from maskrcnn_jax.nn import conv, product

DEVICES, CHANNELS = 8, 32
IMAGES = (DEVICES, 16, 16, CHANNELS)
MAPS = {f"[{DEVICES},16,16,{CHANNELS}]", f"[1,16,16,{CHANNELS}]"}


def of_conv(x, kernel, gradient):
    return jax.vjp(lambda kernel: conv.convolve(x, kernel, 1, 1), kernel)[1](gradient)[0]


def of_product(x, kernel, gradient):
    return jax.vjp(lambda kernel: product.product(x, kernel, x.dtype), kernel)[1](gradient)[0]


def main(name, dtype):
    conv.TILED_CELLS = 1 if name == "tiles" else 10**9
    conv.PRODUCTS_FROM = 1 if name == "products" else 10**9
    product.PART = 64
    function, kernel = (of_product, (CHANNELS, CHANNELS)) if name == "parts" else (of_conv, (3, 3, CHANNELS, CHANNELS))
    rng = np.random.default_rng(0)
    x, gradient = (jnp.asarray(1 + rng.standard_normal(IMAGES), dtype) for _ in range(2))
    arrays = (x, jnp.zeros(kernel), gradient)
    mesh = models.make_mesh(jax.devices())
    rows, everywhere = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
    shared = jax.jit(function, in_shardings=(rows, everywhere, rows), out_shardings=everywhere).lower(*arrays).compile()
    found = shared(*(jax.device_put(array, where) for array, where in zip(arrays, (rows, everywhere, rows), strict=True)))
    expected = function(*arrays)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    sent = [line for line in shared.as_text().splitlines() if "all-" in line or "collective" in line or "reduce-scatter" in line]
    kinds = {kind for line in sent for kind in ("all-gather", "all-to-all", "collective-permute", "reduce-scatter") if f"{kind}(" in line}
    assert found.dtype == jnp.float32
    assert error < 1e-5, error  # float32 sums of 2,048 products in another order; of rounded parts it would be 2e-3
    assert any("all-reduce(" in line for line in sent)
    assert not kinds, kinds
    assert not [line for line in sent if any(shape in line for shape in MAPS)]


if __name__ == "__main__":
    main(*sys.argv[1:])
