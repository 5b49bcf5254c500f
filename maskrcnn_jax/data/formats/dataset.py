"""The one form that every format is read into, on its way to COCO JSON."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from maskrcnn_jax.data.canvas import Size

NOTHING: Mapping[str, Any] = MappingProxyType({})


class ImportedCategory(NamedTuple):
    """A class.

    name: no two classes have the same.
    id: the format's own; None numbers classes from 1 in their order, and then no class has one. So for images and objects.
    extra: what else is kept of its row of a COCO file. So for images, objects and the dataset.
    """

    name: str
    id: int | None = None
    extra: Mapping[str, Any] = NOTHING


class ImportedObject(NamedTuple):
    """An object of an image.

    source: the file and what it is there: what messages call it.
    label: name of its class.
    segmentation: COCO's, polygons or an RLE as `data.coco_masks` says, in the pixels of the image; not yet checked.
    crowd: a region of many objects rather than one.
    """

    source: str
    label: str
    segmentation: Any
    crowd: bool = False
    id: int | None = None
    extra: Mapping[str, Any] = NOTHING


class ImportedImage(NamedTuple):
    """An image. `file_name` is relative to the dataset's image folder; `size` is what the objects refer to."""

    file_name: str
    size: Size
    objects: tuple[ImportedObject, ...]
    id: int | None = None
    extra: Mapping[str, Any] = NOTHING


class ImportedDataset(NamedTuple):
    """A dataset of any format, read from `source`.

    `notes` say, with file and object, what the reader left out or did not take as it stood.
    """

    source: Path
    image_folder: Path
    categories: tuple[ImportedCategory, ...]
    images: tuple[ImportedImage, ...]
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = NOTHING
