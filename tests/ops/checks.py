"""What every operator is asked."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np


def assert_close(actual, expected, atol: float = 0.0, rtol: float = 0.0) -> None:
    """Equal trees of arrays; to the bit by default."""
    actual, expected = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), atol=atol, rtol=rtol)


def assert_transforms_agree(fn: Callable, *batched: np.ndarray, atol: float = 0.0) -> None:
    """`jit` equals eager and `vmap` equals a loop, over the leading axis of the arguments; float32 stays float32."""
    batched = tuple(jnp.asarray(x) for x in batched)
    rows = [tuple(x[i] for x in batched) for i in range(batched[0].shape[0])]
    with jax.enable_x64(True):  # where an array made without a dtype is float64
        floats = [x for x in jax.tree.leaves(jax.eval_shape(fn, *rows[0])) if jnp.issubdtype(x.dtype, jnp.floating)]
    assert all(x.dtype == jnp.float32 for x in floats)
    jitted = [jax.jit(fn)(*row) for row in rows]
    assert_close(jitted[0], fn(*rows[0]), atol=atol)
    looped = jax.tree.map(lambda *leaves: np.stack(leaves), *jitted)
    assert_close(jax.jit(jax.vmap(fn))(*batched), looped, atol=atol)


def assert_leading_axes_are_free(fn: Callable, *args: np.ndarray, axes: Sequence[int] = (2, -1)) -> None:
    """Functions of `*n` rows: any shape of n gives the same numbers."""
    shaped = fn(*[jnp.asarray(x).reshape(*axes, *x.shape[1:]) for x in args])
    flat = fn(*[jnp.asarray(x) for x in args])
    assert_close(shaped, jax.tree.map(lambda x: x.reshape(*axes, *x.shape[1:]), flat))


def assert_gradient(fn: Callable, *args: np.ndarray, wrt: Sequence[int] = (0,)) -> None:
    """The gradient along a random direction is the central difference, both in float64.

    The step is 1e-6: the difference of float64 values is good to about 1e-10, the curvature term is of order 1e-12.
    """
    rng = np.random.default_rng(1)
    fn = jax.jit(fn)
    with jax.enable_x64(True):
        args = tuple(jnp.asarray(np.float64(a) if a.dtype == np.float32 else a) for a in args)
        weights = jnp.asarray(rng.standard_normal(jax.eval_shape(fn, *args).shape))
        directions = [jnp.asarray(rng.standard_normal(args[i].shape)) for i in wrt]

        def scalar(step):
            moved = list(args)
            for i, direction in zip(wrt, directions, strict=True):
                moved[i] = moved[i] + step * direction
            return jnp.sum(fn(*moved) * weights)

        _, pull = jax.vjp(lambda *xs: fn(*[xs[wrt.index(i)] if i in wrt else a for i, a in enumerate(args)]), *[args[i] for i in wrt])
        analytic = sum(jnp.sum(g * d) for g, d in zip(pull(weights), directions, strict=True))
        numeric = (scalar(1e-6) - scalar(-1e-6)) / 2e-6
        np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-8)
        assert abs(analytic) > 1e-3  # the direction moves something


def assert_sums_in_float32(pool: Callable, pyramid: Sequence[jnp.ndarray], boxes: np.ndarray) -> None:
    """`pool(pyramid, boxes)` of bfloat16 maps, and its gradient, are those of the same maps in float32, rounded once at the end.

    So many RoIs read a cell that a bfloat16 sum of what they send it would stand still.
    """
    half = [level.astype(jnp.bfloat16) for level in pyramid]
    boxes = jnp.asarray(np.tile(boxes, (1 + 1000 // len(boxes), 1)))

    def run(maps: Sequence[jnp.ndarray]) -> tuple[jnp.ndarray, list[jnp.ndarray]]:
        pooled, pull = jax.vjp(lambda maps: pool(maps, boxes), maps)
        return pooled, *pull(jnp.ones_like(pooled))

    found, expected = run(half), run([level.astype(jnp.float32) for level in half])
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype(jnp.bfloat16)}
    assert max(float(jnp.max(jnp.abs(leaf))) for leaf in expected[1]) > 600
    # A sum that was fused otherwise may round to the neighbour.
    assert_close(*(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), tree) for tree in (found, expected)), atol=1e-5, rtol=2**-8)
