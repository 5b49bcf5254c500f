import copy
import json
import math

import numpy as np
import pytest

from maskrcnn_jax.evaluation import evaluate
from tests.evaluation.by_hand import CANVAS, dataset, found, rle, thing


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_equals_pycocotools_on_the_coco_api_example(shared_data, kind):
    folder = shared_data / "coco_eval"
    truth = json.loads((folder / "instances_val2014_100.json").read_text())
    detections = json.loads((folder / f"instances_val2014_fake{kind}100_results.json").read_text())
    expected = json.loads((folder / "expected_pycocotools.json").read_text())

    metrics = evaluate(truth, detections, kinds=(kind,))[kind]

    assert metrics.stats["AP"] == pytest.approx({"bbox": 0.5045806987, "segm": 0.3195452759}[kind], abs=1e-9, rel=0)
    np.testing.assert_allclose(list(metrics.stats.values()), expected[kind], rtol=0, atol=1e-9)
    assert list(metrics.stats) == ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    classes = {int(id): math.nan if ap is None else ap for id, ap in expected[f"{kind}_per_category_AP"].items()}
    assert metrics.per_class == pytest.approx(classes, abs=1e-9, rel=0, nan_ok=True)

    wider = evaluate(truth, detections, kinds=(kind,), max_detections=300)[kind]
    np.testing.assert_allclose(list(wider.stats.values()), expected[kind], rtol=0, atol=1e-9)


def test_average_precision_worked_out_by_hand():
    truth = dataset(thing(0, 0, 10, 10), thing(100, 0, 16, 10))
    detections = [found(0, 0, 10, 10, 0.9), found(200, 200, 10, 10, 0.8), found(100, 0, 10, 10, 0.7)]

    stats = evaluate(truth, detections)

    # Two objects. IoU of the third detection: 100 / 160, so it counts at 0.50, 0.55 and 0.60.
    # There, precision is 1 up to recall 0.5 (51 of 101 points) and 2/3 beyond; at the other seven it ends at recall 0.5.
    low, high = (51 + 50 * 2 / 3) / 101, 51 / 101
    for kind in ("bbox", "segm"):
        assert stats[kind].stats["AP"] == pytest.approx((3 * low + 7 * high) / 10)
        assert stats[kind].stats["AP50"] == pytest.approx(low)
        assert stats[kind].stats["AP75"] == pytest.approx(high)
        assert stats[kind].stats["AR1"] == pytest.approx(0.5)
        assert stats[kind].stats["AR10"] == pytest.approx(0.3 * 1 + 0.7 * 0.5)
        assert stats[kind].stats["APs"] == stats[kind].stats["AP"]
        assert math.isnan(stats[kind].stats["APm"])
        assert math.isnan(stats[kind].stats["ARl"])


def test_box_metrics_use_the_boxs_area_and_mask_metrics_the_masks():
    # The false positive's box is medium (1600), so it is not counted among small ones; its mask is small (900), and is.
    truth = dataset(thing(0, 0, 10, 10))
    detections = [found(100, 100, 40, 40, 0.9, mask=rle(100, 100, 30, 30)), found(0, 0, 10, 10, 0.8)]
    metrics = evaluate(truth, detections)
    assert metrics["bbox"].stats["APs"] == pytest.approx(1.0)
    assert metrics["segm"].stats["APs"] == pytest.approx(0.5)


def test_detections_inside_a_crowd_are_no_false_positives():
    detections = [found(110, 110, 20, 20, 0.9), found(140, 110, 20, 20, 0.8), found(0, 0, 10, 10, 0.7)]
    crowd = evaluate(dataset(thing(0, 0, 10, 10), thing(100, 100, 100, 100, crowd=1)), detections)
    alone = evaluate(dataset(thing(0, 0, 10, 10)), detections)
    for kind in ("bbox", "segm"):
        assert crowd[kind].stats["AP"] == pytest.approx(1.0)
        assert alone[kind].stats["AP"] == pytest.approx(1 / 3)


def test_more_than_100_detections_count_where_asked_for():
    corners = [(30 * (i % 12), 30 * (i // 12)) for i in range(120)]
    truth = dataset(*(thing(x, y, 20, 20) for x, y in corners))
    detections = [found(x, y, 20, 20, 0.9) for x, y in corners]
    usual, wider = evaluate(truth, detections), evaluate(truth, detections, max_detections=120)
    for kind in ("bbox", "segm"):
        assert usual[kind].stats["AR100"] == pytest.approx(100 / 120)
        assert usual[kind].stats["AP"] == pytest.approx(84 / 101)
        assert wider[kind].stats["AR120"] == pytest.approx(1.0)
        assert wider[kind].stats["AP"] == pytest.approx(1.0)
        assert wider[kind].stats["AR1"] == pytest.approx(1 / 120)


def test_no_detections_give_zero():
    metrics = evaluate(dataset(thing(0, 0, 10, 10), categories=(1, 2)), [])
    for kind in ("bbox", "segm"):
        assert metrics[kind].stats["AP"] == 0.0
        assert metrics[kind].stats["AR100"] == 0.0
        assert metrics[kind].per_class == pytest.approx({1: 0.0, 2: math.nan}, nan_ok=True)


def test_classes_without_objects_are_nan_and_leave_the_mean_alone():
    truth = dataset(thing(0, 0, 10, 10, category=7), categories=(3, 7))
    metrics = evaluate(truth, [found(0, 0, 10, 10, 0.9, category=7), found(0, 0, 10, 10, 0.9, category=3)])
    assert metrics["segm"].stats["AP"] == pytest.approx(1.0)
    assert metrics["segm"].per_class == pytest.approx({3: math.nan, 7: 1.0}, nan_ok=True)


@pytest.mark.parametrize("images", [[], [{"id": 1, "height": CANVAS, "width": CANVAS}]])
def test_no_objects_at_all_give_nan(images):
    truth = {**dataset(), "images": images}
    detections = [found(0, 0, 10, 10, 0.9)] if images else []
    for metrics in evaluate(truth, detections).values():
        assert all(math.isnan(value) for value in [*metrics.stats.values(), *metrics.per_class.values()])


def test_annotation_id_0_is_matched():
    truth = dataset(thing(0, 0, 10, 10), thing(100, 0, 10, 10), first_id=0)
    detections = [found(0, 0, 10, 10, 0.9), found(100, 0, 10, 10, 0.8)]
    assert evaluate(truth, detections)["bbox"].stats["AP"] == pytest.approx(1.0)


def test_is_silent_and_changes_no_argument(capsys):
    truth, detections = dataset(thing(0, 0, 10, 10)), [found(0, 0, 10, 10, 0.9)]
    before = copy.deepcopy((truth, detections))
    evaluate(truth, detections)
    assert (truth, detections) == before
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("entry", "keywords", "names"),
    [
        (found(0, 0, 10, 10, 0.9, image=99), {}, ["image id 99", "leave it out"]),
        (found(0, 0, 10, 10, 0.9, category=5), {}, ["category id 5", "data's ids"]),
        ({"image_id": 1, "category_id": 1, "score": 0.9, "bbox": [0, 0, 1, 1]}, {}, ["image id 1", "'segmentation'", "leave 'segm' out"]),
        (found(0, 0, 1, 1, 0.9, mask={"size": [4, 5], "counts": "d0"}), {}, ["image id 1", "[4, 5]", "[400, 400]", "original image"]),
        (found(0, 0, 1, 1, 0.9), {"kinds": ("keypoints",)}, ["keypoints", "'bbox', 'segm'"]),
        (found(0, 0, 1, 1, 0.9), {"max_detections": 10}, ["max_detections is 10", "pass 100"]),
    ],
)
def test_errors_name_what_is_wrong_and_what_to_do(entry, keywords, names):
    with pytest.raises(ValueError) as error:
        evaluate(dataset(thing(0, 0, 10, 10)), [entry], **keywords)
    for name in names:
        assert name in str(error.value)
