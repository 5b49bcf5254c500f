"""Running the stages of one image over a batch, each device its own images."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, PartitionSpec

DATA_AXIS = "data"


def one_device_mesh() -> Mesh:
    """The mesh of a model that nobody gave one."""
    return jax.make_mesh((1,), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:1])


def per_image(function: Callable[..., Any], mesh: Mesh, *arguments: Any) -> Any:
    """`function` of one image's arrays, mapped over the leading axis of every array in `arguments`.

    Under `shard_map`, so that loops inside `function` (NMS) run on each device alone: plain `jit` would put a reduction
    over all devices into every round.
    """
    spec = PartitionSpec(DATA_AXIS)
    return jax.shard_map(jax.vmap(function), mesh=mesh, in_specs=spec, out_specs=spec)(*arguments)
