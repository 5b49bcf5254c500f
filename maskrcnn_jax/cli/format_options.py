"""Options of the commands that read a dataset of another format."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FormatOptions:
    """What `data.formats.read_format` is told besides format and source."""

    images: Path | None = None
    """Image folder, where it is not that of the annotation file (coco, lvis, via, labelme)."""
    split: str | None = None
    """Part of the dataset: train or val, for example (pascal_voc, cityscapes, yolo)."""
    labels: tuple[str, ...] = ()
    """The classes in the order of their ids; by default those that occur (via, labelme, png)."""
    attribute: str | None = None
    """Region attribute that holds the class, where there are several (via)."""

    def options(self) -> dict[str, Any]:
        """By name."""
        return {"images": self.images, "split": self.split, "labels": self.labels, "attribute": self.attribute}


def print_notes(notes: Sequence[str]) -> None:
    """Print on stderr what was left out or changed, and how many lines these are."""
    for note in notes:
        print(note, file=sys.stderr)
    if notes:
        lines = "line" if len(notes) == 1 else "lines"
        print(f"what was left out or changed: {len(notes)} {lines} above", file=sys.stderr)
