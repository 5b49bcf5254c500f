"""LVIS: COCO's JSON, whose images say which classes were looked for."""

from pathlib import Path
from typing import Any

from maskrcnn_jax.data.coco_json import read_document
from maskrcnn_jax.data.coco_lists import has_lists
from maskrcnn_jax.data.faults import refusing
from maskrcnn_jax.data.formats.coco import dataset_of
from maskrcnn_jax.data.formats.dataset import ImportedDataset
from maskrcnn_jax.data.source import DataError


def read_lvis(source: Path, *, images: Path | None = None) -> ImportedDataset:
    """An LVIS JSON.

    As with COCO all fields are kept: of images `neg_category_ids` (classes that are not there) and `not_exhaustive_category_ids`
    (classes of which objects may lack), of classes `frequency`, `synset` and more. An image without `file_name` has that of its
    `coco_url`, with the folder of COCO's split: train2017/000000391895.jpg.

    Args:
      source: the JSON file.
      images: the folder that holds train2017 and val2017; by default that of the JSON.

    Raises:
      DataError: what COCO files are refused for, lists of classes among it, no such lists, or an image with neither `file_name` nor
        `coco_url`.
    """
    return dataset_of(source, lvis_document(source), images or source.parent)


def lvis_document(source: Path) -> dict[str, Any]:
    """What an LVIS file holds, with a file name of every image; raises as `read_lvis`."""
    document = read_document(source, refusing([]))
    if not has_lists(document):
        raise DataError(f"{source}: no image has LVIS's lists of classes; download the annotations again, or import the file as coco")
    for row in document["images"]:
        if "file_name" not in row:
            row["file_name"] = _name_of(row.get("coco_url"), f"{source}: image id {row['id']}")
    return document


def _name_of(url: Any, where: str) -> str:
    """The last two parts of a URL: the folder of COCO's split, and the file."""
    parts = url.split("/")[-2:] if isinstance(url, str) else []
    if len(parts) < 2 or not all(parts):
        raise DataError(f"{where}: neither `file_name` nor a `coco_url` that ends with folder and file ({url!r:.80}); add `file_name`")
    return "/".join(parts)
