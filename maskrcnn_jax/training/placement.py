"""Where the arrays of a run lie: on which devices, and of which processes."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from maskrcnn_jax.config import ConfigError, TrainConfig
from maskrcnn_jax.models import DATA_AXIS, make_mesh
from maskrcnn_jax.structs import Batch


def train_mesh(config: TrainConfig) -> Mesh:
    """The mesh of a run: `config.devices` of every process, those of one process side by side.

    Raises:
      ConfigError: a process has fewer devices, or they cannot share `config.batch_size` evenly in `config.accumulate` parts.
    """
    devices = _of_each_process(jax.devices(), config.devices)
    if config.batch_size % (len(devices) * config.accumulate):
        parts = f" in {config.accumulate} parts (train.accumulate)" if config.accumulate > 1 else ""
        multiples = ", ".join(str(len(devices) * config.accumulate * i) for i in (1, 2, 3))
        raise ConfigError(
            f"train.batch_size is {config.batch_size}, which {len(devices)} device(s) cannot share evenly{parts}; give {multiples} "
            "or so on, or fewer devices by train.devices"
        )
    return make_mesh(devices)


def local_mesh(config: TrainConfig) -> Mesh:
    """The mesh of what each process does alone, evaluation: its devices of `train_mesh`."""
    return make_mesh(_of_each_process(jax.local_devices(), config.devices))


def _of_each_process(devices: Sequence[jax.Device], count: int | None) -> list[jax.Device]:
    return [devices[i] for i in _chosen([device.process_index for device in devices], count)]


def _chosen(processes: Sequence[int], count: int | None) -> list[int]:
    """Of devices that belong to these processes, the first `count` of each process, process by process."""
    by_process: dict[int, list[int]] = {}
    for i, process in enumerate(processes):
        by_process.setdefault(process, []).append(i)
    for process, own in by_process.items():
        if count is not None and len(own) < count:
            raise ConfigError(f"train.devices is {count}, but process {process} has {len(own)}; give at most so many, or None for all")
    return [i for process in sorted(by_process) for i in by_process[process][:count]]


def own_positions(mesh: Mesh, batch_size: int) -> list[int]:
    """Positions in the global batch of the images that this process's devices of the mesh hold."""
    slices = NamedSharding(mesh, PartitionSpec(DATA_AXIS)).addressable_devices_indices_map((batch_size,)).values()
    return sorted({int(i) for index in slices if index is not None for i in np.arange(batch_size)[index]})


def to_devices(batch: Batch, mesh: Mesh) -> Batch:
    """A global batch on the mesh, spread over its axis `data`, from this process's images of it; without what only the host reads."""
    spread = NamedSharding(mesh, PartitionSpec(DATA_AXIS))
    return jax.tree.map(
        lambda x: jax.make_array_from_process_local_data(spread, np.asarray(x)), batch._replace(image_ids=None, faults=None)
    )


def placed(tree: Any, mesh: Mesh, config: TrainConfig) -> Any:
    """The state of a run, the same in every process, on the mesh as `config.sharding` says."""
    return jax.tree.map(_put, tree, shardings(tree, mesh, config))


def _put(x: Any, sharding: NamedSharding) -> jax.Array:
    """Not by `device_put`, which compares every array between processes, and takes no key to the devices of others."""
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(_put(jax.random.key_data(x), sharding))
    return jax.make_array_from_callback(x.shape, sharding, lambda index: np.asarray(x)[index])


def shardings(tree: Any, mesh: Mesh, config: TrainConfig) -> Any:
    """The sharding of each array of a state.

    fsdp: along the largest axis that the mesh's devices can share evenly; arrays without one, whole on every device.
    """
    devices = mesh.shape[DATA_AXIS] if config.sharding == "fsdp" else 1
    return jax.tree.map(lambda x: NamedSharding(mesh, _in_parts(x.shape, devices)), tree)


def _in_parts(shape: tuple[int, ...], parts: int) -> PartitionSpec:
    even = [axis for axis, side in enumerate(shape) if side % parts == 0 and side and parts > 1]
    if not even:
        return PartitionSpec()
    largest = max(even, key=lambda axis: shape[axis])
    return PartitionSpec(*(DATA_AXIS if axis == largest else None for axis in range(len(shape))))


def everywhere(tree: Any, mesh: Mesh) -> Any:
    """Within a compiled program: the tree with every array whole on every device."""
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh, PartitionSpec()))


def on_this_process(tree: Any) -> Any:
    """The tree with every array whole on a device of this process."""
    meshes = {x.sharding.mesh for x in jax.tree.leaves(tree) if isinstance(x, jax.Array) and isinstance(x.sharding, NamedSharding)}
    if all(mesh.is_multi_process is False for mesh in meshes):
        return tree
    (mesh,) = meshes
    whole = jax.jit(lambda x: x, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)
    return jax.tree.map(lambda x: x.addressable_data(0), whole)
