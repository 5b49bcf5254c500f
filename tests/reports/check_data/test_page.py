"""report.html and report.json: well formed, the same numbers, nothing from elsewhere; and the page in the terminal."""

import base64
import io
import json
import os
import re
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from maskrcnn_jax.reports.charts import HEIGHT
from maskrcnn_jax.reports.check_data import KINDS, check_data, page, summary, write_report
from maskrcnn_jax.reports.check_data.charts import charts_of
from maskrcnn_jax.reports.check_data.pictures import SIDE
from tests.reports.check_data.planted import PLANTS, clean, experiment, texture

WITHOUT_PICTURE = {  # there is no image, or none that can be read
    "row-without-id",
    "duplicate-id",
    "category-row",
    "image-row",
    "unknown-image",
    "missing-file",
    "unreadable-image",
    "extra-file",
    "unused-category",
    "frequency",
}


def checked(config):
    return check_data(config, step=False, console=Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The report on the dataset with one of every fault, and the folder of its files."""
    folder = tmp_path_factory.mktemp("planted")
    dataset = clean()
    for plant in PLANTS:
        plant(dataset)
    report, pictures = checked(experiment(dataset.write(folder)))
    write_report(folder / "a" / "b", report, pictures)
    return report, folder / "a" / "b"


@pytest.fixture(scope="module")
def tree(written):
    """The page, read by a parser that forgives nothing."""
    return ElementTree.fromstring((written[1] / "report.html").read_text(encoding="utf-8"))


def number(tree, name):
    (element,) = [element for element in tree.iter() if element.get("id") == name]
    return int(element.text.replace(",", ""))


def test_the_page_s_numbers_are_the_json_s(written, tree):
    report, folder = written
    document = json.loads((folder / "report.json").read_text())
    assert number(tree, "errors") == document["errors"] == sum(row["severity"] == "error" for row in document["findings"])
    assert number(tree, "warnings") == document["warnings"] == len(document["findings"]) - document["errors"]
    counted = {name: sum(row["kind"] == name for row in document["findings"]) for name in document["counts"]}
    assert {name: number(tree, f"count-{name}") for name in document["counts"]} == document["counts"] == counted
    assert document["sound"] is report.sound is False


def test_the_json_has_every_finding_with_its_places(written):
    report, folder = written
    rows = json.loads((folder / "report.json").read_text())["findings"]
    assert len(rows) == len(report.findings)
    for row, finding in zip(rows, report.findings, strict=True):
        assert row["severity"] == KINDS[row["kind"]].severity
        assert row["message"] == finding.message
        assert [place["image_id"] for place in row["places"]] == [place.image_id for place in finding.places]
        assert set(row["places"][0]) == {"split", "dataset", "file", "image_id", "annotation_id", "category_id"}


def test_the_page_needs_nothing_from_elsewhere(written, tree):
    text = (written[1] / "report.html").read_text(encoding="utf-8")
    without_pictures = re.sub(r"data:image/jpeg;base64,[A-Za-z0-9+/=]+", "", text)
    assert "://" not in without_pictures
    assert not re.search(r"@import|url\(|<script|<link|<iframe", without_pictures)
    for element in tree.iter():
        assert element.get("src", "data:").startswith("data:")
        assert element.get("href", "#").startswith("#")


def test_links_lead_to_the_sections(tree):
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert {element.get("href")[1:] for element in tree.iter("a")} <= set(ids)


def test_each_finding_that_can_be_shown_has_a_picture_and_each_its_words(written, tree):
    report, _ = written
    for section in tree.iter("section"):
        kind = section.get("id")
        pictures = list(section.iter("img"))
        assert bool(pictures) == (kind not in WITHOUT_PICTURE), kind
        for picture in pictures:
            jpeg = base64.b64decode(picture.get("src").partition(",")[2])
            decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert SIDE <= max(decoded.shape) <= 2 * SIDE + 32  # two images side by side at most, and the paper between
        text = "".join(section.itertext())
        for finding in report.findings:
            if finding.kind == kind:
                assert finding.message in text
                assert all(str(place) in text for place in finding.places)


def test_errors_come_first(tree):
    severities = [KINDS[section.get("id")].severity for section in tree.iter("section")]
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}


def test_the_picture_of_an_annotation_shows_it(tmp_path):
    """On a grey image, what is drawn is the only colour: it is where the object is, also of a row that training refuses."""
    dataset = clean()
    grey = Image.fromarray(np.full((64, 96, 3), 90, np.uint8))
    for image_id in (4, 16):
        dataset.save("train", image_id, grey)
    dataset.annotations("train", 4)[0]["category_id"] = 3
    dataset.annotations("train", 16)[0]["bbox"] = [8, 8, 16, 30]
    report, pictures = checked(experiment(dataset.write(tmp_path)))
    for kind in ("unknown-category", "box-mask"):
        (finding,) = [finding for finding in report.findings if finding.kind == kind]
        picture = pictures.of(finding).astype(int)
        coloured = (picture.max(axis=2) - picture.min(axis=2)) > 40
        assert 0.02 < coloured.mean() < 0.6
        assert not coloured[-5:].any()


def test_names_that_look_like_markup_are_text(tmp_path):
    dataset = clean()
    for split in ("train", "val"):
        dataset.documents[split]["categories"][1]["name"] = "<script>alert('&')</script>[bold]"
    dataset.image("train", 5)["file_name"] = 'a"<b>.png'
    dataset.files['a"<b>.png'] = dataset.files.pop("005.png")
    dataset.files[os.fsdecode(b"caf\xe9.png")] = lambda path: Image.fromarray(texture(77)).save(path)
    report, pictures = checked(experiment(dataset.write(tmp_path)))
    assert [finding.kind for finding in report.findings] == ["extra-file"]
    write_report(tmp_path / "out", report, pictures)
    text = (tmp_path / "out" / "report.html").read_bytes().decode("utf-8")
    assert "<script>" not in text
    tree = ElementTree.fromstring(text)
    assert "<script>alert('&')</script>[bold]" in "".join(tree.itertext())
    assert r"caf\udce9.png" in "".join(tree.itertext())
    Console(file=io.StringIO()).print(summary(report))


def test_a_clean_dataset_has_a_page_without_findings(tmp_path):
    report, pictures = checked(experiment(clean().write(tmp_path)))
    tree = ElementTree.fromstring(page.page_of(report, pictures))
    assert "Training would be sound: nothing was found." in "".join(tree.itertext())
    assert list(tree.iter("section")) == []
    assert len(list(tree.iter("svg"))) == 3


def test_many_findings_have_a_limit_on_the_page_and_none_in_the_json(written, monkeypatch, tmp_path):
    report, _ = written
    (finding,) = [finding for finding in report.findings if finding.kind == "grey"]
    many = replace(report, findings=(finding,) * 7)
    monkeypatch.setattr(page, "PICTURES", 2)
    monkeypatch.setattr(page, "ROWS", 5)
    _, pictures = checked(experiment(clean().write(tmp_path / "data")))
    write_report(tmp_path, many, pictures)
    tree = ElementTree.fromstring((tmp_path / "report.html").read_text())
    (section,) = tree.iter("section")
    text = " ".join("".join(section.itertext()).split())
    assert len(list(section.iter("img"))) == 2
    assert len(list(section.iter("tr"))) == 1 + 5
    assert "The first 2 of 7." in text
    assert "the first 5 of 7, all of which are in report.json" in text
    assert len(json.loads((tmp_path / "report.json").read_text())["findings"]) == 7


def test_bars_are_the_histogram(written):
    report, _ = written
    sizes, fits, an_image = charts_of(report)
    for chart, histogram in ((sizes, report.anchors.sizes), (fits, report.anchors.best_iou), (an_image, report.objects_an_image)):
        heights = np.array([bar.height for bar in chart.bars])
        assert heights == pytest.approx(np.array(histogram.counts) / max(histogram.counts) * HEIGHT, abs=0.01)
        assert [bar.text.rpartition(": ")[2] for bar in chart.bars] == [f"{count:,}" for count in histogram.counts]
    assert sum(report.anchors.sizes.counts) == sum(report.anchors.best_iou.counts) == report.anchors.objects == report.splits[0].objects
    assert sum(report.objects_an_image.counts) == report.splits[0].images
    assert "16" in [text for _, text in sizes.marks]


def test_the_terminal_has_one_line_a_kind_with_the_first_of_each(written):
    report, _ = written
    out = io.StringIO()
    Console(file=out, width=250).print(summary(report))
    text = out.getvalue()
    for name, count in report.counts().items():
        (line,) = [line for line in text.splitlines() if f" {KINDS[name].title} " in line]
        assert f" {count:,} " in line
        assert KINDS[name].severity in line
    assert "train image 16 annotation 160: the box is 8 8 24 28 (x0 y0 x1 y1), that of the mask 8 8 24 24: 4 pixels off" in text
    assert f"Training would not be sound: {report.count('error')} errors, {report.count('warning')} warnings." in text


def test_a_terminal_of_80_columns_cuts_no_word(written):
    report, _ = written
    path = "../" + "a-long-folder-name/" * 5 + "instances_train.json"
    (finding,) = [finding for finding in report.findings if finding.kind == "grey"]
    out = io.StringIO()
    Console(file=out, width=80).print(summary(replace(report, findings=(replace(finding, message=f"{path} is grey"),))))
    text = out.getvalue()
    assert "\u2026" not in text  # rich's ellipsis
    assert "without objects" in text
    assert path in "".join(cells[-2].strip() for line in text.splitlines() if len(cells := line.split("\u2502")) == 6)
