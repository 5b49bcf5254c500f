import numpy as np
import pytest

from maskrcnn_jax.evaluation import curves, run_coco
from tests.evaluation.by_hand import dataset, found, made_up, thing
from tests.evaluation.plain_coco import plain_coco


def test_a_curve_worked_out_by_hand():
    """Two objects: found, nothing, found at an IoU of 0.625. Precision 1 up to a recall of 0.5, then 2/3 or 0."""
    truth = dataset(thing(0, 0, 10, 10), thing(100, 0, 16, 10))
    of = curves(run_coco(truth, [found(0, 0, 10, 10, 0.9), found(200, 200, 10, 10, 0.8), found(100, 0, 10, 10, 0.7)], "segm"))
    np.testing.assert_allclose(of.mean["0.50"], [1.0] * 51 + [2 / 3] * 50)
    np.testing.assert_allclose(of.mean["0.75"], [1.0] * 51 + [0.0] * 50)
    np.testing.assert_allclose(of.mean["0.50 to 0.95"], [1.0] * 51 + [0.3 * 2 / 3] * 50)
    np.testing.assert_allclose(of.recalls, np.arange(101) / 100)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_curves_are_pycocotools_s_precision_and_their_means_its_ap(kind):
    truth, detections = made_up()
    of, plain = curves(run_coco(truth, detections, kind)), plain_coco(truth, detections, kind)
    precision = plain.eval["precision"][..., 0, -1]
    np.testing.assert_allclose(of.per_class["0.50"], precision[0].T)
    np.testing.assert_allclose(of.per_class["0.75"], precision[5].T)
    assert of.mean["0.50 to 0.95"].mean() == pytest.approx(plain.stats[0])
    assert of.mean["0.50"].mean() == pytest.approx(plain.stats[1])
    assert of.mean["0.75"].mean() == pytest.approx(plain.stats[2])


def test_classes_without_objects_have_none():
    of = curves(run_coco(dataset(thing(0, 0, 9, 9, category=7), categories=(3, 7)), [found(0, 0, 9, 9, 0.9, category=3)], "bbox"))
    assert np.isnan(of.per_class["0.50"]).tolist() == [[True] * 101, [False] * 101]
    np.testing.assert_array_equal(of.mean["0.50"], np.zeros(101))
    nothing = curves(run_coco(dataset(), [], "bbox"))
    assert np.isnan(nothing.mean["0.75"]).all()
