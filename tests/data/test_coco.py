import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_jax.data import CocoSource, DataError

H, W = 20, 30


def rle_of(mask):
    """Uncompressed RLE, by walking down the columns."""
    counts, value = [0], 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = int(pixel)
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def compressed(rle):
    packed = coco_mask.frPyObjects(rle, *rle["size"])
    return {"size": rle["size"], "counts": packed["counts"].decode()}


@pytest.fixture
def blob(rng):
    mask = np.zeros((H, W), np.uint8)
    mask[3:17, 5:28] = rng.integers(0, 2, (14, 23))
    return mask


def test_ids_become_labels_in_the_order_of_category_ids(open_coco, document):
    source = open_coco(document)
    assert [tuple(c) for c in source.categories] == [(3, "boat"), (7, "kite")]
    assert source[0].labels.tolist() == [2]
    assert source.image_ids.tolist() == [11, 5]
    assert source.sizes.tolist() == [[H, W], [H, W]]
    assert source.object_counts.tolist() == [1, 0]


def test_an_example_by_hand(open_coco, document, folder):
    example = open_coco(document)[0]
    expected = np.zeros((H, W), np.uint8)
    expected[5:15, 4:14] = 1
    assert np.array_equal(example.masks, expected[None])
    assert example.boxes.tolist() == [[4, 5, 14, 15]]
    assert example.crowd.tolist() == [False]
    assert example.image_id == 11
    assert np.array_equal(example.image, np.asarray(Image.open(folder / "first.png")))
    assert [a.dtype for a in example if isinstance(a, np.ndarray)] == [np.uint8, np.uint8, np.float32, np.int32, np.bool_]


def test_an_image_without_objects_gives_empty_arrays(open_coco, document):
    example = open_coco(document)[1]
    assert example.masks.shape == (0, H, W)
    assert example.boxes.shape == (0, 4)
    assert example.labels.shape == example.crowd.shape == (0,)


@pytest.mark.parametrize("pack", [lambda r: r, compressed])
def test_both_kinds_of_rle_and_crowds(open_coco, document, blob, pack):
    document["annotations"][0] |= {"segmentation": pack(rle_of(blob)), "iscrowd": 1}
    source = open_coco(document)
    assert np.array_equal(source[0].masks[0], blob)
    assert source[0].crowd.tolist() == [True]
    assert source.object_counts.tolist() == [0, 0]


def test_several_polygons_make_their_union(open_coco, document):
    document["annotations"][0]["segmentation"].append([20, 5, 25, 5, 25, 8, 20, 8])
    mask = open_coco(document)[0].masks[0]
    assert mask.sum() == 100 + 15
    assert mask[6, 22] == 1


def test_a_missing_bbox_is_the_masks(open_coco, document):
    del document["annotations"][0]["bbox"]
    assert open_coco(document)[0].boxes.tolist() == [[4, 5, 14, 15]]


def test_a_bbox_is_clipped_to_the_image(open_coco, document):
    document["annotations"][0]["bbox"] = [-3, 4.5, 100, 4]
    assert open_coco(document)[0].boxes.tolist() == [[0, 4.5, W, 8.5]]


def test_a_polygon_reaching_out_is_clipped(open_coco, document):
    document["annotations"][0] |= {"segmentation": [[-5, -5, 5, -5, 5, 5, -5, 5]], "bbox": [-5, -5, 10, 10]}
    assert open_coco(document)[0].masks.sum() == 25


def test_exif_rotation_follows_the_json_s_size(open_coco, document, folder):
    stored = np.asarray(Image.open(folder / "first.png"))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(folder / "first.png", exif=exif)
    assert np.array_equal(open_coco(document)[0].image, stored)
    document["images"][0] |= {"height": W, "width": H}
    assert np.array_equal(open_coco(document)[0].image, np.rot90(stored, -1))


def test_a_source_pickles(open_coco, document):
    source = open_coco(document)
    copy = pickle.loads(pickle.dumps(source))
    assert all(np.array_equal(a, b) for a, b in zip(copy[0], source[0], strict=True))


@pytest.mark.parametrize(
    "segmentation",
    [[[4, 5, 9, 5, 9, 5, 4, 5]], [[4, 5, 4, 5, 4, 5]], {"size": [H, W], "counts": [H * W]}, {"size": [H, W], "counts": [H * W, 0]}],
)
def test_objects_without_area_are_left_out_and_named(open_coco, document, segmentation, caplog):
    document["annotations"][0] |= {"segmentation": segmentation, "id": 918}
    with caplog.at_level(logging.WARNING):
        source = open_coco(document)
    assert source.object_counts.tolist() == [0, 0]
    assert len(source[0].labels) == 0
    assert "instances.json" in caplog.text
    assert "918" in caplog.text
    assert "remove them" in caplog.text


def test_objects_that_cover_no_pixel_are_left_out_and_named(open_coco, document, caplog):
    document["annotations"].append(document["annotations"][0] | {"id": 77, "segmentation": [[4.1, 5.1, 4.2, 5.1, 4.2, 5.2, 4.1, 5.2]]})
    source = open_coco(document)
    with caplog.at_level(logging.WARNING):
        example = source[0]
    assert example.masks.shape == (1, H, W)
    assert example.labels.tolist() == [2]
    assert "image id 11" in caplog.text
    assert "[77]" in caplog.text


def spoil_annotation(**fields):
    return lambda document: document["annotations"][0].update(fields)


def spoil_image(**fields):
    return lambda document: document["images"][0].update(fields)


def segmentation(value):
    return spoil_annotation(segmentation=value)


def listed(change=lambda document: None):
    """The document with LVIS's lists, changed."""

    def spoil(document):
        for row in document["images"]:
            row |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        for row in document["categories"]:
            row["frequency"] = "r"
        change(document)

    return spoil


def lists(**fields):
    return listed(spoil_image(**fields))


AT_ANNOTATION = ("image id 11", "annotation id 0")
BAD = {
    "unknown category": (spoil_annotation(category_id=4), (*AT_ANNOTATION, "unknown category id 4", "add it to `categories`")),
    "unhashable category": (spoil_annotation(category_id=[4]), (*AT_ANNOTATION, "unknown category id [4]", "correct it")),
    "unknown image": (spoil_annotation(image_id=12), ("image id 12", "annotation id 0", "add the image, or remove the annotation")),
    "iscrowd": (spoil_annotation(iscrowd=2), (*AT_ANNOTATION, "iscrowd is 2", "write 0 or 1")),
    "no polygons": (segmentation([]), (*AT_ANNOTATION, "segmentation is []", "remove the annotation")),
    "no segmentation": (segmentation(None), (*AT_ANNOTATION, "segmentation is None", "give polygons or an RLE")),
    "empty polygon": (segmentation([[]]), (*AT_ANNOTATION, "at least 3 points", "correct or remove")),
    "two points": (segmentation([[1, 1, 5, 5]]), (*AT_ANNOTATION, "at least 3 points", "correct or remove")),
    "odd coordinates": (segmentation([[1, 1, 5, 1, 5, 5, 1]]), (*AT_ANNOTATION, "at least 3 points", "correct or remove")),
    "NaN": (segmentation([[1, 1, 5, 1, 5, float("nan")]]), (*AT_ANNOTATION, "no finite number", "correct it")),
    "infinite": (segmentation([[1, 1, 5, 1, 5, float("inf")]]), (*AT_ANNOTATION, "no finite number", "correct it")),
    "huge": (segmentation([[1, 1, 5, 1, 10**400, -(10**400)]]), (*AT_ANNOTATION, "no finite number", "correct it")),
    "text": (segmentation([[1, 1, 5, 1, 5, "5"]]), (*AT_ANNOTATION, "no finite number", "correct it")),
    "outside": (segmentation([[31, 1, 35, 1, 35, 5]]), (*AT_ANNOTATION, "outside the image of 20 x 30", "pixels of this image")),
    "far outside": (segmentation([[1, 1, 1e9, 1, 5, 5]]), (*AT_ANNOTATION, "far outside the image of 20 x 30", "pixels of this image")),
    "bbox outside": (spoil_annotation(bbox=[31, 2, 4, 4]), (*AT_ANNOTATION, "outside the image of 20 x 30", "leave it out")),
    "bbox negative": (spoil_annotation(bbox=[3, 2, -4, 4]), (*AT_ANNOTATION, "negative side", "correct it")),
    "bbox NaN": (spoil_annotation(bbox=[3, 2, float("nan"), 4]), (*AT_ANNOTATION, "finite numbers", "leave it out")),
    "bbox beyond float32": (spoil_annotation(bbox=[-(10**400), 2, 2 * 10**400, 4]), (*AT_ANNOTATION, "finite numbers", "leave it out")),
    "bbox of 3": (spoil_annotation(bbox=[3, 2, 4]), (*AT_ANNOTATION, "finite numbers", "leave it out")),
    "area text": (spoil_annotation(area="100"), (*AT_ANNOTATION, "area '100' is no finite number", "leave it out to take the mask's")),
    "area NaN": (spoil_annotation(area=float("nan")), (*AT_ANNOTATION, "area nan is no finite number", "correct it")),
    "area negative": (spoil_annotation(area=-100), (*AT_ANNOTATION, "area -100 is no finite number of pixels, 0 or more", "correct it")),
    "area beyond all": (spoil_annotation(area=10**400), (*AT_ANNOTATION, "is no finite number of pixels", "correct it")),
    "RLE size": (segmentation({"size": [W, H], "counts": [H * W]}), (*AT_ANNOTATION, "RLE of size [30, 20]", "at the image's size")),
    "RLE size of floats": (segmentation({"size": [20.0, 30.0], "counts": [H * W]}), (*AT_ANNOTATION, "RLE of size [20.0, 30.0]")),
    "RLE sum": (segmentation({"size": [H, W], "counts": [5, 700]}), (*AT_ANNOTATION, "sum to 705", "at the image's size")),
    "RLE negative": (segmentation({"size": [H, W], "counts": [-5, H * W + 5]}), (*AT_ANNOTATION, "RLE counts", "at the image's size")),
    "RLE floats": (segmentation({"size": [H, W], "counts": [5.5, 594.5]}), (*AT_ANNOTATION, "neither integers", "encode the mask")),
    "RLE no counts": (segmentation({"size": [H, W]}), (*AT_ANNOTATION, "neither integers", "encode the mask")),
    "RLE text": (segmentation({"size": [H, W], "counts": "\x7f"}), (*AT_ANNOTATION, "neither integers", "encode the mask")),
    "RLE cut text": (segmentation({"size": [H, W], "counts": "hP"}), (*AT_ANNOTATION, "neither integers", "encode the mask")),
    "RLE long text": (segmentation({"size": [H, W], "counts": "P" * 20 + "0"}), (*AT_ANNOTATION, "neither integers", "encode the mask")),
    "RLE other text": (segmentation({"size": [H, W], "counts": "52"}), (*AT_ANNOTATION, "sum to 7", "at the image's size")),
    "duplicate annotation": (
        lambda d: d["annotations"].append(dict(d["annotations"][0])),
        ("annotation id 0 occurs twice", "an id of its own"),
    ),
    "duplicate image": (spoil_image(id=5), ("image id 5 occurs twice", "an id of its own")),
    "duplicate category": (lambda d: d["categories"][0].update(id=3), ("category id 3 occurs twice", "an id of its own")),
    "category name": (lambda d: d["categories"][0].pop("name"), ("category id 7", "name it")),
    "id text": (spoil_image(id="11"), ("`images`[0] has no integer `id`", "number the rows of `images`")),
    "id beyond 64 bits": (spoil_image(id=2**63), ("`images`[0] has no integer `id` of 64 bits: {'id': 9223372036854775808", "number the")),
    "row no object": (lambda d: d["images"].append(3), ("] has no integer `id` of 64 bits: 3", "number the rows of `images`")),
    "no size": (lambda d: d["images"][0].pop("height"), ("image id 11", "height None", "write the image's size")),
    "size 0": (spoil_image(width=0), ("image id 11", "width 0", "positive integers", "write the image's size")),
    "size beyond masks": (spoil_image(height=10**30), ("image id 11", "more than a mask can have", "write the image's size")),
    "side beyond drawing": (spoil_image(height=1, width=2**20 + 1), ("image id 11", "1 x 1048577 pixels", "more than a mask can have")),
    "no file name": (lambda d: d["images"][0].pop("file_name"), ("image id 11", "no `file_name`", "add it")),
    "escape": (spoil_image(file_name="a/../../secret.png"), ("image id 11", "leaves the image folder", "relative to that folder")),
    "long name": (spoil_image(file_name="x" * 1001), ("image id 11", "has 1001 characters", "correct it")),
    "absolute": (spoil_image(file_name="/etc/passwd"), ("image id 11", "leaves the image folder", "relative to that folder")),
    "empty dataset": (lambda d: d["images"].clear() or d["annotations"].clear(), ("dataset is empty", "check that this is the file")),
    "no categories": (lambda d: d["categories"].clear(), ("no categories", "list the classes")),
    "one list": (
        listed(lambda d: d["images"][0].pop("not_exhaustive_category_ids")),
        ("image id 11", "not_exhaustive_category_ids is None, no list", "empty where nothing is known, or to none"),
    ),
    "list text": (lists(neg_category_ids="3"), ("image id 11", "neg_category_ids is '3', no list", "empty where nothing is known")),
    "listed unknown": (lists(not_exhaustive_category_ids=[7, 4]), ("image id 11", "not_exhaustive_category_ids has 4", "correct it")),
    "listed text": (lists(neg_category_ids=["3"]), ("image id 11", "neg_category_ids has '3'", "correct it")),
    "negative and there": (
        lists(neg_category_ids=[3, 7]),
        ("image id 11", "neg_category_ids has 7, and an object", "take it off the list"),
    ),
    "no frequency": (listed(lambda d: d["categories"][0].pop("frequency")), ("category id 7", "frequency None", "up to 10 images r")),
    "frequency": (listed(lambda d: d["categories"][1].update(frequency="rare")), ("category id 3", "frequency 'rare'", "write how")),
    "crowd": (listed(spoil_annotation(iscrowd=1)), (*AT_ANNOTATION, "a crowd", "list its category in not_exhaustive_category_ids")),
    "missing key": (lambda d: d.pop("annotations"), ("no list `annotations`", "give a COCO instances file")),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_json_is_an_error_with_file_ids_and_remedy(open_coco, document, name):
    spoil, words = BAD[name]
    spoil(document)
    with pytest.raises(DataError) as error:
        open_coco(document)
    for word in ("instances.json", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    "spoil",
    [
        spoil_annotation(category_id=["x" * 5000]),
        spoil_annotation(image_id="x" * 5000),
        spoil_annotation(iscrowd="x" * 5000),
        spoil_annotation(bbox=[10**4000, 0, 1, 1]),
        segmentation({"size": "x" * 5000, "counts": []}),
        spoil_image(file_name="../" + "x" * 5000),
        spoil_image(file_name="x" * 5000),
        spoil_image(height="x" * 5000),
        spoil_image(height=10**4000),
    ],
)
def test_a_message_does_not_repeat_all_of_a_long_value(open_coco, document, spoil):
    spoil(document)
    with pytest.raises(DataError) as error:
        open_coco(document)
    assert len(str(error.value)) < 800


def test_a_list_instead_of_a_document_is_an_error(open_coco):
    with pytest.raises(DataError) as error:
        open_coco([])
    assert "give a COCO instances file" in str(error.value)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\xfd"])
def test_invalid_json_is_an_error_with_the_remedy(folder, content):
    (folder / "bad.json").write_bytes(content)
    with pytest.raises(DataError) as error:
        CocoSource(folder / "bad.json", folder)
    assert "bad.json: not JSON" in str(error.value)
    assert "export or download it again" in str(error.value)


def test_a_missing_json_or_folder_is_an_error_with_the_remedy(open_coco, document, folder):
    with pytest.raises(DataError) as error:
        CocoSource(folder / "gone.json", folder)
    assert "gone.json: no such annotation file" in str(error.value)
    assert "check the path" in str(error.value)
    with pytest.raises(DataError) as error:
        CocoSource(open_coco(document).annotation_file, folder / "gone")
    assert "gone: no such image folder" in str(error.value)
    assert "check the path" in str(error.value)


@pytest.fixture
def many(document, folder):
    """The document with 20 more images, of which none is there, in a folder below, of which none is there either."""
    rows = [{"id": 100 + i, "file_name": f"below/{i}.png", "height": H, "width": W} for i in range(20)]
    document["images"] += rows
    return document


def test_missing_image_files_are_an_error_when_opened(open_coco, many, folder):
    with pytest.raises(DataError) as error:
        open_coco(many)
    message = str(error.value)
    assert f"{folder / 'instances.json'}: 20 of 22 image files are not in {folder}: below/0.png (image id 100), below/1.png" in message
    assert "below/7.png (image id 107), ... and 12 more; give the folder that file names are relative to" in message
    assert "restore the files, or remove these images from the annotations" in message


def test_every_image_file_is_looked_for_in_its_own_folder(open_coco, many, folder):
    (folder / "below").mkdir()
    for i in range(19):
        (folder / "below" / f"{i}.png").touch()
    (folder / "19.png").touch()
    with pytest.raises(DataError) as error:
        open_coco(many)
    assert f"1 of 22 image files are not in {folder}: below/19.png (image id 119); give" in str(error.value)
    (folder / "19.png").rename(folder / "below" / "19.png")
    assert len(open_coco(many)) == 22


def test_image_files_of_a_folder_that_cannot_be_listed_are_asked_for_one_by_one(open_coco, document, folder, monkeypatch):
    def denied(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", denied)
    assert len(open_coco(document)) == 2
    (folder / "second.png").unlink()
    with pytest.raises(DataError) as error:
        open_coco(document)
    assert "1 of 2 image files" in str(error.value)
    assert "second.png (image id 5)" in str(error.value)


def test_a_file_is_asked_for_only_where_its_folder_does_not_list_it(open_coco, document, folder, monkeypatch):
    document["images"][1]["file_name"] = "SECOND.png"  # which some file systems take for second.png
    monkeypatch.setattr("os.path.exists", lambda path: Path(path).name == "SECOND.png")
    assert len(open_coco(document)) == 2


def test_a_missing_image_is_an_error_when_read(open_coco, document, folder):
    source = open_coco(document)
    (folder / "first.png").unlink()
    with pytest.raises(DataError) as error:
        source[0]
    for word in ("instances.json", "image id 11", "first.png", "no such image file", "restore it"):
        assert word in str(error.value)


def test_a_truncated_image_is_an_error_when_read(open_coco, document, folder):
    source = open_coco(document)
    content = (folder / "first.png").read_bytes()
    (folder / "first.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError) as error:
        source[0]
    for word in ("instances.json", "image id 11", "first.png", "truncated", "replace the file"):
        assert word in str(error.value)


def test_an_image_of_another_size_is_an_error_when_read(open_coco, document):
    document["images"][0]["height"] = H + 1
    document["annotations"].clear()
    source = open_coco(document)
    with pytest.raises(DataError) as error:
        source[0]
    for word in ("instances.json", "image id 11", "20 x 30", "21 x 30", "correct height and width"):
        assert word in str(error.value)


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_is_an_index_error(open_coco, document, index):
    with pytest.raises(IndexError) as error:
        open_coco(document)[index]
    assert f"index {index} of 2" in str(error.value)


SHORT = {
    "unknown category": "unknown-category",
    "unknown image": "unknown-image",
    "iscrowd": "iscrowd",
    "bbox NaN": "bbox",
    "NaN": "segmentation",
    "listed unknown": "class-lists",
    "crowd": "class-lists",
    "frequency": "frequency",
}


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("missing key", "empty dataset", "no categories")])
def test_a_listener_hears_of_the_fault_that_would_be_raised_and_the_rest_is_read(open_coco, document, folder, name):
    spoil, _ = BAD[name]
    spoil(document)
    with pytest.raises(DataError) as error:
        open_coco(document)
    heard = []
    source = CocoSource(folder / "instances.json", folder, tell=heard.append)
    assert heard[0].message == str(error.value)
    orphaned = name in ("duplicate image", "duplicate category", "id text", "id beyond 64 bits")  # whose annotation then refers to nothing
    assert len(heard) == 1 + orphaned
    assert not heard[0].left_out
    assert heard[0].kind == SHORT.get(name, heard[0].kind)
    assert len(source) >= 1
    assert all(len(source[i].labels) == len(source.objects(i)) for i in range(len(source)))


def test_lists_of_classes_are_kept_and_told_of(open_coco, document):
    assert not open_coco(document).federated
    lists(neg_category_ids=[3], not_exhaustive_category_ids=[7])(document)
    source = open_coco(document)
    assert source.federated
    assert source[0].labels.tolist() == [2]


def test_all_faults_of_a_file_and_of_an_annotation_are_told(document, folder, open_coco):
    document["annotations"][0] |= {"category_id": 4, "bbox": [1], "segmentation": []}
    document["annotations"].append({"id": 5, "image_id": 5, "category_id": 3, "segmentation": [[1, 1, 9, 1, 9, 1]]})
    document["annotations"].append({"id": 6, "image_id": 6, "category_id": 3, "segmentation": [[1, 1, 9, 1, 9, 1]]})
    document["images"][1]["file_name"] = "gone.png"
    (folder / "instances.json").write_text(json.dumps(document))
    heard = []
    CocoSource(folder / "instances.json", folder, tell=heard.append)
    assert [(fault.kind, fault.image_id, fault.annotation_id, fault.left_out) for fault in heard] == [
        ("unknown-category", 11, 0, False),
        ("bbox", 11, 0, False),
        ("segmentation", 11, 0, False),
        ("no-area", 5, 5, True),
        ("unknown-image", 6, 6, False),
        ("missing-file", 5, None, False),
    ]


def test_annotations_of_an_image_at_fault_are_not_called_orphans(document, folder):
    del document["images"][0]["height"]
    (folder / "instances.json").write_text(json.dumps(document))
    heard = []
    source = CocoSource(folder / "instances.json", folder, tell=heard.append)
    assert [(fault.kind, fault.image_id) for fault in heard] == [("image-row", 11)]
    assert source.image_ids.tolist() == [5]


def test_a_name_that_is_no_text_is_told_and_shown_in_part(document, folder):
    document["categories"][0]["name"] = ["x" * 5000]
    (folder / "instances.json").write_text(json.dumps(document))
    heard = []
    source = CocoSource(folder / "instances.json", folder, tell=heard.append)
    assert [fault.kind for fault in heard] == ["category-row"]
    assert source.categories[1].id == 7
    assert source.categories[1].name.startswith("['xxx")
    assert len(source.categories[1].name) == 40
