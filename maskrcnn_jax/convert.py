"""Models of other systems -> checkpoints of this package, and back."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from maskrcnn_jax import checkpoint, models
from maskrcnn_jax.checkpoint import Checkpoint, CheckpointError, CheckpointWriter
from maskrcnn_jax.config import ExperimentConfig, ModelConfig
from maskrcnn_jax.data import COCO_CATEGORIES, categories_by_id, read_coco_json
from maskrcnn_jax.download import Progress
from maskrcnn_jax.models import Variables
from maskrcnn_jax.structs import Category
from maskrcnn_jax.training import check_variables
from maskrcnn_jax.weights import (
    Arrays,
    System,
    WeightsError,
    from_arrays,
    other_numerics,
    read_source,
    recognise,
    require_new,
    to_arrays,
    unlike_published,
    write_weights,
)

logger = logging.getLogger(__name__)


class Foreign(NamedTuple):
    """Another system's weights by its names."""

    system: System
    arrays: Arrays


class Found(NamedTuple):
    """What a source of weights holds.

    source: as it was named. config: of the experiment, the model's among it. held: another system's arrays, or a checkpoint.
    """

    source: str
    config: ExperimentConfig
    held: Foreign | Checkpoint


class Converted(NamedTuple):
    """A model of this package; label k is categories[k - 1]."""

    config: ExperimentConfig
    variables: Variables
    categories: tuple[Category, ...]


def open_model(source: str, progress: Progress) -> Found:
    """Find and read a model, a checkpoint's or another system's.

    Args:
      source: a folder with a checkpoint, or what `weights.locate` takes.
      progress: as `weights.locate` calls it.

    Raises:
      CheckpointError: a folder without a checkpoint.
      WeightsError: as `locate`, `read_weights` and `recognise` raise it.
    """
    if Path(source).is_dir():
        stored = checkpoint.load(source)
        return Found(source, stored.config, stored)
    path, arrays = read_source(source, progress)
    try:
        system, model = recognise(arrays, path)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    return Found(source, ExperimentConfig(model=model), Foreign(system, arrays))


def model_of(found: Found, config: ExperimentConfig) -> Converted:
    """The model in `found` by `config`, which is that of `found` but for what the user changed.

    Raises:
      WeightsError: the arrays do not fit `config.model`, or the file of `data.val_annotations` has another number of categories.
      DataError: that file cannot be read.
    """
    if isinstance(found.held, Checkpoint):
        check_variables(models.build(config.model), found.held.variables, found.source)
        return Converted(config, found.held.variables, found.held.categories)
    try:
        variables = from_arrays(found.held.system, found.held.arrays, config.model)
    except WeightsError as error:
        raise WeightsError(f"{found.source}: {error}") from error
    _warn_of_assumptions(found.held.system, config.model)
    return Converted(config, variables, categories_of(config))


def _warn_of_assumptions(system: System, model: ModelConfig) -> None:
    """Say what the weights of another system do not tell, or may not have meant to."""
    backbone = model.backbone
    if system == "torchvision" and backbone.norm == "frozen_bn" and backbone.norm_epsilon:
        logger.warning(
            "frozen norms do not tell their epsilon; taken is %g. Weights that began as torchvision's COCO_V1 of maskrcnn_resnet50_fpn "
            "have 0: --model.backbone.norm-epsilon 0",
            backbone.norm_epsilon,
        )
    if system == "detectron2":
        logger.warning(
            "Detectron2's weights do not tell the order of channels, nor where a bottleneck has its stride; taken are %s and %s. "
            "If they were trained with others: --model.input.channel-order rgb|bgr (and mean, std), --model.backbone.stride-on 1x1|3x3",
            model.input.channel_order,
            backbone.stride_on,
        )
    if others := unlike_published(system, model):
        logger.warning("%s; if no such head was trained, the file lacks its last layers: get it anew", "; ".join(others))


def categories_of(config: ExperimentConfig) -> tuple[Category, ...]:
    """Names for the classes of a model whose weights have none.

    They are those of `data.val_annotations` where the config names a COCO file; else COCO's for 80 classes, and for 90 as
    torchvision counts them; else numbers.

    Raises:
      DataError: the file cannot be read.
      WeightsError: it has another number of categories.
    """
    classes, file = config.model.num_classes, config.data.val_annotations
    if file:
        categories = read_coco_json(Path(file)).categories
        if len(categories) == classes:
            return categories
        if categories != COCO_CATEGORIES or classes != len(categories_by_id()):
            raise WeightsError(f"{file}: {len(categories)} categories, but the weights have {classes} classes; give the data they are of")
    if classes == len(COCO_CATEGORIES):
        return COCO_CATEGORIES
    if classes == len(categories_by_id()):
        return categories_by_id()
    logger.warning("the weights do not name their %d classes, so they are numbered; --data.val-annotations JSON names them", classes)
    return tuple(Category(i, f"class {i}") for i in range(1, classes + 1))


def require_free(folder: Path | None, files: Sequence[Path]) -> None:
    """Raise before anything is written: CheckpointError for a folder that is not empty, WeightsError for a file that cannot be new."""
    targets = [target.resolve() for target in (folder, *files) if target]
    for target in targets:
        if targets.count(target) > 1:
            raise WeightsError(f"{target}: is to be written twice; give each target a path of its own")
    if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: exists already; give a new folder by --to")
    for file in files:
        require_new(file)


def write(model: Converted, folder: Path | None, files: Mapping[System, Path]) -> dict[System, list[str]]:
    """Write a model as a checkpoint, as other systems' state dicts, or both; nothing where one of them cannot be had.

    Args:
      model: what to write.
      folder: becomes a run folder that holds one checkpoint, of step 0, whole or not at all; None: no checkpoint.
      files: the file of each system.

    Returns:
      What each system does otherwise with these weights; see `weights.other_numerics`.

    Raises:
      CheckpointError: the folder exists and is not empty.
      WeightsError: a file exists or is no `.pth`, two paths are one, or a system has no such model.
    """
    require_free(folder, list(files.values()))
    arrays = {system: to_arrays(system, model.variables, model.config.model) for system in files}
    if folder:
        _write_checkpoint(folder, model)
    for system, file in files.items():
        write_weights(file, arrays[system] | (_input_constants(model.config.model) if system == "detectron2" else {}))
    return {system: other_numerics(model.config.model, arrays[system]) for system in files}


def _input_constants(model: ModelConfig) -> Arrays:
    """Mean and std as Detectron2's models keep them, for whoever reads the file; Detectron2 itself takes those of its config."""
    constants = {"pixel_mean": model.input.mean, "pixel_std": model.input.std}
    return {name: np.array(values, np.float32).reshape(3, 1, 1) for name, values in constants.items()}


def _write_checkpoint(folder: Path, model: Converted) -> None:
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as beside:
        part = Path(beside) / folder.name
        writer = CheckpointWriter(part, model.config, model.categories)
        try:
            writer.save(0, model.variables, None, None)
        finally:
            writer.close()
        part.replace(folder)  # over an empty one too
