import numpy as np
import pytest

from maskrcnn_jax.evaluation import calibration, run_coco
from tests.evaluation.by_hand import dataset, found, thing


def test_bins_worked_out_by_hand():
    truth = dataset(thing(0, 0, 20, 20), thing(100, 0, 20, 20), thing(200, 0, 20, 20), thing(0, 100, 100, 100, crowd=1))
    detections = [
        found(0, 0, 20, 20, 1.0),  # right, in the last bin
        found(100, 0, 20, 20, 0.95),  # right
        found(100, 0, 20, 20, 0.9),  # again: wrong, and 0.9 is the last bin's lower end
        found(200, 0, 20, 11, 0.25),  # right: IoU 0.55
        found(300, 300, 20, 20, 0.21),  # wrong
        found(10, 110, 20, 20, 0.5),  # in a crowd: not counted
    ]
    for kind in ("bbox", "segm"):
        of = calibration(run_coco(truth, detections, kind))
        assert of.counts == (0, 0, 2, 0, 0, 0, 0, 0, 0, 3)
        assert of.precision[2] == 1 / 2
        assert of.precision[9] == pytest.approx(2 / 3)
        assert of.score[2] == pytest.approx(0.23)
        assert of.score[9] == pytest.approx(0.95)
        assert np.isnan([of.score[5], of.precision[5]]).all()
        assert of.error == pytest.approx(2 / 5 * (0.5 - 0.23) + 3 / 5 * (0.95 - 2 / 3))


def test_scores_of_many_classes_are_in_one_diagram_and_perfect_ones_have_no_error():
    truth = dataset(*(thing(30 * i, 0, 20, 20, category=c) for i, c in enumerate((1, 2, 1, 2))), categories=(1, 2))
    right = [found(30 * i, 0, 20, 20, 0.75, category=c) for i, c in enumerate((1, 2, 1))]
    of = calibration(run_coco(truth, [*right, found(300, 300, 20, 20, 0.75, category=2)], "segm"))
    assert of.counts[7] == 4
    assert of.error == pytest.approx(0.0)


@pytest.mark.parametrize("score", [-0.5, 1.5])
def test_scores_that_are_no_probabilities_are_refused(score):
    run = run_coco(dataset(thing(0, 0, 20, 20)), [found(0, 0, 20, 20, score), found(0, 0, 20, 20, 0.5)], "segm")
    with pytest.raises(ValueError) as error:
        calibration(run)
    assert f"{score:g}" in str(error.value)
    assert "0 to 1" in str(error.value)


def test_without_detections_it_is_not_defined():
    of = calibration(run_coco(dataset(thing(0, 0, 20, 20)), [], "segm"))
    assert sum(of.counts) == 0
    assert np.isnan(of.error)
