"""report.json: every number is the one worked out apart from the package, or by functions of it that have tests of their own."""

import json
import math
import weakref

import numpy as np
import pytest

from maskrcnn_jax.evaluation import CONFIDENCE, ERROR_TYPES, RESAMPLES, bootstrap, evaluate, run_coco
from maskrcnn_jax.reports.model_report import measured, model_report
from tests.evaluation.by_hand import dataset, found, thing
from tests.evaluation.plain_coco import mean, plain_coco
from tests.reports.model_report.made_up import better, one_model, truth_and_detections, two_models

CLOSE = {"abs": 1e-12, "rel": 0}  # the same divisions, summed in another order


@pytest.fixture(scope="module")
def two():
    report = two_models()
    return report, json.loads(json.dumps(report.as_json(), allow_nan=False))


def defined(value):
    return None if math.isnan(value) else pytest.approx(value, **CLOSE)


def test_metrics_are_those_of_pycocotools(two):
    truth, detections = truth_and_detections()
    for model, entries in zip(two[1]["models"], (detections, better(truth, detections)), strict=True):
        for kind in ("bbox", "segm"):
            plain = plain_coco(truth, entries, kind)
            assert [of["value"] for of in model["metrics"][kind].values()] == pytest.approx(plain.stats.tolist(), **CLOSE)
            per_class = {str(id): mean(plain.eval["precision"][:, :, k, 0, -1]) for k, id in enumerate((2, 5, 7))}
            assert {id: of["value"] for id, of in model["classes"][kind].items()} == pytest.approx(per_class, **CLOSE)
        boundary = evaluate(truth, entries, kinds=("boundary",))["boundary"]
        assert {name: of["value"] for name, of in model["metrics"]["boundary"].items()} == pytest.approx(boundary.stats, **CLOSE)


def test_intervals_are_percentiles_of_the_resamples_and_differences_are_paired(two):
    truth, detections = truth_and_detections()
    first, second = (bootstrap(run_coco(truth, entries, "segm")) for entries in (detections, better(truth, detections)))
    document = two[1]
    tail = 100 * (1 - CONFIDENCE) / 2

    def around(value, samples, least):
        low, middle, high = np.percentile(samples, [tail, 50, 100 - tail])
        return {"value": defined(value), "low": defined(max(least, value + low - middle)), "high": defined(min(1, value + high - middle))}

    for name in ("AP", "AP50", "APs", "AR10"):
        assert document["models"][0]["metrics"]["segm"][name] == around(first.stats[name], first.stats_of[name], 0)
        expected = around(second.stats[name] - first.stats[name], second.stats_of[name] - first.stats_of[name], -1)
        assert document["differences"]["segm"][name] == expected
    difference = document["class_differences"]["segm"]["5"]
    assert difference["value"] == defined(second.per_class[5] - first.per_class[5])
    assert difference["low"] < difference["value"] < difference["high"]
    assert document["settings"]["resamples"] == RESAMPLES == 1000


def test_confusion_at_every_score_is_the_matrix(two):
    report, document = two
    for model, of in zip(report.models, document["models"], strict=True):
        confusion = of["confusion"]
        assert confusion["scores"] == [i / 100 for i in range(100)]
        for score, cells in list(zip(confusion["scores"], confusion["at"], strict=True))[::9]:
            matrix = np.zeros((4, 4), int)
            for truth, found_as, count in cells:
                matrix[truth, found_as] = count
            np.testing.assert_array_equal(matrix, model.confusion.matrix(score))


def test_images_are_counted_and_the_worst_come_first(two):
    report, document = two
    rows = document["models"][0]["images"]
    matrix = report.models[0].confusion.matrix(0.5)
    assert sum(row["right"] for row in rows) == np.trace(matrix[:-1, :-1])
    assert sum(row["missed"] for row in rows) == matrix[:, -1].sum()
    for row in rows:
        of = 2 * (row["right"] + row["wrong"]) + row["alone"] + row["missed"]
        assert row["f1"] == (pytest.approx(2 * row["right"] / of) if of else None)
    ordered = [rows[i] for i in report.worst_first()]
    f1 = [row["f1"] for row in ordered if row["f1"] is not None]
    assert f1 == sorted(f1)
    assert all(row["f1"] is None for row in ordered[len(f1) :])
    equal = [row["wrong"] + row["alone"] + row["missed"] for row in ordered if row["f1"] == 0]
    assert len(equal) > 1
    assert equal == sorted(equal, reverse=True)


def test_data_and_errors(two):
    report, document = two
    truth, _ = truth_and_detections()
    objects = [entry for entry in truth["annotations"] if not entry["iscrowd"]]
    assert document["dataset"]["objects"] == len(objects)
    assert document["dataset"]["crowds"] == len(truth["annotations"]) - len(objects) > 0
    counts = {category["id"]: category["objects"] for category in document["dataset"]["categories"]}
    assert list(counts) == [2, 5, 7]
    assert counts[5] == sum(entry["category_id"] == 5 for entry in objects)
    assert set(document["models"][1]["errors"]["bbox"]["cost"]) == set(ERROR_TYPES)
    assert document["models"][1]["errors"]["segm"]["ap50"] == defined(document["models"][1]["metrics"]["segm"]["AP50"]["value"])
    assert report.models[1].name == document["models"][1]["name"] == "runs/b"


def test_one_model_has_no_differences():
    document = one_model().as_json()
    assert document["differences"] is document["class_differences"] is None


def test_what_is_not_defined_is_none():
    document = model_report("x", dataset(thing(0, 0, 20, 20), categories=(1, 2), images=(1, 2)), {"m": []}).as_json()
    json.dumps(document, allow_nan=False)
    (model,) = document["models"]
    assert model["metrics"]["segm"]["APm"]["value"] is None
    assert model["classes"]["bbox"]["2"] == {"value": None, "low": None, "high": None}
    assert [row["f1"] for row in model["images"]] == [0.0, None]


def test_data_of_lvis_are_refused():
    truth = dataset(thing(0, 0, 20, 20))
    truth["images"][0] |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    with pytest.raises(ValueError) as error:
        model_report("x", truth, {"m": []})
    assert "maskrcnn eval" in str(error.value)


def test_what_has_matched_one_kind_is_gone_before_the_next(monkeypatch):
    """pycocotools keeps a row of every image, class and size: gigabytes of a large dataset."""
    held, runs = [], []

    def counted(*arguments, **options):
        held.append(sum(run() is not None for run in runs))
        runs.append(weakref.ref(run := run_coco(*arguments, **options)))
        return run

    monkeypatch.setattr(measured, "run_coco", counted)
    model_report("x", dataset(thing(0, 0, 20, 20)), {"a": [], "b": []})
    assert held == [0] * 6


def test_nothing_found_and_nothing_to_find():
    json.dumps(model_report("x", dataset(), {"m": [found(0, 0, 9, 9, 0.5)]}).as_json(), allow_nan=False)
