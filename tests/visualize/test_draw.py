import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax.structs import Category, Example, Outcomes, Result
from maskrcnn_jax.visualize import draw, draw_example, draw_outcomes, example_as_result
from maskrcnn_jax.visualize.colors import ASIDE, FOUND, MISSED, WRONG, instance_color

CATEGORIES = (Category(17, "cat"), Category(3, "dog"))
GREY = 100


def image(height, width):
    return np.full((height, width, 3), GREY, np.uint8)


def result(size, *boxes, labels=None, scores=None):
    """Rectangles whose masks fill their boxes."""
    masks = np.zeros((len(boxes), *size), np.uint8)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[y0:y1, x0:x1] = 1
    return Result(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores or [0.9] * len(boxes), np.float32),
        labels=np.array(labels or [1] * len(boxes), np.int32),
        masks=[mask_utils.encode(np.asfortranarray(mask)) for mask in masks],
        size=size,
    )


def test_a_mask_is_tinted_and_the_ground_outside_stays():
    picture = draw(image(640, 800), result((640, 800), (200, 200, 500, 400)), CATEGORIES)
    tint = np.round(0.6 * GREY + 0.4 * np.array(instance_color(1, 0)))
    assert (picture[300, 350] == tint).all()
    assert (picture[420:] == GREY).all()
    assert (picture[:, 520:] == GREY).all()
    assert (picture[:, :190] == GREY).all()
    assert (picture[:150] == GREY).all()


def test_box_and_outline_follow_the_object():
    edges = result((640, 800), (200, 200, 500, 400))
    picture = draw(image(640, 800), edges, CATEGORIES)
    color = instance_color(1, 0)
    assert (picture[399, 200:500] == color).all()
    assert (picture[230:400, 499] == color).all()
    assert (picture[404:] == GREY).all()


def test_a_box_without_mask_pixels_is_drawn():
    hollow = result((640, 640), (100, 100, 300, 300))._replace(masks=[mask_utils.encode(np.zeros((640, 640), np.uint8, order="F"))])
    picture = draw(image(640, 640), hollow, CATEGORIES)
    assert (picture[200, 150:250] == GREY).all()
    assert (picture[299, 100:300] == instance_color(1, 0)).all()


def test_the_label_is_written_over_the_box_and_holds_black_or_white_text():
    picture = draw(image(640, 640), result((640, 640), (100, 300, 400, 500)), CATEGORIES)
    strip = picture[285:296, 101:180].reshape(-1, 3)
    assert (strip == instance_color(1, 0)).all(-1).mean() > 0.4
    assert (strip == 0).all(-1).any()


def test_scores_below_the_threshold_are_not_drawn():
    found = result((640, 640), (10, 50, 200, 200), (300, 300, 500, 500), scores=[0.6, 0.3])
    some = draw(image(640, 640), found, CATEGORIES)
    assert (some[300:, 300:] == GREY).all()
    assert (some[100, 100] != GREY).any()
    assert (draw(image(640, 640), found, CATEGORIES, score_threshold=0.3)[400, 400] != GREY).any()
    assert (draw(image(640, 640), found, CATEGORIES, score_threshold=0.95) == GREY).all()


def test_small_objects_lie_over_large_ones():
    small, large = (100, 100, 200, 200), (50, 50, 400, 400)
    for boxes, index in (((small, large), 0), ((large, small), 1)):
        picture = draw(image(640, 640), result((640, 640), *boxes), CATEGORIES)
        over = np.round(0.6 * GREY + 0.4 * np.array(instance_color(1, 1 - index)))
        assert np.abs(picture[150, 150] - np.round(0.6 * over + 0.4 * np.array(instance_color(1, index)))).max() <= 1


@pytest.mark.parametrize(
    ("size", "shape"), [((160, 160), (640, 640, 3)), ((256, 320), (512, 640, 3)), ((1, 1), (8, 8, 3)), ((700, 3), (700, 3, 3))]
)
def test_small_images_are_enlarged_by_a_whole_number(size, shape):
    assert draw(image(*size), result(size), CATEGORIES).shape == shape


def test_enlarged_masks_cover_the_same_part_of_the_image():
    picture = draw(image(160, 160), result((160, 160), (40, 60, 120, 100)), CATEGORIES)
    tint = np.round(0.6 * GREY + 0.4 * np.array(instance_color(1, 0)))
    assert (picture[4 * 60 + 6 : 4 * 100 - 6, 4 * 40 + 6 : 4 * 120 - 6] == tint).all()
    assert (picture[4 * 100 + 6 :] == GREY).all()


def test_no_detections_give_the_image():
    assert (draw(image(700, 650), result((700, 650)), CATEGORIES) == image(700, 650)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1)])
def test_an_object_on_a_thin_image_is_drawn_without_its_label(size):
    picture = draw(image(*size), result(size, (0, 0, size[1], size[0])), CATEGORIES)
    assert (picture != GREY).any(-1).all()


def test_boxes_beyond_the_image_are_cut_at_its_edge():
    far = result((640, 640), (0, 0, 600, 640))._replace(boxes=np.array([[-50, -50, 900, 900.5]], np.float32))
    assert (draw(image(640, 640), far, CATEGORIES)[300, 639] == instance_color(1, 0)).all()


def test_the_input_is_not_changed():
    for size in ((160, 160), (700, 700)):
        before = image(*size)
        draw(before, result(size, (10, 10, 50, 50)), CATEGORIES)
        assert (before == GREY).all()


def test_a_result_of_another_image_is_refused():
    with pytest.raises(ValueError) as error:
        draw(image(640, 480), result((480, 640)), CATEGORIES)
    assert "(640, 480)" in str(error.value)
    assert "(480, 640)" in str(error.value)
    assert "pass the image they belong to" in str(error.value)


def example():
    masks = np.zeros((2, 640, 640), np.uint8)
    masks[0, 100:200, 100:300] = 1
    masks[1, 400:600, 50:600] = 1
    boxes = np.array([[100, 100, 300, 200], [50, 400, 600, 600]], np.float32)
    return Example(image(640, 640), 5, masks, boxes, np.array([2, 1], np.int32), np.array([False, True]))


def test_ground_truth_in_the_form_of_a_result():
    truth = example()
    found = example_as_result(truth)
    assert found.size == (640, 640)
    assert found.scores.tolist() == [1.0, 1.0]
    assert found.scores.dtype == np.float32
    assert (found.boxes == truth.boxes).all()
    assert (found.labels == truth.labels).all()
    assert all((mask_utils.decode(rle) == mask).all() for rle, mask in zip(found.masks, truth.masks, strict=True))


def test_ground_truth_is_drawn_as_detections_are_but_for_the_text():
    truth = example()
    drawn, as_detections = draw_example(truth, CATEGORIES), draw(truth.image, example_as_result(truth), CATEGORIES)
    assert (drawn[100:380] == as_detections[100:380]).all()  # between the labels over the two boxes
    assert (drawn[400:] == as_detections[400:]).all()
    assert (drawn != as_detections).any()
    assert (truth.image == GREY).all()


def test_outcomes_have_their_colours_and_what_is_missed_is_drawn_too():
    truth = example()._replace(crowd=np.array([False, False]))
    found = result((640, 640), (100, 100, 300, 200), (400, 20, 600, 90), (450, 250, 600, 350), labels=[2, 1, 1], scores=[0.9, 0.8, 0.7])
    outcomes = Outcomes(np.array([True, False, False]), np.array([False, False, True]), np.array([False, True]))
    picture = draw_outcomes(truth, found, outcomes, CATEGORIES)
    for at, color in (((150, 200), FOUND), ((60, 500), WRONG), ((300, 500), ASIDE), ((500, 300), MISSED)):
        assert (picture[at] == np.round(0.6 * GREY + 0.4 * np.array(color))).all()
    nothing_missed = draw_outcomes(truth, found, outcomes._replace(missed=np.array([False, False])), CATEGORIES)
    assert (nothing_missed[410:] == GREY).all()
    assert (picture[:380] == nothing_missed[:380]).all()


def test_outcomes_of_another_image_are_refused():
    none = Outcomes(np.zeros(1, bool), np.zeros(1, bool), np.zeros(2, bool))
    with pytest.raises(ValueError) as error:
        draw_outcomes(example(), result((64, 64), (1, 1, 9, 9)), none, CATEGORIES)
    assert "pass the image they belong to" in str(error.value)
