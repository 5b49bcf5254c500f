"""What training starts from."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from maskrcnn_jax import checkpoint
from maskrcnn_jax.config import ExperimentConfig, TrainConfig
from maskrcnn_jax.errors import misfits
from maskrcnn_jax.models import Model, Variables
from maskrcnn_jax.training.compiled import jit_once
from maskrcnn_jax.training.optimizer import check_patterns
from maskrcnn_jax.training.placement import placed, shardings
from maskrcnn_jax.training.processes import in_all
from maskrcnn_jax.training.step import TrainState, init_state, split_frozen
from maskrcnn_jax.weights import (
    CLASS_LAYERS,
    WeightsError,
    backbone_from_classifier,
    differences,
    from_arrays,
    inflate,
    other_numerics,
    read_source,
    stem_path,
    system_of,
)

logger = logging.getLogger(__name__)


def initial_state(model: Model, config: ExperimentConfig) -> TrainState:
    """The state before the first step, on the model's mesh.

    Raises:
      ConfigError: a pattern of `optimizer.layer_rates` or `train.freeze` matches nothing, or nothing is left to train.
      WeightsError, CheckpointError: as `initial_variables`.
    """
    shapes = jax.eval_shape(model.init, jax.random.key(config.train.seed))["params"]
    trainable, _ = split_frozen(shapes, model, replace(config.train, freeze=()))
    check_patterns(trainable, config.optimizer, config.train)
    variables = in_all(lambda: initial_variables(model, config.train))
    state = jit_once(lambda variables: init_state(variables, model, config))(variables)  # one program, not one for every shape
    return placed(state, model.mesh, config.train)


def state_shapes(model: Model, config: ExperimentConfig) -> TrainState:
    """Shapes, dtypes and shardings of the state; computes nothing and reads no weights."""
    shapes = jax.eval_shape(lambda: init_state(model.init(jax.random.key(config.train.seed)), model, config))
    where = shardings(shapes, model.mesh, config.train)
    return jax.tree.map(lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), shapes, where)


def initial_variables(model: Model, config: TrainConfig) -> Variables:
    """Variables before the first step: random, with an ImageNet backbone, or those of a checkpoint or of another system's detector.

    Raises:
      WeightsError: `config.weights` does not exist or does not fit the model.
      CheckpointError: it is a folder without a checkpoint.
    """
    key = jax.random.key(config.seed)
    shapes = jax.eval_shape(model.init, key)
    read: dict[str, Any] = {}
    if config.weights is not None:  # before anything is compiled: what does not fit is told at once
        read = _read(config.weights, model, shapes, config.new_classes)
    elif any(model.is_frozen(path) for path in flatten_dict(shapes["params"])):
        logger.warning("frozen layers start at random and stay so: give train.weights, or set model.backbone.frozen_stages to 0")
    random = jit_once(model.init)(key)
    return unflatten_dict(flatten_dict(random, sep="/", keep_empty_nodes=True) | read, sep="/")


def check_variables(model: Model, variables: Variables, path: str | Path) -> None:
    """Raise WeightsError unless `variables`, read from the checkpoint `path`, have the names and shapes of the model's."""
    wanted = jax.eval_shape(model.init, jax.random.key(0))
    _require_fit(path, flatten_dict(variables, sep="/"), flatten_dict(wanted, sep="/"), left_out=set())


def _read(source: str, model: Model, shapes: Variables, new_classes: bool) -> dict[str, Any]:
    """What `source`, a checkpoint's folder or else as in `weights.locate`, holds of the variables `shapes`, by name."""
    if Path(source).is_dir():
        return _from_checkpoint(Path(source), model, shapes, new_classes)
    file, arrays = read_source(source)
    system = system_of(arrays)
    try:
        if system is None:
            taken = backbone_from_classifier(arrays, shapes)
        else:
            taken = from_arrays(system, arrays, model.config, new_classes=new_classes)
    except WeightsError as error:
        hint = "\nto train them for other classes, set train.new_classes" if "num_classes" in str(error) and not new_classes else ""
        raise WeightsError(f"{source}: {error}{hint}") from error
    if system is not None:
        _warn_of(source, other_numerics(model.config, arrays, file))
    return {name: value for name, value in flatten_dict(taken, sep="/").items() if not isinstance(value, jax.ShapeDtypeStruct)}


def _from_checkpoint(path: Path, model: Model, shapes: Variables, new_classes: bool) -> dict[str, Any]:
    loaded, wanted = checkpoint.load(path), flatten_dict(shapes, sep="/")
    stored = _norms_as_in(wanted, flatten_dict(loaded.variables, sep="/"))
    stem = "/".join(("params", *stem_path(model.config.backbone)))
    if stem in stored:
        bgr = loaded.config.model.input.channel_order == "bgr"
        stored[stem] = inflate(stored[stem], model.config.input.channels, axis=2, reverse=bgr)
    left_out = {name for name in wanted if new_classes and tuple(name.split("/")[1:3]) in CLASS_LAYERS}
    _require_fit(path, stored, wanted, left_out=left_out)
    _warn_of(path, differences(model.config, loaded.config.model))
    return {name: np.asarray(stored[name]) for name in wanted if name not in left_out}


def _norms_as_in(wanted: dict[str, Any], stored: dict[str, Any]) -> dict[str, Any]:
    """`stored` with scale and bias of each batch norm among the parameters, or among the statistics, as `wanted` has them.

    Trained norms have them here, frozen ones there.
    """
    twins = {"params": "batch_stats", "batch_stats": "params"}

    def name_of(name: str) -> str:
        collection, _, rest = name.partition("/")
        twin = f"{twins[collection]}/{rest}"
        return twin if name not in wanted and twin in wanted else name

    return {name_of(name): value for name, value in stored.items()}


def _warn_of(source: str | Path, others: list[str]) -> None:
    """Say that weights were trained with other numerics, which they do not tell."""
    if others:
        logger.warning("%s: these weights were trained with other values:\n  %s", source, "\n  ".join(others))


def _require_fit(path: str | Path, stored: dict[str, Any], wanted: dict[str, Any], *, left_out: set[str]) -> None:
    """Raise WeightsError with what differs in name or, but for `left_out`, in shape."""
    shapes = [{name: tuple(value.shape) for name, value in arrays.items()} for arrays in (stored, wanted)]
    problems = misfits(shapes[0], shapes[1], left_out)
    if problems:
        raise WeightsError(
            f"{path}: this checkpoint does not fit the model (use the model config it was trained with; "
            "to train it for other classes, set train.new_classes):\n  " + "\n  ".join(problems)
        )
