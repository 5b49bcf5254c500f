"""Text on pictures: labels that stay inside and do not cover each other, and headings."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from maskrcnn_jax.visualize.colors import Color, text_color

Rectangle = tuple[int, int, int, int]  # x0, y0, x1, y1 in the picture's pixels, x1 and y1 outside

_PAD = 2  # pixels of background around the letters


class Label(NamedTuple):
    """A text that belongs to a rectangle of the picture, on a background of `color`."""

    text: str
    rectangle: Rectangle
    color: Color


def font_size(height: int, width: int, texts: int) -> int:
    """Size of letters in a picture of these sides, pixels: it grows with the picture, and shrinks where there are many texts."""
    return max(12, round(max(height, width) / (36 + min(texts, 20))))


def write_labels(picture: UInt8[np.ndarray, "h w 3"], labels: Sequence[Label]) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of `picture` with `labels` above their rectangles' top left corners, or inside or below where there is no room.

    Earlier labels have the right of way: one that finds no place clear of them, or is larger than the picture, is left out,
    since neither it nor the one below could be read. Of Chinese, Japanese and Korean the font has no letters: boxes stand for them.
    """
    height, width = picture.shape[:2]
    letters = font_size(height, width, len(labels))
    canvas = Image.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    taken: list[Rectangle] = []
    for name, rectangle, color in labels:
        text = " ".join(name.split())  # on one line
        font = _font(letters, text.isascii())
        _, top, _, bottom = pen.textbbox((0, 0), "Äg", font=font)  # one height for every text of a font
        left, _, right, _ = pen.textbbox((0, 0), text, font=font)
        size = round(right - left) + 2 * _PAD + 1, round(bottom - top) + 2 * _PAD + 1
        place = _place(rectangle, size, (width, height), taken)
        if place is None:
            continue
        taken.append(place)
        pen.rectangle((place[0], place[1], place[2] - 1, place[3] - 1), fill=color)
        pen.text((place[0] + _PAD - left, place[1] + _PAD - top), text, font=font, fill=text_color(color))
    return np.array(canvas)


@cache
def _font(size: int, ascii_only: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which has the letters of English, and for others DejaVu Sans, which comes with matplotlib."""
    if ascii_only:
        return ImageFont.load_default(size)
    spec = find_spec("matplotlib")  # which takes half a second to import
    assert spec is not None
    assert spec.origin is not None
    return ImageFont.truetype(str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"), size)


def heading(text: str, height: int, width: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """A white strip with `text` centred on it, to be put above a picture of `height` and `width`; what is wider is cut off."""
    size = font_size(height, width, 1)
    canvas = Image.new("RGB", (width, 2 * size), "white")
    ImageDraw.Draw(canvas).text((width / 2, size), text, font=ImageFont.load_default(size), fill=(40, 40, 40), anchor="mm")
    return np.array(canvas)


def _place(rectangle: Rectangle, size: tuple[int, int], picture: tuple[int, int], taken: Sequence[Rectangle]) -> Rectangle | None:
    """First free place for `size` (width, height) at `rectangle`: above it, inside at the top, inside at the bottom, below."""
    width, height = size
    if width > picture[0] or height > picture[1]:
        return None
    x0, y0, _, y1 = rectangle
    x = min(max(x0, 0), picture[0] - width)
    for y in (y0 - height, y0, y1 - height, y1):
        place = (x, y, x + width, y + height)
        if 0 <= y <= picture[1] - height and not any(_overlap(place, other) for other in taken):
            return place
    return None


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
