import copy
import json
import shutil

import numpy as np
import pytest

from maskrcnn_jax.data.formats import coco_document, read_format
from tests.data.formats.by_hand import box

SQUARE = [4, 5, 14, 5, 14, 15, 4, 15]
DOCUMENT = {
    "info": {"year": 2026},
    "licenses": [{"id": 4, "name": "CC BY"}],
    "images": [
        {"id": 11, "file_name": "a.png", "height": 20, "width": 30, "license": 4},
        {"id": 5, "file_name": "b.png", "height": 20, "width": 30},
    ],
    "categories": [{"id": 7, "name": "kite", "supercategory": "toy"}, {"id": 3, "name": "boat"}],
    "annotations": [
        {"id": 0, "image_id": 11, "category_id": 7, "segmentation": [SQUARE], "iscrowd": 0, "bbox": [4, 5, 10, 9.5], "area": 99.5},
        {"id": 9, "image_id": 5, "category_id": 3, "segmentation": {"size": [20, 30], "counts": [85, 10, 505]}, "iscrowd": 1, "score": 0.5},
    ],
}
COMPRESSED = {"size": [20, 30], "counts": "e2:i?"}  # 85 = 21 + 2 * 32, 10, 505 = 25 + 15 * 32


@pytest.fixture
def write(folder):
    def write_(document, name="instances.json"):
        path = folder / name
        path.write_text(json.dumps(document))
        return path

    return write_


def spoil(change):
    document = copy.deepcopy(DOCUMENT)
    change(document)
    return document


def test_ids_boxes_areas_and_further_fields_are_kept(write):
    document, notes = coco_document(read_format("coco", write(DOCUMENT)))
    assert notes == []
    assert {key: document[key] for key in ("info", "licenses", "images")} == {key: DOCUMENT[key] for key in ("info", "licenses", "images")}
    assert document["categories"] == sorted(DOCUMENT["categories"], key=lambda row: row["id"])
    computed = {"bbox": [4, 5, 1, 10], "area": 10}
    assert document["annotations"] == [DOCUMENT["annotations"][0], DOCUMENT["annotations"][1] | computed]


def test_both_kinds_of_rle(write, read):
    document = spoil(lambda d: d["annotations"].append(d["annotations"][1] | {"id": 10, "segmentation": COMPRESSED, "iscrowd": 0}))
    _, found, _ = read("coco", write(document))
    assert [(name, label, crowd) for name, label, crowd, _ in found] == [
        ("a.png", "kite", False),
        ("b.png", "boat", True),
        ("b.png", "boat", False),
    ]
    assert np.array_equal(found[0][3], box(4, 5, 14, 15))
    for *_, mask in found[1:]:
        assert np.array_equal(mask, box(4, 5, 5, 15))


def test_objects_without_a_pixel_are_left_out_and_told(write, read):
    thin = [[4, 5, 14, 5, 9, 5], [4.1, 5.1, 4.2, 5.1, 4.2, 5.2, 4.1, 5.2]]
    rows = [{"id": 70 + i, "image_id": 5, "category_id": 3, "segmentation": [polygon]} for i, polygon in enumerate(thin)]
    path = write(spoil(lambda d: d["annotations"].extend(rows)))
    _, found, notes = read("coco", path)
    assert len(found) == 2
    assert notes == [
        f"{path}: image id 5, annotation id 70: a segmentation without area, left out; remove the annotation",
        f"{path}: image id 5, annotation id 71: left out: it covers no pixel",
    ]


def test_a_box_or_area_that_says_nothing_is_computed(write):
    path = write(spoil(lambda d: d["annotations"][0].update(bbox=None, area=None)))
    row = coco_document(read_format("coco", path))[0]["annotations"][0]
    assert (row["bbox"], row["area"]) == ([4, 5, 10, 10], 100)


BAD = {
    "unknown category": (lambda d: d["annotations"][0].update(category_id=4), ("annotation id 0", "unknown category id 4")),
    "outside": (lambda d: d["annotations"][0].update(segmentation=[[31, 1, 35, 1, 35, 5]]), ("annotation id 0", "outside the image")),
    "RLE": (lambda d: d["annotations"][1]["segmentation"].update(size=[30, 20]), ("annotation id 9", "RLE of size [30, 20]")),
    "escape": (lambda d: d["images"][0].update(file_name="../a.png"), ("image id 11", "leaves the image folder", "relative to")),
    "missing": (lambda d: d["images"][0].update(file_name="c.png"), ("1 of 2 image files are not in", "c.png (image id 11)", "--images")),
    "one file twice": (lambda d: d["images"][0].update(file_name="b.png"), ("image 'b.png' occurs twice", "list each image once")),
    "one name twice": (lambda d: d["categories"][0].update(name="boat"), ("class 'boat' occurs twice", "a name of its own")),
    "empty": (lambda d: d["images"].clear() or d["annotations"].clear(), ("dataset is empty", "check that this is the file")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error_that_names_file_and_ids(write, refuses, name):
    change, words = BAD[name]
    refuses(words, "coco", write(spoil(change)))


def test_the_image_folder_may_be_another(write, folder, read, refuses):
    path = write(DOCUMENT)
    (folder / "elsewhere").mkdir()
    shutil.move(path, folder / "elsewhere")
    assert len(read("coco", folder / "elsewhere" / "instances.json", images=folder)[1]) == 2
    refuses(("2 of 2 image files are not in", "elsewhere", "--images"), "coco", folder / "elsewhere" / "instances.json")


LISTS = {"neg_category_ids": [], "not_exhaustive_category_ids": [3]}


def lvis(change=lambda d: None):
    """The document as LVIS has it."""

    def changed(document):
        for image, split in zip(document["images"], ("train2017", "val2017"), strict=True):
            url = f"http://images.cocodataset.org/{split}/{image.pop('file_name')}"
            image |= {"coco_url": url, **LISTS}
        document["categories"][0] |= {"frequency": "r", "synset": "kite.n.01"}
        document["categories"][1] |= {"frequency": "f"}
        document["annotations"][1]["iscrowd"] = 0
        change(document)

    return spoil(changed)


@pytest.fixture
def splits(folder):
    for split, name in (("train2017", "a.png"), ("val2017", "b.png")):
        (folder / split).mkdir()
        (folder / name).rename(folder / split / name)


def test_lvis_keeps_its_lists_and_takes_names_from_urls(write, splits):
    document, _ = coco_document(read_format("lvis", write(lvis())))
    assert [row["file_name"] for row in document["images"]] == ["train2017/a.png", "val2017/b.png"]
    assert [(row["neg_category_ids"], row["not_exhaustive_category_ids"]) for row in document["images"]] == [([], [3])] * 2
    assert document["categories"][1] == {"id": 7, "name": "kite", "supercategory": "toy", "frequency": "r", "synset": "kite.n.01"}


def test_lvis_of_old_versions_has_file_names(write, folder, read):
    def renamed(document):
        for row, name in zip(document["images"], ("a.png", "b.png"), strict=True):
            row["file_name"] = name
            del row["coco_url"]

    assert read("lvis", write(lvis(renamed)))[0] == ["a.png", "b.png"]


BAD_LVIS = {
    "no lists": (lambda d: [row.pop(key) for row in d["images"] for key in LISTS], ("no image has LVIS's lists", "as coco")),
    "no list": (
        lambda d: d["images"][1].pop("neg_category_ids"),
        ("image id 5: neg_category_ids is None, no list", "give it to every image"),
    ),
    "unknown": (
        lambda d: d["images"][0].update(not_exhaustive_category_ids=[3, 4]),
        ("image id 11: not_exhaustive_category_ids has 4", "correct it"),
    ),
    "text": (lambda d: d["images"][0].update(neg_category_ids=["3"]), ("neg_category_ids has '3'",)),
    "no name": (lambda d: d["images"][0].pop("coco_url"), ("image id 11: neither `file_name` nor a `coco_url`", "add `file_name`")),
    "short url": (lambda d: d["images"][0].update(coco_url="a.png"), ("image id 11: neither `file_name` nor a `coco_url`",)),
    "no file": (lambda d: d["images"][0].update(coco_url="http://x/train2017/"), ("image id 11: neither `file_name`",)),
    "escape": (lambda d: d["images"][0].update(coco_url="http://x/../a.png"), ("image id 11", "leaves the image folder")),
    "missing": (lambda d: d["images"][0].update(coco_url="http://x/val2017/a.png"), ("val2017/a.png (image id 11)", "--images")),
}


@pytest.mark.parametrize("name", BAD_LVIS)
def test_bad_lvis_is_an_error_that_names_file_and_ids(write, splits, refuses, name):
    change, words = BAD_LVIS[name]
    refuses(("instances.json", *words), "lvis", write(lvis(change)))
