"""Running the stages of one image over a batch, each device its own images."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, PartitionSpec

DATA_AXIS, MODEL_AXIS = "data", "model"


def make_mesh(devices: Sequence[jax.Device]) -> Mesh:
    """The mesh over which batches are spread: all of `devices` along the axis `data`, one along the axis `model`.

    The order of the devices is kept, so that those of a process, which `jax.devices()` has side by side, hold rows side by side.
    """
    return Mesh(np.asarray(devices).reshape(-1, 1), (DATA_AXIS, MODEL_AXIS), axis_types=(AxisType.Auto, AxisType.Auto))


def one_device_mesh() -> Mesh:
    """The mesh of a model that nobody gave one: this process's first device."""
    return make_mesh(jax.local_devices()[:1])


def per_image(function: Callable[..., Any], mesh: Mesh, *arguments: Any) -> Any:
    """`function` of one image's arrays, mapped over the leading axis of every array in `arguments`.

    Under `shard_map`, so that loops inside `function` (NMS) run on each device alone: plain `jit` would put a reduction
    over all devices into every round.
    """
    spec = PartitionSpec(DATA_AXIS)
    return jax.shard_map(jax.vmap(function), mesh=mesh, in_specs=spec, out_specs=spec)(*arguments)
