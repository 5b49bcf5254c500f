import numpy as np
import pytest

from maskrcnn_jax.visualize.colors import instance_color, text_color
from maskrcnn_jax.visualize.text import Label, heading, write_labels

RED = (255, 0, 0)


def grey(height, width):
    return np.full((height, width, 3), 100, np.uint8)


def area(picture, color=RED):
    """x0, y0, x1, y1 of the pixels of this colour."""
    rows, columns = np.nonzero((picture == color).all(-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def label_size(text):
    x0, y0, x1, y1 = area(write_labels(grey(400, 400), [Label(text, (100, 200, 150, 250), RED)]))
    return x1 - x0, y1 - y0


@pytest.mark.parametrize(
    ("rectangle", "corner"),
    [
        ((100, 200, 150, 250), lambda w, h: (100, 200 - h)),  # above
        ((0, 0, 150, 150), lambda w, h: (0, 0)),  # inside
        ((390, 200, 400, 250), lambda w, h: (400 - w, 200 - h)),  # moved left
        ((100, 395, 150, 400), lambda w, h: (100, 395 - h)),
    ],
)
def test_place_of_a_label(rectangle, corner):
    size = label_size("cat 0.97")
    x, y = corner(*size)
    picture = write_labels(grey(400, 400), [Label("cat 0.97", rectangle, RED)])
    assert area(picture) == (x, y, x + size[0], y + size[1])


def test_labels_are_whole_wherever_the_rectangle_lies(rng):
    size = label_size("cat 0.97")
    for _ in range(200):
        (x0, x1), (y0, y1) = np.sort(rng.integers(-40, 440, (2, 2))).tolist()
        x, y = min(max(x0, 0), 399), min(max(y0, 0), 399)
        picture = write_labels(grey(400, 400), [Label("cat 0.97", (x, y, max(x + 1, min(x1, 400)), max(y + 1, min(y1, 400))), RED)])
        left, top, right, bottom = area(picture)
        assert (right - left, bottom - top) == size


def test_the_letters_lie_inside_the_background():
    picture = write_labels(grey(400, 400), [Label("Ägypten gjpq 0.97", (100, 200, 150, 250), RED)])
    x0, y0, x1, y1 = area(picture)
    assert (picture[:, :x0] == 100).all()
    assert (picture[:, x1:] == 100).all()
    assert (picture[:y0] == 100).all()
    assert (picture[y1:] == 100).all()
    assert (picture[y0:y1, x0:x1] == 255).all(-1).any()


@pytest.mark.parametrize(("low", "high"), [("aaa", "gA|"), ("äää", "gÄ|")])
def test_labels_of_any_letters_are_equally_high(low, high):
    assert label_size(low)[1] == label_size(high)[1]


def test_a_label_is_one_line():
    assert label_size("a\nb") == label_size("a b")


@pytest.mark.parametrize(("one", "other"), [("Fuß", "Fuä"), ("kůň", "kůž"), ("кот", "жук"), ("γάτα", "λύκο"), ("قطة", "كلب")])
def test_names_of_other_letters_than_english_can_be_read(one, other):
    """Letters that a font does not have are all drawn as the same box."""
    pictures = [write_labels(grey(400, 400), [Label(text, (100, 200, 150, 250), RED)]) for text in (one, other)]
    assert (pictures[0] != pictures[1]).any()


def test_a_second_label_at_the_same_place_moves_and_one_without_place_is_left_out():
    blue, green = (0, 0, 255), (0, 120, 0)
    rectangle = (10, 10, 60, 40)
    labels = [Label("first", rectangle, RED), Label("second", rectangle, blue), Label("third", rectangle, green)]
    picture = write_labels(grey(60, 120), labels)
    assert area(picture)[1] == 10
    assert area(picture, blue)[1] > area(picture)[3] - 1
    assert not (picture == green).all(-1).any()


def test_a_label_larger_than_the_picture_is_left_out():
    assert (write_labels(grey(100, 30), [Label("a long name", (0, 50, 30, 60), RED)]) == 100).all()
    assert (write_labels(grey(8, 300), [Label("name", (0, 0, 30, 8), RED)]) == 100).all()


def test_letters_grow_with_the_picture():
    small, large = (write_labels(grey(side, side), [Label("cat", (50, 300, 90, 390), RED)]) for side in (400, 2000))
    assert area(large)[3] - area(large)[1] > 2 * (area(small)[3] - area(small)[1])


def test_heading_is_a_centred_strip():
    strip = heading("prediction", 480, 640)
    assert strip.shape[1] == 640
    dark = np.nonzero((strip < 128).all(-1))[1]
    assert abs((dark.min() + dark.max()) / 2 - 320) < 3
    assert heading("prediction", 1, 1).shape[1] == 1


def test_colors_are_those_of_the_label_and_differ():
    colors = [instance_color(label, 0) for label in range(1, 21)]
    assert colors == [instance_color(label, 0) for label in range(1, 21)]
    distances = [np.abs(np.subtract(a, b)).max() for i, a in enumerate(colors) for b in colors[:i]]
    assert min(distances) > 30
    shades = {instance_color(1, i) for i in range(30)}
    assert len(shades) == 30
    assert all(green == max(red, green, blue) for red, green, blue in shades)


def test_text_is_black_on_light_and_white_on_dark():
    assert text_color((250, 240, 60)) == (0, 0, 0)
    assert text_color((20, 30, 160)) == (255, 255, 255)
