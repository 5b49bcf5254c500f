"""Prepared data are checked as the files that they were prepared from."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from maskrcnn_jax.data import prepared
from maskrcnn_jax.reports.check_data import check_data
from tests.reports.check_data import planted


def check(data):
    return check_data(planted.experiment(data), console=Console(file=io.StringIO()), step=False)


@pytest.fixture
def both(tmp_path):
    """Files with an image of EXIF orientation, a grey one, one twice, a box beside its mask and an object annotated twice; prepared."""
    dataset = planted.clean()
    for plant in (planted.exif, planted.modes, planted.duplicate_image, planted.box_mask, planted.duplicate_annotation):
        plant(dataset)
    files = dataset.write(tmp_path / "data")
    for split in ("train", "val"):
        with prepared.open_dataset("coco", Path(f"{tmp_path}/data/{split}.json"), planted.clean, images=tmp_path / "data/images") as data:
            prepared.prepare(data, tmp_path / split)
    folders = {f"{split}_annotations": str(tmp_path / split) for split in ("train", "val")}
    return files, replace(files, kind="prepared", **folders)


def test_findings_numbers_and_pictures_are_the_same(both):
    (report, pictures), (found, drawn) = check(both[0]), check(both[1])
    assert {"exif", "grey", "duplicate-image", "box-mask", "duplicate-annotation"} <= report.counts().keys()
    assert found.findings == report.findings
    named = [{**split, "source": Path(split["source"]).stem} for split in report.as_json()["splits"]]
    assert found.as_json() | {"splits": [{**split, "source": Path(split["source"]).name} for split in found.as_json()["splits"]]} == (
        report.as_json() | {"splits": named}
    )
    for finding in report.findings:
        assert np.array_equal(drawn.of(finding), pictures.of(finding))


def test_a_record_that_cannot_be_read_is_a_finding(both, tmp_path):
    (path,) = (tmp_path / "val").glob("*array_record*")
    content = bytearray(path.read_bytes())
    start = content.index(b"102.png")
    content[start : start + 3] = b"777"
    path.write_bytes(content)
    report, _ = check(both[1])
    (finding,) = (finding for finding in report.findings if finding.severity == "error")
    assert (finding.kind, finding.places[0].image_id, finding.places[0].file) == ("unreadable-image", 102, "102.png")
    assert "its record cannot be read" in finding.message


def test_an_image_of_other_channels_is_a_finding(tmp_path):
    dataset = planted.clean()
    dataset.files["101.png"] = lambda path: Image.fromarray(planted.texture(101)[..., 0]).save(path)
    files = dataset.write(tmp_path / "data")
    with prepared.open_dataset("coco", tmp_path / "data/val.json", planted.clean, images=tmp_path / "data/images") as data:
        prepared.prepare(data, tmp_path / "val")
    folders = {f"{split}_annotations": str(tmp_path / "val") for split in ("train", "val")}
    config = planted.experiment(replace(files, kind="prepared", **folders))
    grey = replace(config.model.input, channels=2, mean=(1.0, 1.0), std=(1.0, 1.0))
    config = replace(config, model=replace(config.model, input=grey))
    report, _ = check_data(config, console=Console(file=io.StringIO()), step=False)
    found = [finding for finding in report.findings if finding.kind == "unreadable-image" and finding.places[0].image_id == 101]
    assert all("the file holds 1 channels of uint8" in finding.message for finding in found)
    assert found
