import copy
import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.data.formats.by_hand import box, disc
from tests.data.formats.written import iou

# Matterport's balloon dataset: VIA 1, regions in a dict, no attributes.
BALLOON = {
    "a.png1234": {
        "fileref": "",
        "size": 1234,
        "filename": "a.png",
        "base64_img_data": "",
        "file_attributes": {},
        "regions": {
            "0": {
                "shape_attributes": {"name": "polygon", "all_points_x": [4, 14, 14, 4, 4], "all_points_y": [5, 5, 15, 15, 5]},
                "region_attributes": {},
            }
        },
    },
    "b.png99": {"size": 99, "filename": "b.png", "file_attributes": {}, "regions": {}},
}


def region(name, **fields):
    return {"shape_attributes": {"name": name, **fields}, "region_attributes": {"kind": "balloon"}}


@pytest.fixture
def write(folder):
    def write_(document):
        path = folder / "via.json"
        path.write_text(json.dumps(document))
        return path

    return write_


@pytest.fixture
def draw(write):
    """A VIA 2 export of `a.png` with these regions."""
    return lambda *regions: write({"a.png7": {"filename": "a.png", "size": 7, "regions": list(regions), "file_attributes": {}}})


def test_matterport_s_balloons(write, read):
    images, ((image, label, crowd, mask),), notes = read("via", write(BALLOON), labels=("balloon",))
    assert (images, image, label, crowd, notes) == (["a.png", "b.png"], "a.png", "balloon", False, [])
    assert np.array_equal(mask, box(4, 5, 14, 15))


def test_a_project_and_its_export_are_read_alike(write, read):
    for document in (BALLOON, {"_via_settings": {"ui": {}}, "_via_img_metadata": BALLOON, "_via_attributes": {}}):
        assert len(read("via", write(document), labels=("balloon",))[1]) == 1


def test_shapes(draw, read):
    regions = [
        region("rect", x=2, y=3, width=10, height=4),
        region("polyline", all_points_x=[1, 9, 9, 1], all_points_y=[10, 10, 18, 18]),
        region("circle", cx=20, cy=10, r=6),
        region("ellipse", cx=15, cy=10, rx=12, ry=5),
        region("ellipse", cx=15, cy=10, rx=9, ry=4, theta=math.pi / 2),
    ]
    _, found, notes = read("via", draw(*regions))
    masks = [mask for *_, mask in found]
    assert notes == []
    assert np.array_equal(masks[0], box(2, 3, 12, 7))
    assert np.array_equal(masks[1], box(1, 10, 9, 18))
    # An outline drawn to a fifth of a pixel: half of 0.2 * circumference of the area, see test_outlines.
    assert iou(masks[2], disc(20, 10, 6, 6)) > 0.95
    assert iou(masks[3], disc(15, 10, 12, 5)) > 0.95
    assert iou(masks[4], disc(15, 10, 4, 9)) > 0.95


def test_the_size_is_that_of_the_image_as_a_browser_turns_it(draw, read, folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(folder / "a.png", exif=exif)
    _, ((*_, mask),), _ = read("via", draw(region("rect", x=2, y=22, width=10, height=4)))
    assert np.array_equal(mask, box(2, 22, 12, 26, shape=(30, 20)))


def test_shapes_without_area_are_left_out_and_told(draw, read):
    regions = [
        region("point", cx=3, cy=4),
        region("rect", x=2, y=3, width=10, height=4),
        region("polygon", all_points_x=[1, 5], all_points_y=[1, 5]),
        region("circle", cx=9, cy=9, r=0),
        region("rect", x=5.1, y=5.1, width=0.1, height=0.1),
    ]
    path = draw(*regions)
    _, found, notes = read("via", path)
    assert len(found) == 1
    assert notes == [
        f"{path}: a.png, region 0: left out: a point has no area",
        f"{path}: a.png, region 2: 1 of 1 polygons left out: fewer than 3 points",
        f"{path}: a.png, region 3: left out: it covers no pixel",
        f"{path}: a.png, region 4: left out: it covers no pixel",
    ]


def test_classes_are_those_of_the_only_attribute_by_name(draw, read):
    regions = [region("rect", x=2, y=3, width=10, height=4) | {"region_attributes": {"kind": kind}} for kind in ("zebra ", "ape", "zebra")]
    _, found, _ = read("via", draw(*regions))
    assert [label for _, label, _, _ in found] == ["zebra", "ape", "zebra"]


def test_a_class_of_checkboxes_is_the_one_that_is_ticked(draw, read):
    ticked = region("rect", x=2, y=3, width=10, height=4) | {"region_attributes": {"kind": {"ape": True, "owl": False}, "note": "x"}}
    assert read("via", draw(ticked), attribute="kind")[1][0][1] == "ape"


def test_one_class_is_of_all_regions_whatever_their_attributes(draw, read):
    other = region("rect", x=2, y=3, width=10, height=4) | {"region_attributes": {"quality": "good", "by": "me"}}
    assert read("via", draw(other), labels=("balloon",))[1][0][1] == "balloon"


def spoil(change):
    document = copy.deepcopy(BALLOON)
    change(document["a.png1234"], document["a.png1234"]["regions"]["0"])
    return document


AT = ("via.json: a.png, region 0: ",)
BAD = {
    "no project": ([1], ("via.json: not a VIA 1 or 2 project", "export the annotations as JSON")),
    "VIA 3": ({"project": {}, "file": {}, "view": {}}, ("not a VIA 1 or 2 project", "of VIA 3 as COCO")),
    "COCO": ({"images": [], "annotations": []}, ("entry 'images' has no `filename`", "export the annotations from VIA")),
    "no name": (spoil(lambda entry, _: entry.pop("filename")), ("entry 'a.png1234' has no `filename`", "from VIA as JSON")),
    "regions": (spoil(lambda entry, _: entry.update(regions=3)), ("a.png: regions are neither a list nor a dict", "from VIA as JSON")),
    "region": (spoil(lambda entry, _: entry.update(regions=[3])), (*AT, "no `shape_attributes`", "from VIA as JSON")),
    "attributes": (spoil(lambda _, r: r.update(region_attributes=3)), (*AT, "no `shape_attributes`")),
    "shape": (spoil(lambda _, r: r["shape_attributes"].update(name="spiral")), (*AT, "unknown shape 'spiral'", "or remove the region")),
    "no shape": (spoil(lambda _, r: r["shape_attributes"].pop("name")), (*AT, "unknown shape None")),
    "lengths": (spoil(lambda _, r: r["shape_attributes"]["all_points_x"].pop()), (*AT, "not lists of one length", "correct them")),
    "text": (spoil(lambda _, r: r["shape_attributes"].update(all_points_x=["1"] * 5)), (*AT, "not all finite numbers", "correct them")),
    "NaN": (spoil(lambda _, r: r["shape_attributes"].update(all_points_y=[math.nan] * 5)), (*AT, "not all finite numbers")),
    "no radius": (spoil(lambda _, r: r.update(region("circle", cx=3, cy=4))), (*AT, "the circle has no r;", "correct it")),
    "radius": (spoil(lambda _, r: r.update(region("circle", cx=3, cy=4, r=-1))), (*AT, "a radius is negative", "or remove the region")),
    "angle": (spoil(lambda _, r: r.update(region("ellipse", cx=3, cy=4, rx=2, ry=2, theta=None))), (*AT, "not all finite numbers")),
    "outside": (
        spoil(lambda _, r: r.update(region("circle", cx=50, cy=4, r=5))),
        (*AT, "outside the image of 20 x 30", "pixels of this image"),
    ),
    "long name": (spoil(lambda entry, _: entry.update(filename="x" * 5000)), ("entry 'a.png1234': `filename` has 5000", "correct it")),
    "escape": (spoil(lambda entry, _: entry.update(filename="../a.png")), ("'../a.png' leaves the image folder", "by --images")),
    "absolute": (spoil(lambda entry, _: entry.update(filename="/etc/passwd")), ("'/etc/passwd' leaves the image folder", "by --images")),
    "missing": (
        spoil(lambda entry, _: entry.update(filename="gone.png")),
        ("via.json: gone.png: ", "gone.png: no such image file", "restore it"),
    ),
    "unreadable": (
        spoil(lambda entry, _: entry.update(filename="via.json")),
        ("via.json: corrupt, truncated or not an image", "replace the file"),
    ),
    "twice": (spoil(lambda entry, _: entry.update(filename="b.png")), ("image 'b.png' occurs twice", "list each image once")),
    "empty": ({}, ("no images of the dataset found", "check the path")),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_an_error_that_names_file_and_region(write, refuses, name):
    document, words = BAD[name]
    refuses(words, "via", write(document), labels=("balloon",))


@pytest.mark.parametrize(
    ("attributes", "options", "words"),
    [
        ({}, {}, ("regions have no attributes and so no class", "give the one class by --labels")),
        ({"kind": "ape", "by": "me"}, {}, ("regions have the attributes by, kind", "name the one that holds the class by --attribute")),
        ({"kind": "ape"}, {"attribute": "by"}, ("region 0: attribute 'by' names no class", "fill it in")),
        ({"kind": " "}, {}, ("region 0: attribute 'kind' names no class", "fill it in")),
        ({"kind": {"ape": True, "owl": True}}, {}, ("region 0: attribute 'kind' names no class", "with one class")),
        ({"kind": "ape"}, {"labels": ("owl", "cow")}, ("region 0: class 'ape' is not one of owl, cow", "name it by --labels")),
    ],
)
def test_a_class_that_is_not_told_is_an_error(draw, refuses, attributes, options, words):
    shape = region("rect", x=2, y=3, width=10, height=4) | {"region_attributes": attributes}
    refuses(words, "via", draw(shape), **options)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe\xfd", b"[" * 100_000])
def test_a_file_that_is_not_json_is_an_error(folder, refuses, content):
    (folder / "via.json").write_bytes(content)
    refuses(("via.json: not JSON", "export or download it again"), "via", folder / "via.json")
