"""A source of examples -> the COCO dataset dict that detections are measured against."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax.structs import Category, Example


@runtime_checkable
class ExampleSource(Protocol):
    """What evaluation needs of a source: its examples and its category table."""

    @property
    def categories(self) -> Sequence[Category]:
        """The classes, in the order of the model's labels."""
        ...

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, i: int) -> Example:
        """Example `i`."""
        ...


class AnnotatedSource(Protocol):
    """A source whose objects stand in a COCO JSON file."""

    annotation_file: str | Path
    """The file."""
    image_ids: Sequence[int] | np.ndarray
    """The file's image id of each example."""


class RecordedSource(Protocol):
    """A source that has the rows of a COCO file, but not the file."""

    def coco_document(self, indices: Iterable[int]) -> dict[str, Any]:
        """All `categories`, and of the examples `indices`, in their order, the `images` and `annotations`."""
        ...


def ground_truth(source: ExampleSource, indices: Iterable[int] | None = None) -> dict[str, Any]:
    """COCO dataset of the images `indices` of `source`: `images`, `annotations`, `categories`.

    A source with `annotation_file` and `image_ids` is measured against the file's own annotations (their area, polygons and
    crowds), as official numbers are, and one with a `coco_document` against that; of an LVIS file images keep their lists of classes
    and categories their `frequency`. Any other source is read example by example, and each mask is run-length encoded before the
    next image is read.

    Args:
      source: the examples.
      indices: which of them, each once; None: all.

    Returns:
      Images and annotations in the order of `indices`. Annotation ids count from 1 (pycocotools never matches id 0),
      category ids are the data's own. In a file, a missing iscrowd is 0, and a missing area or box is that of the mask;
      objects without a pixel stay, as in official numbers.

    Raises:
      OSError, json.JSONDecodeError: the file cannot be read.
    """
    chosen = range(len(source)) if indices is None else list(indices)
    content = _rows(source, chosen)
    if content is not None:
        images, annotations = _from_rows(content)
        further = {row["id"]: {"frequency": row["frequency"]} for row in content["categories"] if "frequency" in row}
    else:
        (images, annotations), further = _from_examples(source, chosen), {}
    categories = [{"id": int(c.id), "name": c.name, **further.get(int(c.id), {})} for c in source.categories]
    return {"info": {}, "images": images, "annotations": _numbered(annotations), "categories": categories}


def _is_annotated(source: ExampleSource) -> TypeGuard[AnnotatedSource]:
    """By `hasattr`: since Python 3.12 `isinstance` does not see what `__getattr__` gives, as a source that wraps another does."""
    return hasattr(source, "annotation_file") and hasattr(source, "image_ids")


def _is_recorded(source: ExampleSource) -> TypeGuard[RecordedSource]:
    """See `_is_annotated`."""
    return hasattr(source, "coco_document")


def joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One dataset of the images of several, all of one source, in their order."""
    images, annotations = ([entry for part in parts for entry in part[name]] for name in ("images", "annotations"))
    return {**parts[0], "images": images, "annotations": _numbered(annotations)}


def _numbered(annotations: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**annotation, "id": i} for i, annotation in enumerate(annotations, 1)]


def _rows(source: ExampleSource, indices: Sequence[int]) -> dict[str, Any] | None:
    """The rows of a COCO file, `images` being those of `indices`, in their order; None of a source that has none."""
    if _is_recorded(source):
        return source.coco_document(indices)
    if not _is_annotated(source):
        return None
    content = json.loads(Path(source.annotation_file).read_text(encoding="utf-8"))
    by_id = {image["id"]: image for image in content["images"]}
    return content | {"images": [by_id[int(source.image_ids[i])] for i in indices]}


def _from_rows(content: dict[str, Any]) -> tuple[list[dict], list[dict]]:
    images = content["images"]
    objects: dict[int, list[dict]] = {image["id"]: [] for image in images}
    for annotation in content["annotations"]:
        if annotation["image_id"] in objects:
            objects[annotation["image_id"]].append(annotation)
    return images, [_complete(annotation, image) for image in images for annotation in objects[image["id"]]]


def _complete(annotation: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """The annotation with every field pycocotools reads."""
    complete = {"iscrowd": 0, **annotation}
    if annotation.get("area") is None or annotation.get("bbox") is None:
        rle = encode_segmentation(annotation["segmentation"], image)
        own = {"area": float(mask_utils.area(rle)), "bbox": mask_utils.toBbox(rle).tolist()}
        complete |= {key: value for key, value in own.items() if annotation.get(key) is None}
    return complete


def encode_segmentation(segmentation: Any, image: dict[str, Any]) -> dict[str, Any]:
    """Polygons, or run lengths as numbers, as a compressed run-length encoding."""
    if isinstance(segmentation, list):
        return mask_utils.merge(mask_utils.frPyObjects(segmentation, image["height"], image["width"]))
    if isinstance(segmentation["counts"], list):
        return mask_utils.frPyObjects(segmentation, *segmentation["size"])
    return segmentation


def _from_examples(source: ExampleSource, indices: Iterable[int]) -> tuple[list[dict], list[dict]]:
    images, annotations = [], []
    for i in indices:
        example = source[i]
        height, width = example.image.shape[:2]
        images.append({"id": int(example.image_id), "height": height, "width": width})
        annotations += _objects(example, source.categories)
    return images, annotations


def _objects(example: Example, categories: Sequence[Category]) -> list[dict[str, Any]]:
    objects = []
    for mask, box, label, crowd in zip(example.masks, example.boxes, example.labels, example.crowd, strict=True):
        rle = mask_utils.encode(np.asfortranarray(mask, np.uint8))
        x0, y0, x1, y1 = (float(side) for side in box)
        objects.append(
            {
                "image_id": int(example.image_id),
                "category_id": int(categories[int(label) - 1].id),
                "segmentation": {"size": rle["size"], "counts": rle["counts"].decode("ascii")},
                "area": float(mask_utils.area(rle)),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "iscrowd": int(crowd),
            }
        )
    return objects
