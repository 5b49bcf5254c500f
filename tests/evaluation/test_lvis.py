import copy
import json
import math
from collections import Counter

import numpy as np
import pytest

from maskrcnn_jax.evaluation import evaluate, evaluate_lvis, is_federated
from tests.evaluation.lvis_numbers import NUMBERS, fingerprint
from tests.evaluation.lvis_set import IDS, NEVER_FOUND, NOWHERE, made
from tests.evaluation.test_metrics import CANVAS, found, thing

KINDS = ["bbox", "segm"]


def dataset(*things, negative=None, partial=None, frequencies=None):
    """Three images with the lists that are given by image id."""
    images = [
        {
            "id": id_,
            "height": CANVAS,
            "width": CANVAS,
            "neg_category_ids": (negative or {}).get(id_, []),
            "not_exhaustive_category_ids": (partial or {}).get(id_, []),
        }
        for id_ in (1, 2, 3)
    ]
    categories = [{"id": id_, "name": f"class {id_}", "frequency": name} for id_, name in (frequencies or {1: "f"}).items()]
    return {"images": images, "annotations": [{**row, "id": i} for i, row in enumerate(things, 1)], "categories": categories}


@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_lvis_package_on_the_made_set(kind):
    expected = json.loads(NUMBERS.read_text())
    truth, detections = made()
    assert fingerprint((truth, detections)) == expected["set"], "another set than the numbers are of: run lvis_numbers.py"
    assert expected["lvis"] == "0.5.3"

    stats, per_class = evaluate_lvis(truth, detections, kinds=(kind,))[kind]

    theirs = {name if name == "AR@300" else name.removesuffix("@300"): value for name, value in expected[kind]["results"].items()}
    theirs["AR300"] = theirs.pop("AR@300")
    assert set(stats) == set(theirs)
    assert len(stats) == 13
    # Both are the mean of the same float64 numbers: only the order of sums differs.
    assert stats == pytest.approx(theirs, abs=1e-9, rel=0)
    classes = {int(id_): math.nan if ap == -1 else ap for id_, ap in expected[kind]["per_class"].items()}
    assert per_class == pytest.approx(classes, abs=1e-9, rel=0, nan_ok=True)
    assert 0 < stats["APr"] < stats["AP50"] < 1


def test_the_made_set_has_every_case():
    truth, detections = made()
    present = {(row["image_id"], row["category_id"]) for row in truth["annotations"] if row["area"]}
    negative, partial = (
        {(image["id"], id_) for image in truth["images"] for id_ in image[key]}
        for key in ("neg_category_ids", "not_exhaustive_category_ids")
    )
    detected = {(entry["image_id"], entry["category_id"]) for entry in detections}
    assert (len(truth["images"]), len(truth["categories"])) == (30, 12)
    assert not present & negative
    for part in (present, negative, partial & present, partial & negative, partial - present - negative):
        assert part & detected  # each kind of pair has detections
    assert detected - present - negative  # unlisted
    assert present - detected
    assert {id_ for _, id_ in present} == set(IDS) - {NOWHERE}
    assert NEVER_FOUND not in {id_ for _, id_ in detected}
    assert any(image["id"] not in {id_ for id_, _ in present} and image["neg_category_ids"] for image in truth["images"])
    assert max(Counter(entry["image_id"] for entry in detections).values()) > 300
    scores = Counter((entry["image_id"], entry["category_id"], entry["score"]) for entry in detections)
    assert max(scores.values()) > 1
    areas = [row["area"] for row in truth["annotations"]]
    assert 0 in areas
    assert 32**2 in areas
    assert min(sum(low < area < high for area in areas) for low, high in ((0, 32**2), (32**2, 96**2), (96**2, 1e5))) > 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lists", "ap"), [({}, 1.0), ({"negative": {2: [1]}}, 0.5), ({"partial": {2: [1]}}, 1.0)])
def test_a_class_is_measured_where_it_is_known_to_be_or_not_to_be(kind, lists, ap):
    """Image 1 has the object; image 2 has not, and a higher score."""
    detections = [found(0, 0, 10, 10, 0.8), found(0, 0, 10, 10, 0.9, image=2)]
    assert evaluate_lvis(dataset(thing(0, 0, 10, 10), **lists), detections)[kind].stats["AP"] == pytest.approx(ap)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("partial", "ap"), [({}, 1 / 2), ({1: [1]}, 1.0), ({2: [1]}, 1 / 2)])
def test_where_objects_may_lack_what_matches_none_is_not_wrong(kind, partial, ap):
    detections = [found(100, 100, 10, 10, 0.9), found(0, 0, 10, 10, 0.8)]
    assert evaluate_lvis(dataset(thing(0, 0, 10, 10), partial=partial), detections)[kind].stats["AP"] == pytest.approx(ap)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("others", "ap"), [(299, 1.0), (300, 0.0)])
def test_300_detections_of_an_image_count_before_any_is_dropped(kind, others, ap):
    """The others are of a class that the image says nothing about."""
    truth = dataset(thing(0, 0, 10, 10), frequencies={1: "f", 2: "r"})
    detections = [found(0, 0, 10, 10, 0.8), *[found(50, 50, 10, 10, 0.9, category=2)] * others]
    assert evaluate_lvis(truth, detections)[kind].stats["AP"] == pytest.approx(ap)


@pytest.mark.parametrize("kind", KINDS)
def test_means_by_frequency(kind):
    things = [thing(0, 0, 10, 10, category=id_) for id_ in (1, 2, 3)]
    truth = dataset(*things, frequencies={1: "r", 2: "c", 3: "c", 4: "f"})
    detections = [found(0, 0, 10, 10, 0.9, category=1), found(0, 0, 10, 10, 0.9, category=2)]
    stats, per_class = evaluate_lvis(truth, detections)[kind]
    assert (stats["APr"], stats["APc"], stats["AP"], stats["AR300"]) == pytest.approx((1, 1 / 2, 2 / 3, 2 / 3))
    assert math.isnan(stats["APf"])
    assert per_class == pytest.approx({1: 1.0, 2: 1.0, 3: 0.0, 4: math.nan}, nan_ok=True)


def test_no_detections_give_zero_and_no_objects_nan():
    for metrics in evaluate_lvis(dataset(thing(0, 0, 10, 10)), []).values():
        assert (metrics.stats["AP"], metrics.stats["AR300"]) == (0, 0)
    for metrics in evaluate_lvis(dataset(negative={1: [1]}), [found(0, 0, 10, 10, 0.9)]).values():
        assert all(math.isnan(value) for value in [*metrics.stats.values(), *metrics.per_class.values()])


def test_is_silent_and_changes_no_argument(capsys):
    truth, detections = dataset(thing(0, 0, 10, 10), partial={1: [1]}), [found(0, 0, 10, 10, 0.9)]
    before = copy.deepcopy((truth, detections))
    evaluate_lvis(truth, detections)
    assert (truth, detections) == before
    assert capsys.readouterr() == ("", "")


def test_a_dataset_without_lists_is_not_federated():
    truth = dataset(thing(0, 0, 10, 10))
    assert is_federated(truth)
    for image in truth["images"]:
        del image["neg_category_ids"]
    assert is_federated(truth)
    for image in truth["images"]:
        del image["not_exhaustive_category_ids"]
    assert not is_federated(truth)


@pytest.mark.parametrize(
    ("spoil", "entry", "words"),
    [
        (lambda d: d["images"][1].pop("neg_category_ids"), found(0, 0, 9, 9, 0.9), ["image id 2", "neg_category_ids", "add them"]),
        (lambda d: d["images"][2].pop("not_exhaustive_category_ids"), found(0, 0, 9, 9, 0.9), ["image id 3", "add them"]),
        (lambda d: d["categories"][0].pop("frequency"), found(0, 0, 9, 9, 0.9), ["category id 1", "`frequency`", "add it"]),
        (lambda d: None, found(0, 0, 9, 9, 0.9, image=4), ["image id 4", "leave it out"]),
    ],
)
def test_errors_name_what_is_wrong_and_what_to_do(spoil, entry, words):
    truth = dataset(thing(0, 0, 10, 10))
    spoil(truth)
    with pytest.raises(ValueError) as error:
        evaluate_lvis(truth, [entry])
    for word in words:
        assert word in str(error.value)


def test_coco_s_metrics_take_no_notice_of_the_lists():
    truth = dataset(thing(0, 0, 10, 10), negative={2: [1]})
    plain = {**truth, "images": [{key: image[key] for key in ("id", "height", "width")} for image in truth["images"]]}
    detections = [found(0, 0, 10, 10, 0.8), found(0, 0, 10, 10, 0.9, image=3)]
    np.testing.assert_equal(evaluate(truth, detections), evaluate(plain, detections))
    assert evaluate(truth, detections)["segm"].stats["AP"] == pytest.approx(0.5)
