"""Whole models, each a handful of pure functions; `build` is the only door to them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from jax.sharding import Mesh

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.models import mask_rcnn
from maskrcnn_jax.models.ahead import compile_ahead
from maskrcnn_jax.models.per_image import DATA_AXIS, make_mesh, one_device_mesh
from maskrcnn_jax.models.traces import Features, Losses, Trace, TrainTrace, Variables

__all__ = [
    "DATA_AXIS",
    "Features",
    "Losses",
    "Model",
    "Trace",
    "TrainTrace",
    "Variables",
    "build",
    "compile_ahead",
    "make_mesh",
    "one_device_mesh",
]


class Model(NamedTuple):
    """The functions of one model; see `models.mask_rcnn` for shapes.

    config, mesh: what it was built from. init(key) -> variables. trace_train(variables, batch, key) -> TrainTrace.
    trace(variables, images, sizes) -> Trace. losses(variables, batch, key) -> (losses, batch_stats).
    predict(variables, images, sizes) -> Detections. is_frozen(path) -> bool, of a parameter.
    """

    config: ModelConfig
    mesh: Mesh
    init: Callable[..., Variables]
    trace_train: Callable[..., TrainTrace]
    trace: Callable[..., Trace]
    losses: Callable[..., tuple[Losses, Any]]
    predict: Callable[..., Any]
    is_frozen: Callable[[tuple[str, ...]], bool]


def build(config: ModelConfig, mesh: Mesh | None = None) -> Model:
    """The model that `config` describes.

    Args:
      config: the model.
      mesh: devices that batches are spread over, axis `data` (see `make_mesh`); None is this process's first device alone.
    """
    mesh = mesh or one_device_mesh()
    return Model(
        config=config,
        mesh=mesh,
        init=partial(mask_rcnn.init, config=config),
        trace_train=partial(mask_rcnn.trace_train, config=config, mesh=mesh),
        trace=partial(mask_rcnn.trace, config=config, mesh=mesh),
        losses=partial(mask_rcnn.losses, config=config, mesh=mesh),
        predict=partial(mask_rcnn.predict, config=config, mesh=mesh),
        is_frozen=partial(mask_rcnn.is_frozen, config=config),
    )
