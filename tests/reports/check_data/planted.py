"""A clean dataset of two splits on disk, and one plant of every fault, each on an image of its own.

Images are 64 x 96 (height x width) and go on one canvas of that size. Objects are squares of 16 pixels whose centres are multiples of 8,
so that an anchor fits each exactly.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from maskrcnn_jax.config import DataConfig, ExperimentConfig, InputConfig
from tests import tiny

H, W, SIDE = 64, 96, 16
CATEGORIES = [{"id": 2, "name": "ball"}, {"id": 5, "name": "box"}, {"id": 9, "name": "blob"}]
PLANTED = 40  # images of the training split: more than there are plants
VAL = 5


def texture(seed: int, height: int = H, width: int = W) -> np.ndarray:
    """A picture unlike any of another seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def square(x: float, y: float, width: float = SIDE, height: float = SIDE) -> dict[str, Any]:
    """Fields of an annotation: a rectangle from (x, y)."""
    ring = [x, y, x + width, y, x + width, y + height, x, y + height]
    return {"bbox": [x, y, width, height], "segmentation": [ring]}


@dataclass
class Dataset:
    """Two documents, and what will be saved as images."""

    documents: dict[str, dict[str, list]]
    files: dict[str, Callable[[Path], None]] = field(default_factory=dict)

    def image(self, split: str, image_id: int) -> dict[str, Any]:
        return next(row for row in self.documents[split]["images"] if row["id"] == image_id)

    def annotations(self, split: str, image_id: int) -> list[dict[str, Any]]:
        return [row for row in self.documents[split]["annotations"] if row["image_id"] == image_id]

    def add(self, split: str, image_id: int, *, annotation_id: int, category_id: int = 2, **fields: Any) -> dict[str, Any]:
        row = {"id": annotation_id, "image_id": image_id, "category_id": category_id, "iscrowd": 0} | fields
        self.documents[split]["annotations"].append(row)
        return row

    def save(self, split: str, image_id: int, picture: Image.Image, name: str | None = None, **options: Any) -> None:
        """Another picture in place of an image's."""
        row = self.image(split, image_id)
        self.files.pop(row["file_name"], None)
        row["file_name"] = name or row["file_name"]
        self.files[row["file_name"]] = lambda path: picture.save(path, **options)

    def write(self, folder: Path) -> DataConfig:
        (folder / "images").mkdir(parents=True)
        for name, save in self.files.items():
            save(folder / "images" / name)
        for split, document in self.documents.items():
            (folder / f"{split}.json").write_text(json.dumps(document))
        paths = {f"{split}_annotations": str(folder / f"{split}.json") for split in ("train", "val")}
        return DataConfig(**paths, train_images=str(folder / "images"), val_images=str(folder / "images"), max_objects=4)


def clean() -> Dataset:
    """Of each image, three objects, one a category; annotation ids are 10 x image id and the next two."""
    dataset = Dataset({split: {"images": [], "annotations": [], "categories": [dict(c) for c in CATEGORIES]} for split in ("train", "val")})
    for split, ids in (("train", range(1, PLANTED + 1)), ("val", range(101, 101 + VAL))):
        for id_ in ids:
            name = f"{id_:03d}.png"
            dataset.documents[split]["images"].append({"id": id_, "file_name": name, "height": H, "width": W})
            dataset.files[name] = lambda path, id_=id_: Image.fromarray(texture(id_)).save(path)
            for k, category in enumerate(CATEGORIES):
                dataset.add(split, id_, annotation_id=10 * id_ + k, category_id=category["id"], **square(8 + 24 * k, 8 + 8 * k))
    return dataset


def experiment(data: DataConfig, **model: Any) -> ExperimentConfig:
    """The tiny model on images of 64 x 96."""
    base = tiny.experiment()
    input_config = InputConfig(min_side=H, max_side=W, canvases=((H, W),))
    fields = {"num_classes": len(CATEGORIES), "input": input_config} | model
    return replace(base, model=replace(base.model, **fields), data=data)


# A plant changes a clean dataset and says what should be found: (kind, ((split, image id, annotation id, category id), ...)).
Expected = list[tuple[str, tuple[tuple[str, int | None, int | None, int | None], ...]]]


def at(kind: str, image_id: int | None = None, annotation_id: int | None = None, *, split: str = "train", category_id: int | None = None):
    return kind, ((split, image_id, annotation_id, category_id),)


def row_without_id(d: Dataset) -> Expected:
    d.documents["train"]["annotations"].append({"image_id": 1, "category_id": 2} | square(8, 8))
    return [at("row-without-id")]


def duplicate_id(d: Dataset) -> Expected:
    d.documents["train"]["annotations"].append(dict(d.annotations("train", 2)[0]))
    return [at("duplicate-id", annotation_id=20)]


def category_row(d: Dataset) -> Expected:
    for split in ("train", "val"):
        del d.documents[split]["categories"][2]["name"]
    return [at("category-row", split=split, category_id=9) for split in ("train", "val")]


def image_row(d: Dataset) -> Expected:
    del d.image("train", 3)["height"]
    return [at("image-row", 3), at("extra-file")]


def unknown_image(d: Dataset) -> Expected:
    d.add("train", 999, annotation_id=9001, **square(8, 8))
    return [at("unknown-image", 999, 9001)]


def unknown_category(d: Dataset) -> Expected:
    d.annotations("train", 4)[0]["category_id"] = 3
    return [at("unknown-category", 4, 40)]


def iscrowd(d: Dataset) -> Expected:
    d.annotations("train", 5)[0]["iscrowd"] = 2
    return [at("iscrowd", 5, 50)]


def bbox(d: Dataset) -> Expected:
    d.annotations("train", 6)[0]["bbox"] = [8, 8, -16, 16]
    return [at("bbox", 6, 60)]


def area(d: Dataset) -> Expected:
    d.annotations("train", 32)[0]["area"] = "256"
    return [at("area", 32, 320)]


def segmentation(d: Dataset) -> Expected:
    d.annotations("train", 7)[0]["segmentation"] = [[8, 8, 24, 24]]
    return [at("segmentation", 7, 70)]


def missing_file(d: Dataset) -> Expected:
    del d.files["008.png"]
    return [at("missing-file", 8)]


def unreadable(d: Dataset) -> Expected:
    def cut(path: Path) -> None:
        Image.fromarray(texture(9)).save(path)
        path.write_bytes(path.read_bytes()[:600])

    d.files["009.png"] = cut
    return [at("unreadable-image", 9)]


def image_size(d: Dataset) -> Expected:
    d.save("train", 10, Image.fromarray(texture(10, H + 8, W)))
    return [at("image-size", 10)]


def no_canvas(d: Dataset) -> Expected:
    d.image("train", 11).update(height=W, width=H)
    d.save("train", 11, Image.fromarray(texture(11, W, H)))
    for row in d.annotations("train", 11):
        row.update(square(8, 8 + 24 * (row["id"] % 10)))
    return [at("no-canvas", 11)]


def no_area(d: Dataset) -> Expected:
    d.annotations("train", 12)[0]["segmentation"] = [[8, 8, 24, 8, 16, 8]]
    return [at("no-area", 12, 120)]


def no_pixel(d: Dataset) -> Expected:
    d.annotations("train", 13)[0].update(segmentation=[[8.1, 8.1, 8.2, 8.1, 8.2, 8.2]], bbox=None)
    return [at("no-pixel", 13, 130)]


def degenerate_polygon(d: Dataset) -> Expected:
    d.annotations("train", 14)[0]["segmentation"].append([8, 8, 20, 20, 16, 16])
    return [at("degenerate-polygon", 14, 140)]


def self_intersection(d: Dataset) -> Expected:
    d.annotations("train", 15)[0]["segmentation"] = [[8, 8, 24, 24, 24, 8, 8, 24]]
    return [at("self-intersection", 15, 150)]


def box_mask(d: Dataset) -> Expected:
    d.annotations("train", 16)[0]["bbox"] = [8, 8, 16, 20]
    return [at("box-mask", 16, 160)]


def duplicate_annotation(d: Dataset) -> Expected:
    d.add("train", 17, annotation_id=9017, category_id=5, **square(8, 8))
    return [("duplicate-annotation", (("train", 17, 170, None), ("train", 17, 9017, None)))]


def duplicate_image(d: Dataset) -> Expected:
    d.save("train", 19, Image.fromarray(texture(18)))
    return [("duplicate-image", (("train", 18, None, None), ("train", 19, None, None)))]


def same_across_splits(d: Dataset) -> Expected:
    d.save("val", 101, Image.fromarray(texture(20)))
    return [("across-splits", (("train", 20, None, None), ("val", 101, None, None)))]


def nearly_same_across_splits(d: Dataset) -> Expected:
    """Half as bright, enlarged, and through JPEG."""
    small = Image.fromarray((texture(21) * 0.5 + 40).astype(np.uint8))
    d.image("val", 102).update(height=2 * H, width=2 * W)
    d.save("val", 102, small.resize((2 * W, 2 * H)), "102.jpg", quality=60)
    for row in d.annotations("val", 102):
        row.update(square(*(2 * v for v in row["bbox"])))
    return [("across-splits", (("train", 21, None, None), ("val", 102, None, None)))]


def exif(d: Dataset) -> Expected:
    tag = Image.Exif()
    tag[0x0112] = 3
    d.save("train", 22, Image.fromarray(texture(22)), "022.jpg", exif=tag)
    return [at("exif", 22)]


def modes(d: Dataset) -> Expected:
    pictures = [Image.fromarray(texture(230 + k)) for k in range(6)]
    d.save("train", 23, pictures[0].convert("L"))
    d.save("train", 24, pictures[1].convert("P"))
    d.save("train", 25, pictures[2].convert("RGBA"))
    d.save("train", 26, pictures[3].convert("CMYK"), "026.jpg")
    d.save("train", 27, Image.fromarray(texture(234)[..., 0].astype(np.uint16) << 8))
    d.save("train", 28, pictures[5].convert("YCbCr"), "028.tif")
    d.files["033.png"] = lambda path: cv2.imwrite(str(path), texture(236).astype(np.uint16) << 8)
    kinds = "grey", "palette", "alpha", "cmyk", "16-bit", "other-mode"
    return [*(at(kind, 23 + k) for k, kind in enumerate(kinds)), at("16-bit", 33)]


def pages(d: Dataset) -> Expected:
    d.save("train", 34, Image.fromarray(texture(34)), "034.tif", save_all=True, append_images=[Image.fromarray(texture(340))])
    return [at("pages", 34)]


def extra_file(d: Dataset) -> Expected:
    d.files["nobody.png"] = lambda path: Image.fromarray(texture(77)).save(path)
    return [at("extra-file")]


def unused_category(d: Dataset) -> Expected:
    for row in d.documents["val"]["annotations"]:
        row["category_id"] = min(row["category_id"], 5)
    return [at("unused-category", split="val", category_id=9)]


def max_objects(d: Dataset) -> Expected:
    for k in range(2):
        d.add("train", 29, annotation_id=9029 + k, **square(8 + 24 * k, 40))
    return [at("max-objects", 29)]


def max_detections(d: Dataset) -> Expected:
    for k in range(2):
        d.add("val", 103, annotation_id=9103 + k, **square(8 + 24 * k, 40))
    return [at("max-detections", 103, split="val")]


def anchor_iou(d: Dataset) -> Expected:
    d.annotations("train", 30)[0].update(square(8, 56, 80, 4))
    return [at("anchor-iou", 30, 300)]


def class_lists(d: Dataset) -> Expected:
    """Image 31 lists a category as negative that it has an object of; another category has no frequency."""
    for row in d.documents["train"]["images"]:
        row |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for row in d.documents["train"]["categories"]:
        row["frequency"] = "r"
    d.image("train", 31)["neg_category_ids"] = [2]
    del d.documents["train"]["categories"][1]["frequency"]
    return [at("class-lists", 31), at("frequency", category_id=5)]


PLANTS = [
    class_lists,
    row_without_id,
    duplicate_id,
    category_row,
    image_row,
    unknown_image,
    unknown_category,
    iscrowd,
    bbox,
    area,
    segmentation,
    missing_file,
    unreadable,
    image_size,
    no_canvas,
    no_area,
    no_pixel,
    degenerate_polygon,
    self_intersection,
    box_mask,
    duplicate_annotation,
    duplicate_image,
    same_across_splits,
    nearly_same_across_splits,
    exif,
    modes,
    pages,
    extra_file,
    unused_category,
    max_objects,
    max_detections,
    anchor_iou,
]
