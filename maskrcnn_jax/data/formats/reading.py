"""The formats by name, and what each reader can be told."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from maskrcnn_jax.data.coco_json import read_document
from maskrcnn_jax.data.faults import refusing
from maskrcnn_jax.data.formats.cityscapes import read_cityscapes
from maskrcnn_jax.data.formats.coco import read_coco
from maskrcnn_jax.data.formats.dataset import ImportedDataset
from maskrcnn_jax.data.formats.labelme import read_labelme
from maskrcnn_jax.data.formats.lvis import lvis_document, read_lvis
from maskrcnn_jax.data.formats.png import read_png
from maskrcnn_jax.data.formats.via import read_via
from maskrcnn_jax.data.formats.voc import read_pascal_voc
from maskrcnn_jax.data.formats.writing import coco_document
from maskrcnn_jax.data.formats.yolo import read_yolo
from maskrcnn_jax.data.image_folder import leaves_folder
from maskrcnn_jax.data.source import DataError

Format = Literal["coco", "lvis", "pascal_voc", "cityscapes", "via", "labelme", "png", "yolo"]

READERS: Mapping[Format, Callable[..., ImportedDataset]] = {
    "coco": read_coco,
    "lvis": read_lvis,
    "pascal_voc": read_pascal_voc,
    "cityscapes": read_cityscapes,
    "via": read_via,
    "labelme": read_labelme,
    "png": read_png,
    "yolo": read_yolo,
}


DOCUMENTS: Mapping[Format, Callable[[Path], dict[str, Any]]] = {
    "coco": lambda source: read_document(source, refusing([])),
    "lvis": lvis_document,
}
"""The formats whose files hold COCO's rows already."""


class Rows(NamedTuple):
    """A dataset as the rows of a COCO instances file, `read_document`'s. `notes` say, a line each, what was left out of them."""

    document: dict[str, Any]
    image_folder: Path
    notes: tuple[str, ...]


def read_format(name: Format, source: Path, **options: Any) -> ImportedDataset:
    """The dataset at `source`; options that are None or empty are as if not given.

    Raises:
      DataError: an option that the format has not, a split that is a path, a source that does not exist, or what the reader refuses.
    """
    return READERS[name](source, **_given(name, source, options))


def read_rows(name: Format, source: Path, **options: Any) -> Rows:
    """The rows of the dataset at `source`: all of a file that has them, not checked; otherwise those that `coco_document` makes.

    Raises:
      DataError: as `read_format`, whose options it has, and as `coco_document`, but for what only `check_document` sees in rows.
    """
    given = _given(name, source, options)
    if name in DOCUMENTS:
        return Rows(DOCUMENTS[name](source), given.get("images", source.parent), ())
    dataset = READERS[name](source, **given)
    document, notes = coco_document(dataset)
    return Rows(document, dataset.image_folder, (*dataset.notes, *notes))


def _given(name: Format, source: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are given; raises as `read_format`, but for what the reader refuses."""
    given = {key: value for key, value in options.items() if value}
    known = list(inspect.signature(READERS[name]).parameters)[1:]
    for key in given:
        if key not in known:
            raise DataError(f"{name} has no option --{key}; its options are {', '.join(f'--{option}' for option in known)}")
    split = given.get("split")
    if split and (leaves_folder(split) or "/" in split):
        raise DataError(f"--split {split} is a path; give the name of a part of the data, train for example")
    if not source.exists():
        raise DataError(f"{source}: no such file or folder; give the {name} data")
    return given
