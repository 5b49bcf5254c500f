"""The data of a run: opened, checked against the model, and in batches."""

from collections.abc import Generator, Sequence
from functools import partial

from maskrcnn_jax.config import ConfigError, ExperimentConfig
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
    sampling_rates,
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
        image = config.model.input
        val_source, train_source = open_source(config.data, "val", image), open_source(config.data, "train", image)
    else:
        check_sources(sources)
        train_source, val_source = sources
    check_classes(config, train_source)
    check_measurable(train_source.categories, val_source, config)
    return train_source, val_source


def check_classes(config: ExperimentConfig, source: Source) -> None:
    """Raise ConfigError unless the model, to be trained on `source`, has as many classes as it has categories."""
    count = len(source.categories)
    if config.model.num_classes != count:
        raise ConfigError(
            f"model.num_classes is {config.model.num_classes}, but the number of categories in {source_name(source)} is {count}; "
            f"set --model.num-classes {count} (to start from a checkpoint of other classes, --train.new-classes too)"
        )


def check_measurable(categories: Sequence[Category], source: Source, config: ExperimentConfig) -> None:
    """Raise DataError unless a model can be measured on `source`.

    Args:
      categories: the model's, label by label; see `categories_in`.
      source: must have an image, a canvas for each, and LVIS's lists of classes for all or none.
      config: the model's canvases, and whether losses are measured: they need the same labels.
    """
    if not len(source):
        raise DataError(
            f"{source_name(source)}: no image to validate on; give it one (data.val_annotations, or data.val_size of kind shapes)"
        )
    if getattr(source, "federated", False) and not any(hasattr(source, name) for name in ("annotation_file", "coco_document")):
        raise DataError(
            f"{source_name(source)}: datasets are mixed of which one has LVIS's lists of classes, and LVIS measures by those of one file; "
            "measure each dataset by itself"
        )
    canvases = config.model.input
    for i, (height, width) in enumerate(source.sizes):
        size = resized_size((int(height), int(width)), canvases.min_side, canvases.max_side, canvases.resize)
        canvas_for(size, canvases, image_name(source, i))
    check_categories(categories, source, config)


def check_categories(categories: Sequence[Category], source: Source, config: ExperimentConfig) -> None:
    """Raise DataError unless the categories of `source` are among the model's `categories`, and where losses are measured the same."""
    names, others = ([category.name for category in table] for table in (categories, source.categories))
    unknown = [name for name in others if name not in names]
    if unknown:
        raise DataError(
            f"{source_name(source)}: {len(unknown)} of {len(others)} categories ({first_few(unknown)}) are not among the model's "
            f"{len(names)} ({first_few(names)}); measure the model on data of the categories it was trained on "
            "(COCO files: --data.val-annotations PATH --data.val-images PATH)"
        )
    if names != others and (twice := sorted({name for name in others if names.count(name) > 1 or others.count(name) > 1})):
        raise DataError(
            f"{source_name(source)}: several categories are called {first_few(twice)}, and the model has them in another order or number; "
            "give them names of their own"
        )
    if config.eval.losses and names != others:
        raise DataError(
            f"{source_name(source)}: its categories ({first_few(others)}) are not the model's in their order ({first_few(names)}), "
            "so losses cannot be measured; leave out eval.losses"
        )


def categories_in(source: Source, categories: Sequence[Category]) -> list[Category | None]:
    """The category of `source` that has the name of each of the model's; None where the data do not have it."""
    if [category.name for category in categories] == [category.name for category in source.categories]:
        return list(source.categories)
    known = {category.name: category for category in source.categories}
    return [known.get(category.name) for category in categories]


def make_plan(config: ExperimentConfig, source: Source) -> Plan:
    """Order and canvases of the training batches."""
    indices = nonempty_indices(source) if config.data.drop_empty else None
    return Plan(
        source.sizes,
        config.model.input,
        config.data,
        batch_size=config.train.batch_size,
        seed=config.train.seed,
        indices=indices,
        name=partial(image_name, source),
        rates=sampling_rates(source, indices, config.data.repeat_threshold),
    )


def train_batches(
    config: ExperimentConfig, source: Source, start_step: int, stop_step: int, positions: Sequence[int] | None = None
) -> Generator[Batch, None, None]:
    """The training batches of steps `start_step` ... `stop_step - 1`, some perhaps void, of each the images at `positions`; None: all."""
    return batches(
        source,
        make_plan(config, source),
        config.model.input,
        config.data,
        start_step=start_step,
        stop_step=stop_step,
        seed=config.train.seed,
        positions=positions,
        augment=getattr(source, "augment", None),
        voids=True,
    )
