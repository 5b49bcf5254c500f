"""Both splits of a dataset, opened in spite of what is wrong with them."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from maskrcnn_jax.config import ConfigError, ExperimentConfig, InputConfig
from maskrcnn_jax.data import (
    Augmented,
    CocoSource,
    DataError,
    Fault,
    MixedSource,
    PreparedSource,
    Source,
    canvas_for,
    check_source,
    image_files,
    nonempty_indices,
    open_source,
    part_of,
    resized_size,
    source_name,
    train_min_sides,
)
from maskrcnn_jax.reports.check_data.findings import Finding, Place, from_fault
from maskrcnn_jax.training.inputs import check_categories, check_classes, make_plan

SplitName = Literal["train", "val"]
SPLITS: tuple[SplitName, ...] = ("train", "val")
Filed = CocoSource | PreparedSource
"""Sources of image files, with ids of annotations; those of the second lie in records."""


class Opened(NamedTuple):
    """The splits that could be opened, and of each, (dataset, annotation id) -> row of the annotations that its readers leave out."""

    sources: dict[str, Source]
    left_out: dict[str, dict[tuple[str, int], dict[str, Any]]]


def open_splits(config: ExperimentConfig, given: tuple[Source, Source] | None, findings: list[Finding]) -> Opened:
    """What can be opened of both splits; what is wrong with either goes to `findings`."""
    opened: dict[str, Source] = {}
    left_out: dict[str, dict[tuple[str, int], dict[str, Any]]] = {}
    for i, split in enumerate(SPLITS):
        faults: list[Fault] = []
        try:
            source = open_source(config.data, split, config.model.input, tell=faults.append) if given is None else given[i]
            check_source(source)
            opened[split] = source
        except DataError as error:
            findings.append(Finding(kind="dataset", message=str(error), places=(Place(split=split),)))
        findings.extend(_located(faults, split, opened.get(split)))
        rows = ((fault.annotation_file, fault.annotation_id, fault.row) for fault in faults)
        left_out[split] = {(str(file), id_): row for file, id_, row in rows if id_ is not None and row is not None}
    return Opened(opened, left_out)


def misfits(config: ExperimentConfig, splits: dict[str, Source]) -> Iterator[Finding]:
    """What keeps the model of `config` from being trained or measured on the splits."""
    if "train" in splits:
        found = [
            *_refused("classes", "train", lambda: check_classes(config, splits["train"])),
            *_without_canvas(config, "train", splits["train"]),
        ]
        if len(splits["train"]) and config.data.drop_empty:
            found += _refused("no-objects", "train", lambda: nonempty_indices(splits["train"]))
        yield from found or _refused("plan", "train", lambda: make_plan(config, splits["train"]))
    if "val" in splits:
        yield from _without_canvas(config, "val", splits["val"])
        if not len(splits["val"]) and not isinstance(splits["val"], CocoSource):  # whose reader tells
            message = "no image to validate on; give the validation data one"
            yield Finding(kind="no-rows", message=message, places=(Place(split="val"),))
    if len(splits) == len(SPLITS):
        yield from _refused("classes", "val", lambda: check_categories(splits["train"].categories, splits["val"], config))


def _refused(kind: str, split: str, check: Callable[[], object]) -> list[Finding]:
    """What a check of training's own raises, as a finding."""
    try:
        check()
        return []
    except (ConfigError, DataError) as error:
        return [Finding(kind=kind, message=str(error), places=(Place(split=split),))]


def extra_files(splits: dict[str, Source]) -> Iterator[Finding]:
    """Image files beside those of the annotations, in the folders that those are in, that neither split names."""
    named: set[Path] = set()
    folders: dict[Path, tuple[str, Path]] = {}
    resolved = cache(Path.resolve)
    for split, source in splits.items():
        for i in range(len(source)):
            part, _ = part_of(source, i)
            if isinstance(part, CocoSource):
                root = resolved(part.image_folder)
                path = Path(os.path.normpath(root / file_name(source, i)))
                named.add(path)
                folders.setdefault(path.parent, (split, root))
    for folder, (split, root) in folders.items():
        for path in image_files(folder) if os.path.isdir(folder) else []:
            if path not in named:
                name = str(path.relative_to(root) if path.is_relative_to(root) else path)
                message = "no annotation file names it; add it, or move it away"
                yield Finding(kind="extra-file", message=message, places=(Place(split=split, file=name),))


def parts_of(source: Source) -> tuple[Source, ...]:
    """The datasets that are mixed in one, without augmentations; a single one otherwise."""
    if isinstance(source, Augmented):
        return parts_of(source.source)
    return tuple(part for mixed in source.sources for part in parts_of(mixed)) if isinstance(source, MixedSource) else (source,)


def place_of(split: str, source: Source, i: int, image_id: int | None, annotation_id: int | None = None) -> Place:
    """Of image `i`, and of an annotation of it."""
    return Place(split=split, dataset=dataset_name(source, i), file=file_name(source, i), image_id=image_id, annotation_id=annotation_id)


def dataset_name(source: Source, i: int) -> str:
    """What messages call the dataset that image `i` is of, where several are mixed; otherwise empty."""
    return source_name(part_of(source, i)[0]) if len(parts_of(source)) > 1 else ""


def file_name(source: Source, i: int) -> str:
    """The name of image `i`, relative to its folder; empty where the source has no files."""
    part, index = part_of(source, i)
    if not isinstance(part, Filed):
        return ""
    path = part.image_path(index)
    return str(path.relative_to(part.image_folder) if isinstance(part, CocoSource) else path)


def image_path(source: Source, i: int) -> Path | None:
    """The file of image `i`; None where the source has no files."""
    part, index = part_of(source, i)
    return part.image_path(index) if isinstance(part, Filed) else None


def image_id(source: Source, i: int) -> int | None:
    """The id of image `i`, where it is known without reading it."""
    ids = getattr(source, "image_ids", None)
    return None if ids is None else int(ids[i])


def largest_side(config: ExperimentConfig, split: str) -> int:
    """The largest short side that images of the split are resized to."""
    return max(train_min_sides(config.data.augment, config.model.input)) if split == "train" else config.model.input.min_side


def training_side(config: ExperimentConfig) -> int:
    """The short side that stands for those which training draws from: the middle one."""
    sides = sorted(train_min_sides(config.data.augment, config.model.input))
    return sides[len(sides) // 2]


def _located(faults: list[Fault], split: str, source: Source | None) -> Iterator[Finding]:
    """Findings with the image's file, and messages that do not repeat what else they say."""
    if source is None:
        yield from (from_fault(fault, Place(split=split)) for fault in faults)
        return
    mixed = len(parts_of(source)) > 1
    index = {(source_name(part_of(source, i)[0]), image_id(source, i)): i for i in range(len(source) if faults else 0)}
    for fault in faults:
        known = index.get((str(fault.annotation_file), fault.image_id))
        said = [fault.annotation_file, None if known is None else image_path(source, known), f"category id {fault.category_id}"]
        said += [f"image id {fault.image_id}, annotation id {fault.annotation_id}", f"image id {fault.image_id}"]
        message = fault.message
        for prefix in said:
            message = message.removeprefix(f"{prefix}: ")
        file = "" if known is None else file_name(source, known)
        dataset = str(fault.annotation_file) if mixed else ""
        yield from_fault(fault._replace(message=message), Place(split=split, dataset=dataset, file=file))


def _without_canvas(config: ExperimentConfig, split: str, source: Source) -> Iterator[Finding]:
    """Images that fit no canvas at the largest short side of the split."""
    side = largest_side(config, split)
    counts = getattr(source, "object_counts", None) if split == "train" and config.data.drop_empty else None
    fits: dict[tuple[int, int], str] = {}
    for i, (height, width) in enumerate(source.sizes):
        size = (int(height), int(width))
        if size not in fits:
            fits[size] = _canvas_fault(size, side, config.model.input)
        if fits[size] and (counts is None or counts[i]):
            yield Finding(kind="no-canvas", message=fits[size], places=(place_of(split, source, i, image_id(source, i)),))


def _canvas_fault(size: tuple[int, int], side: int, config: InputConfig) -> str:
    try:
        canvas_for(resized_size(size, side, config.max_side, config.resize), config)
        return ""
    except DataError as error:
        return str(error).removeprefix("an image: ")
