"""Image files of any number of channels, of 8 or 16 bits."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8, UInt16
from PIL import Image, ImageFile, TiffImagePlugin

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data.canvas import Size
from maskrcnn_jax.data.decode import ARRAY_ENDING, is_cut, load_image, match_size, opened, read_array, read_image, refuse_other_sides, turn
from maskrcnn_jax.data.source import DataError

RGB_BYTES = InputConfig()
"""Of an image that is uint8[h, w, 3]."""

REMEDY = "save its channels as a NumPy array, [height, width, channels] in a .npy file"
_SAMPLES_PER_PIXEL = 277  # a TIFF's tag


def is_rgb_bytes(config: InputConfig) -> bool:
    """Whether images are uint8[h, w, 3], RGB."""
    return (config.channels, config.dtype) == (RGB_BYTES.channels, RGB_BYTES.dtype)


def read_channels(
    path: Path, input_config: InputConfig, size: Size | None = None, content: bytes | None = None
) -> UInt8[np.ndarray, "h w c"] | UInt16[np.ndarray, "h w c"]:
    """Decode an image file to the channels and the type that `input_config` says.

    Three channels of bytes are RGB, and every file becomes that as `read_image` says. Anything else a file must hold just so, and
    its values are kept; but where one channel of bytes is wanted, colours of bytes become grey (ITU-R 601), without alpha.

    The channels are a .npy file's last axis (it may lack one where there is one channel), a TIFF's pages, in which those of each
    page follow one another, or what the pixels of any other image have. EXIF orientation is applied as by `read_image`, but not to
    16-bit colours.

    Args:
      path: the file.
      input_config: its `channels` and `dtype` alone matter.
      size: (height, width) that annotations refer to; None takes any size.
      content: what the file holds, where it is none of the file system, and `path` only its name.

    Raises:
      DataError: what `read_image` says of files that cannot be read; other channels or another type; 16-bit colours or samples
        that the libraries would cut; pages of several sizes or types; another size than `size`.
    """
    if path.suffix.lower() == ARRAY_ENDING:
        stored = turned = read_array(path, content)
    elif is_rgb_bytes(input_config):
        return read_image(path, size, content)
    else:
        stored, turned = _bands(path, size, content, to_grey=(input_config.channels, input_config.dtype) == (1, "uint8"))
    _require(path, stored, input_config)
    which = match_size(path, turned.shape[:2], stored.shape[:2], size)
    return np.array((turned, stored)[which], input_config.dtype, order="C")


def require_readable(path: Path, size: Size, content: bytes) -> None:
    """Decode the `content` of the image file `path` (of several pages the first), whatever its channels and type.

    Raises:
      DataError: it cannot be decoded, or has another size than `size`, (height, width), also when turned as EXIF data say.
    """
    if path.suffix.lower() == ARRAY_ENDING:
        sides = read_array(path, content).shape[:2]
        match_size(path, sides, sides, size)
    else:
        load_image(path, size, content)


def _require(path: Path, array: np.ndarray, config: InputConfig) -> None:
    """Raise DataError unless `array`, [h, w, c], has the channels and type of `config`."""
    if array.shape[2] == config.channels and array.dtype.newbyteorder("=") == config.dtype:
        return
    raise DataError(
        f"{path}: the file holds {array.shape[2]} channels of {array.dtype.name}, {list(array.shape)}, and model.input asks for "
        f"{config.channels} channels of {config.dtype}; set model.input.channels and model.input.dtype to what the files hold (with mean "
        "and std in these units), or convert the file"
    )


def _bands(path: Path, size: Size | None, content: bytes | None, *, to_grey: bool) -> tuple[np.ndarray, np.ndarray]:
    """All channels of an image, [h, w, c], as stored and turned as EXIF data say; of another size than `size` it is not decoded."""
    with opened(path, content) as image:
        refuse_other_sides(path, image, size)
        if isinstance(image, TiffImagePlugin.TiffImageFile):  # which Pillow turns by itself
            stored = turned = _pages(path, content, image, to_grey)
        else:
            cut, stored = is_cut(image), _page(path, content, image, to_grey)
            turned = stored if cut else _pixels(turn(image), to_grey)
    return stored, turned


def _pages(path: Path, content: bytes | None, image: TiffImagePlugin.TiffImageFile, to_grey: bool) -> np.ndarray:
    """The channels of all pages, one after the other."""
    pages = []
    for i in range(image.n_frames):
        image.seek(i)
        samples, bands = image.tag_v2.get(_SAMPLES_PER_PIXEL, 1), len(image.getbands())
        if samples != bands:
            raise DataError(f"{path}: of the {samples} samples of a pixel Pillow reads {bands}; {REMEDY}, or as one page of the TIFF each")
        pages.append(_page(path, content, image, to_grey))
    if len({(page.shape[:2], page.dtype) for page in pages}) > 1:
        raise DataError(f"{path}: its {len(pages)} pages, which are its channels, differ in size or type; {REMEDY}")
    return np.concatenate(pages, axis=2)


def _page(path: Path, content: bytes | None, image: ImageFile.ImageFile, to_grey: bool) -> np.ndarray:
    cut = is_cut(image)
    image.load()
    return _sixteen_bits(path, content, image) if cut else _pixels(image, to_grey)


def _pixels(image: Image.Image, to_grey: bool) -> np.ndarray:
    is_byte = not image.mode.startswith(("I", "F"))
    return np.atleast_3d(np.asarray(image.convert("L") if to_grey and is_byte else image))


def _sixteen_bits(path: Path, content: bytes | None, image: Image.Image) -> np.ndarray:
    """16-bit colours of an image file by OpenCV, which reads files that are cut short too: hence after Pillow, and compared with it."""
    stored = np.fromfile(path, np.uint8) if content is None else np.frombuffer(content, np.uint8)
    try:
        array = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    except cv2.error:  # of a side too long for it
        array = None
    if array is not None and array.dtype == np.uint16 and array.shape[2:] in ((3,), (4,)):
        array = array[..., [2, 1, 0, 3][: array.shape[2]]]
        if np.array_equal(array // 256, np.asarray(image)):
            return array
    raise DataError(f"{path}: its 16-bit colours can be read by neither Pillow nor OpenCV; {REMEDY}")
