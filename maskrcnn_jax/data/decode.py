"""Image files to RGB bytes, what their headers say, and pictures of labels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import ExifTags, Image, ImageFile, ImageOps

from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.source import DataError

ARRAY_ENDING = ".npy"
# Pillow warns of metadata that it cannot read, and of images of more than half as many pixels as it refuses, without the file's name.
for _category in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_category, module=r"PIL\.")
_LOSSY = ("JPEG", "MPO")  # formats, as Pillow calls them
_SIDEWAYS = (5, 6, 7, 8)  # orientations of EXIF that swap height and width


class ImageSizeError(DataError):
    """An image file of another size than its annotations say."""


class ImageHeader(NamedTuple):
    """What a file says before its pixels.

    mode: as Pillow calls it, and with ";16" of colours of 16 bits, for which Pillow has none. orientation: as EXIF does, 1 being upright.
    pages: of a TIFF, or frames of an animation; those of an MPO, previews of a photograph, do not count.
    """

    mode: str
    orientation: int
    pages: int


def read_image(path: Path, size: Size | None = None, content: bytes | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image file with Pillow, which refuses truncated files (OpenCV fills the rest with grey).

    Every mode becomes RGB: grey is repeated, palettes are looked up, alpha is dropped (not blended), CMYK is converted; of
    16-bit values the high byte is kept, of 32-bit ones too unless all are below 256. Of several pages the first is read. A JPEG
    whose bytes were altered, but not cut short, may decode unnoticed.

    EXIF orientation is applied. With `size` it is applied where the turned image has that size; where only the image as stored
    has it, annotations refer to the pixels as stored and nothing is turned. EXIF data that cannot be read turn nothing.

    Args:
      path: the file.
      size: (height, width) that annotations refer to; None takes any size.
      content: what the file holds, where it is none of the file system, and `path` only its name.

    Raises:
      DataError: a missing, truncated or unreadable file, or one without permission; more pixels than Pillow reads;
        values that are neither 8 nor 16 bits.
      ImageSizeError: another size than `size`.
    """
    with readable(path):  # also what conversion to RGB raises
        return _rgb(path, load_image(path, size, content))


def load_image(path: Path, size: Size | None, content: bytes | None) -> Image.Image:
    """What `read_image` makes RGB of: all of the file decoded, and turned where its EXIF data and `size` say so."""
    with opened(path, content) as image:
        refuse_other_sides(path, image, size)
        image.load()
        turned = turn(image)
    which = match_size(path, (turned.height, turned.width), (image.height, image.width), size)
    return (turned, image)[which]


def read_size(path: Path, size: Size | None = None) -> Size:
    """(height, width) that `read_channels` gives the same file and `size`; reads no more than the header where that tells it.

    Raises:
      DataError: a missing file, or one whose header cannot be read.
      ImageSizeError: another size than `size`.
    """
    if path.suffix.lower() == ARRAY_ENDING:
        height, width, _ = read_array(path).shape
        match_size(path, (height, width), (height, width), size)
        return height, width
    with opened(path) as image:
        refuse_other_sides(path, image, size)
        stored = (image.height, image.width)
        if stored == size:  # of a PNG, EXIF data may only be known once it is decoded
            return stored
        # Of a TIFF Pillow tells the sides that the image has once decoded, which are turned.
        turned = stored[::-1] if image.format != "TIFF" and _orientation(image) in _SIDEWAYS else stored
    match_size(path, turned, stored, size)
    return turned


def read_header(path: Path, content: bytes | None = None) -> ImageHeader:
    """What a file, or its `content`, says, as it is stored; EXIF data that cannot be read are upright, pages that cannot be counted one.

    Raises:
      DataError: a missing file, or one whose header cannot be read.
    """
    with opened(path, content) as image:
        return ImageHeader(image.mode + ";16" * is_cut(image), _orientation(image), _pages(image))


def read_labels(path: Path, size: Size | None = None, *, colours: bool = False, content: bytes | None = None) -> Int32[np.ndarray, "h w"]:
    """Decode a picture whose pixels are labels, not brightness: the values as they are stored, 0 being none.

    They are palette indices, grey values of any depth, or 0 and 1 of black and white. Where alpha is 0 there is none; otherwise it is
    dropped. Nothing is turned.

    Args:
      path: the file.
      size: (height, width) that it must have; None takes any size.
      colours: whether RGB serves, too, whose values are red * 65536 + green * 256 + blue.
      content: bytes of the picture, where `path` is a file of another kind that it lies in.

    Raises:
      DataError: what `read_image` says of files that cannot be read; a JPEG; a palette whose first colour is not black; colours of
        16 bits; several pages; pixels that are no whole numbers or negative.
      ImageSizeError: another size than `size`.
    """
    with opened(path, content) as image:
        match_size(path, (image.height, image.width), (image.height, image.width), size)
        if is_cut(image):
            raise DataError(
                f"{path}: 16-bit colours, of which Pillow keeps the high bytes, and labels may differ in the low ones; save it as PNG of "
                "grey values or of 8-bit colours"
            )
        if (pages := _pages(image)) > 1:
            raise DataError(f"{path}: {pages} pages or frames, of which one alone would be read; save each as a file of its own")
        image.load()
        return _labels(path, image, colours)


@contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[ImageFile.ImageFile]:
    """The image file `path`, or the `content` that lies in it, open; what Pillow raises within is a DataError."""
    with readable(path), Image.open(path if content is None else BytesIO(content)) as image:
        yield image


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
    except MemoryError:  # also of a damaged length, of which a buffer is made before it is read
        raise DataError(
            f"{path}: needs more memory than there is; replace the file if it is damaged, or cut the image into tiles"
        ) from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large for Pillow ({error}); cut the image into tiles, or shrink it (and its annotations)") from error
    except Exception as error:  # of bad bytes Pillow's readers raise whatever comes
        raise DataError(f"{path}: corrupt, truncated or not an image ({error}); replace the file, or leave the image out") from error


def read_array(path: Path, content: bytes | None = None) -> np.ndarray:
    """A .npy file as [h, w, c], mapped and not yet read; or the `content` of one.

    Raises:
      DataError: no such file, or one that is no array of an image with a pixel.
    """
    with readable(path):
        try:
            if content is None:
                array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped, a header cannot ask for more than there is
            else:
                array = np.load(BytesIO(content), allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # of a broken header NumPy's parser raises whatever comes
            raise ValueError(error) from error
    if array.ndim not in (2, 3) or not array.size:
        raise DataError(
            f"{path}: the file holds an array of {array.dtype.name}, {list(array.shape)}; an image is [height, width, channels], or "
            "[height, width] of one channel"
        )
    return array[..., None] if array.ndim == 2 else array


def image_files(folder: Path) -> list[Path]:
    """The files of `folder`, not of folders in it, whose ending Pillow reads, or where there is none those that end in .npy, by name."""
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return [path for path in files if path.suffix.lower() in endings] or [path for path in files if path.suffix.lower() == ARRAY_ENDING]


def is_cut(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow, which has no mode for 16-bit colours, will load their high bytes; to be asked before it does."""
    return len(image.getbands()) > 1 and any(";16" in str(tile.args) for tile in image.tile)


def turn(image: Image.Image) -> Image.Image:
    """The image upright, as its EXIF data say; as it is where they cannot be read."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # as for `readable`
        return image


def refuse_other_sides(path: Path, image: ImageFile.ImageFile, size: Size | None) -> None:
    """Raise ImageSizeError where no turn gives an open image `size`, before it is decoded: it may be a small file of a huge picture."""
    stored = (image.height, image.width)
    if size not in (None, stored, stored[::-1]):
        has_exif = "exif" in image.info and image.format != "TIFF"
        match_size(path, stored[::-1] if has_exif and _orientation(image) in _SIDEWAYS else stored, stored, size)


def _orientation(image: Image.Image) -> int:
    """EXIF's, 1 where there is none, or none that EXIF knows."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as for `readable`
        return 1
    return orientation if orientation in range(1, 9) else 1


def _pages(image: ImageFile.ImageFile) -> int:
    """1 where they cannot be counted."""
    try:
        return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    except Exception:  # as for `readable`
        return 1


def match_size(path: Path, turned: Size, stored: Size, size: Size | None) -> int:
    """0 where the image as turned has `size`, else 1 where that as stored has.

    Raises:
      ImageSizeError: neither has.
    """
    if size is None or turned == size:
        return 0
    if stored == size:
        return 1
    raise ImageSizeError(
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
        image.info.pop("transparency", None)  # which of a palette converts to a warning
        return np.array(image.convert("RGB"))
    raise DataError(f"{path}: pixels of Pillow mode {image.mode} are neither 8 nor 16 bits; convert the file to 8-bit RGB or grey")


def _labels(path: Path, image: ImageFile.ImageFile, colours: bool) -> Int32[np.ndarray, "h w"]:
    if image.format in _LOSSY:
        raise DataError(
            f"{path}: a JPEG, which blurs labels into others; export the masks anew as PNG, or threshold this one and save that"
        )
    values = _values(path, image, colours)
    if image.mode in ("RGBA", "LA"):
        values[np.asarray(image.getchannel("A")) == 0] = 0
    return values


def _values(path: Path, image: Image.Image, colours: bool) -> Int32[np.ndarray, "h w"]:
    if image.mode == "P" and any((image.getpalette("RGB") or [0])[:3]):
        raise DataError(
            f"{path}: colour 0 of the palette is not black, and index 0 means no object; save it as RGB with a black background"
        )
    if image.mode in ("RGB", "RGBA") and colours:
        values = np.zeros((image.height, image.width), np.int32)
        for channel in image.convert("RGB").split():
            values <<= 8
            values |= np.asarray(channel)
        return values
    if image.mode == "LA":
        image = image.convert("L")
    if image.mode in ("1", "L", "P") or image.mode.startswith("I"):
        values = np.array(image, np.int32)
        if values.min() >= 0:
            return values
    raise DataError(
        f"{path}: pixels of Pillow mode {image.mode} are no labels, 0 and above; save it as PNG of grey values or with a palette"
    )
