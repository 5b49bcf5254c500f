"""maskrcnn import-data."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from maskrcnn_jax.data import formats


@dataclass(frozen=True, kw_only=True)
class ImportDataCommand:
    """Write a dataset of another format as COCO JSON, which training reads. No image is copied; docs/data.md has the layouts."""

    format: tyro.conf.Positional[formats.Format]
    """Format of the dataset."""
    source: tyro.conf.Positional[Path]
    """The annotation file (coco, lvis, via, labelme), or the dataset's folder (all others, and labelme)."""
    target: tyro.conf.Positional[Path]
    """JSON file to write; new."""
    images: Path | None = None
    """Image folder, where it is not that of the annotation file (coco, lvis, via, labelme)."""
    split: str | None = None
    """Part of the dataset: train or val, for example (pascal_voc, cityscapes, yolo)."""
    labels: tuple[str, ...] = ()
    """The classes in the order of their ids; by default those that occur (via, labelme, png)."""
    attribute: str | None = None
    """Region attribute that holds the class, where there are several (via)."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(ImportDataCommand, prog="maskrcnn import-data", args=list(arguments))
    formats.require_new(command.target)
    options = {"images": command.images, "split": command.split, "labels": command.labels, "attribute": command.attribute}
    dataset = formats.read_format(command.format, command.source, **options)
    written = formats.write_coco(command.target, dataset)
    for note in written.notes:
        print(note, file=sys.stderr)
    if written.notes:
        print(f"what was left out or changed: {len(written.notes)} lines above", file=sys.stderr)
    images, annotations = shlex.quote(str(dataset.image_folder)), shlex.quote(str(command.target))
    print(f"{command.target}: written; images {written.images}, objects {written.objects}, classes {written.classes}")
    print(f"to train on it:   --model.num-classes {written.classes} --data.train-annotations {annotations} --data.train-images {images}")
    print(f"to measure on it: --data.val-annotations {annotations} --data.val-images {images}")
