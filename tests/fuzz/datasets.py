"""A small, whole dataset of each format, as the bytes of its files, and an independent count of what they hold."""

import base64
import io
import json
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import yaml
from PIL import Image
from pycocotools import mask as coco_mask

from tests.fuzz.edits import Files
from tests.fuzz.pictures import HEIGHT, WIDTH, make_pictures

PICTURES = make_pictures()
THINGS, NOT_MEASURED = {24, 25, 26, 27, 28, 31, 32, 33}, {29, 30}  # of Cityscapes


class Dataset(NamedTuple):
    """Files of a format.

    source: what is opened, relative to the folder. options: of `read_format`. count: images and objects of the files, those that
    readers may leave out with a note among them. inputs: all that the content of an image may depend on, by its file name.
    """

    files: Files
    source: str = "."
    options: Mapping[str, Any] = MappingProxyType({})
    count: Callable[[Files], tuple[int, int]] = lambda files: (0, 0)
    inputs: Callable[[Files], dict[str, Any]] = lambda files: {}


def _square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def _mask(x: int, y: int, side: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + side, x : x + side] = 1
    mask[y + 1, x + 1] = 0
    return mask


def _compressed(mask: np.ndarray) -> dict[str, Any]:
    return {"size": [HEIGHT, WIDTH], "counts": coco_mask.encode(np.asfortranarray(mask))["counts"].decode()}


def _plain(mask: np.ndarray) -> dict[str, Any]:
    runs = np.flatnonzero(np.diff(mask.T.ravel(), prepend=0, append=2))
    return {"size": [HEIGHT, WIDTH], "counts": np.diff(runs, prepend=0).tolist()}


def segmentations() -> list[Any]:
    """One of each kind."""
    return [[_square(4, 5, 10)], [_square(1.5, 2, 5), _square(20, 8.25, 6)], _plain(_mask(3, 4, 9)), _compressed(_mask(8, 6, 12))]


def _png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def _json(document: Any) -> bytes:
    return json.dumps(document, indent=1).encode()


def _coco_document() -> dict[str, Any]:
    polygon, parts, runs, text = segmentations()
    images = [("first.png", 911), ("second.jpg", 905), ("third.npy", 920)]
    rows = [
        (1001, 911, polygon, 0),
        (1002, 911, text, 0),
        (1003, 911, runs, 1),
        (1004, 905, parts, 0),
        (1005, 905, text, 1),
        (1006, 920, runs, 0),
    ]
    annotations: list[dict[str, Any]] = [
        {"id": id_, "image_id": image, "category_id": 3 + 4 * (id_ % 2), "segmentation": found, "iscrowd": crowd, "area": 90.5}
        for id_, image, found, crowd in rows
    ]
    for row in annotations[::2]:
        row["bbox"] = [2, 3.5, 20, 15]
    return {
        "info": {"year": 2026},
        "images": [{"id": id_, "file_name": name, "height": HEIGHT, "width": WIDTH, "license": 1} for name, id_ in images],
        "categories": [{"id": 7, "name": "kite", "supercategory": "toy"}, {"id": 3, "name": "boat"}],
        "annotations": annotations,
    }


_COCO_IMAGES = {"first.png": PICTURES["a.PNG"], "second.jpg": PICTURES["a.JPEG"], "third.npy": PICTURES["array.npy"]}


def _coco_count(files: Files) -> tuple[int, int]:
    document = json.loads(files["instances.json"])
    return len(document["images"]), len(document["annotations"])


def coco_inputs(files: Files) -> dict[str, Any]:
    """By file name: the row of the image, its annotations, all categories, and the file."""
    document = json.loads(files["instances.json"])
    return {
        row.get("file_name", str(row.get("coco_url")).split("/")[-1]): [
            row,
            [other for other in document["annotations"] if other.get("image_id") == row["id"]],
            document["categories"],
            files.get(row.get("file_name", "")),
        ]
        for row in document["images"]
    }


def coco() -> Dataset:
    return Dataset({"instances.json": _json(_coco_document()), **_COCO_IMAGES}, "instances.json", {}, _coco_count, coco_inputs)


def lvis() -> Dataset:
    document = _coco_document()
    for image in document["images"]:
        has_kites = any(row["image_id"] == image["id"] and row["category_id"] == 7 for row in document["annotations"])
        image |= {"neg_category_ids": [] if has_kites else [7], "not_exhaustive_category_ids": [3]}
    for category in document["categories"]:
        category["frequency"] = "f"
    for row in document["annotations"]:
        del row["iscrowd"]
    return Dataset({"instances.json": _json(document), **_COCO_IMAGES}, "instances.json", {}, _coco_count, coco_inputs)


def via() -> Dataset:
    shapes = [
        {"name": "polygon", "all_points_x": [4, 14, 14, 4], "all_points_y": [5, 5, 15, 15]},
        {"name": "polyline", "all_points_x": [4.5, 14, 14], "all_points_y": [5, 5, 15]},
        {"name": "rect", "x": 3, "y": 4, "width": 9, "height": 7},
        {"name": "circle", "cx": 12, "cy": 9, "r": 5},
        {"name": "ellipse", "cx": 12, "cy": 9, "rx": 5, "ry": 3, "theta": 0.3},
        {"name": "point", "cx": 12, "cy": 9},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"kind": f"k{i % 2}"}} for i, shape in enumerate(shapes)]
    entries = {
        "a.png1": {"filename": "a.png", "size": 1, "regions": regions},
        "b.png2": {"filename": "b.png", "size": 2, "regions": {"0": regions[2], "1": regions[3]}},
    }
    images = {"a.png": PICTURES["a.PNG"], "b.png": PICTURES["turned.PNG"]}
    return Dataset(
        {"via.json": _json({"_via_settings": {}, "_via_img_metadata": entries}), **images}, "via.json", {}, _via_count, _via_inputs
    )


def _via_entries(files: Files) -> dict[str, Any]:
    document = json.loads(files["via.json"])
    return document.get("_via_img_metadata", document)


def _via_count(files: Files) -> tuple[int, int]:
    entries = _via_entries(files)
    return len(entries), sum(len(entry.get("regions", [])) for entry in entries.values())


def _via_inputs(files: Files) -> dict[str, Any]:
    return {entry["filename"]: [entry.get("regions"), files.get(entry["filename"])] for entry in _via_entries(files).values()}


def labelme() -> Dataset:
    ring = base64.b64encode(_png(_mask(3, 4, 9)[4:13, 3:12].astype(bool))).decode()
    shapes = [
        {"label": "cell", "points": [[4, 5], [14, 5], [14, 15.5]], "group_id": None, "shape_type": "polygon"},
        {"label": "cell", "points": [[1, 1], [5, 5]], "group_id": 3, "shape_type": "rectangle"},
        {"label": "cell", "points": [[20, 8], [25, 8]], "group_id": 3, "shape_type": "circle"},
        {"label": "ring", "points": [[3, 4], [11, 12]], "group_id": 4, "shape_type": "mask", "mask": ring},
        {"label": "ring", "points": [[20, 14], [25, 14], [25, 18]], "group_id": 4},
        {"label": "dot", "points": [[20, 8]], "group_id": None, "shape_type": "point"},
    ]
    sides = {"imageHeight": HEIGHT, "imageWidth": WIDTH, "imageData": None}
    files = {
        "a.json": _json({"version": "5", "shapes": shapes, "imagePath": "a.png", **sides}),
        "b.json": _json({"version": "5", "shapes": shapes[:2] + shapes[3:4], "imagePath": "b.jpg"}),
        "a.png": PICTURES["a.PNG"],
        "b.jpg": PICTURES["a.JPEG"],
    }
    return Dataset(files, ".", {}, _labelme_count, by_stem)


def _labelme_count(files: Files) -> tuple[int, int]:
    documents = [json.loads(content) for name, content in files.items() if name.endswith(".json")]
    found: set[Any] = set()
    for k, document in enumerate(documents):
        for i, shape in enumerate(document["shapes"]):
            alone = shape.get("group_id") is None or shape.get("shape_type") in ("point", "points", "line", "linestrip")
            found.add((k, i) if alone else (k, shape["label"], shape["group_id"]))
    return len(documents), len(found)


def by_stem(files: Files) -> dict[str, Any]:
    """Of each image all files that are called as it, or lie in a folder that is, and those that are called as no image."""

    def owner(name: str) -> str:
        path = PurePosixPath(name)
        return next((part for part in (path.stem.split("_")[0], path.parent.name) if part in ("a", "b")), "")

    shared = {name: content for name, content in files.items() if not owner(name)}
    return {stem: [shared, {name: content for name, content in files.items() if owner(name) == stem}] for stem in ("a", "b")}


def values_of(content: bytes) -> np.ndarray:
    """Labels as they are stored: palette indices, grey values, or of colours the three bytes."""
    with Image.open(io.BytesIO(content)) as image:
        array = np.asarray(image).astype(np.int64)
    if array.ndim == 2:
        return array
    return array[..., 0] if array.shape[2] == 2 else array[..., 0] * 65536 + array[..., 1] * 256 + array[..., 2]


def _numbers() -> np.ndarray:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[2:9, 3:12], values[5:15, 15:28], values[12:19, 2:9] = 1, 2, 255
    return values


def _palette(values: np.ndarray) -> bytes:
    image = Image.fromarray(values)
    image.putpalette([value for index in range(256) for value in (index, index * 7 % 256, index * 3 % 256)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pascal_voc() -> Dataset:
    numbers = _numbers()
    xml = b"<annotation><object><name>dog</name></object><object><name>cat</name></object></annotation>"
    files = {
        "ImageSets/Segmentation/train.txt": b"a\nb 1\n",
        "JPEGImages/a.jpg": PICTURES["a.JPEG"],
        "JPEGImages/b.jpg": PICTURES["L.jpg"],
        "SegmentationObject/a.png": _palette(numbers),
        "SegmentationObject/b.png": _png(numbers),
        "SegmentationClass/a.png": _palette(np.where(numbers == 2, 5, numbers)),
        "Annotations/b.xml": xml,
    }
    return Dataset(files, ".", {"split": "train"}, _voc_count, by_stem)


def _voc_count(files: Files) -> tuple[int, int]:
    listed = [line.split()[0] for line in files["ImageSets/Segmentation/train.txt"].decode().splitlines() if line.strip()]
    return len(listed), sum(len(set(np.unique(values_of(files[f"SegmentationObject/{stem}.png"]))) - {0, 255}) for stem in listed)


def cityscapes() -> Dataset:
    numbers = _numbers().astype(np.uint16)
    files = {f"leftImg8bit/train/c/{stem}_leftImg8bit.png": PICTURES["a.PNG"] for stem in "ab"}
    for stem, ids in (("a", (24001, 26)), ("b", (29000, 33012))):
        values = np.select([numbers == 1, numbers == 2, numbers == 255], [*ids, 7], 0).astype(np.uint16)
        files[f"gtFine/train/c/{stem}_gtFine_instanceIds.png"] = _png(values)
    return Dataset(files, ".", {}, _cityscapes_count, by_stem)


def _cityscapes_count(files: Files) -> tuple[int, int]:
    pictures = [values_of(content) for name, content in files.items() if name.startswith("gtFine")]
    labels = [value // 1000 if value >= 1000 else value for values in pictures for value in np.unique(values).tolist() if value != 65535]
    return len(pictures), sum(label in THINGS | NOT_MEASURED for label in labels)


def png() -> Dataset:
    numbers = _numbers()
    colours = np.stack([numbers, numbers * 3, numbers // 2], axis=2).astype(np.uint8)
    files = {f"images/{stem}.png": PICTURES["a.PNG"] for stem in "ab"}
    files |= {
        "masks/a.png": _png(colours),
        "masks/b/0.png": _png(_mask(3, 4, 9) * 255),
        "masks/b/1.png": _png(_mask(8, 6, 12).astype(bool)),
    }
    return Dataset(files, ".", {"labels": ("cell",)}, _png_count, by_stem)


def _png_count(files: Files) -> tuple[int, int]:
    return 2, len(set(np.unique(values_of(files["masks/a.png"]))) - {0}) + 2  # a black file of an object is told


def bowl() -> Dataset:
    files = {f"{stem}/images/{stem}.png": PICTURES["a.PNG"] for stem in "ab"}
    files |= {f"{stem}/masks/{kind}/{i}.png": _png(_mask(3 + i, 4, 9) * 255) for stem in "ab" for i, kind in enumerate(("cell", "dot"))}
    return Dataset(files, ".", {}, lambda files: (2, 4), _bowl_inputs)


def _bowl_inputs(files: Files) -> dict[str, Any]:
    return {stem: [content for name, content in files.items() if name.startswith(stem)] for stem in "ab"}


def yolo() -> Dataset:
    files = {
        "data.yaml": b"path: .\ntrain: images/train\nnames:\n  0: kite\n  1: boat\n",
        "images/train/a.png": PICTURES["a.PNG"],
        "images/train/b.jpg": PICTURES["turned.JPEG"],
        "labels/train/a.txt": b"0 0.1 0.1 0.5 0.1 0.5 0.5\n1 0.2 0.3 0.9 0.3 0.9 0.9 0.2 0.9\n",
        "labels/train/b.txt": b"1 0.5 0.5 0.9 0.5 0.9 0.9\n0 0.5 0.5 0.2 0.2\n",
    }
    return Dataset(files, ".", {"split": "train"}, _yolo_count, by_stem)


def _yolo_count(files: Files) -> tuple[int, int]:
    assert yaml.safe_load(files["data.yaml"])["names"]
    lines = [line for stem in "ab" for line in files[f"labels/train/{stem}.txt"].decode().splitlines() if line.strip()]
    return 2, len(lines)
