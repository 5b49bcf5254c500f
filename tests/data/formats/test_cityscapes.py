import numpy as np
import pytest

from maskrcnn_jax.data.formats import coco_document, read_format
from tests.data.formats.by_hand import box
from tests.data.formats.written import write_png

STEM = "aachen_000000_000019"


def ids():
    """Road, two cars, a group of people, a caravan, a rider, a licence plate."""
    values = np.full((20, 30), 7, np.uint16)
    values[5:15, 4:14] = 26000
    values[5:15, 14:20] = 26001
    values[1:3, 20:29] = 24
    values[16:19, 1:5] = 29000
    values[16:19, 6:9] = 25003
    values[16:19, 12:14] = 65535
    return values


@pytest.fixture
def root(tmp_path):
    write_png(tmp_path / "leftImg8bit" / "train" / "aachen" / f"{STEM}_leftImg8bit.png", np.zeros((20, 30, 3), np.uint8))
    write_png(tmp_path / "gtFine" / "train" / "aachen" / f"{STEM}_gtFine_instanceIds.png", ids())
    return tmp_path


def test_instances_groups_and_what_is_not_measured(root, read):
    images, found, notes = read("cityscapes", root)
    assert images == [f"train/aachen/{STEM}_leftImg8bit.png"]
    assert [(label, crowd) for _, label, crowd, _ in found] == [("person", True), ("rider", False), ("car", False), ("car", False)]
    for (*_, mask), expected in zip(found, (box(20, 1, 29, 3), box(6, 16, 9, 19), box(4, 5, 14, 15), box(14, 5, 20, 15)), strict=True):
        assert np.array_equal(mask, expected)
    path = root / "gtFine" / "train" / "aachen" / f"{STEM}_gtFine_instanceIds.png"
    assert notes == [f"{path}: id 29000: left out: a caravan, which the benchmark does not measure"]


def test_the_eight_classes_keep_their_ids(root):
    rows = coco_document(read_format("cityscapes", root))[0]["categories"]
    assert {row["id"]: row["name"] for row in rows} == {
        24: "person",
        25: "rider",
        26: "car",
        27: "truck",
        28: "bus",
        31: "train",
        32: "motorcycle",
        33: "bicycle",
    }


@pytest.mark.parametrize("value", [34, 999, 7001, 34000, 1000])
def test_an_unknown_id_is_an_error(root, refuses, value):
    values = ids()
    values[0, 0] = value
    write_png(root / "gtFine" / "train" / "aachen" / f"{STEM}_gtFine_instanceIds.png", values)
    refuses((f"_gtFine_instanceIds.png: id {value}: no label of Cityscapes", "as they are published"), "cityscapes", root)


def test_splits(root, read, refuses):
    (root / "gtFine" / "val").mkdir()
    assert len(read("cityscapes", root, split="train")[1]) == 4
    refuses(("gtFine: has the folders ['train', 'val']", "name one by --split"), "cityscapes", root)
    refuses(("gtFine/test: no such folder; --split is one of ['train', 'val']",), "cityscapes", root, split="test")
    refuses(("no images of the dataset found", "docs/data.md"), "cityscapes", root, split="val")
    refuses(("has the folders []",), "cityscapes", root / "gtFine")


def test_bad_pictures_are_errors_that_name_them(root, refuses):
    image = root / "leftImg8bit" / "train" / "aachen" / f"{STEM}_leftImg8bit.png"
    write_png(image, np.zeros((10, 30, 3), np.uint8))
    refuses((f"{STEM}_gtFine_instanceIds.png: the mask is 20 x 30", f"its image {image} 10 x 30"), "cityscapes", root)
    image.unlink()
    refuses((f"{image}: no such image file", "restore it"), "cityscapes", root)
    write_png(image, np.zeros((20, 30, 3), np.uint8))
    path = write_png(root / "gtFine" / "train" / "aachen" / f"{STEM}_gtFine_instanceIds.png", np.zeros((20, 30, 3), np.uint8))
    refuses((f"{path}: pixels of Pillow mode RGB are no labels", "grey values"), "cityscapes", root)
