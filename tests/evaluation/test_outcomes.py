import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from maskrcnn_jax.evaluation import outcomes
from maskrcnn_jax.structs import Example, Result

SIZE = (100, 120)


def found(boxes, labels, scores=None):
    scores = np.linspace(0.9, 0.1, len(boxes)) if scores is None else np.array(scores)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Result(boxes, scores.astype(np.float32), np.array(labels, np.int32), [{}] * len(boxes), SIZE)


def truth(boxes, labels, crowd=None):
    n = len(boxes)
    crowd = np.zeros(n, np.bool_) if crowd is None else np.array(crowd)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Example(np.zeros((*SIZE, 3), np.uint8), 1, np.zeros((n, *SIZE), np.uint8), boxes, np.array(labels, np.int32), crowd)


def by_pycocotools(result, example, iou):
    """Found, aside, missed, by the matching of COCO's metrics."""

    def entries(boxes, labels, **more):
        rows = []
        for i, (box, label) in enumerate(zip(boxes.astype(float), labels, strict=True)):
            x0, y0, x1, y1 = box
            row = {"id": i + 1, "image_id": 1, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
            rows.append(row | {"iscrowd": 0} | {name: values[i].item() for name, values in more.items()})
        return rows

    def coco(annotations):
        made = COCO()
        made.dataset = {"images": [{"id": 1}], "categories": [{"id": i} for i in (1, 2, 3)], "annotations": annotations}
        made.createIndex()
        return made

    n, g = len(result.scores), len(example.labels)
    hit, aside, missed = np.zeros(n, bool), np.zeros(n, bool), ~example.crowd
    with contextlib.redirect_stdout(io.StringIO()):
        objects = coco(entries(example.boxes, example.labels, iscrowd=example.crowd.astype(int)))
        run = COCOeval(objects, coco(entries(result.boxes, result.labels, score=result.scores)), "bbox")
        run.params.iouThrs, run.params.areaRng, run.params.areaRngLbl, run.params.maxDets = (
            np.array([iou]),
            [[0, 1e10]],
            ["all"],
            [1, 10, 1000],
        )
        run.evaluate()
    for image in run.evalImgs:
        if image is not None:
            for one, matched, ignored in zip(image["dtIds"], image["dtMatches"][0], image["dtIgnore"][0], strict=True):
                hit[one - 1], aside[one - 1] = matched > 0 and not ignored, bool(ignored)
                if matched > 0:
                    missed[int(matched) - 1] = False
    return hit, aside, missed & (np.arange(g) < g)


@pytest.mark.parametrize("iou", [0.3, 0.5, 0.75])
def test_equals_pycocotools(rng, iou):
    """Boxes near objects of three classes, some of which are crowds."""
    kinds = np.zeros(3, int)
    for _ in range(60):
        corner = rng.integers(0, 60, (6, 2))
        objects = np.concatenate([corner, corner + rng.integers(8, 40, (6, 2))], axis=1).astype(np.float32)
        example = truth(objects, rng.integers(1, 4, 6), rng.random(6) < 0.25)
        near = objects[rng.integers(0, 6, 12)] + rng.integers(-6, 7, (12, 4))
        boxes = np.concatenate([np.minimum(near[:, :2], near[:, 2:] - 1), near[:, 2:]], axis=1)
        result = found(boxes, rng.integers(1, 4, 12))
        ours, theirs = outcomes(result, example, iou=iou), by_pycocotools(result, example, iou)
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
        kinds += [flags.sum() for flags in ours]
    assert kinds.min() > 10  # each outcome was there


def test_by_hand():
    """The better of two on one object has it; a box half in a crowd does not count; another class finds nothing."""
    example = truth([[0, 0, 10, 10], [50, 50, 70, 70], [80, 0, 100, 20]], [1, 1, 2], [False, True, False])
    result = found([[0, 0, 10, 9], [0, 0, 10, 10], [60, 50, 80, 70], [80, 0, 100, 20]], [1, 1, 1, 1])
    assert [flags.tolist() for flags in outcomes(result, example, iou=0.5)] == [
        [True, False, False, False],
        [False, False, True, False],
        [False, False, True],
    ]
    assert outcomes(result, example, iou=0.95).found.tolist() == [False, True, False, False]  # 0.9 of the first is too little


@pytest.mark.parametrize(("boxes", "objects"), [(0, 2), (2, 0), (0, 0)])
def test_nothing_on_one_side(boxes, objects):
    result, example = found([[0, 0, 9, 9]] * boxes, [1] * boxes), truth([[0, 0, 9, 9]] * objects, [1] * objects)
    found_, aside, missed = outcomes(result, example, iou=0.5)
    assert (found_.tolist(), aside.tolist(), missed.tolist()) == ([False] * boxes, [False] * boxes, [True] * objects)
