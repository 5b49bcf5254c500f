"""Weak scaling: simulated on the devices of this CPU, and as arithmetic for real accelerators: `make bench-scaling`.

The first table trains the network of the config `shapes` with two images a device on 1, 2, 4 and 8 simulated devices. They share this
machine's cores, so that the time of a step grows with the work; what is measured is what sharding adds to it. The second table
measures nothing: it is what the bytes of the gradient and the links' published rates say.
"""

import statistics
import time
from dataclasses import replace

import jax
from rich.console import Console
from rich.table import Table

from maskrcnn_jax import ShapesSource, load_experiment, models
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.inputs import train_batches
from maskrcnn_jax.training.placement import to_devices
from maskrcnn_jax.training.start import initial_state, state_shapes
from maskrcnn_jax.training.step import split_frozen

DEVICES = (1, 2, 4, 8)
IMAGES, STEPS, ROUNDS = 2, 5, 5  # a device and step; timed steps, median of so many
# Name, images a second and device without communication, images a device and step, GB/s a device within a group, devices a group, GB/s
# a device between groups. The H100's images a second are MLPerf's, the TPU's are assumed. Links,
# each way: NVLink 4; one 400 Gb/s adapter a GPU; half of TPU v5e's 1,600 Gb/s; and, assumed, 200 Gb/s a host of eight between pods.
ACCELERATORS = (
    ("H100, NVLink and 400 Gb/s InfiniBand", 179.0, 4, 450.0, 8, 50.0),
    ("TPU v5e, pods of 256", 60.0, 4, 100.0, 256, 3.1),
)
COUNTS = (8, 64, 1024)


def seconds_a_step(config: ExperimentConfig, devices: int, sharding: str) -> float:
    """Median of `ROUNDS` times the mean of `STEPS` steps on one batch."""
    train = replace(config.train, batch_size=IMAGES * devices, sharding=sharding)  # type: ignore[arg-type]
    config = replace(config, train=train)
    model = models.build(config.model, models.make_mesh(jax.devices()[:devices]))
    state = initial_state(model, config)
    batch = to_devices(next(train_batches(config, ShapesSource(0, 64), 0, 1)), model.mesh)
    steps = CompiledSteps(model, config, lambda canvas: None)
    state, _ = jax.block_until_ready(steps(state, batch))
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(STEPS):
            state, _ = steps(state, batch)
        jax.block_until_ready(state)
        times.append((time.perf_counter() - start) / STEPS)
    return statistics.median(times)


def simulated() -> Table:
    """Time of a step against its work."""
    config = load_experiment("shapes")
    table = Table("devices", "images a step", title="simulated devices of one CPU")
    for title in ("s a step", "over one device's", "fsdp: s a step", "over one device's"):
        table.add_column(title, justify="right")
    first: dict[str, float] = {}
    for devices in DEVICES:
        cells = []
        for sharding in ("replicate", "fsdp"):
            seconds = seconds_a_step(config, devices, sharding)
            first.setdefault(sharding, seconds)
            cells += [f"{seconds:.3f}", f"{seconds / first[sharding] / devices:.2f} x {devices}"]
        table.add_row(str(devices), str(IMAGES * devices), *cells)
    return table


def gradient_bytes() -> int:
    """Of `coco_r50_fpn_1x`, float32."""
    config = load_experiment("coco_r50_fpn_1x")
    model = models.build(config.model)
    trained, _ = split_frozen(state_shapes(model, config).params, model, config.train)
    return sum(4 * value.size for value in trained.values())


def reduce_seconds(size: int, devices: int, inside: float, group: int, between: float) -> float:
    """Of a sum in rings: scattered within groups, summed between them, gathered within; each device sends 2 (n - 1) / n of its part."""
    inner = min(devices, group)
    groups = devices // inner
    return 2 * (inner - 1) / inner * size / (inside * 1e9) + 2 * (groups - 1) / groups * size / inner / (between * 1e9)


def arithmetic(size: int) -> Table:
    """What links allow: a lower bound with nothing overlapped, and no straggler."""
    table = Table("accelerator", title=f"arithmetic, not measured: gradient of {size / 1e6:.0f} MB, float32")
    for title in ("devices", "images a step", "ms a step alone", "ms to sum the gradient", "efficiency"):
        table.add_column(title, justify="right")
    for name, rate, images, inside, group, between in ACCELERATORS:
        for devices in COUNTS:
            alone, summed = images / rate, reduce_seconds(size, devices, inside, group, between)
            cells = (
                f"{devices:,}",
                f"{images * devices:,}",
                f"{alone * 1e3:.1f}",
                f"{summed * 1e3:.2f}",
                f"{alone / (alone + summed):.1%}",
            )
            table.add_row(name, *cells)
    return table


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", max(DEVICES))
    use_compilation_cache()
    console = Console(width=160)
    console.print(arithmetic(gradient_bytes()))
    console.print(simulated())
