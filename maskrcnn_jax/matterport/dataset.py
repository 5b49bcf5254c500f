"""matterport's Dataset, as a source."""

import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from maskrcnn_jax.data import DataError, Size, read_image, read_size, tight_box
from maskrcnn_jax.structs import Category, Example

logger = logging.getLogger(__name__)


class Dataset:
    """matterport's dataset: subclass it, add classes and images, override `load_mask`, call `prepare`; then it is a `data.Source`.

    Class 0 is the background, and the classes are numbered in the order that they were added in; so are images, from 0. The label
    of an object, the category ids of results and `class_ids` are all that number, and image ids that of the image.

    Attributes:
      class_info: of each class {"source", "id", "name"}.
      image_info: of each image {"id", "source", "path"} and whatever else `add_image` was given.
    """

    def __init__(self) -> None:
        self.class_info: list[dict[str, Any]] = [{"source": "", "id": 0, "name": "BG"}]
        self.image_info: list[dict[str, Any]] = []
        self._prepared = False

    def add_class(self, source: str, class_id: Any, class_name: str) -> None:
        """Add a class, unless `source` has one of this id already; `source` has no dot."""
        if "." in source:
            raise DataError(f"{type(self).__name__}: the source {source!r} of class {class_name!r} has a dot; give it a name without")
        if not any((info["source"], info["id"]) == (source, class_id) for info in self.class_info):
            self.class_info.append({"source": source, "id": class_id, "name": class_name})
        self._prepared = False

    def add_image(self, source: str, image_id: Any, path: str | Path | None, **kwargs: Any) -> None:
        """Add an image.

        Args:
          source: the dataset that it is of.
          image_id: its name or number there.
          path: its file; None where `load_image` is overridden and needs none.
          kwargs: kept in `image_info`. `height` and `width` are the image's, pixels: with both no header is read, see `sizes`.
        """
        self.image_info.append({"id": image_id, "source": source, "path": path} | kwargs)
        self._prepared = False

    def image_reference(self, image_id: int) -> Any:
        """What helps to find the image; messages about it have it. Override it."""
        return ""

    def prepare(self) -> None:
        """Close the lists of classes and images; to be called after the last `add_class` and `add_image`.

        Raises:
          DataError: no class but the background.
        """
        if len(self.class_info) < 2:
            raise DataError(f"{type(self).__name__}: no class but the background; call add_class before prepare")
        vars(self).pop("sizes", None)
        self._prepared = True

    def load_image(self, image_id: int) -> np.ndarray:
        """The image as uint8[h, w, 3], RGB, whatever the file has (see docs/data.md); override it where images are no files."""
        info = self.image_info[image_id]
        return read_image(self._path(image_id), self._told_size(info))

    def load_mask(self, image_id: int) -> tuple[np.ndarray, np.ndarray]:
        """Objects of an image, none unless overridden.

        Returns:
          masks: bool[h, w, n], or any numbers, which are true where they are not 0.
          class_ids: int[n], the classes' numbers; negative ones mean a crowd of that class.
        """
        return np.zeros((0, 0, 0), bool), np.zeros(0, np.int32)

    def map_source_class_id(self, source_class_id: str) -> int:
        """Number of the class "SOURCE.ID"."""
        names = [f"{info['source']}.{info['id']}" for info in self.class_info]
        if source_class_id not in names:
            raise DataError(f"{type(self).__name__}: no class {source_class_id!r}; those added are {', '.join(names[1:])}")
        return names.index(source_class_id)

    @property
    def num_classes(self) -> int:
        """Classes, background among them."""
        return len(self.class_info)

    @property
    def class_names(self) -> list[str]:
        """Of each class, "BG" first; of a name with commas what is before the first."""
        return [info["name"].split(",")[0] for info in self.class_info]

    @property
    def class_ids(self) -> Int[np.ndarray, "k"]:
        """Numbers of the classes, 0 among them."""
        return np.arange(self.num_classes)

    @property
    def num_images(self) -> int:
        """Images."""
        return len(self)

    @property
    def image_ids(self) -> Int[np.ndarray, "n"]:
        """Numbers of the images."""
        return np.arange(len(self))

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes without the background; a category's id is the class's number."""
        self._require_prepared()
        return tuple(Category(number, name) for number, name in enumerate(self.class_names) if number)

    @cached_property
    def sizes(self) -> Int[np.ndarray, "n 2"]:
        """(height, width) of each image, pixels, found out when first asked for, and kept.

        They are those `add_image` was told; else what the header of the file says; where `load_image` is overridden, what it gives,
        so that every image is loaded once: tell `add_image` height and width to spare that.

        Raises:
          DataError: a file that cannot be read.
        """
        return np.array([self._size(i) for i in range(len(self))], np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        self._require_prepared()
        return len(self.image_info)

    def __getitem__(self, i: int) -> Example:
        """Image `i` with its objects; those without a pixel are left out, and a warning says so.

        Raises:
          DataError: the file cannot be read, or masks are not of the image's size, one a class id.
          IndexError: `i` is not in [0, len(self)).
        """
        if not 0 <= i < len(self):
            raise IndexError(f"index {i} of {len(self)} images")
        image = self.load_image(i)
        planes, class_ids = self._objects(i, image.shape[:2])
        kept = planes.any(axis=(1, 2))
        if not kept.all():
            logger.warning("%s: objects %s have no pixel, left out", self._name(i), np.flatnonzero(~kept).tolist())
        masks, class_ids = planes[kept], class_ids[kept]
        return Example(
            image=image,
            image_id=int(i),
            masks=masks,
            boxes=np.array([tight_box(mask) for mask in masks], np.float32).reshape(-1, 4),
            labels=np.abs(class_ids).astype(np.int32),
            crowd=class_ids < 0,
        )

    def _objects(self, i: int, size: tuple[int, ...]) -> tuple[UInt8[np.ndarray, "n h w"], Int[np.ndarray, "n"]]:
        """What `load_mask` gives, as planes of 0 and 1."""
        masks, class_ids = (np.asarray(part) for part in self.load_mask(i))
        if not class_ids.size:
            return np.zeros((0, *size), np.uint8), np.zeros(0, np.int32)
        if masks.shape != (*size, len(class_ids)) or not np.issubdtype(class_ids.dtype, np.integer):
            raise DataError(
                f"{self._name(i)}: load_mask gives masks {list(masks.shape)} and class ids {class_ids.dtype}{list(class_ids.shape)}; give "
                f"bool[{size[0]}, {size[1]}, instances], of the image's height and width, and as many integers"
            )
        return np.ascontiguousarray(np.moveaxis(masks != 0, 2, 0)).view(np.uint8), class_ids

    def _size(self, i: int) -> Size:
        told = self._told_size(self.image_info[i])
        if told is None and type(self).load_image is Dataset.load_image:
            return read_size(self._path(i))
        height, width = told or self.load_image(i).shape[:2]
        return height, width

    @staticmethod
    def _told_size(info: dict[str, Any]) -> Size | None:
        return (int(info["height"]), int(info["width"])) if "height" in info and "width" in info else None

    def _path(self, i: int) -> Path:
        if self.image_info[i]["path"] is None:
            raise DataError(f"{self._name(i)}: it has no path; give add_image one, or override load_image")
        return Path(self.image_info[i]["path"])

    def _name(self, i: int) -> str:
        info = self.image_info[i]
        return f"{type(self).__name__}: image {i} ({info['source']}.{info['id']}) {self.image_reference(i) or ''}".rstrip()

    def _require_prepared(self) -> None:
        if not self._prepared:
            raise DataError(f"{type(self).__name__}: call prepare() after the last add_class and add_image")
