"""Every fault is found where it was planted, and nothing else is."""

import io

import pytest
from rich.console import Console

from maskrcnn_jax.reports.check_data import KINDS, check_data
from tests.reports.check_data.planted import PLANTS, clean, experiment


def found_in(config, **options):
    report, _ = check_data(config, step=False, console=Console(file=io.StringIO()), **options)
    return report


def as_expected(report):
    places = [tuple((p.split, p.image_id, p.annotation_id, p.category_id) for p in finding.places) for finding in report.findings]
    return sorted(zip((finding.kind for finding in report.findings), places, strict=True), key=repr)


def test_nothing_is_found_in_a_clean_dataset(tmp_path):
    report = found_in(experiment(clean().write(tmp_path)))
    assert [finding.message for finding in report.findings] == []
    assert report.sound


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_and_nothing_else(plant, tmp_path):
    dataset = clean()
    expected = plant(dataset)
    report = found_in(experiment(dataset.write(tmp_path)))
    assert as_expected(report) == sorted(expected, key=repr)
    assert report.sound == all(KINDS[kind].severity == "warning" for kind, _ in expected)


def test_one_of_every_fault_in_one_dataset_is_found_and_nothing_else(tmp_path):
    dataset = clean()
    expected = [found for plant in PLANTS for found in plant(dataset)]
    report = found_in(experiment(dataset.write(tmp_path)))
    assert as_expected(report) == sorted(expected, key=repr)
    assert not report.sound
    order = list(KINDS)
    assert [finding.kind for finding in report.findings] == sorted((kind for kind, _ in expected), key=order.index)
    for finding in report.findings:  # each says where in words too, or has the image's file
        assert finding.message
        assert finding.places[0].file or finding.places[0].image_id in (None, 3, 999) or finding.kind == "image-row"
    others = {
        "dataset",
        "no-rows",
        "example",
        "classes",
        "plan",
        "no-objects",
        "memory",
        "same-id",
    }  # of a whole dataset: tests of their own
    assert {kind for kind, _ in expected} | others == set(KINDS)
