from collections import Counter

import numpy as np
import pytest

from maskrcnn_jax.evaluation import crowding, run_coco
from maskrcnn_jax.evaluation.crowding import CROWDING
from tests.evaluation.by_hand import dataset, found, made_up, thing
from tests.evaluation.plain_coco import plain_coco


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_each_part_is_pycocotools_on_its_images_alone(kind):
    truth, detections = made_up(images=20, objects=12)
    objects = Counter(entry["image_id"] for entry in truth["annotations"] if not entry["iscrowd"])
    parts = crowding(run_coco(truth, detections, kind), truth)
    assert [(part.fewest, part.most) for part in parts] == list(CROWDING)
    measured = 0
    for part in parts:
        ids = sorted(id for id, count in objects.items() if part.fewest <= count <= (part.most or 10**6))
        assert part.images == len(ids)
        assert part.objects == sum(objects[id] for id in ids)
        if not ids:
            assert np.isnan([part.ap, part.ap50]).all()
            continue
        measured += 1
        stats = plain_coco(truth, detections, kind, ids).stats
        assert (part.ap, part.ap50) == (pytest.approx(stats[0], abs=1e-12), pytest.approx(stats[1], abs=1e-12))
    assert measured >= 3


def test_crowd_regions_are_no_objects_and_images_without_objects_are_in_no_part():
    truth = dataset(
        *(thing(30 * i, 0, 20, 20) for i in range(4)),
        thing(0, 200, 90, 90, crowd=1),
        thing(0, 0, 99, 99, image=2, crowd=1),
        images=(1, 2, 3),
    )
    first, *others = crowding(run_coco(truth, [found(0, 0, 20, 20, 0.9), found(0, 0, 9, 9, 0.95, image=3)], "bbox"), truth)
    assert (first.images, first.objects) == (1, 4)
    assert first.ap == pytest.approx(26 / 101)  # the wrong detection of image 3 is not among these
    assert all(part.images == 0 for part in others)
