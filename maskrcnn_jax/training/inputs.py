"""The data of a run: opened, checked against the model, and in batches."""

from collections.abc import Iterator, Sequence

from maskrcnn_jax.config import ConfigError, ExperimentConfig, InputConfig
from maskrcnn_jax.data import (
    DataError,
    Plan,
    Source,
    batches,
    canvas_for,
    check_sources,
    image_name,
    nonempty_indices,
    open_source,
    resized_size,
    source_name,
)
from maskrcnn_jax.errors import first_few
from maskrcnn_jax.structs import Batch, Category


def checked_sources(config: ExperimentConfig, sources: tuple[Source, Source] | None) -> tuple[Source, Source]:
    """Training and validation data whose categories fit the model: `sources`, or None for those `config.data` names.

    Raises:
      ConfigError: the training data have another number of classes than the model.
      DataError: data that cannot be opened, are no sources or whose categories differ; validation data with no image, or with one
        without a canvas.
    """
    if sources is None:  # validation first: its file is the smaller, so that a wrong path in it is told at once
        val_source, train_source = open_source(config.data, "val"), open_source(config.data, "train")
    else:
        check_sources(sources)
        train_source, val_source = sources
    check_classes(config, train_source)
    check_measurable(train_source.categories, val_source, config.model.input)
    return train_source, val_source


def check_classes(config: ExperimentConfig, source: Source) -> None:
    """Raise ConfigError unless the model, to be trained on `source`, has as many classes as it has categories."""
    count = len(source.categories)
    if config.model.num_classes != count:
        raise ConfigError(
            f"model.num_classes is {config.model.num_classes}, but the number of categories in {source_name(source)} is {count}; "
            f"set --model.num-classes {count} (to start from a checkpoint of other classes, --train.new-classes too)"
        )


def check_measurable(categories: Sequence[Category], source: Source, config: InputConfig) -> None:
    """Raise DataError unless a model can be measured on `source`.

    Args:
      categories: the model's, label by label; the source must have the same names.
      source: must have an image, and a canvas for each.
      config: the model's canvases.
    """
    if not len(source):
        raise DataError(
            f"{source_name(source)}: no image to validate on; give it one (data.val_annotations, or data.val_size of kind shapes)"
        )
    for i, (height, width) in enumerate(source.sizes):
        size = resized_size((int(height), int(width)), config.min_side, config.max_side, config.resize)
        canvas_for(size, config, f"{source_name(source)}: {image_name(i, getattr(source, 'image_ids', None))}")
    names, others = ([category.name for category in table] for table in (categories, source.categories))
    if names == others:
        return
    if len(names) != len(others):
        fault = f"{len(others)} categories ({first_few(others)}), but the model has {len(names)} ({first_few(names)})"
    else:
        label = next(k for k in range(len(names)) if names[k] != others[k])
        fault = f"label {label + 1} is {others[label]!r}, but the model's is {names[label]!r}"
    raise DataError(
        f"{source_name(source)}: {fault}; measure the model on data with the categories it was trained on, in the same order of ids "
        "(COCO files: --data.val-annotations PATH --data.val-images PATH)"
    )


def make_plan(config: ExperimentConfig, source: Source) -> Plan:
    """Order and canvases of the training batches."""
    return Plan(
        source.sizes,
        config.model.input,
        config.data,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        indices=nonempty_indices(source) if config.data.drop_empty else None,
        image_ids=getattr(source, "image_ids", None),
    )


def train_batches(config: ExperimentConfig, source: Source, start_step: int, stop_step: int) -> Iterator[Batch]:
    """The training batches of steps `start_step` ... `stop_step - 1`."""
    return batches(
        source,
        make_plan(config, source),
        config.model.input,
        config.data,
        start_step=start_step,
        stop_step=stop_step,
        seed=config.train.seed,
    )
