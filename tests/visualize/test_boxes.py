import numpy as np
import pytest

from maskrcnn_jax.visualize import draw_boxes, readable

GREY, RED, BLUE = 100, (255, 0, 0), (0, 0, 255)


def image(height=640, width=640):
    return np.full((height, width, 3), GREY, np.uint8)


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def test_a_box_is_an_outline_within_its_edges():
    picture = draw_boxes(image(), boxes([100, 200, 300, 250]), [RED])
    inked = (picture == RED).all(-1)
    assert inked[200, 100:300].all()
    assert inked[249, 100:300].all()
    assert inked[200:250, 100].all()
    assert inked[200:250, 299].all()
    assert (picture[203:247, 103:297] == GREY).all()
    inked[198:252, 98:302] = False
    assert not inked.any()


def test_bold_lines_are_thicker():
    thin, bold = ((draw_boxes(image(), boxes([100, 200, 300, 250]), [RED], bold=bold) == RED).all(-1).sum() for bold in (False, True))
    assert bold > 1.5 * thin


def test_the_best_box_lies_on_top():
    picture = draw_boxes(image(), boxes([10, 10, 60, 60], [10, 10, 60, 60]), [RED, BLUE])
    assert (picture[10, 10] == RED).all()


def test_small_images_are_enlarged_with_their_boxes():
    picture = draw_boxes(image(160, 80), boxes([10, 20, 30, 40]), [RED])
    assert picture.shape == (640, 320, 3)
    assert (picture[4 * 20, 4 * 10] == RED).all()
    assert (picture[4 * 40 - 1, 4 * 30 - 1] == RED).all()


def test_boxes_are_cut_at_the_image_and_never_vanish():
    picture = draw_boxes(image(), boxes([-50, -50, 900, 320], [700, 700, 800, 800], [5, 500, 5, 500]), [RED, BLUE, BLUE])
    assert (picture[0] == RED).all()
    assert (picture[639, 639] == BLUE).all()
    assert (picture[500, 5] == BLUE).all()


def test_boxes_that_are_not_finite_are_left_out():
    picture = draw_boxes(image(), boxes([np.nan] * 4, [10, 10, 60, 60], [0, 0, np.inf, 9]), [RED, BLUE, RED], ["a", "b", "c"])
    assert (picture[10, 30] == BLUE).all()
    assert not (picture == RED).all(-1).any()


def test_texts_are_written_where_there_are_any():
    plain, named = (draw_boxes(image(), boxes([100, 200, 300, 400]), [RED], texts) for texts in ((), ("P3",)))
    assert (named[180:199, 100:110] == RED).all(-1).any()
    assert (plain[180:199] == GREY).all()
    assert (draw_boxes(image(), boxes([100, 200, 300, 400]), [RED], [""]) == plain).all()


def test_no_boxes_give_the_image_and_the_image_is_not_changed():
    before = image()
    assert (draw_boxes(before, boxes(), []) == GREY).all()
    draw_boxes(before, boxes([0, 0, 9, 9]), [RED])
    assert (before == GREY).all()


@pytest.mark.parametrize(("colors", "texts"), [([RED], ()), ([RED, RED], ("a",))])
def test_as_many_colours_and_texts_as_boxes(colors, texts):
    with pytest.raises(ValueError):
        draw_boxes(image(), boxes([0, 0, 9, 9], [0, 0, 9, 9]), colors, texts)


def test_what_is_readable_is_a_copy():
    before = image()
    picture, factor = readable(before)
    picture[:] = 0
    assert factor == 1
    assert (before == GREY).all()
    assert readable(image(10, 300))[1] == 3
    assert readable(image(10, 10))[1] == 8
