"""Image files to RGB bytes."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.source import DataError

ARRAY_ENDING = ".npy"
# What Pillow's readers raise on bad bytes, TypeError and LookupError where a TIFF lacks a tag; they have no common error.
_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, struct.error, zlib.error)


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
        values that are neither 8 nor 16 bits; another size than `size`.
    """
    with readable(path), Image.open(path) as image:
        image.load()
        turned = turn(image)
    which = match_size(path, (turned.height, turned.width), (image.height, image.width), size)
    return _rgb(path, (turned, image)[which])


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What opening or decoding the image file `path` raises within is a DataError."""
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: no such image file; restore it, or leave the image out") from None
    except PermissionError:
        raise DataError(f"{path}: this user may not read it; change the file's permissions") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large for Pillow ({error}); cut the image into tiles, or shrink it (and its annotations)") from error
    except _UNREADABLE as error:
        raise DataError(f"{path}: corrupt, truncated or not an image ({error}); replace the file, or leave the image out") from error


def image_files(folder: Path) -> list[Path]:
    """The files of `folder`, not of folders in it, whose ending Pillow reads, or where there is none those that end in .npy, by name."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in files if path.suffix.lower() in endings] or [path for path in files if path.suffix.lower() == ARRAY_ENDING]


def turn(image: Image.Image) -> Image.Image:
    """The image upright, as its EXIF data say; as it is where they cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except _UNREADABLE:
        return image


def match_size(path: Path, turned: Size, stored: Size, size: Size | None) -> int:
    """0 where the image as turned has `size`, else 1 where that as stored has.

    Raises:
      DataError: neither has.
    """
    if size is None or turned == size:
        return 0
    if stored == size:
        return 1
    raise DataError(
        f"{path}: the file is {turned[0]} x {turned[1]} (height x width), the annotations say {size[0]} x {size[1]}; "
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
