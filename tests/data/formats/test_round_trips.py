"""Each format written from real annotations and imported back: the same objects, to the pixel where the format can express them."""

import json

import numpy as np
import pytest
from scipy import ndimage

from tests.data.formats.written import (
    imported,
    kept,
    linked,
    outlines,
    overlaps,
    painted,
    pictures_of,
    png_base64,
    write_json,
    write_palette_png,
    write_png,
)

# VOC's index of the classes that COCO calls the same.
SHARED = {"bicycle": 2, "bird": 3, "boat": 4, "bottle": 5, "bus": 6, "car": 7, "cat": 8, "chair": 9, "cow": 10, "dog": 12, "horse": 13}
SHARED |= {"person": 15, "sheep": 17, "train": 19}
CITYSCAPES = {"person": 24, "car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33}


@pytest.fixture(scope="session")
def coco_free(shared_data):
    pictures = pictures_of(shared_data / "coco_free", "val", 2)
    assert sum(thing.crowd for picture in pictures for thing in picture.things) >= 2
    return pictures


@pytest.fixture(scope="session")
def nuclei(shared_data):
    pictures = pictures_of(shared_data / "nuclei", "val", 12)
    assert sum(len(picture.things) for picture in pictures) > 100
    return pictures


@pytest.fixture(params=["coco_free", "nuclei"])
def pictures(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(("name", "split"), [("coco_free", "val"), ("nuclei", "val")])
def test_coco_comes_back_as_it_is(shared_data, tmp_path, name, split):
    """Ids, boxes, areas, licences and all."""
    path = shared_data / name / f"instances_{split}.json"
    _, _, notes = imported(tmp_path, "coco", path, images=shared_data / name / "images")
    assert notes == ()
    before, after = (json.loads(file.read_text()) for file in (path, tmp_path / "imported.json"))
    assert before.keys() == after.keys()
    for key in before:
        if key in ("images", "annotations"):
            assert {row["id"]: row for row in before[key]} == {row["id"]: row for row in after[key]}
        else:
            assert before[key] == after[key]


def test_lvis_comes_back_as_it_is(shared_data, tmp_path):
    """COCO's annotations as LVIS has them: without file names, with lists of classes."""
    document = json.loads((shared_data / "coco_free" / "instances_val.json").read_text())
    (tmp_path / "val2017").symlink_to((shared_data / "coco_free" / "images").resolve())
    there = {(row["image_id"], row["category_id"]) for row in document["annotations"]}
    for i, image in enumerate(document["images"]):
        absent = [category["id"] for category in document["categories"] if (image["id"], category["id"]) not in there]
        image |= {"neg_category_ids": absent[: i % 3], "not_exhaustive_category_ids": [18] if i % 2 else []}
        del image["file_name"]
    for category in document["categories"]:
        category["frequency"] = "rcf"[category["id"] % 3]
    document["annotations"] = [row for row in document["annotations"] if not row.pop("iscrowd")]
    source = write_json(tmp_path / "lvis.json", document)
    coco, folder, notes = imported(tmp_path, "lvis", source)
    assert (folder, notes) == (tmp_path, ())
    for image in document["images"]:
        assert coco.imgs[image["id"]] == image | {"file_name": "val2017/" + image["coco_url"].split("/")[-1]}
    assert list(coco.cats.values()) == document["categories"]
    assert coco.anns == {row["id"]: row | {"iscrowd": 0} for row in document["annotations"]}


@pytest.mark.parametrize("style", ["grey 16", "colours", "palette", "files"])
def test_png(pictures, tmp_path, style):
    linked(tmp_path / "images", pictures)
    pictures = kept(pictures, lambda thing: not thing.crowd)
    pictures = [picture._replace(things=[thing._replace(label="thing") for thing in picture.things]) for picture in pictures]
    seen = pictures if style == "files" else []
    for picture in pictures:
        numbers, visible = painted(picture)
        path = tmp_path / "masks" / f"{picture.path.stem}.png"
        if style == "grey 16":
            write_png(path, (numbers * 300).astype(np.uint16))
        elif style == "colours":
            write_png(path, np.stack([numbers * 7 % 256, numbers // 2, numbers % 2 * 255], axis=2).astype(np.uint8))
        elif style == "palette":
            write_palette_png(path, numbers)
        else:
            path.with_suffix("").mkdir(parents=True)
            for i, thing in enumerate(picture.things):
                write_png(path.with_suffix("") / f"{i:03}.png", thing.mask * 255)
        if style != "files":
            seen.append(visible)
    coco, folder, _ = imported(tmp_path, "png", tmp_path, labels=("thing",))
    assert set(overlaps(coco, folder, seen)) == {1.0}


def test_png_of_classes_in_the_layout_of_the_data_science_bowl(coco_free, tmp_path):
    """Overlapping objects, parts and holes: a file has one object."""
    pictures = kept(coco_free, lambda thing: not thing.crowd)
    moved = []
    for picture in pictures:
        stem = picture.path.stem
        linked(tmp_path / "bowl" / stem / "images", [picture])
        (tmp_path / "bowl" / stem / "masks").mkdir()
        for i, thing in enumerate(picture.things):
            write_png(tmp_path / "bowl" / stem / "masks" / thing.label / f"{i:03}.png", thing.mask.astype(bool))
        moved.append(picture)
    coco, folder, notes = imported(tmp_path, "png", tmp_path / "bowl")
    assert folder == tmp_path / "bowl"
    assert len(notes) == sum(not picture.things for picture in pictures)
    assert set(overlaps(coco, folder, moved)) == {1.0}


@pytest.mark.parametrize("has_border", [False, True])
def test_pascal_voc(coco_free, tmp_path, has_border):
    """Without border what is seen of each object comes back to the pixel; with one, what is within it."""
    linked(tmp_path / "JPEGImages", coco_free)
    seen = []
    for picture in kept(coco_free, lambda thing: not thing.crowd and thing.label in SHARED):
        numbers, _ = painted(picture)
        if has_border:
            numbers[ndimage.grey_dilation(numbers, 3) != ndimage.grey_erosion(numbers, 3)] = 255
        things = [thing._replace(mask=(numbers == i).astype(np.uint8)) for i, thing in enumerate(picture.things, 1)]
        classes = np.array([0, *(SHARED[thing.label] for thing in things)])
        table = np.append(classes, np.zeros(256 - len(classes), int))
        table[255] = 255
        write_palette_png(tmp_path / "SegmentationObject" / f"{picture.path.stem}.png", numbers)
        write_palette_png(tmp_path / "SegmentationClass" / f"{picture.path.stem}.png", table[numbers])
        seen.append(picture._replace(things=[thing for thing in things if thing.mask.any()]))
    coco, folder, notes = imported(tmp_path, "pascal_voc", tmp_path)
    assert notes == ()
    assert len(coco.cats) == 20
    assert {row["id"] for row in coco.cats.values() if row["name"] in SHARED} == set(SHARED.values())
    assert set(overlaps(coco, folder, seen)) == {1.0}


def test_pascal_voc_of_own_classes(nuclei, tmp_path):
    linked(tmp_path / "JPEGImages", nuclei)
    for picture in nuclei:
        numbers, _ = painted(picture)
        write_png(tmp_path / "SegmentationObject" / f"{picture.path.stem}.png", numbers.astype(np.uint8))
        write_png(tmp_path / "SegmentationClass" / f"{picture.path.stem}.png", (numbers > 0).astype(np.uint8))
    (tmp_path / "class_names.txt").write_text("_background_\nnucleus\n")
    coco, folder, _ = imported(tmp_path, "pascal_voc", tmp_path)
    assert set(overlaps(coco, folder, nuclei)) == {1.0}  # these nuclei do not overlap


def test_cityscapes_has_crowds(coco_free, nuclei, tmp_path):
    """All that is seen of people and vehicles; nuclei as cars."""
    seen = []
    for city, pictures in (
        ("coco", coco_free),
        ("cells", [p._replace(things=[t._replace(label="car") for t in p.things]) for p in nuclei]),
    ):
        (tmp_path / "leftImg8bit" / "val" / city).mkdir(parents=True)
        for picture in kept(pictures, lambda thing: thing.label in CITYSCAPES):
            numbers, visible = painted(picture)
            ids = [0]
            for i, thing in enumerate(picture.things):
                label = CITYSCAPES[thing.label]
                ids.append(label if thing.crowd else label * 1000 + i)
            write_png(tmp_path / f"gtFine/val/{city}/{picture.path.stem}_gtFine_instanceIds.png", np.array(ids, np.uint16)[numbers])
            link = tmp_path / f"leftImg8bit/val/{city}/{picture.path.stem}_leftImg8bit.png"
            link.symlink_to(picture.path.resolve())
            seen.append(visible)
    assert any(thing.crowd for picture in seen for thing in picture.things)
    coco, folder, notes = imported(tmp_path, "cityscapes", tmp_path, split="val")
    assert notes == ()
    assert {row["id"]: row["name"] for row in coco.cats.values()}.items() >= {i: name for name, i in CITYSCAPES.items()}.items()
    assert set(overlaps(coco, folder, seen)) == {1.0}


def is_plain(thing):
    """Whether one polygon says it: the formats of polygons have no crowds, and parts only where they can be joined."""
    return not thing.crowd and (thing.polygons is None or len(thing.polygons) == 1)


def polygons_of(thing):
    return thing.polygons or [[float(value) for value in walk] for walk in outlines(thing.mask)]


def in_one_polygon(pictures):
    plain = kept(pictures, lambda thing: is_plain(thing) and len(polygons_of(thing)) == 1)
    assert sum(len(picture.things) for picture in plain) > 0.7 * sum(len(picture.things) for picture in pictures)
    return plain


@pytest.mark.parametrize("numbered", [False, True])
def test_via(pictures, tmp_path, numbered):
    pictures, entries = in_one_polygon(pictures), {}
    for picture in pictures:
        regions = [
            {
                "shape_attributes": {"name": "polygon", "all_points_x": polygon[::2], "all_points_y": polygon[1::2]},
                "region_attributes": {"kind": thing.label},
            }
            for thing in picture.things
            for polygon in polygons_of(thing)
        ]
        size = picture.path.stat().st_size
        regions = {str(i): region for i, region in enumerate(regions)} if numbered else regions
        entries[f"{picture.path.name}{size}"] = {"filename": picture.path.name, "size": size, "regions": regions, "file_attributes": {}}
    source = write_json(tmp_path / "via.json", entries if numbered else {"_via_settings": {}, "_via_img_metadata": entries})
    coco, folder, notes = imported(tmp_path, "via", source, images=pictures[0].path.parent)
    assert notes == ()
    assert set(overlaps(coco, folder, pictures)) == {1.0}


@pytest.mark.parametrize("style", ["polygons", "masks"])
def test_labelme(pictures, tmp_path, style):
    """Parts are joined by their group; holes are masks'."""
    linked(tmp_path / "images", pictures)
    pictures = kept(pictures, lambda thing: not thing.crowd and (style == "masks" or thing.polygons or len(outlines(thing.mask)) == 1))
    for picture in pictures:
        shapes = []
        for i, thing in enumerate(picture.things):
            if style == "polygons":
                parts = [(np.reshape(polygon, (-1, 2)).tolist(), None) for polygon in polygons_of(thing)]
            else:
                (y0, y1), (x0, x1) = ((int(where.min()), int(where.max())) for where in np.nonzero(thing.mask))
                parts = [([[x0, y0], [x1, y1]], png_base64(thing.mask[y0 : y1 + 1, x0 : x1 + 1]))]
            for points, mask in parts:
                shape = {"label": thing.label, "points": points, "group_id": i, "shape_type": "mask" if mask else "polygon", "flags": {}}
                shapes.append(shape | {"mask": mask} if mask else shape)
        height, width = picture.size
        document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imageHeight": height, "imageWidth": width, "imageData": None}
        write_json(tmp_path / "labels" / f"{picture.path.stem}.json", document | {"imagePath": f"..\\images\\{picture.path.name}"})
    coco, folder, notes = imported(tmp_path, "labelme", tmp_path / "labels", images=tmp_path / "images")
    assert notes == ()
    assert set(overlaps(coco, folder, pictures)) == {1.0}


@pytest.mark.parametrize(("decimals", "least", "mean"), [(6, 0.99, 0.9999), (4, 0.9, 0.99)])
def test_yolo(pictures, tmp_path, decimals, least, mean):
    """Corners are drawn to a fifth of a pixel.

    Six decimals of 640 move them by 0.0003 pixels: hardly one is drawn elsewhere. Four move them by 0.03, so that one of six is
    drawn a fifth of a pixel away, of which small objects have a pixel in ten.
    """
    pictures = in_one_polygon(pictures)
    names = sorted({thing.label for picture in pictures for thing in picture.things})
    linked(tmp_path / "images" / "val", pictures)
    for picture in pictures:
        height, width = picture.size
        lines = [
            " ".join([str(names.index(thing.label)), *(f"{v / (height if i % 2 else width):.{decimals}f}" for i, v in enumerate(polygon))])
            for thing in picture.things
            for polygon in polygons_of(thing)
        ]
        path = tmp_path / "labels" / "val" / f"{picture.path.stem}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
    lines = ["val: images/val", "names:", *(f"  {i}: {name}" for i, name in enumerate(names))]
    (tmp_path / "data.yaml").write_text("\n".join(lines))
    coco, folder, notes = imported(tmp_path, "yolo", tmp_path, split="val")
    assert notes == ()
    found = overlaps(coco, folder, pictures)
    assert min(found) > least
    assert np.mean(found) > mean
