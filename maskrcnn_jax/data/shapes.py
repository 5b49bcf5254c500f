"""Procedural pictures with exact masks: a data set without files, a pure function of the index.

A picture is textured ground, distractors (lines, specks, outlines: none of them an object), 1 to 8 filled shapes drawn one over
the other, and noise. A class has a hue that its objects tend to, as kinds of things do, but one object in twenty has any colour.
"""

import math
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from maskrcnn_jax.structs import Category, Example

SIDE = 160
"""Height and width of a picture, pixels."""
MIN_SIZE, MAX_SIZE = 12, 96
"""Long side of a shape's box before others cover it, pixels."""
MAX_OBJECTS = 8
MAX_OVERLAP = 0.6
"""Of two shapes, upper bound of the share of the smaller that lies in the other; also of any shape's hidden share."""
NOISE = (0.05, 0.08)
"""Standard deviation of the noise, drawn a picture; 1 is the range from black to white."""
TYPICAL, HUE_SPREAD = 0.95, 0.1
"""Share of objects that have their class's hue, and how far from it they may be, in turns of the colour circle."""
MAX_TURN = 40
"""How far a shape is turned either way, half degrees."""
DISTRACTORS = (5, 10)
"""Fewest and most distractors a picture."""
CATEGORIES = (Category(1, "circle"), Category(2, "square"), Category(3, "triangle"), Category(4, "star"))

_SEED = 20170320
_SHIFT = 4  # fractional bits of OpenCV's polygon corners: pure integers from here on, the same on every machine
_CONTRAST = 100.0  # Euclidean distance in RGB, 0-255 units
_ANGLES = [2 * math.pi * i / 720 for i in range(720)]


class ShapesSource:
    """Pictures `start` ... `start + count - 1` of the endless sequence; the image id is the number in the sequence."""

    categories = CATEGORIES

    def __init__(self, start: int, count: int) -> None:
        self.start, self._count = start, count

    @property
    def sizes(self) -> Int[np.ndarray, "n 2"]:
        """(height, width) of each picture, pixels."""
        return np.full((self._count, 2), SIDE)

    @property
    def image_ids(self) -> Int[np.ndarray, "n"]:
        """The pictures' numbers in the sequence."""
        return np.arange(self.start, self.start + self._count)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, i: int) -> Example:
        """Picture `start + i`."""
        if not 0 <= i < self._count:
            raise IndexError(f"index {i} of {self._count} pictures")
        return draw(self.start + i)


def draw(number: int) -> Example:
    """Picture `number` >= 0: visible masks (later shapes hide earlier ones) and their tight boxes."""
    rng = np.random.default_rng((_SEED, number))
    ground_colour = rng.uniform(30, 225, 3)
    image = _ground(rng, ground_colour)
    for _ in range(rng.integers(DISTRACTORS[0], DISTRACTORS[1] + 1)):
        _distractor(rng, image, _colour(rng, [ground_colour]))
    labels, masks = _objects(rng, image, ground_colour)
    noisy = rng.standard_normal(image.shape, np.float32)
    noisy *= np.float32(255 * rng.uniform(*NOISE))
    noisy += image
    image = np.clip(np.rint(noisy, out=noisy), 0, 255, out=noisy).astype(np.uint8)
    return Example(image, number, masks, _tight_boxes(masks), labels, np.zeros(len(labels), np.bool_))


def _ground(rng: np.random.Generator, colour: Float[np.ndarray, "3"]) -> UInt8[np.ndarray, "h w 3"]:
    """A colour with soft clouds and slanted stripes."""
    clouds = rng.integers(0, 51, (rng.integers(3, 9), rng.integers(3, 9), 3), np.uint8)
    field = cv2.resize(clouds, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR_EXACT)
    a, b = rng.integers(-4, 5, 2).tolist()
    line = np.arange(SIDE, dtype=np.int16)
    stripes = ((a * line + b * line[:, None]) // int(rng.integers(12, 40)) & 1) * int(rng.integers(0, 24))
    offset = (stripes - 25)[..., None] + np.rint(colour).astype(np.int16)
    return np.clip(field + offset, 0, 255).astype(np.uint8)


def _distractor(rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"], colour: tuple[float, float, float]) -> None:
    """Draw a line, a speck or the thin outline of a shape into `image`."""
    kind = rng.integers(3)
    if kind == 0:
        ends = rng.integers(0, SIDE, (2, 2)).tolist()
        cv2.line(image, ends[0], ends[1], colour, int(rng.integers(1, 3)))
    elif kind == 1:
        cv2.circle(image, rng.integers(0, SIDE, 2).tolist(), int(rng.integers(1, 4)), colour, -1)
    else:
        corners = _corners(int(rng.integers(len(CATEGORIES))), rng, float(rng.uniform(MIN_SIZE, MAX_SIZE / 2)))
        centre = rng.uniform(0, SIDE, 2)
        cv2.polylines(image, [_fixed_point(corners + centre)], True, colour, 1, cv2.LINE_8, _SHIFT)


def _objects(
    rng: np.random.Generator, image: UInt8[np.ndarray, "h w 3"], ground_colour: Float[np.ndarray, "3"]
) -> tuple[Int[np.ndarray, "n"], UInt8[np.ndarray, "n h w"]]:
    """Draw up to a drawn number of shapes into `image`; a shape that would break `MAX_OVERLAP` is drawn again elsewhere, 12 times."""
    wanted = int(rng.integers(1, MAX_OBJECTS + 1, 2).min())  # few objects more often than many
    labels: list[int] = []
    full: list[UInt8[np.ndarray, "h w"]] = []
    visible: list[UInt8[np.ndarray, "h w"]] = []
    colours = [ground_colour]
    for _ in range(wanted):
        for _ in range(12):
            label, mask = _place(rng, full)
            uncovered = [v & ~mask for v in visible]
            if _acceptable(mask, full, uncovered):
                colour = _colour(rng, colours, label)
                image[mask.astype(bool)] = np.rint(colour)
                labels, full, visible = [*labels, label], [*full, mask], [*uncovered, mask]
                colours.append(np.array(colour))
                break
    return np.array(labels, np.int32), np.stack(visible)


def _place(rng: np.random.Generator, full: list[UInt8[np.ndarray, "h w"]]) -> tuple[int, UInt8[np.ndarray, "h w"]]:
    """A shape inside the picture; every third one aims at an earlier shape, so that overlaps are common."""
    label = int(rng.integers(1, len(CATEGORIES) + 1))
    size = float(MIN_SIZE + (MAX_SIZE - MIN_SIZE) * rng.beta(2.0, 1.4))
    corners = _corners(label - 1, rng, size)
    low, high = 1 - corners.min(axis=0), SIDE - 2 - corners.max(axis=0)
    centre = rng.uniform(low, high)
    if full and rng.random() < 1 / 3:
        x0, y0, x1, y1 = _tight_boxes(full[int(rng.integers(len(full)))][None])[0]
        centre = np.clip(rng.uniform((x0 - size / 3, y0 - size / 3), (x1 + size / 3, y1 + size / 3)), low, high)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [_fixed_point(corners + centre)], 1, cv2.LINE_8, _SHIFT)
    return label, mask


def _acceptable(mask: UInt8[np.ndarray, "h w"], full: list[UInt8[np.ndarray, "h w"]], uncovered: list[UInt8[np.ndarray, "h w"]]) -> bool:
    area = cv2.countNonZero(mask)
    for other, left in zip(full, uncovered, strict=True):
        other_area = cv2.countNonZero(other)
        if cv2.countNonZero(mask & other) > MAX_OVERLAP * min(area, other_area):
            return False
        if cv2.countNonZero(left) < (1 - MAX_OVERLAP) * other_area:
            return False
    return True


def _corners(kind: int, rng: np.random.Generator, size: float) -> Float[np.ndarray, "n 2"]:
    """Corners around the origin of shape `kind`, upright but for a small turn, the long side of its box `size` pixels."""
    unit, extent = _unit_corners(kind, int(rng.integers(-MAX_TURN, MAX_TURN + 1)))
    return unit * (size - 1) / extent


@cache
def _unit_corners(kind: int, turn: int) -> tuple[Float[np.ndarray, "n 2"], float]:
    """Corners around the origin on a circle of radius 1, and the long side of their box."""
    count, inner, upright = ((36, 1.0, 0), (4, 1.0, 90), (3, 1.0, 540), (10, 0.45, 540))[kind]
    turn = (upright + turn) % len(_ANGLES)
    points = [
        (radius * math.cos(angle), radius * math.sin(angle))
        for i in range(count)
        for radius, angle in [(inner if i % 2 else 1.0, _ANGLES[turn] + 2 * math.pi * i / count)]
    ]
    corners = np.array(points)
    corners -= (corners.max(axis=0) + corners.min(axis=0)) / 2
    return corners, float(np.ptp(corners, axis=0).max())


def _colour(rng: np.random.Generator, others: list[Float[np.ndarray, "3"]], label: int = 0) -> tuple[float, float, float]:
    """A colour far from `others`, or the farthest of 16 where none of them is far; nearly all of a class (label > 0) are of its hue."""
    candidates = rng.uniform(0, 255, (16, 3))
    if label and rng.random() < TYPICAL:
        hue = ((label - 1) / len(CATEGORIES) + rng.uniform(-HUE_SPREAD, HUE_SPREAD, 16)) % 1
        candidates = _rgb(hue, rng.uniform(0.6, 1, 16), rng.uniform(0.5, 1, 16))
    distance = np.sqrt(((candidates[:, None] - np.stack(others)[None]) ** 2).sum(axis=2)).min(axis=1)
    best = np.argmax(np.minimum(distance, _CONTRAST))
    red, green, blue = candidates[best].tolist()
    return red, green, blue


def _rgb(hue: Float[np.ndarray, "n"], saturation: Float[np.ndarray, "n"], value: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n 3"]:
    """0-255 from hue, saturation and value, 0-1 each: the value less its saturated share, by how far each primary is from the hue."""
    away = np.abs((hue[:, None] - np.array([0, 1 / 3, 2 / 3]) + 0.5) % 1 - 0.5) * 6
    return 255 * value[:, None] * (1 - saturation[:, None] * np.clip(away - 1, 0, 1))


def _fixed_point(corners: Float[np.ndarray, "n 2"]) -> Int[np.ndarray, "n 2"]:
    return np.rint(corners * (1 << _SHIFT)).astype(np.int32)


def _tight_boxes(masks: UInt8[np.ndarray, "n h w"]) -> Float[np.ndarray, "n 4"]:
    columns, rows = masks.max(axis=1), masks.max(axis=2)
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1, y1 = SIDE - columns[:, ::-1].argmax(axis=1), SIDE - rows[:, ::-1].argmax(axis=1)
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.float32)
