import numpy as np
import pytest

from tests.data.formats.by_hand import box
from tests.data.formats.written import write_palette_png, write_png

XML = "<annotation><object><name>owl</name></object><object><name>ape</name><part><name>head</name></part></object></annotation>"


def numbers():
    """Object 1 with a border of void, which cuts object 2 short."""
    values = np.zeros((20, 30), np.uint8)
    values[4:16, 3:15] = 255
    values[5:15, 4:14] = 1
    values[5:15, 15:20] = 2
    return values


@pytest.fixture
def voc(tmp_path):
    """The layout of VOCdevkit/VOC2012, of two images of which the list train names one."""
    for stem in ("2007_000032", "2007_000039"):
        write_png(tmp_path / "JPEGImages" / f"{stem}.jpg", np.zeros((20, 30, 3), np.uint8))
        write_palette_png(tmp_path / "SegmentationObject" / f"{stem}.png", numbers())
        table = np.arange(256)
        table[[1, 2]] = 15, 1
        write_palette_png(tmp_path / "SegmentationClass" / f"{stem}.png", table[numbers()])
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000039\n\n")
    (tmp_path / "Annotations").mkdir()
    return tmp_path


def test_objects_end_at_the_void_and_have_voc_s_names(voc, read):
    images, found, notes = read("pascal_voc", voc)
    assert (images, notes) == (["2007_000032.jpg", "2007_000039.jpg"], [])
    assert [label for _, label, _, _ in found] == ["person", "aeroplane"] * 2
    assert np.array_equal(found[0][3], box(4, 5, 14, 15))
    assert np.array_equal(found[1][3], box(15, 5, 20, 15))


def test_a_list_of_images(voc, read):
    images, found, _ = read("pascal_voc", voc, split="train")
    assert (images, len(found)) == (["2007_000039.jpg"], 2)


def test_without_pictures_of_classes_the_xml_names_the_objects_in_order(voc, read):
    for path in (voc / "SegmentationClass").iterdir():
        path.unlink()
        (voc / "Annotations" / f"{path.stem}.xml").write_text(XML)
    assert [label for _, label, _, _ in read("pascal_voc", voc, split="train")[1]] == ["owl", "ape"]
    (voc / "SegmentationClass").rmdir()
    assert [label for _, label, _, _ in read("pascal_voc", voc, split="train")[1]] == ["owl", "ape"]


def test_own_classes_are_the_lines_of_a_file(voc, read, refuses):
    names = ["__ignore__", "_background_", *(f"class {i}" for i in range(1, 16))]
    (voc / "class_names.txt").write_text("\n".join(names) + "\n")
    assert [label for _, label, _, _ in read("pascal_voc", voc)[1]] == ["class 15", "class 1"] * 2
    (voc / "class_names.txt").write_text("owl\nape\n")
    refuses(("class_names.txt: the first class is not the background", "write _background_ before"), "pascal_voc", voc)
    (voc / "class_names.txt").write_text("_background_\nowl\n")
    refuses(("2007_000032.png: object 1: class 15 of SegmentationClass is not one of 1 ... 1", "class_names.txt"), "pascal_voc", voc)
    (voc / "class_names.txt").write_text("_background_\n\nowl\n")
    refuses(("class_names.txt: line 2 is blank", "name it, or take it out"), "pascal_voc", voc)
    (voc / "class_names.txt").write_bytes(b"\xff\xfe")
    refuses(("class_names.txt: no text", "write it as UTF-8"), "pascal_voc", voc)


def test_an_object_of_two_classes_is_of_the_one_of_most_pixels_and_told(voc, read):
    classes = numbers()
    classes[classes == 1] = 7
    classes[5:7, 4:14] = 8
    classes[classes == 2] = 3
    path = voc / "SegmentationObject" / "2007_000039.png"
    write_palette_png(voc / "SegmentationClass" / "2007_000039.png", classes)
    _, found, notes = read("pascal_voc", voc, split="train")
    assert [label for _, label, _, _ in found] == ["car", "bird"]
    assert notes == [f"{path}: object 1: taken as car, though 20 of its 100 pixels are of other classes"]


def test_bad_classes_are_errors_that_name_the_object(voc, refuses):
    path = voc / "SegmentationClass" / "2007_000039.png"
    write_palette_png(path, np.zeros((20, 30)))
    words = ("2007_000039.png: object 1: no pixel of it has a class in SegmentationClass", "correct one of the two pictures")
    refuses(words, "pascal_voc", voc, split="train")
    write_palette_png(path, numbers() % 255 * 21)
    refuses(("object 1: class 21 of SegmentationClass is not one of 1 ... 20", "name the classes"), "pascal_voc", voc, split="train")
    write_palette_png(path, np.zeros((20, 10)))
    refuses((f"{path}: the file is 20 x 10", "annotations say 20 x 30"), "pascal_voc", voc, split="train")
    path.unlink()
    refuses(("2007_000039.png: neither SegmentationClass", "2007_000039.xml; one tells the classes"), "pascal_voc", voc, split="train")
    xml = voc / "Annotations" / "2007_000039.xml"
    for text, fault in (("<annotation>", "not XML"), ("", "not XML")):
        xml.write_text(text)
        refuses((f"{xml}: {fault}", "export or download it again"), "pascal_voc", voc, split="train")
    for text in ("<annotation><object><name>owl</name></object></annotation>", XML.replace("ape", " ")):
        xml.write_text(text)
        refuses(("2007_000039.png: object 2: ", "none of this number with a name", "correct it"), "pascal_voc", voc, split="train")


def test_pictures_of_colours_are_refused(voc, refuses):
    path = write_png(voc / "SegmentationObject" / "2007_000039.png", np.full((20, 30, 3), [0, 0, 128], np.uint8))
    refuses((f"{path}: pixels of Pillow mode RGB are no labels", "grey values or with a palette"), "pascal_voc", voc, split="train")


def test_an_image_of_another_size_is_an_error(voc, refuses):
    image = write_png(voc / "JPEGImages" / "2007_000039.jpg", np.zeros((10, 30, 3), np.uint8))
    words = ("SegmentationObject/2007_000039.png: the mask is 20 x 30", f"its image {image} 10 x 30", "put back the image")
    refuses(words, "pascal_voc", voc, split="train")


def test_what_is_missing_is_an_error(voc, refuses):
    refuses(("val.txt: no such list of images", "by --split"), "pascal_voc", voc, split="val")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("../../secret\n")
    refuses(("secret.png: no such file", "take ../../secret from the list val"), "pascal_voc", voc, split="val")
    (voc / "JPEGImages" / "2007_000039.jpg").unlink()
    words = ("2007_000039.png: its image", "JPEGImages/2007_000039 with .jpg", "restore it, or remove this file")
    refuses(words, "pascal_voc", voc, split="train")
    refuses(("SegmentationObject: no such folder", "docs/data.md"), "pascal_voc", voc / "JPEGImages")


def test_entities_in_xml_do_not_grow(voc, refuses):
    (voc / "SegmentationClass" / "2007_000039.png").unlink()
    levels = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    (voc / "Annotations" / "2007_000039.xml").write_text(
        f'<!DOCTYPE x [<!ENTITY l0 "lol">{levels}]><annotation><object><name>&l11;</name></object></annotation>'
    )
    refuses(("2007_000039.xml: not XML", "export or download it again"), "pascal_voc", voc, split="train")
