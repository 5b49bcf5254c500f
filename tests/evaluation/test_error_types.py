import numpy as np
import pytest

from maskrcnn_jax.evaluation import ERROR_TYPES, error_types, overlaps
from tests.evaluation.by_hand import dataset, found, made_up, thing
from tests.evaluation.plain_coco import mean, plain_coco


def split(truth, detections, kind="segm"):
    return error_types(overlaps(truth, detections, kind), len(truth["categories"]))


def counted(errors):
    return {name: count.tolist() for name, count in errors.counts.items()}


NONE = {name: [0, 0] for name in ERROR_TYPES}
A, B = thing(0, 0, 20, 20, category=1), thing(200, 0, 20, 20, category=2)
RIGHT_A, RIGHT_B = found(0, 0, 20, 20, 0.9, category=1), found(200, 0, 20, 20, 0.9, category=2)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize(
    ("detection", "counts"),
    [
        (found(0, 0, 20, 20, 0.5, category=2), {"classification": [0, 1]}),  # on A, whose class is 1
        (found(200, 0, 20, 9, 0.5, category=2), {"localisation": [0, 1], "missed": [0, 0]}),  # IoU 0.45
        (found(200, 0, 20, 2, 0.5, category=2), {"localisation": [0, 1]}),  # 0.1 just
        (found(200, 0, 20, 1, 0.5, category=2), {"background": [0, 1]}),  # 0.05
        (found(0, 0, 20, 9, 0.5, category=2), {"both": [0, 1]}),  # on A by 0.45
        (found(300, 300, 20, 20, 0.5, category=2), {"background": [0, 1]}),
        (found(0, 0, 20, 20, 0.5, category=1), {"duplicate": [1, 0]}),
        (found(0, 0, 20, 10, 0.5, category=1), {"duplicate": [1, 0]}),  # 0.5 just
    ],
)
def test_one_wrong_detection_beside_two_right_ones(kind, detection, counts):
    errors = split(dataset(A, B, categories=(1, 2)), [RIGHT_A, RIGHT_B, detection], kind)
    assert counted(errors) == NONE | counts
    assert errors.ap50 == pytest.approx(1.0)  # it comes last
    assert set(errors.cost.values()) == {0.0}


def test_the_costs_of_one_error_of_each_type_worked_out_by_hand():
    """Four objects of class 1, one found. Two of class 2, found beside one error each.

    Class 1, best first: on nothing, on an object by 0.45, found, again on that. So one in three is right, and a quarter is found: 26 of 101
    recalls. Class 2: on an object of class 1, on one of class 1 by 0.45, and both objects: half are right, at every recall.
    """
    truth = dataset(
        *(thing(50 * i, 0, 20, 20, category=1) for i in range(4)),
        *(thing(50 * i, 100, 20, 20, category=2) for i in range(2)),
        categories=(1, 2),
    )
    detections = [
        found(300, 300, 20, 20, 0.99, category=1),  # background
        found(50, 0, 20, 9, 0.9, category=1),  # localisation
        found(0, 0, 20, 20, 0.8, category=1),
        found(0, 0, 20, 20, 0.7, category=1),  # duplicate
        found(100, 0, 20, 20, 0.99, category=2),  # classification
        found(0, 0, 20, 9, 0.98, category=2),  # both
        found(0, 100, 20, 20, 0.6, category=2),
        found(50, 100, 20, 20, 0.5, category=2),
    ]
    errors = split(truth, detections)
    assert counted(errors) == {
        "classification": [0, 1],
        "localisation": [1, 0],
        "both": [0, 1],
        "duplicate": [1, 0],
        "background": [1, 0],
        "missed": [1, 0],
    }
    quarter, half = 26 / 101, 51 / 101  # recalls up to 1/4, up to 1/2, and 0
    one, two = quarter / 3, 2 / 4
    assert errors.ap50 == pytest.approx((one + two) / 2)
    mended = {
        # The best of class 1 now: one that is right at 0.99, beside the wrong one (equal scores: in the order of the image's detections,
        # the wrong first), on nothing, found, found: [0, 1, 0, 1, 0] -> precision 1/2, then 2/4.
        "classification": (half / 2, 2 / 3),
        "localisation": (half * 2 / 3, two),
        "both": (one, 2 / 3),
        "duplicate": (one, two),
        "background": (quarter / 2, two),
        "missed": ((34 / 101) / 3, two),  # one of three objects: recalls up to 1/3
    }
    for name, (first, second) in mended.items():
        assert errors.cost[name] == pytest.approx((first + second) / 2 - (one + two) / 2), name
    assert errors.false_positives == pytest.approx((quarter + 1) / 2 - (one + two) / 2)
    assert errors.false_negatives == pytest.approx((1 / 3 + two) / 2 - (one + two) / 2)


def test_one_object_is_mended_once_by_the_best_error_on_it():
    """Both lie on B, which nothing has found: the better makes it found, the other is left out."""
    truth = dataset(B, categories=(1, 2))
    detections = [found(200, 0, 20, 20, 0.9, category=1), found(200, 0, 20, 9, 0.8, category=2), found(200, 0, 20, 9, 0.7, category=2)]
    errors = split(truth, detections)
    assert counted(errors) == NONE | {"classification": [1, 0], "localisation": [0, 2]}
    assert errors.ap50 == 0.0
    assert errors.cost["classification"] == pytest.approx(1.0)
    assert errors.cost["localisation"] == 0.0


def test_what_lies_in_a_crowd_is_no_error():
    truth = dataset(A, thing(200, 200, 100, 100, category=1, crowd=1), categories=(1, 2))
    errors = split(truth, [RIGHT_A, found(210, 210, 20, 20, 0.95, category=1)])
    assert counted(errors) == NONE
    assert errors.ap50 == pytest.approx(1.0)
    assert counted(split(truth, [RIGHT_A, found(210, 210, 20, 20, 0.95, category=2)])) == NONE | {"background": [0, 1]}


def test_a_class_that_is_missed_altogether():
    """Its objects left out, it has no AP, and the other's is the mean."""
    errors = split(dataset(A, B, categories=(1, 2)), [RIGHT_A])
    assert errors.ap50 == pytest.approx(0.5)
    assert counted(errors) == NONE | {"missed": [0, 1]}
    assert errors.cost["missed"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(3))
def test_ap50_is_that_of_pycocotools_and_every_detection_and_object_is_accounted_for(kind, seed):
    truth, detections = made_up(images=20, seed=seed)
    errors, plain = split(truth, detections, kind), plain_coco(truth, detections, kind)
    assert errors.ap50 == pytest.approx(mean(plain.eval["precision"][0, :, :, 0, -1]), abs=1e-12)
    run = [entry for entry in plain.evalImgs if entry is not None and entry["aRng"] == [0, 1e10]]
    wrong = sum(np.sum((entry["dtMatches"][0] == 0) & ~entry["dtIgnore"][0]) for entry in run)
    assert sum(errors.counts[name].sum() for name in ERROR_TYPES[:-1]) == wrong
    assert all(errors.counts[name].sum() for name in ERROR_TYPES)
    assert all(cost >= -1e-12 for cost in errors.cost.values())


def test_no_detections_and_no_objects():
    errors = split(dataset(A, B, categories=(1, 2)), [])
    assert counted(errors) == NONE | {"missed": [1, 1]}
    assert errors.ap50 == 0.0
    assert np.isnan(errors.cost["missed"])
    assert np.isnan(split(dataset(categories=(1, 2)), [RIGHT_A]).ap50)
