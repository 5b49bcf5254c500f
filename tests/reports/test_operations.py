"""Counts against literals worked out by hand, and against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from maskrcnn_jax.nn.conv import convolve
from maskrcnn_jax.reports import count_operations


def zeros(*shape, dtype=np.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


def only(function, *arguments):
    (operation,), _ = count_operations(function, *arguments)
    return operation


def convolution(x, kernel, *, stride=1, groups=1, padding="SAME"):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


def test_a_dense_layer_adds_a_product_an_input_for_each_output():
    """5 rows of 3 outputs from 7 inputs: 5 * 3 * 7 multiply-adds, 15 float32 numbers out."""
    assert only(jnp.dot, zeros(5, 7), zeros(7, 3))[1:] == (105, (5, 3), 60)


def test_products_of_a_batch_are_counted_each():
    """4 times [2, 3] by [3, 5], in bfloat16."""
    found = only(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), zeros(4, 2, 3, dtype=jnp.bfloat16), zeros(4, 3, 5, dtype=jnp.bfloat16))
    assert found[1:] == (4 * 2 * 5 * 3, (4, 2, 5), 80)


@pytest.mark.parametrize(
    ("kernel", "options", "multiply_adds", "shape"),
    [
        ((3, 3, 6, 4), {}, 2 * 8 * 10 * 4 * 9 * 6, (2, 8, 10, 4)),
        ((3, 3, 6, 4), {"stride": 2}, 2 * 4 * 5 * 4 * 9 * 6, (2, 4, 5, 4)),
        ((3, 3, 2, 12), {"groups": 3}, 2 * 8 * 10 * 12 * 9 * 2, (2, 8, 10, 12)),
        ((1, 1, 6, 4), {}, 2 * 8 * 10 * 4 * 6, (2, 8, 10, 4)),
    ],
)
def test_a_convolution_adds_a_product_a_cell_of_its_kernel(kernel, options, multiply_adds, shape):
    found = only(lambda x, k: convolution(x, k, **options), zeros(2, 8, 10, 6), zeros(*kernel))
    assert found[1:] == (multiply_adds, shape, 4 * np.prod(shape))


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (jnp.dot, [(5, 7), (7, 3)]),
        (lambda x, k: convolution(x, k, padding="VALID", stride=2), [(1, 9, 9, 4), (3, 3, 4, 8)]),
        (lambda x, k: convolution(x, k, padding="VALID", groups=2), [(1, 9, 9, 4), (3, 3, 2, 8)]),
    ],
)
def test_xla_counts_two_flops_a_multiply_add(function, shapes):
    """Without padding, of which XLA counts no products."""
    arguments = [zeros(*shape) for shape in shapes]
    analysis = jax.jit(function).lower(*arguments).cost_analysis()
    assert analysis["flops"] == 2 * only(function, *arguments).multiply_adds


def test_a_convolution_counts_as_one_whatever_form_cpus_take():
    """3x3, 64 channels in and out: on CPUs Winograd's, with 4 multiply-adds where this has 9."""
    found = only(lambda x, k: convolve(x, k, 1, 1), zeros(1, 40, 40, 64), zeros(3, 3, 64, 64))
    assert found.multiply_adds == 40 * 40 * 64 * 9 * 64


def test_what_is_repeated_counts_as_often_and_of_branches_the_largest():
    def repeated(x):
        return lax.scan(lambda x, _: (x @ x, None), x, length=3)[0]

    assert only(repeated, zeros(4, 4))[1:] == (3 * 64, (4, 4), 3 * 64)

    def branched(flag, x, y):
        return lax.cond(flag, lambda: (x @ x).sum(), lambda: (y @ y).sum())

    assert only(branched, zeros(dtype=bool), zeros(2, 2), zeros(4, 4)).multiply_adds == 64
    assert only(lambda x: lax.while_loop(lambda x: x.sum() < 0, lambda x: x @ x, x), zeros(4, 4)).multiply_adds == 64


def test_nothing_else_is_counted_and_the_outputs_shapes_are_told():
    found, outputs = count_operations(lambda x: (jnp.sort(jnp.exp(x) * 2 + 1), x.sum()), zeros(100, 3))
    assert found == []
    assert [x.shape for x in outputs] == [(100, 3), ()]


def test_an_operation_has_the_scope_of_its_layer_in_nested_functions_too():
    class Two(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.jit(nn.Dense)(3, name="last")(nn.Dense(5, name="first")(x))

    module = Two()
    variables = jax.eval_shape(module.init, jax.random.key(0), zeros(2, 4))
    assert [x.scope for x in count_operations(jax.checkpoint(module.apply), variables, zeros(2, 4))[0]] == ["Two/first", "Two/last"]
