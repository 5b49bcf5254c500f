import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data import DataError
from tests.data.formats.by_hand import box

SQUARE = "0 0.2 0.25 0.6 0.25 0.6 0.75 0.2 0.75"  # x 6 ... 18 of 30, y 5 ... 15 of 20


@pytest.fixture
def yolo(tmp_path):
    """A folder with one image, val/x.jpg, and its label file."""
    for name in ("images/val", "labels/val"):
        (tmp_path / name).mkdir(parents=True)
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "images/val/x.jpg")
    (tmp_path / "labels/val/x.txt").write_text(SQUARE + "\n")
    (tmp_path / "data.yaml").write_text("path: ../datasets\ntrain: images/train\nval: images/val\nnames: [boat, kite]\n")
    return tmp_path


def test_a_polygon_by_hand(yolo, read):
    images, ((image, label, crowd, mask),), notes = read("yolo", yolo, split="val")
    assert (images, image, label, crowd, notes) == (["x.jpg"], "x.jpg", "boat", False, [])
    assert np.array_equal(mask, box(6, 5, 18, 15))


@pytest.mark.parametrize(
    ("file", "text"),
    [("data.yaml", "names:\n  0: boat\n  1: kite\n"), ("data.yaml", "names:\n- boat\n- kite\n"), ("classes.txt", "boat\nkite\n\n")],
)
def test_names_are_listed_numbered_or_lines(yolo, read, file, text):
    (yolo / "data.yaml").unlink()
    (yolo / file).write_text(text)
    (yolo / "labels/val/x.txt").write_text(SQUARE.replace("0 ", "1 ", 1))
    assert read("yolo", yolo, split="val")[1][0][1] == "kite"


def test_a_byte_order_mark_is_of_no_name_and_no_number(yolo, read):
    """Editors on Windows write it."""
    (yolo / "data.yaml").unlink()
    (yolo / "classes.txt").write_text("boat\nkite\n", encoding="utf-8-sig")
    (yolo / "labels/val/x.txt").write_text(SQUARE, encoding="utf-8-sig")
    assert read("yolo", yolo, split="val")[1][0][1] == "boat"


def test_a_blank_line_among_the_names_is_an_error(yolo, refuses):
    (yolo / "data.yaml").unlink()
    (yolo / "classes.txt").write_text("boat\n\nkite\n")
    refuses(("classes.txt: line 2 is blank", "name it, or take it out"), "yolo", yolo, split="val")


def test_folders_within_are_read_too(yolo, read):
    for name in ("images/val/seq/old", "labels/val/seq/old"):
        (yolo / name).mkdir(parents=True)
    for name in ("x.jpg", "seq/y.jpg", "seq/old/x.jpg"):
        Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(yolo / "images/val" / name)
    (yolo / "labels/val/seq/y.txt").write_text(f"{SQUARE}\n{SQUARE}\n")
    (yolo / "labels/val/classes.txt").write_text("boat\nkite\n")
    images, found, notes = read("yolo", yolo, split="val")
    assert images == ["x.jpg", "seq/y.jpg", "seq/old/x.jpg"]
    assert [image for image, *_ in found] == ["x.jpg", "seq/y.jpg", "seq/y.jpg"]
    assert len(notes) == 1
    assert notes[0].startswith(f"{yolo / 'images/val/seq/old/x.jpg'}: no {yolo / 'labels/val/seq/old/x.txt'}")


def test_splits_are_not_taken_together(yolo, refuses):
    refuses((f"{yolo / 'images/val'}: a folder among the images", "name a split by --split, or move its files up"), "yolo", yolo)


def test_folders_may_be_split_first_or_have_no_split(yolo, read):
    (yolo / "val").mkdir()
    for name in ("images", "labels"):
        (yolo / name / "val").rename(yolo / "val" / name)
    (yolo / "images").rmdir()
    (yolo / "labels").rmdir()
    assert len(read("yolo", yolo, split="val")[1]) == 1
    (yolo / "data.yaml").rename(yolo / "val" / "data.yaml")
    assert len(read("yolo", yolo / "val")[1]) == 1


def test_boxes_short_polygons_and_images_without_labels_are_told(yolo, read):
    path = yolo / "labels/val/x.txt"
    path.write_text(f"0 0.5 0.5 0.1 0.1\n\n{SQUARE}\n1 0.5 0.5\n1 .1 .1 .1 .1 .1 .1\n")
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(yolo / "images/val/y.png")
    images, found, notes = read("yolo", yolo, split="val")
    assert (images, len(found)) == (["x.jpg", "y.png"], 1)
    assert notes == [
        f"{yolo / 'images/val/y.png'}: no {yolo / 'labels/val/y.txt'}: taken as an image without objects",
        f"{path}: line 1: left out: a box, not a polygon",
        f"{path}: line 4: 1 of 1 polygons left out: fewer than 3 points",
        f"{path}: line 5: left out: it covers no pixel",
    ]


def test_boxes_alone_are_refused(yolo, refuses):
    path = yolo / "labels/val/x.txt"
    path.write_text("\n0 0.5 0.5 0.1 0.1\n1 0.5 0.5 0.2 0.2\n")
    refuses((f"{path}: line 2: a box, as all lines", "for segmentation, not detection"), "yolo", yolo, split="val")


def test_an_empty_file_is_an_image_without_objects(yolo, read):
    (yolo / "labels/val/x.txt").write_text("")
    assert read("yolo", yolo, split="val") == (["x.jpg"], [], [])


def test_corners_a_little_outside_are_drawn_within(yolo, read):
    (yolo / "labels/val/x.txt").write_text("0 -0.005 -0.005 0.5 -0.005 0.5 1.005 -0.005 1.005")
    assert np.array_equal(read("yolo", yolo, split="val")[1][0][3], box(0, 0, 15, 20))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 .1 .1 .2 .2 .3 .1", ("x.txt: line 2: class 2 is not one of 0 ... 1", "add its name")),
        ("-1 .1 .1 .2 .2 .3 .1", ("line 2: class -1 is not one of",)),
        ("0.5 .1 .1 .2 .2 .3 .1", ("line 2: class 0.5 is not one of",)),
        ("nan .1 .1 .2 .2 .3 .1", ("line 2: class nan is not one of",)),
        ("0 .1 .1 .2 .2 .3", ("line 2: 5 coordinates are no pairs x y", "correct the line")),
        ("0 .1 .1 .2 x .3 .1", ("line 2: not numbers", "a line is the class and x y x y")),
        ("0 .1 .1 .2 nan .3 .1", ("line 2: coordinates are not between 0 and 1", "divide them by width and height")),
        ("0 10 10 20 20 30 10", ("line 2: coordinates are not between 0 and 1", "divide them")),
    ],
)
def test_a_bad_line_is_an_error_that_names_it(yolo, refuses, line, words):
    (yolo / "labels/val/x.txt").write_text(f"{SQUARE}\n{line}\n")
    refuses(words, "yolo", yolo, split="val")


@pytest.mark.parametrize("names", ["", "names: 3", "names: []", "names: {1: a, 2: b}", "names: [1, 2]", "- a"])
def test_a_description_without_names_is_an_error(yolo, refuses, names):
    (yolo / "data.yaml").write_text(names)
    refuses(("data.yaml: `names` is no list of class names", "name the classes there"), "yolo", yolo, split="val")


def test_a_description_that_is_no_yaml_is_an_error_and_runs_nothing(yolo, refuses):
    not_python_s = ("names: 2001-99-99", "names: !!timestamp x", "names: !!int ''")  # of which PyYAML raises what Python does
    for text in ("names: [", "names: !!python/object/apply:os.getcwd []", "names: \x00", *not_python_s):
        (yolo / "data.yaml").write_text(text)
        refuses(("data.yaml: no YAML", "write it anew, as UTF-8 text"), "yolo", yolo, split="val")


def test_a_message_does_not_repeat_all_of_a_long_word(yolo, read):
    (yolo / "labels/val/x.txt").write_text("x" * 5000)
    with pytest.raises(DataError) as error:
        read("yolo", yolo, split="val")
    assert len(str(error.value)) < 400


def test_what_is_missing_is_an_error(yolo, refuses):
    refuses(("no folders", "images/test", "test/images", "name another split by --split"), "yolo", yolo, split="test")
    (yolo / "labels/val/z.txt").write_text(SQUARE)
    refuses(("z.txt: its image", "images/val/z with .jpg", "restore it, or remove this file"), "yolo", yolo, split="val")
    (yolo / "labels/val/z.txt").unlink()
    (yolo / "images/val/x.png").touch()
    refuses(("x.png: x.jpg has the same name but for its ending", "rename or remove one"), "yolo", yolo, split="val")
    (yolo / "images/val/x.png").unlink()
    refuses(("data.yaml: is a file", "give the folder of data.yaml"), "yolo", yolo / "data.yaml", split="val")
    (yolo / "data.yaml").unlink()
    refuses(("neither data.yaml nor classes.txt names the classes", "add one"), "yolo", yolo, split="val")


def test_an_unreadable_image_or_text_is_an_error(yolo, refuses):
    (yolo / "labels/val/x.txt").write_bytes(b"\xff\xfe\x00")
    refuses(("x.txt: no text", "write it as UTF-8"), "yolo", yolo, split="val")
    (yolo / "images/val/x.jpg").write_bytes(b"no image")
    refuses(("x.jpg: corrupt, truncated or not an image", "replace the file"), "yolo", yolo, split="val")
