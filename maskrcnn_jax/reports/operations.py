"""Multiply-adds and outputs of a function's convolutions and matrix products, counted without running or compiling it."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


class Operation(NamedTuple):
    """A convolution or matrix product.

    scope: where it stands, such as "Fpn/output2/conv". multiply_adds: a product and its addition to the sum count as one, those with
    padding too. shape: of the output. bytes: of the output.
    """

    scope: str
    multiply_adds: int
    shape: tuple[int, ...]
    bytes: int


def count_operations(function: Callable[..., Any], *arguments: Any) -> tuple[list[Operation], Any]:
    """The convolutions and matrix products of `function`, in their order; all else (norms, activations, sorting ...) is not counted.

    Of forms that depend on the platform, and of any other branches, that with the most multiply-adds counts: a convolution is counted
    as such though CPUs take fewer products for it. What is repeated a known number of times counts as often, other loops once.

    Args:
      function: of arrays.
      arguments: arrays, or their shapes and dtypes.

    Returns:
      The operations, and shapes and dtypes of what the function returns.
    """
    traced, outputs = jax.make_jaxpr(function, return_shape=True)(*arguments)
    return list(_operations(traced.jaxpr, ())), outputs


def _operations(jaxpr: Jaxpr, outer: tuple[str, ...]) -> Iterator[Operation]:
    for equation in jaxpr.eqns:
        own = str(equation.source_info.name_stack)
        scope = (*outer, own) if own else outer
        name = equation.primitive.name
        if name in ("dot_general", "conv_general_dilated"):
            output: Any = equation.outvars[0].aval
            yield Operation("/".join(scope), _multiply_adds(equation), output.shape, output.size * output.dtype.itemsize)
            continue
        inner = [list(_operations(part, scope)) for part in _parts(equation.params)]
        if name == "cond":
            inner = [max(inner, key=lambda branch: sum(operation.multiply_adds for operation in branch))]
        times = equation.params["length"] if name == "scan" else 1
        for operation in (operation for part in inner for operation in part):
            yield operation._replace(multiply_adds=times * operation.multiply_adds, bytes=times * operation.bytes)


def _parts(params: dict[str, Any]) -> Iterator[Jaxpr]:
    """The functions that an equation calls."""
    for value in params.values():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part


def _multiply_adds(equation: Any) -> int:
    """How many terms all sums of the output have together."""
    left, right = (variable.aval.shape for variable in equation.invars[:2])
    size = equation.outvars[0].aval.size
    if equation.primitive.name == "dot_general":
        (contracted, _), _ = equation.params["dimension_numbers"]
        return size * math.prod(left[axis] for axis in contracted)
    output_channels = right[equation.params["dimension_numbers"].rhs_spec[0]]
    return size * math.prod(right) // output_channels  # a kernel's cells and its inputs' channels, which are of one group
