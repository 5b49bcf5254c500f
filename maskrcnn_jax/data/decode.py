"""Image files to RGB bytes."""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.source import DataError

# What Pillow's readers raise on bad bytes; they have no common error.
_UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


class ImageSizeError(DataError):
    """An image file of another size than its annotations say."""


class ImageHeader(NamedTuple):
    """What a file says before its pixels: `mode` as Pillow calls it, and `orientation` as EXIF does, 1 being upright."""

    mode: str
    orientation: int


def read_header(path: Path) -> ImageHeader:
    """Mode and orientation of a file that `read_image` has read."""
    with Image.open(path) as image:
        try:
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        except _UNREADABLE:
            orientation = 1
        return ImageHeader(image.mode, orientation if orientation in range(1, 9) else 1)


def read_image(path: Path, size: Size | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image file with Pillow, which refuses truncated files (OpenCV fills the rest with grey).

    Every mode becomes RGB: grey is repeated, palettes are looked up, alpha is dropped (not blended), CMYK is converted; of
    16-bit values the high byte is kept, of 32-bit ones too unless all are below 256. A JPEG whose bytes were altered, but not
    cut short, may decode unnoticed.

    EXIF orientation is applied. With `size` it is applied where the turned image has that size; where only the image as stored
    has it, annotations refer to the pixels as stored and nothing is turned. EXIF data that cannot be read turn nothing.

    Args:
      path: the file.
      size: (height, width) that annotations refer to; None takes any size.

    Raises:
      DataError: a missing, truncated or unreadable file, or one without permission; more pixels than Pillow reads;
        values that are neither 8 nor 16 bits.
      ImageSizeError: another size than `size`.
    """
    try:
        with Image.open(path) as image:
            image.load()
            turned = _turned(image)
    except FileNotFoundError:
        raise DataError(f"{path}: no such image file; restore it, or leave the image out") from None
    except PermissionError:
        raise DataError(f"{path}: this user may not read it; change the file's permissions") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large for Pillow ({error}); cut the image into tiles, or shrink it (and its annotations)") from error
    except _UNREADABLE as error:
        raise DataError(f"{path}: corrupt, truncated or not an image ({error}); replace the file, or leave the image out") from error
    return _rgb(path, _of_size(path, image, turned, size))


def image_files(folder: Path) -> list[Path]:
    """The files of `folder`, not of folders in it, whose ending Pillow reads, in the order of their names."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings and path.is_file())


def _turned(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except _UNREADABLE:
        return image


def _of_size(path: Path, stored: Image.Image, turned: Image.Image, size: Size | None) -> Image.Image:
    """The one of the two that has `size`, the turned one first."""
    for image in (turned, stored):
        if size is None or (image.height, image.width) == size:
            return image
    raise ImageSizeError(
        f"{path}: the file is {turned.height} x {turned.width} (height x width), the annotations say {size[0]} x {size[1]}; "  # type: ignore[index]
        "correct height and width in the annotations, or put back the image they were made on"
    )


def _rgb(path: Path, image: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        if grey.min() >= 0 and grey.max() <= 0xFFFF:
            eight_bits = image.mode == "I" and grey.max() <= 0xFF
            return np.repeat((grey if eight_bits else grey >> 8).astype(np.uint8)[..., None], 3, axis=2)
    elif image.mode != "F":
        return np.array(image.convert("RGB"))
    raise DataError(f"{path}: pixels of Pillow mode {image.mode} are neither 8 nor 16 bits; convert the file to 8-bit RGB or grey")
