"""Losses, gradients and detections of one batch on a mesh of one device and on meshes of more, written to an .npz file.

A process of its own: the number of CPU devices is fixed when JAX starts.
"""

import sys

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from maskrcnn_jax import models
from maskrcnn_jax.models import DATA_AXIS
from tests.models import small
from tests.quick import quick_jit

BATCH = [small.FULL, small.SMALL, small.EMPTY, small.crowded(small.FULL, [True, False])]


def run(count: int) -> dict[str, np.ndarray]:
    mesh = jax.make_mesh((count,), (DATA_AXIS,), axis_types=(AxisType.Auto,), devices=jax.devices()[:count])
    config = small.with_(small.CONFIG, assign={"rpn_samples": 64, "roi_samples": 8})  # so the keys matter
    model = models.build(config, mesh)
    everywhere, spread = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec(DATA_AXIS))
    variables = jax.device_put(small.lively_variables(model), everywhere)
    batch = jax.device_put(small.batch_of(BATCH), spread)
    key = jax.device_put(jax.random.key(0), everywhere)
    trace, gradients = quick_jit(small.value_and_gradient(model))(variables, batch, key)
    detections = quick_jit(model.predict)(variables, batch.image, batch.sizes)
    assert len(trace.roi_samples.boxes.sharding.device_set) == count
    results = {f"loss {name} {part}": value for name, ratio in trace.losses.items() for part, value in ratio._asdict().items()}
    results |= {f"gradient {name}": value for name, value in small.by_name(gradients).items()}
    results |= {f"detections {name}": value for name, value in detections._asdict().items()}
    return {f"{count} {name}": np.asarray(value) for name, value in results.items()}


if __name__ == "__main__":
    np.savez(sys.argv[1], **run(1), **run(4))
