"""Datasets and detections of rectangles, whose numbers can be worked out by hand; and made-up ones of many."""

import numpy as np
from pycocotools import mask as mask_utils

CANVAS = 400


def rle(x, y, w, h, canvas=CANVAS):
    mask = np.zeros((canvas, canvas), np.uint8)
    mask[y : y + h, x : x + w] = 1
    encoded = mask_utils.encode(np.asfortranarray(mask))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def thing(x, y, w, h, category=1, image=1, crowd=0, mask=None):
    """A ground truth object, a rectangle."""
    shape = rle(x, y, w, h) if mask is None else mask
    area = float(mask_utils.area(shape))
    box = {"image_id": image, "category_id": category, "bbox": [x, y, w, h]}
    return {**box, "segmentation": shape, "area": area, "iscrowd": crowd}


def found(x, y, w, h, score, category=1, image=1, mask=None):
    """A detection, a rectangle."""
    shape = rle(x, y, w, h) if mask is None else mask
    return {"image_id": image, "category_id": category, "bbox": [x, y, w, h], "score": score, "segmentation": shape}


def dataset(*things, categories=(1,), first_id=1, images=(1,), canvas=CANVAS):
    return {
        "images": [{"id": id, "height": canvas, "width": canvas} for id in images],
        "annotations": [{**annotation, "id": i} for i, annotation in enumerate(things, first_id)],
        "categories": [{"id": id, "name": f"class {id}"} for id in categories],
    }


def made_up(images=12, categories=(7, 2, 5), seed=0, objects=5, canvas=160):
    """Ground truth and detections of every kind: right, shifted, of another size or class, doubled, on nothing, in a crowd.

    Scores differ all; ids are in no order; sizes are small, medium and large; the last image has no object.
    """
    rng = np.random.default_rng(seed)
    ids = [int(id) for id in rng.permutation(images) * 3 + 11]
    things, detections = [], []
    scores = iter(rng.permutation(40 * images * objects) / (40 * images * objects) * 0.98 + 0.01)

    def rectangle():
        side = rng.choice([12, 50, 110])
        w, h = (int(side * rng.uniform(0.7, 1.3)) for _ in range(2))
        return int(rng.integers(0, canvas - w)), int(rng.integers(0, canvas - h)), w, h

    def detect(x, y, w, h, category, image):
        x, y = min(max(x, 0), canvas - 2), min(max(y, 0), canvas - 2)
        w, h = min(w, canvas - x), min(h, canvas - y)
        detections.append(found(x, y, w, h, float(next(scores)), category, image, rle(x, y, w, h, canvas)))

    for image in ids[:-1]:
        for _ in range(int(rng.integers(1, 2 * objects))):
            x, y, w, h = rectangle()
            category = int(rng.choice(categories))
            crowd = int(rng.random() < 0.08)
            things.append(thing(x, y, w, h, category, image, crowd, rle(x, y, w, h, canvas)))
            for _ in range(int(rng.integers(0, 3))):
                dx, dy = (int(rng.normal(0, 0.12 * side)) for side in (w, h))
                wider, higher = (max(2, round(side * rng.uniform(0.85, 1.15))) for side in (w, h))
                detect(x + dx, y + dy, wider, higher, category if rng.random() < 0.7 else int(rng.choice(categories)), image)
    for image in ids:
        for _ in range(int(rng.integers(0, 3))):
            detect(*rectangle(), int(rng.choice(categories)), image)
    return dataset(*things, categories=categories, images=ids, canvas=canvas), detections
