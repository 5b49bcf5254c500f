import json
import os

import pytest

from maskrcnn_jax import models
from maskrcnn_jax.cli.main import main
from tests import tiny
from tests.reports.check_data import planted


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Folder of a clean dataset, and a function that runs the command on it."""
    monkeypatch.setattr(models, "build", tiny.stand_in)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "220")
    (tmp_path / "config.py").write_text(
        "from maskrcnn_jax.config import DataConfig\nfrom tests.reports.check_data.planted import experiment\n\n"
        "def get_config():\n    data = DataConfig(train_annotations='data/train.json', train_images='data/images', "
        "val_annotations='data/val.json', val_images='data/images', max_objects=4)\n    return experiment(data)\n"
    )
    return "config.py"


def run(*arguments):
    """Exit status."""
    try:
        main(["check-data", *arguments])
    except SystemExit as end:
        return end.code
    return 0


def test_sound_data_end_with_0_and_a_measured_step(config, tmp_path, capsys):
    planted.clean().write(tmp_path / "data")
    assert run(config) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Training would be sound: nothing was found." in out
    assert "s without reading data" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.py", "data"]


def test_warnings_alone_end_with_0(config, tmp_path, capsys):
    dataset = planted.clean()
    planted.anchor_iou(dataset)
    dataset.write(tmp_path / "data")
    assert run(config, "--no-step") == 0
    assert "0 errors, 1 warning." in capsys.readouterr().out


def test_errors_end_with_1_and_files_are_written_all_the_same(config, tmp_path, capsys):
    dataset = planted.clean()
    planted.missing_file(dataset)
    dataset.write(tmp_path / "data")
    assert run(config, "--out", "found/here") == 1
    printed = capsys.readouterr()
    assert "Training would not be sound: 1 error, 0 warnings." in printed.out
    assert "report.json and report.html: found/here" in printed.out
    assert "Traceback" not in printed.err
    document = json.loads((tmp_path / "found" / "here" / "report.json").read_text())
    assert document["counts"] == {"missing-file": 1}
    assert (tmp_path / "found" / "here" / "report.html").stat().st_size > 5000


def test_fields_are_changed_as_in_training(config, tmp_path, capsys):
    planted.clean().write(tmp_path / "data")
    assert run(config, "--no-step", "--model.num-classes", "7") == 1
    assert "model.num_classes is 7" in " ".join(capsys.readouterr().out.split())


def test_a_file_in_place_of_the_folder_is_told_before_anything_is_read(config, tmp_path, capsys):
    (tmp_path / "taken").touch()
    assert run(config, "--out", "taken") == 1
    printed = capsys.readouterr()
    assert "maskrcnn check-data: " in printed.err
    assert "taken" in printed.err
    assert printed.out == ""


def test_without_a_config_the_usage_is_shown(capsys):
    assert run() == 2
    assert "usage: maskrcnn check-data CONFIG" in capsys.readouterr().err
    assert run("--help") == 0


def test_the_help_says_what_the_flags_mean(capsys):
    assert run("shapes", "--help") == 0
    out = capsys.readouterr().out
    for word in ("--out", "--step, --no-step", "--data.train-annotations"):
        assert word in out


def test_a_file_name_that_is_no_text_is_told_with_its_bytes(config, tmp_path, capsys):
    planted.clean().write(tmp_path / "data")
    (tmp_path / "data" / "images" / os.fsdecode(b"caf\xe9.png")).write_bytes((tmp_path / "data" / "images" / "001.png").read_bytes())
    assert run(config, "--no-step", "--out", "found") == 0
    assert r"train caf\udce9.png: no annotation file names it" in capsys.readouterr().out
    assert r"caf\udce9.png" in (tmp_path / "found" / "report.html").read_text(encoding="utf-8")
