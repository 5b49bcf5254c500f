"""report.html as a file: well formed, the numbers of report.json, nothing from elsewhere."""

import base64
import json
import re
from decimal import ROUND_HALF_UP, Decimal
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from maskrcnn_jax.reports.model_report import model_report, page, write_report
from tests.evaluation.by_hand import dataset, found, thing
from tests.reports.model_report.made_up import NAMES, one_model, pictures, two_models


@pytest.fixture(scope="module", params=[one_model, two_models], ids=["one", "two"])
def written(request, tmp_path_factory):
    """The report, its document and its page, read by a parser that forgives nothing."""
    report = request.param()
    folder = tmp_path_factory.mktemp("report") / "a" / "b"
    write_report(folder, report, pictures(report, 3))
    text = (folder / "report.html").read_text(encoding="utf-8")
    return report, json.loads((folder / "report.json").read_text()), ElementTree.fromstring(text), text


def table(tree, name):
    (element,) = [element for element in tree.iter("table") if element.get("id") == name]
    return element


def own_text(cell):
    return (cell.text or "").strip()


def shown(value, sign=False):
    """Halves away from zero."""
    if value is None:
        return "-"
    rounded = Decimal(value).quantize(Decimal("0.001"), ROUND_HALF_UP)
    return f"{rounded:+}" if sign else str(rounded)


def columns(document, part, differences, kinds=("segm", "bbox", "boundary")):
    """Function from a key to what the page's columns show of it."""
    models = document["models"]

    def of(key):
        cells = []
        for kind in kinds:
            cells += [shown(model[part][kind][key]["value"]) for model in models]
            cells += [shown(document[differences][kind][key]["value"], sign=True)] if len(models) > 1 else []
        return cells

    return of


def test_metrics_are_the_json_s(written):
    _, document, tree, _ = written
    expected = columns(document, "metrics", "differences")
    rows = [row for row in table(tree, "metrics").iter("tr") if row.get("data-metric")]
    assert [row.get("data-metric") for row in rows] == list(document["models"][0]["metrics"]["segm"])
    for row in rows:
        assert [own_text(cell) for cell in row.iter("td")][1:] == expected(row.get("data-metric"))
    first = document["models"][0]["metrics"]["segm"]["AP"]
    assert f"{first['low']:.3f} to {first['high']:.3f}" in "".join(rows[0].itertext())


def test_classes_are_the_json_s(written):
    _, document, tree, _ = written
    expected = columns(document, "classes", "class_differences")
    rows = [row for row in table(tree, "classes").iter("tr") if row.get("data-class")]
    for row, category in zip(rows, document["dataset"]["categories"], strict=True):
        name, objects, *cells = row.iter("td")
        assert own_text(name) == category["name"] == NAMES[category["id"]]
        assert own_text(objects) == str(category["objects"])
        assert [own_text(cell) for cell in cells if not cell.get("data-count")] == expected(str(category["id"]))


def test_errors_sizes_crowding_and_calibration_are_the_json_s(written):
    _, document, tree, text = written
    models = document["models"]
    for row in table(tree, "errors").iter("tr"):
        if name := row.get("data-error"):
            cells = ["".join(cell.itertext()).strip() for cell in row.iter("td")][1:]
            of = [model["errors"][kind] for kind in ("segm", "bbox") for model in models]
            assert cells == [text for one in of for text in (str(sum(one["counts"][name])), shown(one["cost"][name]))]
    sizes = columns(document, "metrics", "differences", ("segm", "bbox"))
    rows = list(table(tree, "sizes").iter("tr"))[1:]
    assert [[own_text(cell) for cell in row.iter("td")] for row in rows] == [sizes(name) for name in ("APs", "APm", "APl")]
    parts = [model["crowding"][kind] for kind in ("segm", "bbox") for model in models]
    for i, row in enumerate(list(table(tree, "crowding").iter("tr"))[1:]):
        assert [own_text(cell) for cell in row.iter("td")] == [str(parts[0][i]["images"]), *(shown(part[i]["ap"]) for part in parts)]
    for model in models:
        assert shown(model["calibration"]["segm"]["error"]) in text


def test_images_come_worst_first_with_their_pictures(written):
    report, document, tree, _ = written
    rows = [row for row in table(tree, "images").iter("tr") if row.get("data-image")]
    assert [int(row.get("data-image")) for row in rows] == report.worst_first()
    counts = document["models"][0]["images"]
    for row in rows:
        of = counts[int(row.get("data-image"))]
        assert [own_text(cell) for cell in row.iter("td")][2:] == [str(of[name]) for name in ("right", "wrong", "missed", "alone")] + [
            shown(of["f1"])
        ]
    figures = [element for element in tree.iter("figure") if element.get("data-image")]
    assert [int(figure.get("data-image")) for figure in figures] == report.worst_first()[:3]
    for figure in figures:
        sources = [image.get("src") for image in figure.iter("img")]
        assert len(sources) == 1 + len(report.models)
        assert all(
            cv2.imdecode(np.frombuffer(base64.b64decode(src.partition(",")[2]), np.uint8), 1).shape == (64, 64, 3) for src in sources
        )


def test_curves_are_drawn_through_the_json_s_points(written):
    _, document, tree, _ = written
    lines = {line.get("data-line"): line.get("points") for line in tree.iter("polyline") if line.get("data-line")}
    assert len(lines) == 6 * len(document["models"])
    for m, model in enumerate(document["models"]):
        for kind in ("segm", "bbox"):
            for level, curve in model["curves"][kind]["mean"].items():
                points = np.array([point.split(",") for point in lines[f"{kind} {level} {m}"].split()], float)
                np.testing.assert_allclose(points[:, 0], 480 * np.arange(101) / 100, atol=0.051)  # a tenth is written
                np.testing.assert_allclose(points[:, 1], 240 * (1 - np.array(curve)), atol=0.051)


def test_bars_of_calibration_are_the_json_s(written):
    _, document, tree, _ = written
    bars = [float(bar.get("height")) for bar in tree.iter("rect") if bar.get("class") == "bar"]
    of = [document["models"][0]["calibration"][kind] for kind in ("segm", "bbox")]
    expected = [240 * share for one in of for count, share in zip(one["counts"], one["precision"], strict=True) if count]
    assert bars == pytest.approx(expected, abs=0.01)


def test_the_page_needs_nothing_from_elsewhere(written):
    _, _, tree, text = written
    without_pictures = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text)
    assert "://" not in without_pictures
    assert not re.search(r"@import|url\(|<link|<iframe|fetch\(|XMLHttpRequest", without_pictures)
    for element in tree.iter():
        assert element.get("src", "data:").startswith("data:")
        assert element.get("href", "#").startswith("#")


def test_names_and_files_are_text_and_nothing_else():
    truth = dataset(thing(0, 0, 20, 20))
    truth["categories"][0]["name"] = "</script><script>alert('&')</script>"
    truth["images"][0]["file_name"] = "half \ud800 <i>.png"
    text = page.page_of(model_report("x", truth, {"<m>": [found(0, 0, 20, 20, 0.9)]}), [])
    assert text.count("<script") == 2
    tree = ElementTree.fromstring(text.encode("utf-8", "backslashreplace").decode())
    assert "</script><script>alert('&')</script>" in [own_text(cell) for cell in table(tree, "classes").iter("td")]


def test_of_many_classes_the_matrix_shows_those_with_the_most_mistakes(monkeypatch):
    monkeypatch.setattr(page, "MATRIX_CLASSES", 2)
    truth = dataset(*(thing(30 * i, 0, 20, 20, category=c) for i, c in enumerate((1, 2, 2, 3))), categories=(1, 2, 3))
    report = model_report("x", truth, {"m": [found(90, 0, 20, 20, 0.9, category=3)]})
    text = page.page_of(report, [])
    assert "Of 3 classes the 2 with the most mistakes are shown" in text
    assert '"shown":[0,1]' in text
