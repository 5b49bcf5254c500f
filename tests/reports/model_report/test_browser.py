"""The page in a browser: no errors, its counts are report.json's wherever the slider stands, sorting sorts, filters filter."""

import json
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from time import perf_counter

import numpy as np
import pytest

from maskrcnn_jax.evaluation import Confusion
from maskrcnn_jax.reports.model_report import write_report
from tests.reports.model_report.made_up import one_model, pictures, two_models


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Reports on one and on two models: the report, its document, its page."""
    found = {}
    for name, report in (("one", one_model()), ("two", two_models())):
        folder = tmp_path_factory.mktemp(name)
        write_report(folder, report, pictures(report, 4))
        found[name] = report, json.loads((folder / "report.json").read_text()), folder / "report.html"
    return found


def opened(browser, found):
    report, document, page = found
    browser.open(page)
    return report, document


def choose(browser, name, value):
    """Move the slider, or choose from a list, as a person does."""
    script = """
      const control = document.getElementById(arguments[0]);
      control.value = arguments[1];
      control.dispatchEvent(new Event("input", {bubbles: true}));
      control.dispatchEvent(new Event("change", {bubbles: true}));
    """
    browser.run(script, name, str(value))


def texts(browser, selector):
    """What stands in elements, without commas of thousands."""
    script = "return Array.from(document.querySelectorAll(arguments[0])).map((element) => element.textContent.trim().replaceAll(',', ''))"
    return browser.run(script, selector)


def column(browser, table, place, visible=False):
    """First words of a column of a table's body, in the order of rows; with `visible`, of those that can be seen."""
    script = """
      return Array.from(document.querySelectorAll(arguments[0])).map(
        (row) => (row.cells[arguments[1]].firstChild?.textContent ?? "").trim().split(" ")[0]
      )
    """
    return browser.run(script, f"#{table} tbody tr{':not([hidden])' if visible else ''}", place)


def counts_by(browser, table, key):
    """Key of each row -> its counts by name."""
    script = """
      return Array.from(document.querySelectorAll(`#${arguments[0]} tbody tr:not([hidden])`)).map((row) => [
        Number(row.dataset[arguments[1]]),
        Object.fromEntries(Array.from(row.querySelectorAll("[data-count]")).map((cell) => [cell.dataset.count, cell.textContent])),
      ])
    """
    return dict(browser.run(script, table, key))


def matrix_of(document, position, model=0):
    """As report.json has it."""
    classes = len(document["dataset"]["categories"])
    matrix = np.zeros((classes + 1, classes + 1), int)
    for truth, found, number in document["models"][model]["confusion"]["at"][position]:
        matrix[truth, found] = number
    return matrix


def shown_matrix(browser, document):
    cells = texts(browser, "#confusion tbody td")
    side = len(document["dataset"]["categories"]) + 1
    return np.array([int(cell or 0) for cell in cells]).reshape(side, side)


def expected_counts(matrix):
    """Right, taken for another, missed, on nothing, precision, recall: of each class."""
    inner = matrix[:-1, :-1]
    right = np.diag(inner)
    wrong, found, objects = inner.sum(axis=1) - right, matrix[:, :-1].sum(axis=0), matrix[:-1].sum(axis=1)
    return right, wrong, matrix[:-1, -1], matrix[-1, :-1], found, objects


def share(part, whole):
    """As JavaScript rounds: halves up."""
    return str(Decimal(float(part / whole)).quantize(Decimal("0.001"), ROUND_HALF_UP)) if whole else "-"


@pytest.mark.parametrize("name", ["one", "two"])
def test_no_errors_in_the_console(browser, folders, name):
    opened(browser, folders[name])
    for position in (0, 99):
        choose(browser, "score", position)
    choose(browser, "class", 1)
    browser.run("document.querySelectorAll('th').forEach((head) => head.click())")
    browser.run("document.querySelector('#pictures img').click()")
    assert browser.run("return document.getElementById('large').open")
    assert browser.complaints() == []


@pytest.mark.parametrize("position", [9, 49, 81])
@pytest.mark.parametrize(("name", "model"), [("one", 0), ("two", 1)])
def test_counts_at_a_position_of_the_slider_are_the_json_s(browser, folders, name, model, position):
    report, document = opened(browser, folders[name])
    if name == "two":
        choose(browser, "model", model)
    choose(browser, "score", position)
    assert texts(browser, "#score-value") == [f"{position / 100:.2f}"]
    matrix = matrix_of(document, position, model)
    np.testing.assert_array_equal(shown_matrix(browser, document), matrix)
    right, wrong, missed, alone, found, objects = expected_counts(matrix)
    totals = [str(of.sum()) for of in (right, wrong, missed, alone)] + [share(right.sum(), of.sum()) for of in (found, objects)]
    assert texts(browser, "[id^=total-]") == totals
    rows = counts_by(browser, "classes", "class")
    for k in range(len(right)):
        assert rows[k] == {
            "right": str(right[k]),
            "wrong": str(wrong[k]),
            "missed": str(missed[k]),
            "alone": str(alone[k]),
            "precision": share(right[k], found[k]),
            "recall": share(right[k], objects[k]),
        }
    pairs = list(zip(*(column(browser, "pairs", place) for place in (0, 1, 2)), strict=True))
    names = [category["name"].split(" ")[0] for category in document["dataset"]["categories"]]
    inner = matrix[:-1, :-1] - np.diag(right)
    assert sorted(pairs) == sorted((names[i], names[j], str(inner[i, j])) for i, j in zip(*np.nonzero(inner), strict=True))
    images = counts_by(browser, "images", "image")
    for i, of in enumerate(report.image_counts(report.models[model], position / 100)):
        f1 = share(2 * of.right, 2 * (of.right + of.wrong) + of.missed + of.alone)
        assert images[i] == {"right": str(of.right), "wrong": str(of.wrong), "missed": str(of.missed), "alone": str(of.alone), "f1": f1}


def images_of_class(confused: Confusion, label, score):
    """Right, wrong, missed, on nothing: of each image that has any, from loops over detections and objects."""
    counts = {}
    for image, of, found, truth in zip(confused.images, confused.scores, confused.found, confused.truth, strict=True):
        if of >= score and label in (found, truth):
            kind = 3 if truth == confused.classes else 0 if truth == found else 1
            counts.setdefault(int(image), [0] * 4)[kind] += 1
            if truth == label:
                counts[int(image)][2] -= 1
    for image, truth in zip(confused.object_images, confused.objects, strict=True):
        if truth == label:
            counts.setdefault(int(image), [0] * 4)[2] += 1
    return {image: [str(number) for number in of] for image, of in counts.items()}


def f1_of_class(confused: Confusion, label, image, score):
    """Twice those found as their class, of all detections and all objects of the class: the mean of precision and recall, harmonic."""
    here = (confused.images == image) & (confused.scores >= score)
    right = np.sum(here & (confused.found == label) & (confused.truth == label))
    detections = np.sum(here & (confused.found == label))
    objects = np.sum((confused.object_images == image) & (confused.objects == label))
    return share(2 * right, detections + objects)


@pytest.mark.parametrize("label", [0, 1, 2])
def test_images_of_a_class_alone(browser, folders, label):
    report, _ = opened(browser, folders["one"])
    choose(browser, "score", 10)
    choose(browser, "class", label)
    names = ("right", "wrong", "missed", "alone")
    rows = counts_by(browser, "images", "image")
    shown = {i: [counts[name] for name in names] for i, counts in rows.items()}
    confused = report.models[0].confusion
    assert shown == images_of_class(confused, label, 0.1)
    assert {i: counts["f1"] for i, counts in rows.items()} == {i: f1_of_class(confused, label, i, 0.1) for i in rows}
    assert any(int(counts[0]) and int(counts[1]) for counts in shown.values())  # of these a wrong count of the latter shows


def test_a_class_is_shown_alone(browser, folders):
    report, document = opened(browser, folders["one"])
    choose(browser, "score", 30)
    choose(browser, "class", 2)
    shown = images_of_class(report.models[0].confusion, 2, 0.3)
    assert set(counts_by(browser, "images", "image")) == set(shown)
    assert 0 < len(shown) < len(report.images)
    figures = browser.run(
        "return Array.from(document.querySelectorAll('#pictures figure:not([hidden])')).map((figure) => Number(figure.dataset.image))"
    )
    assert figures == [i for i in report.worst_first()[:4] if i in shown]
    right, wrong, missed, alone, found, objects = (int(of[2]) for of in expected_counts(matrix_of(document, 30)))
    assert texts(browser, "[id^=total-]") == [*map(str, (right, wrong, missed, alone)), share(right, found), share(right, objects)]
    assert column(browser, "classes", 0, visible=True) == ["dog"]
    assert texts(browser, "#curves-of") == ["dog."]
    (points,) = browser.run("return [document.querySelector('[data-line=\"segm 0.50 0\"]').getAttribute('points')]")
    drawn = np.array([point.split(",") for point in points.split()], float)
    curve = np.array(document["models"][0]["curves"]["segm"]["per_class"]["0.50"][2])
    np.testing.assert_allclose(drawn[:, 1], 240 * (1 - curve), atol=0.05 + 240 * 0.0005)  # a tenth is written, of thousandths
    errors = document["models"][0]["errors"]["segm"]["counts"]
    assert texts(browser, "[data-errors='segm 0']") == [str(of[2]) for of in errors.values()]
    choose(browser, "class", "")
    assert len(counts_by(browser, "images", "image")) == len(report.images)


def in_order(values, descending):
    """Numbers of a column, those that are not defined last."""
    numbers = [float(value) for value in values if value not in ("-", "")]
    assert all(value in ("-", "") for value in values[len(numbers) :])
    return numbers == sorted(numbers, reverse=descending)


@pytest.mark.parametrize("table", ["classes", "images", "pairs"])
def test_sorting_sorts(browser, folders, table):
    opened(browser, folders["one"])
    choose(browser, "score", 5)
    heads = browser.driver.find_elements("css selector", f"#{table} thead th")
    numeric = ["number" in head.get_attribute("class") for head in heads]
    before = sorted(column(browser, table, 0))
    for place, head in enumerate(heads):
        states = []
        for _ in range(2):
            browser.run("arguments[0].click()", head)
            states.append(head.get_attribute("aria-sort"))
            values, descending = column(browser, table, place), states[-1] == "descending"
            ordered = in_order(values, descending) if numeric[place] else values == sorted(values, reverse=descending)
            assert ordered, (place, states[-1], values)
        assert set(states) == {"ascending", "descending"}
    assert sorted(column(browser, table, 0)) == before
    marked = browser.run(f"return document.querySelectorAll('#{table} th[aria-sort]').length")
    assert marked == 1


def test_the_order_follows_the_slider(browser, folders):
    opened(browser, folders["one"])
    for position in (20, 90):
        choose(browser, "score", position)
        assert in_order(column(browser, "images", 6), descending=False)


def test_a_page_of_a_thousand_images_and_80_classes_is_small_and_opens_soon(browser, tmp_path):
    """A hundred detections an image, pictures of noise, which compresses to more than photographs do."""
    report, rng = one_model(), np.random.default_rng(0)
    classes, images, number = 80, 1000, 100_000
    image, found = np.repeat(np.arange(images), number // images), rng.integers(0, classes, number)
    truth = np.where(rng.random(number) < 0.06, np.where(rng.random(number) < 0.9, found, 0), classes)
    on_object = truth < classes
    confused = Confusion(
        classes=classes,
        image_ids=tuple(range(images)),
        images=image,
        scores=rng.random(number),
        found=found,
        truth=truth,
        object_images=image[on_object],
        objects=truth[on_object],
    )
    category = report.categories[0]
    (model,) = report.models
    metrics = {
        kind: replace(of, per_class=dict.fromkeys(range(classes), 0.5), per_class_of={k: np.full(1000, 0.5) for k in range(classes)})
        for kind, of in model.metrics.items()
    }
    curves = {
        kind: replace(of, per_class={level: np.tile(mean, (classes, 1)) for level, mean in of.mean.items()})
        for kind, of in model.curves.items()
    }
    errors = {kind: replace(of, counts={name: np.ones(classes, int) for name in of.counts}) for kind, of in model.errors.items()}
    large = replace(
        report,
        images=tuple({"id": i, "file_name": f"{i:012d}.jpg"} for i in range(images)),
        categories=tuple(category._replace(id=k, name=f"class {k}") for k in range(classes)),
        objects=tuple(np.bincount(truth[on_object], minlength=classes).tolist()),
        models=(replace(model, confusion=confused, metrics=metrics, curves=curves, errors=errors),),
    )
    write_report(tmp_path, large, pictures(large, 24, side=480))
    assert (tmp_path / "report.html").stat().st_size < 30e6
    right = str(int(((truth == found) & (confused.scores >= 0.5)).sum()))
    seconds = []
    for _ in range(2):  # the machine may be busy with something else
        start = perf_counter()
        browser.open(tmp_path / "report.html")
        assert texts(browser, "#total-right") == [right]
        seconds.append(perf_counter() - start)
    assert min(seconds) < 3
    assert len(counts_by(browser, "images", "image")) == images
    assert browser.complaints() == []
