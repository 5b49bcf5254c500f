"""Convolutions in the forms that compile well on every platform."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from maskrcnn_jax.nn.dense import as_features, dense

Input = Float[Array, "n h w c"]
Kernel = Float[Array, "k k _c d"]  # _c: inputs of one group
Output = Float[Array, "n _h _w d"]
Layer = Callable[[Input], Output]

PRODUCTS_FROM = 256  # channels, in and out; with fewer the gain is small and takes longer to compile


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
        promote_dtype=as_features,
        conv_general_dilated=lambda x, weights, *_, **__: convolve(x, weights, stride, groups),
        name=name,
    )
    return lambda x: layer(x).astype(x.dtype)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x: Input, kernel: Kernel, stride: int, groups: int) -> Output:
    """Convolution with an odd kernel and padding (k - 1) / 2, each group of outputs from its own group of inputs.

    Its gradient for the kernel is, on CPUs and where channels are many, a few matrix products: what XLA makes of it there, a
    convolution whose window is as large as the image, takes two to four times as long.
    """
    return _convolve(x, kernel, stride, groups)


def _convolve(x: Input, kernel: Kernel, stride: int, groups: int) -> Output:
    pad = (kernel.shape[0] - 1) // 2
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _forward(x: Input, kernel: Kernel, stride: int, groups: int) -> tuple[Output, tuple[Input, Kernel]]:
    return convolve(x, kernel, stride, groups), (x, kernel)


def _backward(stride: int, groups: int, residuals: tuple[Input, Kernel], gradient: Output) -> tuple[Input, Kernel]:
    x, kernel = residuals
    (x_gradient,) = jax.vjp(lambda x: _convolve(x, kernel, stride, groups), x)[1](gradient)

    def by_convolution(x: Input, gradient: Output) -> Kernel:
        return jax.vjp(lambda kernel: _convolve(x, kernel, stride, groups), kernel)[1](gradient)[0]

    def by_products(x: Input, gradient: Output) -> Kernel:
        return _kernel_gradient(x, gradient, kernel.shape[0], stride)

    wide = groups == 1 and min(kernel.shape[2:]) >= PRODUCTS_FROM
    return x_gradient, lax.platform_dependent(x, gradient, cpu=by_products if wide else by_convolution, default=by_convolution)


convolve.defvjp(_forward, _backward)


def _kernel_gradient(x: Input, gradient: Output, size: int, stride: int) -> Kernel:
    """One matrix product a row of the kernel: what the row's cells read, all channels side by side, times the gradient."""
    (_, h, w, d), c, pad = gradient.shape, x.shape[-1], (size - 1) // 2
    padded = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

    def row(i: int) -> Float[Array, "k c d"]:
        read = [padded[:, i : i + stride * h : stride, j : j + stride * w : stride] for j in range(size)]
        return jnp.einsum("nhwc,nhwd->cd", jnp.concatenate(read, axis=-1), gradient).reshape(size, c, d)

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
        return (jnp.tensordot(x, kernel.astype(x.dtype), 1) + bias.reshape(1, 1, 1, 1, 1, -1)).astype(x.dtype)


def interleave(cells: Float[Array, "n h w 2 2 d"]) -> Float[Array, "n 2*h 2*w d"]:
    """A map of twice the sides from the four cells that each cell became."""
    n, h, w, _, _, d = cells.shape
    return cells.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, d)
