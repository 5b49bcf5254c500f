"""COCO datasets as a source."""

import logging
import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, UInt8

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data.batching import tight_box
from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.channels import RGB_BYTES, read_channels
from maskrcnn_jax.data.coco_json import CocoObject, read_coco_json
from maskrcnn_jax.data.coco_masks import bitmap
from maskrcnn_jax.data.decode import ImageHeader, read_header
from maskrcnn_jax.data.faults import Fault, Tell
from maskrcnn_jax.data.image_folder import missing_files
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.errors import first_few
from maskrcnn_jax.structs import Category, Example

_log = logging.getLogger(__name__)


class CocoSource:
    """Images of a folder with the objects of a COCO instances file: polygons, RLE of both kinds, crowds.

    Labels follow the order of category ids: 1 is the smallest id. Images come in file order and become RGB bytes, or what
    `input_config` says, see `read_channels`; annotations refer to an image of the file's width and height, which also decides about
    EXIF orientation. Boxes are the annotations' `bbox` clipped to the image, or the mask's own where there is none. An image without
    objects gives empty arrays.

    Everything the JSON alone can tell is checked at construction, see `read_coco_json`, and that every image file is there; what
    the files hold, when they are read. An object whose mask turns out to have no pixel (thinner than a pixel between two centres)
    is left out and a warning logged.

    Attributes:
      annotation_file: the COCO JSON.
      image_folder: what its file names are relative to.
      input_config: what images are decoded to.
      categories: in the order of their ids.
      image_ids: of each image, int64[n].
      sizes: (height, width) of each image, pixels.
      object_counts: objects of each image that are not crowds.
      labels_present: (index of an image, label) of each class that the image has such an object of, int32[m, 2].
      federated: whether the images have LVIS's lists of classes, `neg_category_ids` and `not_exhaustive_category_ids`: evaluation then
        is LVIS's.
    """

    def __init__(
        self, annotations: str | Path, images: str | Path, *, input_config: InputConfig = RGB_BYTES, tell: Tell | None = None
    ) -> None:
        """Read and check the JSON, and look for the image files.

        Args:
          annotations: the JSON.
          images: the folder.
          input_config: says which channels and type images have (`model.input` of an experiment).
          tell: hears of every fault that would otherwise be raised, see `read_coco_json`; what is at fault in the JSON is left out.

        Raises:
          DataError: a missing file or folder, no JSON; without `tell` also missing image files, or what `read_coco_json` refuses.
        """
        self.annotation_file, self.image_folder = Path(annotations), Path(images)
        self.input_config = input_config
        if not self.image_folder.is_dir():
            raise DataError(f"{self.image_folder}: no such image folder; check the path")
        table = read_coco_json(self.annotation_file, tell)
        self.categories: tuple[Category, ...] = table.categories
        self.image_ids: Int[np.ndarray, "n"] = np.array([image.id for image in table.images], np.int64)
        self.sizes: Int[np.ndarray, "n 2"] = np.array([image.size for image in table.images], np.int64).reshape(-1, 2)
        self.object_counts, self.labels_present = counted(table.objects)
        self.federated = table.federated
        self._names = tuple(image.file_name for image in table.images)
        self._require_files(tell)
        # As bytes: a million Python objects would be copied to each worker one by one, and fill its memory by counting references.
        self._objects = tuple(pickle.dumps([tuple(o) for o in objects]) for objects in table.objects)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, i: int) -> Example:
        """Image `i` with its objects, in the pixels of the JSON's width and height.

        Raises:
          DataError: the image file is missing, unreadable, truncated, or of another size; names file, image id and remedy.
          IndexError: `i` is not in [0, len(self)).
        """
        if not 0 <= i < len(self):
            raise IndexError(f"index {i} of {len(self)} images")
        where = f"{self.annotation_file}: image id {self.image_ids[i]}"
        height, width = (int(side) for side in self.sizes[i])
        try:
            image = self.read_image(i, (height, width))
        except DataError as error:
            raise DataError(f"{where}: {error}") from None
        return drawn_example(image, int(self.image_ids[i]), self.objects(i), where)

    def image_path(self, i: int) -> Path:
        """The file of image `i`."""
        return self.image_folder / self._names[i]

    def read_image(self, i: int, size: Size | None) -> np.ndarray:
        """The pixels of image `i`; raises as `read_channels`."""
        return read_channels(self.image_path(i), self.input_config, size)

    def read_header(self, i: int) -> ImageHeader:
        """What the file of image `i` says of itself; raises as `read_header`."""
        return read_header(self.image_path(i))

    def objects(self, i: int) -> list[CocoObject]:
        """The annotations of image `i`, with their ids and as the file has them; those without area are not among them."""
        return [CocoObject(*fields) for fields in pickle.loads(self._objects[i])]

    def _require_files(self, tell: Tell | None) -> None:
        """Tell of each image file that does not exist, or raise DataError naming them."""
        missing = missing_files(self.image_folder, self._names)
        if tell:
            for i in missing:
                message = f"{self.image_path(i)}: no such image file; restore it, or remove the image from the annotations"
                tell(Fault("missing-file", self.annotation_file, message, image_id=int(self.image_ids[i])))
        elif missing:
            names = first_few([f"{self._names[i]} (image id {self.image_ids[i]})" for i in missing])
            raise DataError(
                f"{self.annotation_file}: {len(missing)} of {len(self)} image files are not in {self.image_folder}: {names}; "
                "give the folder that file names are relative to, restore the files, or remove these images from the annotations"
            )


def counted(objects: Sequence[Sequence[CocoObject]]) -> tuple[Int[np.ndarray, "n"], Int[np.ndarray, "m 2"]]:
    """`object_counts` and `labels_present` of a source whose images have these objects."""
    counts = np.array([sum(not o.crowd for o in found) for found in objects], np.int64)
    labels = [sorted({o.label for o in found if not o.crowd}) for found in objects]
    present = (number for i, each in enumerate(labels) for label in each for number in (i, label))
    return counts, np.fromiter(present, np.int32).reshape(-1, 2)


def drawn_example(image: np.ndarray, image_id: int, objects: list[CocoObject], where: str) -> Example:
    """The example of an image and its annotations; those whose mask has no pixel are left out, and a warning says `where`."""
    height, width = image.shape[:2]
    masks = np.zeros((len(objects), height, width), np.uint8)
    for mask, found in zip(masks, objects, strict=True):
        mask[...] = bitmap(found.segmentation, height, width)
    kept = np.flatnonzero(masks.max(axis=(1, 2), initial=0))
    if len(kept) < len(objects):
        ids = [found.id for n, found in enumerate(objects) if n not in kept]
        _log.warning("%s: annotation ids %s cover no pixel, left out", where, ids)
        objects, masks = [objects[n] for n in kept], masks[kept]
    boxes = [object_box(found, mask, height, width) for found, mask in zip(objects, masks, strict=True)]
    return Example(
        image=image,
        image_id=image_id,
        masks=masks,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array([found.label for found in objects], np.int32),
        crowd=np.array([found.crowd for found in objects], np.bool_),
    )


def object_box(found: CocoObject, mask: UInt8[np.ndarray, "h w"], height: int, width: int) -> Float32[np.ndarray, "4"]:
    """(x0, y0, x1, y1) in pixels: the annotation's, clipped to the image of `height` x `width`, or that of `mask` where it has none."""
    if found.bbox is None:
        return np.array(tight_box(mask), np.float32)
    x, y, w, h = found.bbox
    return np.clip(np.array([x, y, x + w, y + h], np.float32), 0, np.array([width, height, width, height], np.float32))
