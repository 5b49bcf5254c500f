"""One small model, compiled once for training and once for inference."""

from typing import Any, NamedTuple

import jax
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.models import Model, TrainTrace, Variables
from maskrcnn_jax.ops import ratio_value
from tests.models import small


class Walk(NamedTuple):
    """trace: of training. values: of the losses by name. gradients: of their sum, flat by parameter."""

    trace: TrainTrace
    values: dict[str, float]
    gradients: dict[str, Any]


@pytest.fixture(scope="session")
def model() -> Model:
    return models.build(small.CONFIG)


@pytest.fixture(scope="session")
def variables(model) -> Variables:
    return small.lively_variables(model)


@pytest.fixture(scope="session")
def walk(model, variables):
    """(batch, key) -> Walk."""
    compiled = jax.jit(small.value_and_gradient(model))

    def run(batch, key=None) -> Walk:
        trace, gradients = compiled(variables, batch, jax.random.key(0) if key is None else key)
        values = {name: ratio_value(ratio).item() for name, ratio in trace.losses.items()}
        return Walk(jax.device_get(trace), values, small.by_name(gradients))

    return run


@pytest.fixture(scope="session")
def trace(model, variables):
    """(images, sizes) -> Trace."""
    compiled = jax.jit(model.trace)
    return lambda batch: jax.device_get(compiled(variables, batch.image, batch.sizes))
