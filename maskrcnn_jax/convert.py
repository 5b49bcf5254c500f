"""Models of other systems -> checkpoints of this package, and back."""

import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax import checkpoint, models
from maskrcnn_jax.checkpoint import Checkpoint, CheckpointError, CheckpointWriter
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import COCO_CATEGORIES, categories_by_id, read_coco_json
from maskrcnn_jax.models import Variables
from maskrcnn_jax.structs import Category
from maskrcnn_jax.training import check_variables
from maskrcnn_jax.weights import (
    EPSILON_ZERO,
    Arrays,
    Progress,
    System,
    WeightsError,
    differences,
    from_arrays,
    has_digest,
    locate,
    read_weights,
    recognise,
    to_arrays,
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
    path = locate(source, progress)
    arrays = read_weights(path)
    try:
        system, model = recognise(arrays)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    if has_digest(path, EPSILON_ZERO):
        model = replace(model, backbone=replace(model.backbone, norm_epsilon=0.0))
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
    return Converted(config, variables, categories_of(config))


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
        if len(categories) != len(COCO_CATEGORIES) or classes != len(categories_by_id()):
            raise WeightsError(f"{file}: {len(categories)} categories, but the weights have {classes} classes; give the data they are of")
    if classes == len(COCO_CATEGORIES):
        return COCO_CATEGORIES
    if classes == len(categories_by_id()):
        return categories_by_id()
    logger.warning("the weights do not name their %d classes, so they are numbered; --data.val-annotations JSON names them", classes)
    return tuple(Category(i, f"class {i}") for i in range(1, classes + 1))


def write(folder: Path, model: Converted) -> None:
    """Write a run folder that holds one checkpoint, of step 0, whole or not at all.

    Raises:
      CheckpointError: the folder exists and is not empty.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: exists already; give a new folder by --to")
    part = folder.with_name(f"{folder.name}.part")
    try:
        writer = CheckpointWriter(part, model.config, model.categories)
        writer.save(0, model.variables, None, None)
        writer.close()
        part.replace(folder)  # over an empty one too
    finally:
        shutil.rmtree(part, ignore_errors=True)


def export(file: Path, system: System, model: Converted) -> list[str]:
    """Write a model as `system`'s state dict.

    Returns:
      What `system` does otherwise with these weights; see `weights.differences`.

    Raises:
      WeightsError: the file exists or is no `.pth`, or `system` has no such model.
    """
    arrays = to_arrays(system, model.variables, model.config.model)
    write_weights(file, arrays)
    return differences(model.config.model, arrays)
