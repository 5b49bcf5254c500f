"""Max pooling in the forms that run well on every platform."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float, Int

Map = Float[Array, "n h w c"]
Pooled = Float[Array, "n _h _w c"]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def max_pool(x: Map, size: int, padding: int) -> Pooled:
    """The largest of each `size` x `size` window, windows 2 apart; `padding` cells around the map are never the largest.

    The gradient of a window goes to the first of its largest cells, row by row. XLA's CPU compiler looks for that cell again in one
    loop without vectors; there the places are found and their gradients put together by slices.
    """
    return _pool(x, size, padding)


def _pool(x: Map, size: int, padding: int) -> Pooled:
    return nn.max_pool(x, (size, size), strides=(2, 2), padding=((padding, padding), (padding, padding)))


def _forward(x: Map, size: int, padding: int) -> tuple[Pooled, Map]:
    return max_pool(x, size, padding), x


def _backward(size: int, padding: int, x: Map, gradient: Pooled) -> tuple[Map]:
    def by_xla(x: Map, gradient: Pooled) -> Map:
        return jax.vjp(lambda x: _pool(x, size, padding), x)[1](gradient)[0]

    def by_slices(x: Map, gradient: Pooled) -> Map:
        place = lax.optimization_barrier(_place(x, gradient, size, padding))
        return _gradient(x, place, gradient, size, padding)

    return (lax.platform_dependent(x, gradient, cpu=by_slices, default=by_xla),)


max_pool.defvjp(_forward, _backward)


def _place(x: Map, gradient: Pooled, size: int, padding: int) -> Int[Array, "n _h _w c"]:
    """Of each window the first cell, row by row from 0 on, that is its largest.

    Cells are compared with each other, never with what the forward pass found: XLA may compute `x` again here, with other roundings.
    """
    (_, h, w, _), pads = gradient.shape, (padding, size)  # windows may end outside the map
    padded = jnp.pad(x, ((0, 0), pads, pads, (0, 0)), constant_values=-jnp.inf)
    largest = padded[:, : 2 * h : 2, : 2 * w : 2]
    place = jnp.zeros(largest.shape, jnp.int8)
    for k in range(1, size * size):
        i, j = divmod(k, size)
        cell = padded[:, i : i + 2 * h : 2, j : j + 2 * w : 2]
        place = jnp.where(cell > largest, jnp.int8(k), place)
        largest = jnp.maximum(cell, largest)
    return place


def _gradient(x: Map, place: Int[Array, "n _h _w c"], gradient: Pooled, size: int, padding: int) -> Map:
    """What the cells of `x` get: of each 2x2 block of the padded map, each cell apart, then side by side."""
    n, h, w, c = gradient.shape
    reach = (size - 1) // 2  # blocks to the right and below that a window touches

    def of_cell(a: int, b: int) -> Map:
        total = jnp.zeros((n, h + reach, w + reach, c), gradient.dtype)
        for i in range(a, size, 2):
            for j in range(b, size, 2):
                given = jnp.where(place == i * size + j, gradient, 0)
                down, right = i // 2, j // 2
                total += jnp.pad(given, ((0, 0), (down, reach - down), (right, reach - right), (0, 0)))
        return total

    rows = [jnp.stack([of_cell(a, b) for b in range(2)], axis=3) for a in range(2)]
    padded = jnp.stack(rows, axis=2).reshape(n, 2 * (h + reach), 2 * (w + reach), c)
    missing = [max(0, padding + side - 2 * (cells + reach)) for side, cells in ((x.shape[1], h), (x.shape[2], w))]
    padded = jnp.pad(padded, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))  # rows that no window reads
    return padded[:, padding : padding + x.shape[1], padding : padding + x.shape[2]]
