import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from maskrcnn_jax.data.decode import read_labels
from maskrcnn_jax.structs import Result
from maskrcnn_jax.visualize import label_map, save_labels
from maskrcnn_jax.visualize.colors import class_color, instance_color


def found(*objects):
    """A result on 4 x 6 pixels; objects are (score, label, columns)."""
    masks = np.zeros((len(objects), 4, 6), np.uint8)
    for mask, (_, _, columns) in zip(masks, objects, strict=True):
        mask[1:3, columns] = 1
    return Result(
        boxes=np.zeros((len(objects), 4), np.float32),
        scores=np.array([score for score, _, _ in objects], np.float32),
        labels=np.array([label for _, label, _ in objects], np.int32),
        masks=[mask_utils.encode(np.asfortranarray(mask)) for mask in masks],
        size=(4, 6),
    )


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_better_scores_lie_on_top_and_low_ones_are_left_out(order):
    objects = [(0.9, 7, slice(0, 3)), (0.6, 3, slice(1, 5)), (0.4, 5, slice(0, 6))]
    labels = label_map(found(*(objects[i] for i in order)))
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels[1], [7, 7, 7, 3, 3, 0])
    np.testing.assert_array_equal(labels[2], labels[1])
    assert not labels[[0, 3]].any()


def test_the_threshold_is_a_score_that_counts():
    one = found((0.5, 2, slice(0, 6)))
    assert label_map(one, score_threshold=0.5)[1].tolist() == [2] * 6
    assert not label_map(one, score_threshold=0.51).any()


def test_nothing_found_is_all_background():
    assert not label_map(found()).any()


def test_labels_beyond_a_palette_are_an_error():
    assert label_map(found((0.9, 255, slice(0, 6))))[1, 0] == 255
    with pytest.raises(ValueError, match="label 256 is above 255"):
        label_map(found((0.9, 256, slice(0, 6))))


def test_the_file_holds_labels_whose_colours_are_the_classes(tmp_path):
    labels = np.array([[0, 1, 2], [90, 254, 255]], np.uint8)
    save_labels(tmp_path / "a.png", labels)
    image = Image.open(tmp_path / "a.png")
    assert image.mode == "P"
    np.testing.assert_array_equal(np.asarray(image), labels)
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), labels)  # which wants a black background
    colours = np.asarray(image.convert("RGB"))
    assert colours[0, 0].tolist() == [0, 0, 0]
    for label in (1, 2, 90, 254, 255):
        assert colours[labels == label].tolist() == [list(class_color(label))]


@pytest.mark.parametrize("label", [1, 2, 3, 80])
def test_a_class_has_the_colour_that_its_objects_are_shades_of(label):
    """A shade's hue is within a twentieth of the circle, its value at least 0.8 of the class's."""
    import colorsys

    hue, saturation, value = colorsys.rgb_to_hsv(*(side / 255 for side in class_color(label)))
    for index in range(12):
        other = colorsys.rgb_to_hsv(*(side / 255 for side in instance_color(label, index)))
        assert abs((other[0] - hue + 0.5) % 1 - 0.5) <= 0.05 + 0.01
        assert abs(other[1] - saturation) < 0.02
        assert 0.79 * value <= other[2] <= value + 0.01


def test_other_endings_and_missing_folders_are_errors(tmp_path):
    labels = np.zeros((2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"a\.jpg: labels are written as \.png"):
        save_labels(tmp_path / "a.jpg", labels)
    with pytest.raises(OSError, match="absent"):
        save_labels(tmp_path / "absent" / "a.png", labels)
