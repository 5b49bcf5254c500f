import json
import re

import pytest

from maskrcnn_jax import checkpoint, evaluation
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.data import ShapesSource


def run(*arguments):
    """Exit status."""
    try:
        main(["report", *map(str, arguments)])
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture
def another(trained, tmp_path):
    """The same checkpoint in another place."""
    (tmp_path / "another").symlink_to(trained)
    return tmp_path / "another"


def test_a_page_and_numbers_of_a_checkpoint(trained, tmp_path, capsys):
    out = tmp_path / "a" / "b"
    assert run(trained, "--out", out, "--images", 2, "--eval.max-images", 3) == 0
    assert f"report.json and report.html: {out}" in capsys.readouterr().out
    document = json.loads((out / "report.json").read_text())
    (model,) = document["models"]
    assert model["name"] == str(trained)
    assert document["dataset"]["name"] == "ShapesSource"
    assert document["dataset"]["images"] == 3
    main(["eval", str(trained), "--out", str(tmp_path / "measured"), "--eval.max-images", "3"])
    detections = json.loads((tmp_path / "measured" / "detections.json").read_text())
    truth = evaluation.ground_truth(ShapesSource(10**9, 3))
    expected = evaluation.evaluate(truth, detections)
    for kind in ("bbox", "segm"):
        found = {name: of["value"] for name, of in model["metrics"][kind].items() if of["value"] is not None}
        assert found == {name: value for name, value in expected[kind].stats.items() if value == value}
    page = (out / "report.html").read_text()
    assert len(re.findall(r'<img src="data:image/jpeg', page)) == 2 * 2


def test_two_checkpoints_side_by_side_with_a_field_changed(trained, another, tmp_path):
    """The second keeps the model of its own config: of the first nothing is left at a score of 1."""
    assert run(trained, "--other", another, "--out", tmp_path / "out", "--model.detect.score-threshold", 1, "--images", 1) == 0
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    first, second = document["models"]
    assert [model["name"] for model in document["models"]] == [str(trained), str(another)]
    found = [sum(model["calibration"]["segm"]["counts"]) for model in (first, second)]
    assert found[0] == 0
    assert found[1] > 0
    difference = document["differences"]["segm"]["AR100"]
    assert difference["value"] == pytest.approx(second["metrics"]["segm"]["AR100"]["value"])
    assert len(re.findall(r'<img src="data:image/jpeg', (tmp_path / "out" / "report.html").read_text())) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "-1"], "--images must not be negative; got -1"),
        (["--other", "{trained}"], "is the checkpoint that is measured already; give another, or leave it out"),
        (["--other", "nowhere"], "nowhere"),
        (["--out", "taken"], "taken"),
        (["--data.kind", "coco"], "data.val_annotations is empty; set it"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_measured(trained, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    assert run(trained, *(argument.format(trained=trained) for argument in arguments)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("maskrcnn report: ")
    assert message in printed.err
    assert printed.out == ""


def test_what_is_no_checkpoint_is_told(tmp_path, capsys):
    assert run(tmp_path / "nowhere") == 1
    assert "nowhere" in capsys.readouterr().err


def test_without_a_checkpoint_the_usage_is_shown(capsys):
    assert run() == 2
    assert "usage: maskrcnn report CHECKPOINT" in capsys.readouterr().err
    assert run("--help") == 0


def test_the_help_says_what_the_flags_mean(trained, capsys):
    assert run(trained, "--help") == 0
    out = capsys.readouterr().out
    for word in ("--out", "--other", "--images", "--data.val-annotations"):
        assert word in out
    assert checkpoint.load(trained).config.data.kind in out
