import numpy as np
import pytest

from maskrcnn_jax.evaluation import confusion, overlaps
from tests.evaluation.by_hand import dataset, found, made_up, thing

# Classes 3 and 7 are 0 and 1 here; 2 stands for none.
TRUTH = dataset(
    thing(0, 0, 20, 20, category=3),
    thing(100, 0, 20, 20, category=3),
    thing(200, 0, 20, 20, category=7),
    thing(300, 0, 20, 20, category=7),
    thing(0, 100, 100, 100, category=7, crowd=1),
    thing(0, 0, 20, 20, category=7, image=9),
    categories=(7, 3),
    images=(9, 1),
)
FOUND = [
    found(0, 0, 20, 20, 0.9, category=3),  # right
    found(0, 0, 20, 20, 0.8, category=3),  # its object is taken: on none
    found(100, 0, 20, 20, 0.7, category=7),  # class 3 taken for 7
    found(200, 0, 20, 11, 0.6, category=7),  # IoU 0.55
    found(300, 0, 20, 9, 0.5, category=7),  # IoU 0.45: on none
    found(10, 110, 20, 20, 0.4, category=7),  # in a crowd: not counted
    found(10, 110, 20, 20, 0.4, category=3),  # in a crowd of another class: on none
    found(300, 300, 20, 20, 0.3, category=3, image=9),  # on none
]


def of(truth, detections):
    return confusion(overlaps(truth, detections, "segm"), len(truth["categories"]))


@pytest.mark.parametrize(
    ("score", "matrix"),
    [
        (0.0, [[1, 1, 0], [0, 1, 2], [3, 1, 0]]),
        (0.4, [[1, 1, 0], [0, 1, 2], [2, 1, 0]]),
        (0.65, [[1, 1, 0], [0, 0, 3], [1, 0, 0]]),
        (0.85, [[1, 0, 1], [0, 0, 3], [0, 0, 0]]),
        (1.0, [[0, 0, 2], [0, 0, 3], [0, 0, 0]]),
    ],
)
def test_matrix_worked_out_by_hand(score, matrix):
    assert of(TRUTH, FOUND).matrix(score).tolist() == matrix


def test_counts_of_images_worked_out_by_hand():
    confused = of(TRUTH, FOUND)
    assert confused.image_ids == (1, 9)
    assert confused.of_images(0.0).tolist() == [[2, 1, 3, 1], [0, 0, 1, 1]]
    assert confused.of_images(0.65).tolist() == [[1, 1, 1, 2], [0, 0, 0, 1]]


def test_a_detection_takes_the_object_that_it_overlaps_most_of_any_class():
    truth = dataset(thing(0, 0, 20, 20, category=1), thing(0, 0, 20, 30, category=2), categories=(1, 2))
    assert of(truth, [found(0, 0, 20, 28, 0.9, category=1)]).matrix(0).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0]]


def test_a_better_detection_chooses_first():
    """The worse one would overlap the object more; it is left with none."""
    truth = dataset(thing(0, 0, 20, 20))
    entries = [found(0, 0, 20, 20, 0.4), found(0, 0, 20, 12, 0.6)]
    assert of(truth, entries).matrix(0.5).tolist() == [[1, 0], [0, 0]]
    assert of(truth, entries).matrix(0).tolist() == [[1, 0], [1, 0]]


def test_at_a_score_the_matrix_is_that_of_the_detections_from_there_up():
    truth, detections = made_up()
    for score in (0.1, 0.35, 0.7):
        kept = [entry for entry in detections if entry["score"] >= score]
        np.testing.assert_array_equal(of(truth, detections).matrix(score), of(truth, kept).matrix(0))
        np.testing.assert_array_equal(of(truth, detections).of_images(score), of(truth, kept).of_images(0))


def test_matrix_and_images_count_the_same():
    truth, detections = made_up()
    matrix, images = of(truth, detections).matrix(0.3), of(truth, detections).of_images(0.3).sum(axis=0)
    inner = matrix[:-1, :-1]
    assert images.tolist() == [np.trace(inner), inner.sum() - np.trace(inner), matrix[-1].sum(), matrix[:, -1].sum()]
    assert matrix[:-1].sum() == sum(not entry["iscrowd"] for entry in truth["annotations"])


def test_no_detections_and_no_objects():
    assert of(dataset(thing(0, 0, 9, 9)), []).matrix(0).tolist() == [[0, 1], [0, 0]]
    assert of(dataset(), [found(0, 0, 9, 9, 0.5)]).matrix(0).tolist() == [[0, 0], [1, 0]]
    assert of(dataset(), []).of_images(0).tolist() == [[0, 0, 0, 0]]


def test_only_the_best_detections_of_a_class_count_as_in_coco():
    entries = [found(0, 0, 20, 20, 0.9 - i / 100, category=c) for i in range(4) for c in (1, 2)]
    images = overlaps(dataset(categories=(1, 2)), entries, "bbox", max_detections=3)
    assert confusion(images, 2).matrix(0)[-1].tolist() == [3, 3, 0]
