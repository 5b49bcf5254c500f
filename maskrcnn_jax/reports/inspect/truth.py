"""The ground truth of the image that is inspected, with the labels of the model."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskrcnn_jax.config import ExperimentConfig, InputConfig
from maskrcnn_jax.data import DataError, drawn_example, open_source, read_channels, read_coco_json, read_example, source_name
from maskrcnn_jax.errors import first_few
from maskrcnn_jax.structs import Category, Example


def annotated_image(path: Path, annotations: Path, categories: Sequence[Category], config: InputConfig) -> Example:
    """An image file with its objects in a COCO file, of which it is the image whose `file_name` is the end of its path.

    Args:
      path: the image.
      annotations: the COCO file; its images may lie in any folder.
      categories: the model's; those of the file go by their names.
      config: what images are.

    Raises:
      DataError: what reading either raises; the file does not name the image, or twice; an object is of a category that the model has
        not.
    """
    table = read_coco_json(annotations)
    parts = Path(os.path.abspath(path)).parts
    named = [i for i, row in enumerate(table.images) if parts[-len(Path(row.file_name).parts) :] == Path(row.file_name).parts]
    longest = max((len(Path(table.images[i].file_name).parts) for i in named), default=0)
    named = [i for i in named if len(Path(table.images[i].file_name).parts) == longest]
    if not named:
        names = first_few([row.file_name for row in table.images])
        raise DataError(f"{annotations}: none of its {len(table.images)} images is {path}; it names {names}: give one of those")
    if len(named) > 1:
        ids = [str(table.images[i].id) for i in named]
        raise DataError(f"{annotations}: {path} is the file of several images, ids {first_few(ids)}; leave one of them in the file")
    (i,) = named
    where = f"{annotations}: image id {table.images[i].id}"
    try:
        image = read_channels(path, config, table.images[i].size)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
    example = drawn_example(image, table.images[i].id, list(table.objects[i]), where)
    return _of_model(example, table.categories, categories, where)


def validation_image(config: ExperimentConfig, image_id: int, categories: Sequence[Category]) -> Example:
    """The image `image_id` of the validation data of a config, with its objects.

    Args:
      config: of the model's run.
      image_id: the data's own id.
      categories: the model's; those of the data go by their names.

    Raises:
      DataError: what opening the data or reading the image raises; they have no such image; an object is of a category that the model
        has not.
    """
    try:
        source = open_source(config.data, "val", config.model.input)
    except DataError as error:
        raise DataError(
            f"the run's validation data: {error}; or, as `maskrcnn inspect` has no flags of data, name an image file, and its ground truth "
            "by --annotations"
        ) from error
    ids = np.asarray(source.image_ids)  # type: ignore[attr-defined]  # which all that a config can name have
    found = np.flatnonzero(ids == image_id)
    if not len(found):
        raise DataError(
            f"{source_name(source)}: no validation image has the id {image_id}; there are {len(source)}: {first_few([str(i) for i in ids])}"
        )
    example = read_example(source, int(found[0]), config.model.input)
    return _of_model(example, source.categories, categories, f"{source_name(source)}: image id {example.image_id}")


def _of_model(example: Example, theirs: Sequence[Category], ours: Sequence[Category], where: str) -> Example:
    """The example with the model's labels: those of the same names, or the same ones where all names are the same."""
    names, others = ([category.name for category in table] for table in (ours, theirs))
    if names == others:
        return example
    used = sorted({others[label - 1] for label in example.labels.tolist()})
    unknown = [name for name in used if names.count(name) != 1]
    if unknown:
        raise DataError(
            f"{where}: objects of {first_few(unknown)}, which the model, of {first_few(names)}, does not know by one name each; give "
            "annotations of its categories, or leave them out"
        )
    labels = [names.index(others[label - 1]) + 1 for label in example.labels.tolist()]
    return example._replace(labels=np.array(labels, np.int32))
