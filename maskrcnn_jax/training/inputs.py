"""The data of a run: opened, checked against the model, and in batches."""

from collections.abc import Iterator, Sequence

from maskrcnn_jax.config import ConfigError, ExperimentConfig
from maskrcnn_jax.data import DataError, Plan, Source, batches, nonempty_indices, open_source
from maskrcnn_jax.structs import Batch, Category


def checked_sources(config: ExperimentConfig, sources: tuple[Source, Source] | None) -> tuple[Source, Source]:
    """Training and validation data whose categories fit the model: `sources`, or None for those `config.data` names.

    Raises:
      ConfigError: the data have another number of classes than the model.
      DataError: data that cannot be opened, whose categories differ, or without an image to validate on.
    """
    if sources is None:  # validation first: its file is the smaller, so that a wrong path in it is told at once
        val_source, train_source = open_source(config.data, "val"), open_source(config.data, "train")
    else:
        train_source, val_source = sources
    check_classes(config, train_source)
    check_classes(config, val_source)
    check_names(train_source.categories, val_source)
    require_images(val_source)
    return train_source, val_source


def check_classes(config: ExperimentConfig, source: Source) -> None:
    """Raise ConfigError unless the model has as many classes as `source` has categories."""
    if config.model.num_classes != len(source.categories):
        raise ConfigError(
            f"model.num_classes is {config.model.num_classes}, but the data have {len(source.categories)} categories; "
            f"to train, set model.num_classes to {len(source.categories)} (starting from a checkpoint of other classes, also "
            "train.new_classes); to evaluate a checkpoint, give data with the categories it was trained on"
        )


def check_names(categories: Sequence[Category], source: Source) -> None:
    """Raise DataError unless label k of the model, which is `categories[k - 1]`, has the same name in `source`."""
    for label, (own, other) in enumerate(zip(categories, source.categories, strict=True), 1):
        if own.name != other.name:
            raise DataError(
                f"label {label} of the model is {own.name!r}, but {other.name!r} in the data that it is measured on; "
                "give both the same categories, in the same order of ids"
            )


def require_images(source: Source) -> None:
    """Raise DataError where `source` has no image to validate on."""
    if not len(source):
        name = getattr(source, "annotation_file", type(source).__name__)
        raise DataError(f"{name}: no image to validate on; check data.val_annotations (kind shapes: data.val_size)")


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
