"""maskrcnn import-data."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from maskrcnn_jax.cli.format_options import FormatOptions, print_notes
from maskrcnn_jax.data import formats


@dataclass(frozen=True, kw_only=True)
class ImportDataCommand(FormatOptions):
    """Write a dataset of another format as COCO JSON, which training reads. No image is copied; docs/data.md has the layouts."""

    format: tyro.conf.Positional[formats.Format]
    """Format of the dataset."""
    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SRC")]
    """The annotation file (coco, lvis, via, labelme), or the dataset's folder (all others, and labelme)."""
    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
    """JSON file to write; new."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(ImportDataCommand, prog="maskrcnn import-data", args=list(arguments))
    formats.require_new(command.target)
    dataset = formats.read_format(command.format, command.source, **command.options())
    written = formats.write_coco(command.target, dataset)
    print_notes(written.notes)
    images, annotations = shlex.quote(str(dataset.image_folder)), shlex.quote(str(command.target))
    print(f"{command.target}: written; images {written.images}, objects {written.objects}, classes {written.classes}")
    print(f"to train on it:   --model.num-classes {written.classes} --data.train-annotations {annotations} --data.train-images {images}")
    print(f"to measure on it: --data.val-annotations {annotations} --data.val-images {images}")
