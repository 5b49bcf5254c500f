import json

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax.data import CocoSource, PreparedSource, prepared
from maskrcnn_jax.evaluation import evaluate, ground_truth, to_coco
from maskrcnn_jax.structs import Category, Example, Result

CATEGORIES = (Category(30, "dog"), Category(7, "cat"))


class Painted:
    """Rectangles on images of two sizes; the second image is empty, the third holds a crowd."""

    categories = CATEGORIES
    objects = (
        (((2, 3, 12, 20), 1, False), ((20, 5, 50, 30), 2, False)),
        (),
        (((0, 0, 40, 10), 1, True), ((5, 20, 25, 38), 1, False)),
    )
    ids = (11, 0, 5)

    def __len__(self):
        return 3

    def __getitem__(self, i):
        height, width = (40, 60) if i < 2 else (50, 40)
        masks = np.zeros((len(self.objects[i]), height, width), np.uint8)
        for mask, ((x0, y0, x1, y1), _, _) in zip(masks, self.objects[i], strict=True):
            mask[y0:y1, x0:x1] = 1
        return Example(
            image=np.zeros((height, width, 3), np.uint8),
            image_id=self.ids[i],
            masks=masks,
            boxes=np.array([box for box, _, _ in self.objects[i]], np.float32).reshape(-1, 4),
            labels=np.array([label for _, label, _ in self.objects[i]], np.int32),
            crowd=np.array([crowd for _, _, crowd in self.objects[i]], bool),
        )


class Filed(Painted):
    """The same data with a COCO JSON."""

    def __init__(self, path, content):
        path.write_text(json.dumps(content))
        self.annotation_file = path
        self.image_ids = list(self.ids)


def annotation(**fields):
    return {"id": 4, "image_id": 11, "category_id": 7, **fields}


def content(*annotations):
    images = [{"id": id, "height": 50 if id == 5 else 40, "width": 40 if id == 5 else 60, "file_name": f"{id}.png"} for id in (5, 11, 0)]
    return {"images": images, "annotations": list(annotations), "categories": [{"id": c.id, "name": c.name} for c in CATEGORIES]}


def rectangles():
    """The painted objects as polygons and uncompressed run lengths, ids from 0."""
    found = []
    for objects, image in zip(Painted.objects, Painted.ids, strict=True):
        for (x0, y0, x1, y1), label, crowd in objects:
            polygon = [[x0, y0, x1, y0, x1, y1, x0, y1]]
            runs = {"size": [50, 40], "counts": [0] + [10, 40] * 40}  # the upper ten rows of every column
            found.append(
                {
                    "id": len(found),
                    "image_id": image,
                    "category_id": CATEGORIES[label - 1].id,
                    "segmentation": runs if crowd else polygon,
                    "area": (x1 - x0) * (y1 - y0),
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "iscrowd": int(crowd),
                }
            )
    return found


def detections():
    """Imperfect detections of every painted image, with false positives."""
    source, entries = Painted(), []
    for i in range(len(source)):
        example = source[i]
        boxes = np.concatenate([example.boxes + np.array([1, 0, 0, 1]), [[0, 0, 9, 9]]]).astype(np.float32)
        masks = np.zeros((len(boxes), *example.image.shape[:2]), np.uint8)
        for mask, (x0, y0, x1, y1) in zip(masks, boxes.astype(int), strict=True):
            mask[y0:y1, x0:x1] = 1
        result = Result(
            boxes=boxes,
            scores=np.linspace(0.9, 0.3, len(boxes), dtype=np.float32),
            labels=np.append(example.labels, 1).astype(np.int32),
            masks=[mask_utils.encode(np.asfortranarray(mask)) for mask in masks],
            size=example.image.shape[:2],
        )
        entries += to_coco(result, example.image_id, source.categories)
    return entries


def test_a_source_without_json_equals_the_same_data_with_json(tmp_path):
    painted, filed = ground_truth(Painted()), ground_truth(Filed(tmp_path / "a.json", content(*rectangles())))

    assert [image["id"] for image in painted["images"]] == [image["id"] for image in filed["images"]] == [11, 0, 5]
    for key in ("id", "image_id", "category_id", "area", "bbox", "iscrowd"):
        assert [a[key] for a in painted["annotations"]] == [a[key] for a in filed["annotations"]]
    assert painted["categories"] == filed["categories"] == [{"id": 30, "name": "dog"}, {"id": 7, "name": "cat"}]

    from_examples, from_file = evaluate(painted, detections()), evaluate(filed, detections())
    for kind in ("bbox", "segm"):
        assert 0 < from_file[kind].stats["AP"] < 1
        np.testing.assert_equal(from_examples[kind], from_file[kind])


def test_objects_of_an_example():
    first, second, crowd, last = ground_truth(Painted())["annotations"]
    assert first["bbox"] == [2, 3, 10, 17]
    assert (first["id"], first["image_id"], first["category_id"], first["area"], first["iscrowd"]) == (1, 11, 30, 170, 0)
    assert (second["category_id"], crowd["iscrowd"], last["image_id"]) == (7, 1, 5)
    mask = mask_utils.decode(first["segmentation"])
    assert mask.shape == (40, 60)
    assert mask[3:20, 2:12].all()
    assert mask.sum() == 170


@pytest.mark.parametrize("indices", [[2, 1], range(2, 0, -1)])
def test_indices_choose_images_in_both_kinds_of_source(tmp_path, indices):
    for source in (Painted(), Filed(tmp_path / "a.json", content(*rectangles()))):
        truth = ground_truth(source, indices)
        assert [image["id"] for image in truth["images"]] == [5, 0]
        assert [(a["id"], a["image_id"], a["iscrowd"]) for a in truth["annotations"]] == [(1, 5, 1), (2, 5, 0)]


def test_an_examples_ground_truth_is_json():
    json.dumps(ground_truth(Painted()))


def test_missing_fields_of_a_file_are_filled_from_the_mask(tmp_path):
    segmentation = [[2, 3, 12, 3, 12, 20, 2, 20]]
    truth = ground_truth(Filed(tmp_path / "a.json", content(annotation(segmentation=segmentation))))
    (only,) = truth["annotations"]
    assert (only["area"], only["bbox"], only["iscrowd"], only["id"]) == (170.0, [2.0, 3.0, 10.0, 17.0], 0, 1)

    official = annotation(segmentation=segmentation, area=1.5, iscrowd=0, bbox=None)
    (only,) = ground_truth(Filed(tmp_path / "a.json", content(official)))["annotations"]
    assert (only["area"], only["bbox"]) == (1.5, [2.0, 3.0, 10.0, 17.0])


def test_the_packages_own_coco_source_gives_the_same_with_and_without_its_file(shared_data):
    coco = CocoSource(shared_data / "nuclei" / "instances_val.json", shared_data / "nuclei" / "images")

    class Bare:
        categories = coco.categories

        def __len__(self):
            return len(coco)

        def __getitem__(self, i):
            return coco[i]

    some = range(3, 9)
    filed, bare = ground_truth(coco, some), ground_truth(Bare(), some)
    assert [image["id"] for image in filed["images"]] == [image["id"] for image in bare["images"]]
    assert len(filed["annotations"]) > 100
    for a, b in zip(filed["annotations"], bare["annotations"], strict=True):
        assert {key: a[key] for key in b} == b


def test_official_annotations_of_coco_measure_themselves_as_perfect(shared_data):
    path = shared_data / "coco_free" / "instances_val.json"
    official = json.loads(path.read_text())

    class Coco:
        categories = tuple(Category(c["id"], c["name"]) for c in official["categories"])
        annotation_file = path
        image_ids = tuple(image["id"] for image in official["images"])

        def __len__(self):
            return len(self.image_ids)

        def __getitem__(self, i):
            raise AssertionError("the file alone is read")

    truth = ground_truth(Coco())
    assert len(truth["annotations"]) == len(official["annotations"])
    by_id = {image["id"]: image for image in truth["images"]}
    entries = []
    for a in (a for a in truth["annotations"] if not a["iscrowd"]):
        size = by_id[a["image_id"]]["height"], by_id[a["image_id"]]["width"]
        mask = mask_utils.merge(mask_utils.frPyObjects(a["segmentation"], *size))
        entries.append({"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.5, "segmentation": mask})
    perfect, nothing = evaluate(truth, entries), evaluate(truth, [])
    for kind in ("bbox", "segm"):
        assert perfect[kind].stats["AP"] == pytest.approx(1.0, abs=1e-3)
        assert nothing[kind].stats["AP"] == 0.0


class Recorded(Painted):
    """The same data with the rows of a COCO JSON, but no file."""

    image_ids = Painted.ids

    def coco_document(self, indices):
        kept = [self.ids[i] for i in indices]
        rows = content(*rectangles())
        by_id = {image["id"]: image for image in rows["images"]}
        return {
            "images": [by_id[id_] for id_ in kept],
            "annotations": [row for row in rows["annotations"] if row["image_id"] in kept],
            "categories": rows["categories"],
        }

    def __getitem__(self, i):
        raise AssertionError("the rows alone are read")


def test_rows_without_a_file_are_the_file_s(tmp_path):
    filed = Filed(tmp_path / "instances.json", content(*rectangles()))
    assert ground_truth(Recorded()) == ground_truth(filed)
    assert ground_truth(Recorded(), [2, 0]) == ground_truth(filed, [2, 0])


def test_a_prepared_source_measures_as_the_file_that_it_was_prepared_from(shared_data, tmp_path):
    path, images = shared_data / "coco_free" / "instances_val.json", shared_data / "coco_free" / "images"
    with prepared.open_dataset("coco", path, open, images=images) as dataset:
        prepared.prepare(dataset, tmp_path / "val")
    some = range(1, 66, 2)
    filed, recorded = ground_truth(CocoSource(path, images), some), ground_truth(PreparedSource(tmp_path / "val"), some)
    sizes = {image["id"]: (image["height"], image["width"]) for image in filed["images"]}
    packed = [row | {"segmentation": rle(row["segmentation"], *sizes[row["image_id"]])} for row in filed["annotations"]]
    assert recorded == filed | {"annotations": packed}
    assert len(packed) > 100
    entries = [
        {"image_id": row["image_id"], "category_id": row["category_id"], "bbox": row["bbox"], "score": row["id"] % 7 / 7}
        | {"segmentation": row["segmentation"]}
        for row in packed
        if row["id"] % 5
    ]
    assert 0 < evaluate(filed, entries)["segm"].stats["AP"] < 1
    assert repr(evaluate(recorded, entries)) == repr(evaluate(filed, entries))  # nan, of classes without objects, equals nothing


def rle(segmentation, height, width):
    """Compressed, ready for JSON."""
    runs = mask_utils.frPyObjects(segmentation, height, width)
    whole = mask_utils.merge(runs) if isinstance(segmentation, list) else runs
    return {"size": [height, width], "counts": whole["counts"].decode()}
