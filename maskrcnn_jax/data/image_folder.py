"""File names of a dataset and the folder that they are relative to."""

import os
from collections.abc import Sequence
from pathlib import Path

from maskrcnn_jax.data.source import DataError

LONGEST = 1000
"""Characters of a name, relative to the folder; one with more is of no file, and no message should repeat it."""


def refuse_long(what: str, name: str) -> None:
    """Raise DataError, which begins with `what`, for a name that is longer than any file's."""
    if len(name) > LONGEST:
        raise DataError(f"{what} has {len(name)} characters, and no file's has more than {LONGEST}; correct it")


def leaves_folder(name: str) -> bool:
    """Whether the path `name`, taken relative to a folder, is of a file outside it. Links are not followed."""
    normal = os.path.normpath(name)
    return os.path.isabs(normal) or normal.split(os.sep)[0] == ".."


def missing_files(folder: Path, names: Sequence[str]) -> list[int]:
    """Positions in `names` of the files that do not exist in `folder`, ascending."""
    paths = [folder / name for name in names]
    # One listing a folder: a call a file takes minutes for COCO on a network. It is asked for those not listed, for file
    # systems may know a name in other letters.
    listed = {parent: _listing(parent) for parent in {path.parent for path in paths}}
    return [i for i, path in enumerate(paths) if path.name not in listed[path.parent] and not os.path.exists(path)]


def _listing(folder: Path) -> set[str]:
    """Names in a folder; none where it cannot be listed."""
    try:
        return set(os.listdir(folder))
    except (OSError, ValueError):  # ValueError: no name that a file may have
        return set()
