import json
import os
from pathlib import Path

import pytest

from maskrcnn_jax.data import DataError, read_coco_json
from maskrcnn_jax.data.formats import (
    ImportedCategory,
    ImportedDataset,
    ImportedImage,
    ImportedObject,
    coco_document,
    read_format,
    write_coco,
)

SQUARE = [4, 5, 14, 5, 14, 15, 4, 15]


def dataset(*objects, **fields):
    images = (ImportedImage("a.png", (20, 30), objects), ImportedImage("below/b.png", (20, 30), ()))
    return ImportedDataset(Path("via.json"), Path("images"), (ImportedCategory("boat"), ImportedCategory("kite")), images)._replace(
        **fields
    )


def found(label="kite", segmentation=None, **fields):
    return ImportedObject("via.json: region 3", label, segmentation or [SQUARE], **fields)


def test_rows_are_numbered_from_1_in_their_order(tmp_path):
    path = tmp_path / "out.json"
    written = write_coco(path, dataset(found(), found("boat", crowd=True), notes=("x",)))
    assert written == (2, 2, 2, ("x",))
    assert json.loads(path.read_text()) == {
        "images": [
            {"id": 1, "file_name": "a.png", "height": 20, "width": 30},
            {"id": 2, "file_name": "below/b.png", "height": 20, "width": 30},
        ],
        "categories": [{"id": 1, "name": "boat"}, {"id": 2, "name": "kite"}],
        "annotations": [
            {
                "id": i,
                "image_id": 1,
                "category_id": category,
                "segmentation": [SQUARE],
                "bbox": [4, 5, 10, 10],
                "area": 100,
                "iscrowd": crowd,
            }
            for i, category, crowd in ((1, 2, 0), (2, 1, 1))
        ],
    }
    assert len(read_coco_json(path).objects[0]) == 2


def test_a_part_without_corners_is_left_out_and_told():
    document, notes = coco_document(dataset(found(segmentation=[[1, 2], SQUARE])))
    assert document["annotations"][0]["segmentation"] == [SQUARE]
    assert notes == ["via.json: region 3: 1 of 2 polygons left out: fewer than 3 points"]


def test_what_a_reader_may_not_give_is_an_error_that_names_it():
    image = dataset().images[0]
    cases = {
        ("via.json: region 3: class 'owl' is not one of boat, kite", "--labels"): dataset(found("owl")),
        ("via.json: region 3: ", "far outside", "pixels of this image"): dataset(found(segmentation=[[0, 0, 900, 0, 900, 9]])),
        ("class 'caf\\udce9' is no Unicode text", "rename it in UTF-8"): dataset(categories=(ImportedCategory("caf\udce9"),)),
        ("via.json: region 3: RLE of size", "at the image's size"): dataset(found(segmentation={"size": [3, 3], "counts": [9]})),
        ("via.json: '../a.png' leaves the image folder images", "--images"): dataset(images=(image._replace(file_name="../a.png"),)),
        ("via.json: image 'a.png' occurs twice", "list each image once"): dataset(images=(image, image)),
        ("via.json: class 'x' occurs twice", "a name of its own"): dataset(categories=(ImportedCategory("x"), ImportedCategory("x"))),
        ("no images of the dataset found", "check the path"): dataset(images=()),
        ("no object has a class", "--labels"): dataset(categories=()),
    }
    for words, case in cases.items():
        with pytest.raises(DataError) as error:
            coco_document(case)
        for word in words:
            assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("out.txt", ("out.txt: the dataset is written as COCO JSON", "ends with .json")),
        ("there.json", ("there.json: exists already and would be overwritten", "give another name")),
        ("gone/out.json", ("out.json: its folder does not exist", "make it first")),
    ],
)
def test_where_nothing_may_be_written_is_an_error(tmp_path, name, words):
    (tmp_path / "there.json").write_text("mine")
    with pytest.raises(DataError) as error:
        write_coco(tmp_path / name, dataset())
    for word in words:
        assert word in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["there.json"]
    assert (tmp_path / "there.json").read_text() == "mine"


@pytest.mark.parametrize("broken", ["write_text", "rename"])
def test_nothing_half_written_is_left(tmp_path, monkeypatch, broken):
    def fill_the_disk(self, *arguments, **options):
        if broken == "write_text":
            with open(self, "w") as file:
                file.write('{"images"')
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, broken, fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        write_coco(tmp_path / "out.json", dataset(found()))
    assert os.listdir(tmp_path) == []


def test_options_that_a_format_has_not_are_errors(tmp_path):
    for options, words in (
        ({"split": "train"}, ("coco has no option --split", "its options are --images")),
        ({"labels": ("a",)}, ("coco has no option --labels",)),
    ):
        with pytest.raises(DataError) as error:
            read_format("coco", tmp_path, **options)
        assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("split", ["../train", "/etc", "a/b", ".."])
def test_a_split_is_no_path(tmp_path, split):
    with pytest.raises(DataError) as error:
        read_format("yolo", tmp_path, split=split)
    assert f"--split {split} is a path; give the name of a part" in str(error.value)


def test_a_source_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError) as error:
        read_format("png", tmp_path / "gone")
    assert f"{tmp_path / 'gone'}: no such file or folder; give the png data" in str(error.value)
