"""3x3 convolutions of stride 1 with 16 products where 36 are usual: Winograd's F(2x2, 3x3).

An output tile of 2x2 cells reads an input tile of 4x4. Both tiles and the kernel are transformed by sums, along rows and then along
columns, so that a convolution becomes, for each of 16 places in the tile, one matrix product over the channels of all tiles.

Source: Lavin and Gray 2016, section 4.1.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

Map = Float[Array, "n h w c"]
Tiles = list[list[Array]]  # by row and column in the tile; each [tiles, channels] or [inputs, outputs]


def convolve_3x3(x: Map, kernel: Float[Array, "3 3 c d"]) -> Float[Array, "n h w d"]:
    """The convolution with padding 1."""
    n, h, w, _ = x.shape
    tiles, weights = _input_tiles(x), _transformed(_rows_and_columns(kernel), _kernel_sums)
    products = [[tile @ weight for tile, weight in zip(*rows, strict=True)] for rows in zip(tiles, weights, strict=True)]
    cells = _transformed(products, _output_sums)
    shape = (n, -(-h // 2), -(-w // 2), kernel.shape[-1])
    rows = [jnp.stack([cell.reshape(shape) for cell in row], axis=3) for row in cells]
    return jnp.stack(rows, axis=2).reshape(n, 2 * shape[1], 2 * shape[2], -1)[:, :h, :w]


def kernel_gradient_3x3(x: Map, gradient: Float[Array, "n h w d"]) -> Float[Array, "3 3 c d"]:
    """What the convolution of `x` hands from `gradient`, that of its output, to the kernel: each step above transposed."""
    products = [
        [read.T @ given for read, given in zip(*rows, strict=True)] for rows in zip(_input_tiles(x), _gradient_tiles(gradient), strict=True)
    ]
    return jnp.stack([jnp.stack(row) for row in _transformed(products, _kernel_sums_transposed)])


def _input_tiles(x: Map) -> Tiles:
    """4x4 tiles, 2 apart, that begin a cell outside the map."""
    return _transformed(_shifted(jnp.pad(x, ((0, 0), (1, 1 + x.shape[1] % 2), (1, 1 + x.shape[2] % 2), (0, 0))), 4), _input_sums)


def _gradient_tiles(gradient: Map) -> Tiles:
    """2x2 tiles side by side."""
    _, h, w, _ = gradient.shape
    return _transformed(_shifted(jnp.pad(gradient, ((0, 0), (0, h % 2), (0, w % 2), (0, 0))), 2), _output_sums_transposed)


def _shifted(padded: Map, side: int) -> Tiles:
    """Of all tiles of that side, 2 apart, each of their cells."""
    rows, columns = padded.shape[1] - side + 1, padded.shape[2] - side + 1
    return [[padded[:, i : i + rows : 2, j : j + columns : 2].reshape(-1, padded.shape[-1]) for j in range(side)] for i in range(side)]


def _rows_and_columns(kernel: Array) -> Tiles:
    return [[kernel[i, j] for j in range(3)] for i in range(3)]


def _transformed(tiles: Tiles, sums: Callable[[list[Array]], list[Array]]) -> Tiles:
    """`sums` along the rows of every column, then along the columns of every row."""
    columns = [sums([row[j] for row in tiles]) for j in range(len(tiles[0]))]
    return [sums([column[i] for column in columns]) for i in range(len(columns[0]))]


def _input_sums(d: list[Array]) -> list[Array]:
    return [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]]


def _kernel_sums(g: list[Array]) -> list[Array]:
    return [g[0], (g[0] + g[1] + g[2]) / 2, (g[0] - g[1] + g[2]) / 2, g[2]]


def _kernel_sums_transposed(u: list[Array]) -> list[Array]:
    return [u[0] + (u[1] + u[2]) / 2, (u[1] - u[2]) / 2, (u[1] + u[2]) / 2 + u[3]]


def _output_sums(m: list[Array]) -> list[Array]:
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _output_sums_transposed(y: list[Array]) -> list[Array]:
    return [y[0], y[0] + y[1], y[0] - y[1], -y[1]]
