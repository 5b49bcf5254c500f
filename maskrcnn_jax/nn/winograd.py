"""3x3 convolutions of stride 1 with 16 products where 36 are usual: Winograd's F(2x2, 3x3).

An output tile of 2x2 cells reads an input tile of 4x4. Both tiles are transformed by sums, along rows and then along columns, and the
kernel by a product with its cells, so that a convolution becomes, for each of 16 places in the tile, one matrix product over the channels
of all tiles.

Source: Lavin and Gray 2016, section 4.1.
"""

from collections.abc import Sequence
from functools import reduce
from operator import sub

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from maskrcnn_jax.nn.product import after

Map = Float[Array, "n h w c"]
Padded = Float[Array, "n _h _w c"]
Row = list[Array]  # by column in the tile; each [tiles, channels] or [inputs, outputs]
Tile = list[Row]
Matrix = Sequence[Sequence[int]]

# Tiles x channels of maps that are not cut, and of a band of those that are; read when maps of a shape are first traced.
WHOLE, BAND = 2**19, 2**16

# B', A' and G of the paper, but the last row of B' and the last column of A' have the other sign: the two cancel, and each row, also
# of A, has a one.
INPUT = (1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, -1, 0, 1)
OUTPUT = (1, 1, 1, 0), (0, 1, -1, 1)
GRADIENT = tuple(zip(*OUTPUT, strict=True))
KERNEL = np.array([(1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)])
KERNELS = np.kron(KERNEL, KERNEL)  # of the 16 places in a tile, and the 9 cells of a kernel


@jax.jit  # called with the same shapes again and again: traced once
def convolve_3x3(x: Map, kernel: Float[Array, "3 3 c d"]) -> Float[Array, "n h w d"]:
    """The convolution with padding 1; of large maps in bands of rows, whose tiles a processor's cache holds."""
    (n, h, w, c), d = x.shape, kernel.shape[-1]
    rows, columns = -(-h // 2), -(-w // 2)
    in_row = n * columns * max(c, d)
    band = max(1, BAND // in_row) if rows * in_row > WHOLE else rows
    bands = -(-rows // band)
    padded = jnp.pad(x, ((0, 0), (1, 1 + 2 * bands * band - h), (1, 1 + w % 2), (0, 0)))
    places = jnp.dot(KERNELS.astype(kernel.dtype), kernel.reshape(9, -1)).reshape(4, 4, c, d)
    weights = [jnp.unstack(row) for row in jnp.unstack(places)]

    def of_band(i: Array, outputs: Padded) -> Padded:
        read = lax.dynamic_slice_in_dim(padded, 2 * band * i, 2 * band + 2, axis=1, allow_negative_indices=False)
        tiles = _transformed(_tiles(read, 4), INPUT)
        products = [[tile @ weight for tile, weight in zip(*rows, strict=True)] for rows in zip(tiles, weights, strict=True)]
        cells = [[cell.reshape(n, band, columns, d) for cell in row] for row in _transformed(products, OUTPUT)]
        values = jnp.stack([jnp.stack(row, axis=3) for row in cells], axis=2).reshape(n, 2 * band, 2 * columns, d)
        return lax.dynamic_update_slice_in_dim(outputs, values, 2 * band * i, axis=1, allow_negative_indices=False)

    outputs = after(x, jnp.zeros((n, 2 * bands * band, 2 * columns, d), x.dtype))
    return lax.fori_loop(0, bands, of_band, outputs)[:, :h, :w]


@jax.jit  # as above
def kernel_gradient_3x3(x: Map, gradient: Float[Array, "n h w d"]) -> Float[Array, "3 3 c d"]:
    """What the convolution of `x` hands from `gradient`, that of its output, to the kernel: each step above transposed.

    One row of the tiles after the other: XLA's CPU compiler otherwise transforms all, eight times the maps, before the first product.
    """
    read, given, done = _padded(after(gradient, x), 1), _padded(gradient, 0), gradient
    products: Tile = []
    for input_row, gradient_row in zip(INPUT, GRADIENT, strict=True):
        tiles = _row(_tiles(after(done, read), 4), input_row, INPUT)
        gradients = _row(_tiles(after(done, given), 2), gradient_row, GRADIENT)
        products.append([tile.T @ of_tile for tile, of_tile in zip(tiles, gradients, strict=True)])
        done = jnp.sum(jnp.stack([product[0, 0] for product in products[-1]]))
    places = jnp.stack([product for row in products for product in row])
    return jnp.dot(KERNELS.T.astype(places.dtype), places.reshape(16, -1)).reshape(3, 3, *places.shape[1:])


def _padded(x: Map, around: int) -> Padded:
    """Zeros around the map, and below and to the right to make its sides even."""
    return jnp.pad(x, ((0, 0), (around, around + x.shape[1] % 2), (around, around + x.shape[2] % 2), (0, 0)))


def _tiles(padded: Padded, side: int) -> Tile:
    """Of all tiles of that side, 2 apart, each of their cells."""
    n, h, w, c = padded.shape

    def cells(i: int, j: int) -> Array:
        return lax.slice(padded, (0, i, j, 0), (n, h - side + 1 + i, w - side + 1 + j, c), (1, 2, 2, 1)).reshape(-1, c)

    return [[cells(i, j) for j in range(side)] for i in range(side)]


def _transformed(tile: Tile, matrix: Matrix) -> Tile:
    """`matrix`, times the tile, times the transpose of `matrix`."""
    return [_row(tile, signs, matrix) for signs in matrix]


def _row(tile: Tile, signs: Sequence[int], matrix: Matrix) -> Row:
    """The row of these signs."""
    cells = [_signed(column, signs) for column in zip(*tile, strict=True)]
    return [_signed(cells, signs) for signs in matrix]


def _signed(values: Sequence[Array], signs: Sequence[int]) -> Array:
    plus, minus = ([value for value, sign in zip(values, signs, strict=True) if sign == wanted] for wanted in (1, -1))
    return reduce(sub, minus, sum(plus[1:], plus[0]))
