"""LVIS's lists in a COCO JSON file: the classes that are known not to be in an image, and those of which objects may lack."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.faults import Fault, Tell

_NEGATIVE, _NOT_EXHAUSTIVE = _LISTS = ("neg_category_ids", "not_exhaustive_category_ids")
_FREQUENCIES = ("r", "c", "f")


def has_lists(document: dict[str, Any]) -> bool:
    """Whether any image of the file has one of the lists, so that all must."""
    return any(key in row for row in document["images"] for key in _LISTS)


def check_lists(path: Path, document: dict[str, Any], present: Mapping[int, Collection[int]], tell: Tell) -> None:
    """Tell of what LVIS's evaluation could not go by.

    That is an image without one of the lists, a list of anything but ids of categories, a category that an image lists as
    negative and has an object of, a category without `frequency`, and a crowd.

    Args:
      path: the file.
      document: its `read_document`; `has_lists`.
      present: image id -> ids of the categories that the image has an object of.
      tell: hears of it.
    """
    known = {row["id"] for row in document["categories"]}
    for row in document["categories"]:
        if row.get("frequency") not in _FREQUENCIES:
            message = (
                f"{path}: category id {row['id']}: frequency {row.get('frequency')!r:.80} is none of {_FREQUENCIES}, and images have "
                "LVIS's lists; write how frequent the class is in the training data: in up to 10 images r, up to 100 c, more f"
            )
            tell(Fault("frequency", path, message, category_id=row["id"]))
    for row in document["images"]:
        for message in _faults(row, known, present.get(row["id"], ())):
            tell(Fault("class-lists", path, f"{path}: image id {row['id']}: {message}", row["id"]))
    for row in document["annotations"]:
        if row.get("iscrowd", 0) == 1:
            where = f"{path}: image id {row.get('image_id')}, annotation id {row['id']}"
            message = "a crowd, which LVIS's evaluation has not; remove it, and list its category in not_exhaustive_category_ids"
            tell(Fault("class-lists", path, f"{where}: {message}", row.get("image_id"), row["id"]))


def _faults(row: dict[str, Any], known: set[int], present: Collection[int]) -> Iterator[str]:
    for key in _LISTS:
        ids = row.get(key)
        if not isinstance(ids, list):
            yield f"{key} is {ids!r:.80}, no list of category ids; give it to every image, empty where nothing is known, or to none"
        elif unknown := [id_ for id_ in ids if type(id_) is not int or id_ not in known]:
            yield f"{key} has {unknown[0]!r:.80}, which no category has as id; correct it"
        elif key == _NEGATIVE and (both := [id_ for id_ in ids if id_ in present]):
            yield f"{key} has {both[0]}, and an object of the image has this category; take it off the list, or remove the object"
