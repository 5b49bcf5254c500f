"""Training steps on meshes of one device and of eight, written to an .npz file, and what the compiled step says between devices.

A process of its own: the number of CPU devices is fixed when JAX starts. In float64, so that rounding cannot flip a ReLU or an order.
Plain descent: what a step takes off the parameters is the gradient times the rate.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from maskrcnn_jax import models
from maskrcnn_jax.config import OptimizerConfig
from maskrcnn_jax.training.placement import placed, to_devices
from maskrcnn_jax.training.step import init_state, make_step
from tests import tiny
from tests.models import small

DEVICES = 8
EXAMPLES = [
    small.FULL,
    small.SMALL,
    small.EMPTY,
    small.crowded(small.FULL, [True, False]),
    small.EMPTY,
    small.example(5, (64, 60), [(2, 2, 30, 40)], [1]),
    small.example(6, (50, 64), [(20, 10, 60, 48), (4, 4, 20, 20), (30, 2, 50, 18)], [2, 2, 3]),
    small.example(7, (64, 64), [(8, 30, 40, 62)], [3]),
]
RATE = 0.002


def in_float64(tree):
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.float32) else x, tree)


def start(devices, examples=EXAMPLES, norm="frozen_bn", **train):
    """The compiled step, a state and a batch on `devices` devices."""
    network = small.with_(small.CONFIG, assign={"rpn_samples": 64, "roi_samples": 8}, backbone={"norm": norm})  # so the keys matter
    optimizer = OptimizerConfig(learning_rate=RATE, warmup_steps=0, weight_decay=0.0, momentum=0.0)
    config = tiny.experiment(model=network, optimizer=optimizer, batch_size=len(examples), **train)
    model = models.build(network, models.make_mesh(jax.devices()[:devices]))
    state = placed(in_float64(init_state(small.lively_variables(model), model, config)), model.mesh, config.train)
    batch = in_float64(to_devices(small.batch_of(examples), model.mesh))
    stays = jax.tree.map(lambda x: x.sharding, state)
    step = jax.jit(make_step(model, config), out_shardings=(stays, None)).lower(state, batch).compile()
    return step, state, batch


def by_name(params):
    return {name: np.asarray(value) for name, value in flatten_dict(params, sep="/").items()}


def run(name, devices, *, steps, **options):
    """Losses and gradients of the first step, parameters after the last, and the text of the program."""
    step, state, batch = start(devices, **options)
    before, results = by_name(state.params), {f"{name} program": step.as_text()}
    results |= {f"{name} before {key}": value for key, value in before.items()}
    results |= {f"{name} statistics {key}": value for key, value in by_name(state.batch_stats).items()}
    for number in range(steps):
        state, metrics = step(state, batch)
        if not number:
            results |= {f"{name} first metric {key}": np.asarray(value) for key, value in metrics.items()}
            results |= {f"{name} first gradient {key}": (before[key] - value) / RATE for key, value in by_name(state.params).items()}
    return results | {f"{name} last params {key}": value for key, value in by_name(state.params).items()}


def detections(name, devices):
    """What the model of the first step finds."""
    network, mesh = small.CONFIG, models.make_mesh(jax.devices()[:devices])
    model = models.build(network, mesh)
    variables, batch = in_float64(small.lively_variables(model)), to_devices(small.batch_of(EXAMPLES), mesh)
    found = jax.jit(model.predict)(variables, batch.image, batch.sizes)
    return {f"{name} detections {key}": np.asarray(value) for key, value in found._asdict().items()}


if __name__ == "__main__":
    out, part, steps = sys.argv[1:]
    if part == "devices":
        one, eight, fsdp = (
            run(name, devices, steps=int(steps), norm="batch_norm", sharding=sharding)
            for name, devices, sharding in (("one", 1, "replicate"), ("eight", DEVICES, "replicate"), ("fsdp", DEVICES, "fsdp"))
        )
        np.savez(out, **one, **eight, **fsdp, **detections("one", 1), **detections("eight", DEVICES))
    else:
        whole = run("whole", 1, steps=1, examples=2 * EXAMPLES)
        parts = run("parts", 2, steps=1, examples=2 * EXAMPLES, accumulate=4)
        np.savez(out, **whole, **parts)
