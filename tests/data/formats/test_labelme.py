import json

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.by_hand import box, disc
from tests.data.formats.written import iou, png_base64


def shape(label, points, kind="polygon", group=None, **fields):
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}, **fields}


SQUARE = [[4, 5], [14.0, 5], [14, 15], [4, 15]]


@pytest.fixture
def write(folder):
    """A file of LabelMe for the image of the same name."""

    def write_(*shapes, name="a", **fields):
        document = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": f"{name}.png", "imageData": None}
        path = folder / f"{name}.json"
        path.write_text(json.dumps(document | {"imageHeight": 20, "imageWidth": 30} | fields))
        return path

    return write_


def test_a_folder_of_files(folder, write, read):
    write(shape("cell", SQUARE), name="b")
    write()
    images, ((image, label, crowd, mask),), notes = read("labelme", folder)
    assert (images, image, label, crowd, notes) == (["a.png", "b.png"], "b.png", "cell", False, [])
    assert np.array_equal(mask, box(4, 5, 14, 15))


def test_shapes(write, read):
    old = shape("o", SQUARE)
    del old["shape_type"], old["group_id"]
    path = write(shape("r", [[12, 9], [2, 3]], "rectangle"), shape("c", [[15, 10], [15, 3]], "circle"), old)
    _, found, notes = read("labelme", path)
    assert ([label for _, label, _, _ in found], notes) == (["r", "c", "o"], [])
    assert np.array_equal(found[0][3], box(2, 3, 12, 9))
    assert iou(found[1][3], disc(15, 10, 7, 7)) > 0.95  # drawn to a fifth of a pixel, see test_outlines
    assert np.array_equal(found[2][3], box(4, 5, 14, 15))


def test_shapes_of_one_group_and_label_are_one_object(write, read):
    parts = [
        shape("cell", [[1, 1], [5, 5]], "rectangle", 3),
        shape("tail", [[6, 6], [9, 9]], "rectangle", 3),
        shape("cell", [[8, 1], [12, 5]], "rectangle", 3),
        shape("cell", [[1, 8], [5, 12]], "rectangle", 4),
        shape("cell", [[20, 8], [25, 12]], "rectangle"),
        shape("cell", [[20, 14], [25, 18]], "rectangle"),
    ]
    _, found, _ = read("labelme", write(*parts))
    assert [label for _, label, _, _ in found] == ["cell", "tail", "cell", "cell", "cell"]
    assert np.array_equal(found[0][3], box(1, 1, 5, 5) | box(8, 1, 12, 5))
    assert np.array_equal(found[2][3], box(1, 8, 5, 12))


def test_a_mask_lies_from_its_first_point_to_its_second_and_keeps_its_hole(write, read):
    ring = box(0, 0, 6, 5, shape=(5, 6)) - box(2, 2, 4, 3, shape=(5, 6))
    path = write(
        shape("ring", [[3.0, 7.0], [8.0, 11.0]], "mask", mask=png_base64(ring)),
        shape("both", [[3, 7], [8, 11]], "mask", 1, mask=png_base64(ring)),
        shape("both", [[20, 1], [25, 4]], "rectangle", 1),
    )
    _, found, _ = read("labelme", path)
    expected = box(3, 7, 9, 12) - box(5, 9, 7, 10)
    assert np.array_equal(found[0][3], expected)
    assert np.array_equal(found[1][3], expected | box(20, 1, 25, 4))


def test_shapes_without_area_are_left_out_and_told(write, read):
    empty = png_base64(np.zeros((2, 2)))
    path = write(
        shape("p", [[3, 3]], "point"),
        shape("l", [[3, 3], [9, 9]], "line"),
        shape("two", [[3, 3], [9, 9]]),
        shape("m", [[3, 3], [4, 4]], "mask", mask=empty),
        shape("g", SQUARE, group=1),
        shape("g", [[1, 1]], "linestrip", group=1),
    )
    _, found, notes = read("labelme", path)
    assert [label for _, label, _, _ in found] == ["g"]
    assert notes == [
        f"{path}: shape 0: left out: a point has no area",
        f"{path}: shape 1: left out: a line has no area",
        f"{path}: shape 2: left out: a polygon of fewer than 3 points",
        f"{path}: shape 5: left out: a linestrip has no area",
        f"{path}: shape 3: left out: it covers no pixel",
    ]


def test_a_polygon_of_two_points_is_left_out_of_a_group_with_a_mask(write, read):
    path = write(shape("a", [[0, 0], [1, 1]], "mask", 1, mask=MASK), shape("a", [[3, 3], [9, 9]], group=1))
    _, found, notes = read("labelme", path)
    assert len(found) == 1
    assert np.array_equal(found[0][3], box(0, 0, 2, 2))
    assert notes == [f"{path}: shape 1: left out: a polygon of fewer than 3 points"]


def test_folders_within_are_read_too(folder, write, read):
    (folder / "seq").mkdir()
    write(shape("cell", SQUARE))
    write(shape("cell", SQUARE), shape("cell", SQUARE), imagePath="../b.png").rename(folder / "seq" / "a.json")
    write(shape("cell", SQUARE))
    images, found, notes = read("labelme", folder)
    assert (images, [image for image, *_ in found], notes) == (["a.png", "b.png"], ["a.png", "b.png", "b.png"], [])


def test_a_path_is_relative_to_the_file_and_may_be_of_windows(folder, write, read):
    (folder / "labels").mkdir()
    write(shape("cell", SQUARE), imagePath="..\\b.png").rename(folder / "labels" / "b.json")
    images, found, _ = read("labelme", folder / "labels", images=folder)
    assert (images, len(found)) == (["b.png"], 1)


def test_a_path_of_files_moved_apart_is_relative_to_the_image_folder(folder, write, read, refuses):
    for name in ("labels", "images"):
        (folder / name).mkdir()
    write(shape("cell", SQUARE)).rename(folder / "labels" / "a.json")
    refuses(("labels/a.json: ", "images/a.png: no such image file"), "labelme", folder / "labels", images=folder / "images")
    (folder / "a.png").rename(folder / "images" / "a.png")
    images, found, _ = read("labelme", folder / "labels", images=folder / "images")
    assert (images, len(found)) == (["a.png"], 1)


def test_an_absolute_path_into_the_image_folder_is_one_within_it(folder, write, read):
    assert read("labelme", write(shape("cell", SQUARE), imagePath=str(folder / "b.png")))[0] == ["b.png"]


def test_given_labels_are_all_and_in_order(write, read, refuses):
    path = write(shape("cell", SQUARE), shape("ape", SQUARE))
    assert [label for _, label, _, _ in read("labelme", path, labels=("cell", "owl", "ape"))[1]] == ["cell", "ape"]
    refuses((f"{path}: shape 1: class 'ape' is not one of cell, owl", "name it by --labels"), "labelme", path, labels=("cell", "owl"))


MASK = png_base64(np.ones((2, 2)))
BAD = {
    "points": ((shape("a", [[3, 4, 5]]),), ("a.json: shape 0: `points` is no list of [x, y]", "draw it anew")),
    "no points": (({"label": "a"},), ("shape 0: `points` is no list",)),
    "infinite": ((shape("a", [[3, 4], [5, float("inf")], [1, 1]]),), ("shape 0: ", "not all finite numbers")),
    "no label": ((shape("a", SQUARE), shape(None, SQUARE)), ("shape 1: no `label`", "name its class")),
    "no shape": ((7,), ("shape 0: no `label`",)),
    "group": ((shape("a", SQUARE, group="x"),), ("shape 0: group_id 'x' is no whole number", "correct it")),
    "kind": ((shape("a", SQUARE, "cube"),), ("shape 0: unknown shape_type 'cube'", "or remove it")),
    "corners": ((shape("a", SQUARE, "rectangle"),), ("shape 0: a rectangle has 2 points, this one 4", "draw it anew")),
    "far": ((shape("a", [[3, 4], [500, 4], [500, 9]]),), ("shape 0: ", "far outside the image of 20 x 30")),
    "far in a group": (
        (shape("a", [[0, 0], [1, 1]], "mask", 1, mask=MASK), shape("a", [[3, 4], [500, 4], [500, 9]], group=1)),
        ("shape 1: ", "far outside the image of 20 x 30"),
    ),
    "mask outside": (
        (shape("a", [[29, 4], [30, 5]], "mask", mask=MASK),),
        ("the mask reaches out of the image of 20 x 30", "draw it anew"),
    ),
    "mask size": (
        (shape("a", [[2, 4], [4, 5]], "mask", mask=MASK),),
        ("shape 0: its `mask`: ", "the file is 2 x 2", "annotations say 2 x 3"),
    ),
    "no mask": ((shape("a", [[2, 4], [3, 5]], "mask"),), ("shape 0: its `mask`: ", "not an image")),
    "no base64": ((shape("a", [[2, 4], [3, 5]], "mask", mask="%%"),), ("shape 0: its `mask` is no base64", "draw it anew")),
    "mask number": ((shape("a", [[2, 4], [3, 5]], "mask", mask=3),), ("shape 0: its `mask` is no base64",)),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_shape_is_an_error_that_names_it(write, refuses, name):
    shapes, words = BAD[name]
    refuses(words, "labelme", write(*shapes))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shapes": None}, ("a.json: no `shapes` and `imagePath`, so not of LabelMe", "LabelMe's JSON files alone")),
        ({"imagePath": 3}, ("a.json: no `shapes` and `imagePath`",)),
        ({"imagePath": "x" * 5000}, ("a.json: imagePath 'xxx", "has 5000 characters", "correct it")),
        ({"imagePath": "../a.png"}, ("a.json: imagePath '../a.png' leaves the image folder", "by --images")),
        ({"imagePath": "/etc/passwd"}, ("a.json: imagePath '/etc/passwd' leaves the image folder", "by --images")),
        ({"imagePath": "gone.png"}, ("gone.png: no such image file", "restore it")),
        ({"imageHeight": 40}, ("a.png: the file is 20 x 30 (height x width), the annotations say 40 x 30", "put back the image")),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(write, refuses, fields, words):
    refuses(words, "labelme", write(shape("a", SQUARE), **fields))


def test_json_of_something_else_a_folder_without_any_and_objects_without_class_are_errors(folder, write, refuses):
    refuses(("no images of the dataset found",), "labelme", folder)
    write()
    refuses(("no object has a class", "name the classes by --labels"), "labelme", folder)
    (folder / "b.json").write_text("[]")
    refuses(("b.json: no `shapes`",), "labelme", folder)


def test_a_bomb_in_a_mask_is_an_error(write, refuses, monkeypatch):
    path = write(shape("a", [[0, 0], [29, 19]], "mask", mask=png_base64(np.ones((20, 30)))))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 250)
    refuses(("too large for Pillow",), "labelme", path)
