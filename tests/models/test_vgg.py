"""A whole model on a VGG-16 trunk: the same walk as on a ResNet."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import BackboneConfig, OptimizerConfig, TrainConfig
from maskrcnn_jax.training.step import init_state, make_step, split_frozen
from tests import tiny
from tests.models.small import CONFIG, FULL, SMALL, batch_of, by_name, with_

CONVS = [{"conv1_1", "conv1_2", "conv2_1", "conv2_2"}, *({f"conv{block}_{i}" for i in (1, 2, 3)} for block in (3, 4, 5)), set()]


def config_of(frozen_stages):
    return replace(CONFIG, backbone=BackboneConfig(kind="vgg", depth=16, width=16, norm="none", frozen_stages=frozen_stages))


@pytest.mark.parametrize("frozen_stages", range(6))
def test_frozen_stages(frozen_stages):
    model = models.build(config_of(frozen_stages))
    _, frozen = split_frozen(jax.eval_shape(model.init, jax.random.key(0))["params"], model, TrainConfig())
    assert {name.split("/")[1] for name in frozen} == set().union(*CONVS[:frozen_stages])
    assert all(name.startswith("backbone/") for name in frozen)


@pytest.mark.slow
def test_a_step_moves_the_trained_stages_alone_and_predictions_have_their_shapes():
    config = with_(config_of(2), assign={"rpn_samples": 64, "roi_samples": 8})
    experiment = tiny.experiment(model=config, optimizer=OptimizerConfig(learning_rate=0.1, warmup_steps=0, weight_decay=0.0))
    model, batch = models.build(config), batch_of([FULL, SMALL])
    variables = jax.jit(model.init)(jax.random.key(0))
    assert variables["batch_stats"] == {}
    state = init_state(variables, model, experiment)
    after, metrics = jax.jit(make_step(model, experiment))(state, batch)
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["loss"] > 0
    before, moved = by_name(variables["params"]), by_name(after.params)
    layers = {name for name in before if name.startswith("backbone/") and not np.array_equal(before[name], moved[name])}
    assert layers == {f"backbone/{layer}/conv/{leaf}" for layer in CONVS[2] | CONVS[3] for leaf in ("kernel", "bias")}
    found = jax.jit(model.predict)({"params": after.params, "batch_stats": {}}, batch.image, batch.sizes)
    assert found.masks.shape == (2, 5, 28, 28)
    assert np.isfinite(found.boxes).all()
