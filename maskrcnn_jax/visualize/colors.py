"""One hue a class, the same in every picture, shades of it for the objects of a class; colours of levels and of outcomes."""

import colorsys

Color = tuple[int, int, int]  # red, green, blue, 0 ... 255

LEVELS: tuple[Color, ...] = ((86, 180, 233), (0, 200, 140), (255, 221, 51), (255, 128, 40), (236, 120, 210))
"""Of the pyramid's levels, P2 first."""
FOUND: Color = (0, 200, 140)
"""Of true positives. Green, orange and yellow are told apart whatever one's colour vision."""
WRONG: Color = (255, 90, 40)
"""Of false positives."""
MISSED: Color = (255, 221, 51)
"""Of ground truth that nothing was matched with."""
ASIDE: Color = (150, 158, 168)
"""Of what does not count: detections in a crowd, negatives."""

# Successive steps of the golden ratio fill the circle of hues evenly, however many classes there are.
_GOLDEN = 0.6180339887498949
_FIRST_HUE = 0.36
# Classes 5, 8 or 13 apart have neighbouring hues, and with a cycle of three never the same tone (saturation, value).
_TONES = ((0.8, 1.0), (1.0, 0.88), (0.5, 1.0))


def class_color(label: int) -> Color:
    """The colour of class `label` (1, 2 ...)."""
    return _shade(label, 0.0, 1.0)


def instance_color(label: int, index: int) -> Color:
    """A shade of the colour of class `label` (1, 2 ...) for object `index`: touching objects of one class can be told apart."""
    return _shade(label, ((index * _GOLDEN) % 1.0 - 0.5) * 0.1, (1.0, 0.8, 0.9)[index % 3])


def text_color(background: Color) -> Color:
    """Black or white, whichever reads better on `background`."""
    red, green, blue = background
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return (0, 0, 0) if luma > 120 else (255, 255, 255)


def _shade(label: int, turn: float, brightness: float) -> Color:
    saturation, value = _TONES[(label - 1) % len(_TONES)]
    hue = _FIRST_HUE + (label - 1) * _GOLDEN + turn
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value * brightness)
    return round(255 * red), round(255 * green), round(255 * blue)
