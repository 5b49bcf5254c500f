"""How often a training epoch over real images compiles."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import AugmentConfig, DataConfig, InputConfig, OptimizerConfig
from maskrcnn_jax.data import CocoSource, batches
from maskrcnn_jax.training import initial_variables
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.inputs import make_plan
from maskrcnn_jax.training.placement import placed, to_devices
from maskrcnn_jax.training.step import init_state
from tests import tiny

BACKEND_COMPILE = "/jax/core/compile/backend_compile_duration"
CANVASES = ((64, 96), (96, 64))

pytestmark = pytest.mark.slow


@pytest.fixture
def compilations():
    """Grows with every program that XLA compiles, or that JAX takes from its cache."""
    seen = []

    def listen(event, seconds, **_):
        if event == BACKEND_COMPILE:
            seen.append(seconds)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def test_an_epoch_over_coco_free_compiles_one_step_a_canvas(shared_data, compilations):
    source = CocoSource(shared_data / "coco_free" / "instances_train.json", shared_data / "coco_free" / "images")
    network = replace(tiny.MODEL, num_classes=80, input=InputConfig(min_side=64, max_side=96, canvases=CANVASES))
    optimizer = OptimizerConfig(learning_rate=0.001, clip_norm=1.0)  # nothing diverges on the random frozen stem
    config = replace(
        tiny.experiment(model=network, optimizer=optimizer),
        data=DataConfig(max_objects=64, mask_crop=16, augment=AugmentConfig(min_sides=(48, 64))),
    )
    model = models.build(network)
    state = placed(init_state(initial_variables(model, config.train), model, config), model.mesh, config.train)
    plan = make_plan(config, source)
    steps = CompiledSteps(model, config, lambda canvas: None)
    stream = batches(source, plan, network.input, config.data, start_step=0, stop_step=plan.steps_per_epoch, seed=config.train.seed)
    assert compilations  # the initialisation was one: the counter counts
    compilations.clear()
    ids = set()
    for batch in stream:
        ids.update(batch.image_ids.tolist())
        state, metrics = steps(state, to_devices(batch, model.mesh))
        assert np.isfinite(jax.device_get(metrics)["loss"])
    assert len(compilations) == len(steps.programs) == len(CANVASES)
    assert len(ids) == np.sum(source.object_counts > 0)
    assert jax.device_get(state.step) == plan.steps_per_epoch
