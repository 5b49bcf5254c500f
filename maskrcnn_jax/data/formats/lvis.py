"""LVIS: COCO's JSON, whose images say which classes were looked for."""

from pathlib import Path
from typing import Any

from maskrcnn_jax.data.coco_json import read_document
from maskrcnn_jax.data.faults import refusing
from maskrcnn_jax.data.formats.coco import dataset_of
from maskrcnn_jax.data.formats.dataset import ImportedDataset
from maskrcnn_jax.data.source import DataError

_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")


def read_lvis(source: Path, *, images: Path | None = None) -> ImportedDataset:
    """An LVIS JSON.

    As with COCO all fields are kept: of images `neg_category_ids` (classes that are not there) and `not_exhaustive_category_ids`
    (classes of which objects may lack), of classes `frequency`, `synset` and more. An image without `file_name` has that of its
    `coco_url`, with the folder of COCO's split: train2017/000000391895.jpg.

    Args:
      source: the JSON file.
      images: the folder that holds train2017 and val2017; by default that of the JSON.

    Raises:
      DataError: what COCO files are refused for, an image with neither `file_name` nor `coco_url`, or a list of classes that
        is missing or names an unknown one.
    """
    document = read_document(source, refusing([]))
    known = {row["id"] for row in document["categories"]}
    for row in document["images"]:
        where = f"{source}: image id {row['id']}"
        for key in _LISTS:
            _check_classes(row.get(key), known, f"{where}: {key}")
        if "file_name" not in row:
            row["file_name"] = _name_of(row.get("coco_url"), where)
    return dataset_of(source, document, images or source.parent)


def _check_classes(ids: Any, known: set[int], where: str) -> None:
    if not isinstance(ids, list):
        raise DataError(f"{where} is no list of category ids; download the annotations again, or import the file as coco")
    unknown = [id_ for id_ in ids if type(id_) is not int or id_ not in known]
    if unknown:
        raise DataError(f"{where} has {unknown[0]!r:.40}, which no category has as id; correct it")


def _name_of(url: Any, where: str) -> str:
    """The last two parts of a URL: the folder of COCO's split, and the file."""
    parts = url.split("/")[-2:] if isinstance(url, str) else []
    if len(parts) < 2 or not all(parts):
        raise DataError(f"{where}: neither `file_name` nor a `coco_url` that ends with folder and file ({url!r:.80}); add `file_name`")
    return "/".join(parts)
