"""Convolutions in the forms that compile well on every platform."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from maskrcnn_jax.nn.dense import as_they_are, dense
from maskrcnn_jax.nn.product import after, product
from maskrcnn_jax.nn.winograd import convolve_3x3, kernel_gradient_3x3

Input = Float[Array, "n h w c"]
Kernel = Float[Array, "k k _c d"]  # _c: inputs of one group
Output = Float[Array, "n _h _w d"]
Layer = Callable[[Input], Output]

# Channels, in and out, from which a form is taken on CPUs, and cells from which tiles are; with fewer the gain is small, or none, and
# compiling takes longer. Of kernels wider than 3 products give the gradient whatever their channels.
TILES_FROM, GRADIENT_TILES_FROM, PRODUCTS_FROM = 48, 32, 128
TILED_CELLS = 1024


def conv(
    channels: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    use_bias: bool = True,
    init: nn.initializers.Initializer,
    name: str,
) -> Layer:
    """A square convolution with padding (kernel - 1) / 2 on each side, as PyTorch has it; only those wider than 1x1 have groups.

    A 1x1 convolution is a matrix product and written as one, kernel [c, d]: XLA's CPU compiler is several times faster at
    the gradient of that form, and no slower on a GPU. With a stride, the cells it reads are set apart from it by a barrier:
    XLA's GPU compiler (jaxlib 0.11.2) ends the process when it fuses a strided slice into a product
    (https://github.com/openxla/xla/issues/47381).
    """
    if kernel == 1:
        if groups > 1:
            raise ValueError(f"{name}: a 1x1 convolution has no groups; got {groups}")
        layer = dense(channels, use_bias=use_bias, init=init, name=name)
        return lambda x: layer(x if stride == 1 else lax.optimization_barrier(x[:, ::stride, ::stride]))
    layer = nn.Conv(
        channels,
        (kernel, kernel),
        use_bias=use_bias,
        kernel_init=init,
        feature_group_count=groups,
        promote_dtype=as_they_are,
        conv_general_dilated=lambda x, weights, *_, **__: convolve(x, weights, stride, groups),
        name=name,
    )
    return lambda x: layer(x).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Input, kernel: Kernel, stride: int, groups: int) -> Output:
    """Convolution with an odd kernel, rounded to the dtype of `x`, and padding (k - 1) / 2; outputs of a group read inputs of that group.

    On CPUs it and its gradients take a form that is fast there where channels and cells are many. XLA's own of the kernel's gradient, a
    convolution whose window is as large as the image, can take several times as long.
    """
    form = convolve_3x3 if _has_tiles(x, kernel, stride, groups, TILES_FROM) else None
    return _on_cpus(form, _xla(stride, groups), x, kernel.astype(x.dtype))


def _xla(stride: int, groups: int) -> Callable[[Input, Kernel], Output]:
    """XLA's own convolution."""

    def convolution(x: Input, kernel: Kernel) -> Output:
        pad = (kernel.shape[0] - 1) // 2
        return lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    return convolution


def _on_cpus(form: Callable[..., Array] | None, default: Callable[..., Array], *arrays: Array) -> Array:
    """`form`, if there is one, where the program is compiled for a CPU; elsewhere `default`."""
    return default(*arrays) if form is None else lax.platform_dependent(*arrays, cpu=form, default=default)


def _has_tiles(x: Input, kernel: Kernel, stride: int, groups: int, channels: int) -> bool:
    """Whether tiles can serve this convolution, and it has so many channels in and out, and many cells."""
    fits = kernel.shape[0] == 3 and stride == 1 and groups == 1 and x.dtype != jnp.bfloat16  # whose sums would lose digits
    return fits and min(kernel.shape[2:]) >= channels and x.size // x.shape[-1] >= TILED_CELLS


def _forward(x: Input, kernel: Kernel, stride: int, groups: int) -> tuple[Output, tuple[Input, Kernel]]:
    return convolve(x, kernel, stride, groups), (x, kernel)


def _backward(stride: int, groups: int, residuals: tuple[Input, Kernel], gradient: Output) -> tuple[Input, Kernel]:
    x, kernel = residuals
    dtype, kernel, convolution = kernel.dtype, kernel.astype(x.dtype), _xla(stride, groups)

    def x_gradient(gradient: Output) -> Input:
        return jax.vjp(lambda x: convolution(x, kernel), x)[1](gradient)[0]

    def x_gradient_by_tiles(gradient: Output) -> Input:
        return convolve_3x3(gradient, kernel[::-1, ::-1].transpose(0, 1, 3, 2))

    def kernel_gradient(x: Input, gradient: Output) -> Kernel:
        return jax.vjp(lambda kernel: convolution(x, kernel), kernel)[1](gradient)[0].astype(dtype)

    def kernel_gradient_by_products(x: Input, gradient: Output) -> Kernel:
        return _kernel_gradient(after(gradient, x), gradient, kernel.shape[0], stride, dtype)

    by_tiles = x_gradient_by_tiles if _has_tiles(x, kernel, stride, groups, TILES_FROM) else None
    wide = groups == 1 and (min(kernel.shape[2:]) >= PRODUCTS_FROM or kernel.shape[0] > 3)
    of_kernel = kernel_gradient_by_products if wide else None
    if _has_tiles(x, kernel, stride, groups, GRADIENT_TILES_FROM):
        of_kernel = kernel_gradient_3x3
    return _on_cpus(by_tiles, x_gradient, gradient), _on_cpus(of_kernel, kernel_gradient, x, gradient)


convolve.defvjp(_forward, _backward)


def _kernel_gradient(x: Input, gradient: Output, size: int, stride: int, dtype: jnp.dtype) -> Kernel:
    """One matrix product a row of the kernel: what the row's cells read, all channels side by side, times the gradient."""
    (_, h, w, d), c, pad = gradient.shape, x.shape[-1], (size - 1) // 2
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

    def row(i: int) -> Float[Array, "k c d"]:
        read = [padded[:, i : i + stride * h : stride, j : j + stride * w : stride] for j in range(size)]
        sums = jnp.einsum("nhwc,nhwd->cd", jnp.concatenate(read, axis=-1), gradient, preferred_element_type=dtype)
        return sums.reshape(size, c, d)

    return jnp.stack([row(i) for i in range(size)])


class UpsamplingConv(nn.Module):
    """The transposed 2x2 convolution of stride 2: a matrix product gives each cell the four it becomes; kernel [c, 2, 2, channels].

    The four stay side by side until `interleave` puts them in their places: what works on each cell alone, such as a 1x1
    convolution to a few channels, costs less before.
    """

    channels: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w 2 2 d"]:
        """Upsample: (row, column) of the four cells, then channels."""
        c = x.shape[-1]
        kernel = self.param(
            "kernel", lambda key, shape: self.kernel_init(key, (c, 4 * self.channels)).reshape(shape), (c, 2, 2, self.channels)
        )
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        cells = product(x, kernel.reshape(c, -1), x.dtype).reshape(*x.shape[:-1], 2, 2, self.channels)
        return (cells + bias.reshape(1, 1, 1, 1, 1, -1)).astype(x.dtype)


def interleave(cells: Float[Array, "n h w 2 2 d"]) -> Float[Array, "n 2*h 2*w d"]:
    """A map of twice the sides from the four cells that each cell became."""
    n, h, w, _, _, d = cells.shape
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, d)
