"""maskrcnn prepare-data."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from maskrcnn_jax.cli.bar import ITEMS, bar
from maskrcnn_jax.cli.format_options import FormatOptions, print_notes
from maskrcnn_jax.data import prepared


@dataclass(frozen=True, kw_only=True)
class PrepareDataCommand(FormatOptions):
    """Copy a dataset, images and masks, to a few large files that training reads (--data.kind prepared); docs/data.md says more."""

    format: tyro.conf.Positional[prepared.Origin]
    """Format of the dataset, as of import-data; or coco2017, COCO 2017 as it is published, with --split train2017 or val2017."""
    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SRC")]
    """As of import-data; of coco2017 the folder of the zip files, or of what they unpack to. What it lacks is downloaded to it."""
    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
    """Folder to write; new."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(PrepareDataCommand, prog="maskrcnn prepare-data", args=list(arguments))
    prepared.require_new(command.target)
    with prepared.open_dataset(command.format, command.source, bar, **command.options()) as dataset, bar("preparing", ITEMS) as progress:
        written = prepared.prepare(dataset, command.target, progress)
    print_notes(written.notes)
    folder = shlex.quote(str(command.target))
    print(f"{command.target}: written; images {written.images}, objects {written.objects}, classes {written.classes}")
    print(f"to train on it:   --data.kind prepared --model.num-classes {written.classes} --data.train-annotations {folder}")
    print(f"to measure on it: --data.kind prepared --data.val-annotations {folder}")
