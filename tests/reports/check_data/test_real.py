"""The reports on real data against counts that are computed here, from the JSON, Pillow and pycocotools."""

import io
import json
import warnings
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from rich.console import Console

from maskrcnn_jax import load_experiment
from maskrcnn_jax.reports.check_data import check_data

pytestmark = pytest.mark.slow


def report_on(shared_data, name, config):
    folder = shared_data / name
    paths = {f"{split}_annotations": str(folder / f"instances_{split}.json") for split in ("train", "val")}
    images = str(folder / "images")
    config = replace(config, data=replace(config.data, train_images=images, val_images=images, **paths))
    documents = {split: json.loads((folder / f"instances_{split}.json").read_text()) for split in ("train", "val")}
    return check_data(config, step=False, console=Console(file=io.StringIO()))[0], documents, config


def assert_numbers(report, documents):
    """Images, objects, crowds and categories of each split."""
    for split in report.splits:
        rows = documents[split.name]["annotations"]
        per_image = Counter(row["image_id"] for row in rows)
        objects = Counter(row["category_id"] for row in rows if not row["iscrowd"])
        images = documents[split.name]["images"]
        assert (split.images, split.objects, split.crowds) == (len(images), sum(objects.values()), sum(row["iscrowd"] for row in rows))
        assert split.empty_images == len(images) - len({row["image_id"] for row in rows if not row["iscrowd"]})
        assert split.most_objects == max(per_image.values())
        assert split.heights == (min(row["height"] for row in images), max(row["height"] for row in images))
        assert {category.id: category.objects for category in split.categories if category.objects} == objects
    train = Counter(row["image_id"] for row in documents["train"]["annotations"])
    sizes = [train.get(row["id"], 0) for row in documents["train"]["images"]]
    edges = report.objects_an_image.edges
    assert list(report.objects_an_image.counts) == [sum(low <= n < high for n in sizes) for low, high in pairwise(edges)]


def places(report, kind):
    return [[(p.split, p.image_id, p.annotation_id) for p in finding.places] for finding in report.findings if finding.kind == kind]


def missed(document, image, config, min_side, max_side, strides=(4, 8, 16, 32, 64)):
    """Annotation ids of an image's objects whose IoU with every anchor of the canvas is under a half, all anchors made."""
    height, width = image["height"], image["width"]
    scale = min(min_side / min(height, width), max_side / max(height, width))
    resized = np.array([round(width * scale), round(height * scale)])
    fitting = [c for c in config.model.input.canvases if c[0] >= resized[1] and c[1] >= resized[0]]
    canvas = min(fitting, key=lambda c: c[0] * c[1])
    anchors = []
    for side, stride in zip(config.model.anchors.sizes, strides, strict=True):
        ys, xs = (np.arange(-(-length // stride)) * stride for length in canvas)
        centres = np.stack(np.meshgrid(xs[xs < resized[0]], ys[ys < resized[1]]), axis=-1).reshape(-1, 2)
        for ratio in config.model.anchors.ratios:
            half = np.array([side / ratio**0.5, side * ratio**0.5]) / 2
            anchors.append(np.concatenate([centres - half, centres + half], axis=1))
    anchors = np.concatenate(anchors)
    found, borderline = set(), set()
    for row in document["annotations"]:
        if row["image_id"] != image["id"] or row["iscrowd"]:
            continue
        x, y, w, h = row["bbox"]
        box = np.clip([x, y, x + w, y + h], 0, [width, height] * 2) * np.tile(resized / [width, height], 2)
        common = np.clip(np.minimum(anchors[:, 2:], box[2:]) - np.maximum(anchors[:, :2], box[:2]), 0, None).prod(axis=1)
        areas = (anchors[:, 2:] - anchors[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
        best = (common / (areas - common)).max()
        found |= {row["id"]} if best < 0.5 else set()
        borderline |= {row["id"]} if abs(best - 0.5) < 1e-5 else set()  # boxes are float32 in the package
    return found, borderline


def assert_missed(report, document, config, min_side, max_side, every):
    flagged = {annotation for ((_, _, annotation),) in places(report, "anchor-iou")}
    checked = 0
    for image in document["images"][::every]:
        expected, borderline = missed(document, image, config, min_side, max_side)
        own = {row["id"] for row in document["annotations"] if row["image_id"] == image["id"]}
        assert (flagged & own) - borderline == expected - borderline
        checked += len(expected)
    assert checked > 20
    assert report.anchors.configured.under == len(flagged)


def same_masks(document):
    """Pairs of annotations of one image whose masks have an IoU of 0.95 and more."""
    sizes = {row["id"]: (row["height"], row["width"]) for row in document["images"]}
    pairs = set()
    for image_id, size in sizes.items():
        rows = [row for row in document["annotations"] if row["image_id"] == image_id]
        rles = [as_rle(row["segmentation"], *size) for row in rows]
        iou = np.array(coco_mask.iou(rles, rles, [0] * len(rles))).reshape(len(rows), len(rows))
        pairs |= {(rows[a]["id"], rows[b]["id"]) for a, b in np.argwhere(np.triu(iou, 1) >= 0.95)}
    return pairs


def as_rle(segmentation, height, width):
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return coco_mask.frPyObjects(segmentation, height, width) if isinstance(segmentation["counts"], list) else segmentation


def mode_of(folder, row):
    with Image.open(folder / "images" / row["file_name"]) as image:
        return image.mode


def pixels(folder, row):
    with Image.open(folder / "images" / row["file_name"]) as image:
        return np.asarray(image.convert("RGB")).tobytes()


def test_nuclei(shared_data):
    report, documents, config = report_on(shared_data, "nuclei", load_experiment("nuclei"))
    assert_numbers(report, documents)
    assert report.sound
    rows = [(split, row) for split in documents for row in documents[split]["images"]]
    modes = [mode_of(shared_data / "nuclei", row) for _, row in rows]
    assert places(report, "alpha") == [[(split, row["id"], None)] for (split, row), mode in zip(rows, modes, strict=True) if mode == "RGBA"]
    assert len(places(report, "alpha")) == 445
    of_image = Counter(row["image_id"] for row in documents["val"]["annotations"])
    assert {p[0][1] for p in places(report, "max-detections")} == {image_id for image_id, n in of_image.items() if n > 100}
    assert same_masks(documents["val"]) == set()
    contents = [pixels(shared_data / "nuclei", row) for _, row in rows]
    assert len(set(contents)) == len(contents)
    assert_missed(report, documents["train"], config, 256, 320, every=20)
    assert set(report.counts()) == {"alpha", "max-detections", "anchor-iou"}
    assert report.anchors.better.under < report.anchors.configured.under == len(places(report, "anchor-iou"))
    assert report.canvases.padding == report.better_canvases.padding == 0
    assert report.steps_per_epoch == 90
    assert report.learning_rate.suggested == pytest.approx(0.005)


def crossing_ids(document):
    """Annotations with a polygon of which two edges cross, in hundredths of a pixel, which COCO's coordinates are, pair by pair."""

    def side(a, b, c):
        value = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        return (value > 0) - (value < 0)

    found = set()
    for row in document["annotations"]:
        for polygon in row["segmentation"] if isinstance(row["segmentation"], list) else []:
            values = [round(100 * value) for value in polygon]
            points = list(zip(values[::2], values[1::2], strict=True))
            edges = [(points[k - 1], points[k]) for k in range(len(points))]
            for i, (a, b) in enumerate(edges):
                for c, d in edges[:i]:
                    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
                        continue
                    if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0:
                        found.add(row["id"])
    return found


def test_coco_free(shared_data):
    report, documents, config = report_on(shared_data, "coco_free", load_experiment("coco_r50_fpn_1x"))
    assert_numbers(report, documents)
    assert report.sound
    folder = shared_data / "coco_free"
    rows = [(split, row) for split in documents for row in documents[split]["images"]]
    modes = [mode_of(folder, row) for _, row in rows]
    assert places(report, "grey") == [[(split, row["id"], None)] for (split, row), mode in zip(rows, modes, strict=True) if mode == "L"]
    for split, document in documents.items():
        crossed = {p[0][2] for p in places(report, "self-intersection") if p[0][0] == split}
        assert crossed == crossing_ids(document)
        assert {tuple(p[2] for p in pair) for pair in places(report, "duplicate-annotation") if pair[0][0] == split} == same_masks(document)
        used = {row["category_id"] for row in document["annotations"] if not row["iscrowd"]}
        unused = {f.places[0].category_id for f in report.findings if f.kind == "unused-category" and f.places[0].split == split}
        assert unused == {row["id"] for row in document["categories"]} - used
        assert {p[0][2] for p in places(report, "box-mask") if p[0][0] == split} == boxes_off(document)
    contents = [pixels(folder, row) for _, row in rows]
    assert len(set(contents)) == len(contents)
    middle = sorted(config.data.augment.min_sides)[3]
    assert_missed(report, documents["train"], config, middle, 1333, every=2)
    assert report.anchors.short_side == middle
    assert set(report.counts()) == {"self-intersection", "box-mask", "grey", "unused-category", "anchor-iou"}
    assert report.steps_per_epoch == steps_an_epoch(documents["train"], 16)


def boxes_off(document):
    """Annotations whose box is off its mask's by more than two pixels and a tenth of the mask's longer side."""
    sizes = {row["id"]: (row["height"], row["width"]) for row in document["images"]}
    found = set()
    for row in document["annotations"]:
        height, width = sizes[row["image_id"]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
            x, y, w, h = coco_mask.toBbox(as_rle(row["segmentation"], height, width))
        bx, by, bw, bh = row["bbox"]
        given = np.clip([bx, by, bx + bw, by + bh], 0, [width, height] * 2)
        off = np.abs(given - [x, y, x + w, y + h]).max()
        found |= {row["id"]} if off > 2 and off > 0.1 * max(w, h) else set()
    return found


def steps_an_epoch(document, batch):
    """Landscape and portrait images with an object, each group in batches, the last filled up."""
    with_objects = {row["image_id"] for row in document["annotations"] if not row["iscrowd"]}
    upright = [row["height"] > row["width"] for row in document["images"] if row["id"] in with_objects]
    return -(-sum(upright) // batch) + -(-(len(upright) - sum(upright)) // batch)
