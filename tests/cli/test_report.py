import json
import re

import numpy as np
import pytest

from maskrcnn_jax import checkpoint, evaluation, models
from maskrcnn_jax.cli import measuring, report
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.data import ShapesSource
from tests import tiny


def run(*arguments):
    """Exit status."""
    try:
        main(["report", *map(str, arguments)])
    except SystemExit as end:
        return end.code
    return 0


@pytest.fixture(scope="module")
def runs(tiny_config, tmp_path_factory):
    """Two checkpoints of a model that compiles in no time, and finds the bright square of an image; they give it different scores."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", tiny.stand_in)
        main(["train", str(tiny_config), "--run-dir", str(folder), "--train.steps", "2", "--train.checkpoint-every", "1"])
        yield str(folder / "checkpoints" / "1"), str(folder / "checkpoints" / "2")


def test_a_page_and_numbers_of_a_checkpoint(runs, tmp_path, capsys):
    trained, _ = runs
    out = tmp_path / "a[" / "b]"
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


def test_a_name_with_brackets_is_shown_on_a_terminal(runs, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # which Rich takes for a terminal
    stored = checkpoint.load(runs[0])
    measuring.measured(measuring.predictor_of(runs[0], stored), ShapesSource(10**9, 3), stored.config, "evaluating runs[/b]")
    assert "evaluating runs[/b]" in capsys.readouterr().out


def test_two_checkpoints_side_by_side(runs, tmp_path):
    assert run(runs[0], "--other", runs[1], "--out", tmp_path / "out", "--images", 1) == 0
    document = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [model["name"] for model in document["models"]] == ["1", "2"]
    scores = [np.nanmax(np.array(model["calibration"]["segm"]["score"], float)) for model in document["models"]]
    assert scores[0] != scores[1]
    assert set(document["differences"]) == {"segm", "bbox", "boundary"}
    assert len(re.findall(r'<img src="data:image/jpeg', (tmp_path / "out" / "report.html").read_text())) == 3


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a"], ["runs/a"]),
        (["runs/a", "runs/b"], ["a", "b"]),
        (["/runs/x/a", "/runs/y/a"], ["x/a", "y/a"]),
        (["/runs/x", "/runs/x/checkpoints/5"], ["x", "x/checkpoints/5"]),
    ],
)
def test_checkpoints_are_called_by_what_tells_them_apart(paths, names):
    assert report._told_apart(paths) == names


def test_the_second_keeps_its_own_model(runs, tmp_path, monkeypatch):
    """Fields of the first model that are changed are not the second's; those of data and evaluation are of both."""
    seen = []
    monkeypatch.setattr(report, "measured", lambda predictor, source, config, what: seen.append((what, config)))
    with pytest.raises(AttributeError):  # there is no evaluation to report on
        main(
            [
                "report",
                runs[0],
                "--other",
                runs[1],
                "--model.detect.score-threshold",
                "0.25",
                "--eval.max-images",
                "2",
                "--out",
                str(tmp_path),
            ]
        )
    (first, one), (second, two) = seen
    assert (first, second) == tuple(f"evaluating {run}" for run in runs)
    assert (one.model.detect.score_threshold, two.model.detect.score_threshold) == (0.25, 0.0)
    assert one.eval.max_images == two.eval.max_images == 2
    assert one.data == two.data


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            lambda stored: stored._replace(categories=(stored.categories[0]._replace(name="cat"), *stored.categories[1:])),
            "1 of 4 categories",
        ),
        (lambda stored: stored._replace(variables=stored.variables | {"params": {}}), "head/layer/bias"),
    ],
)
def test_a_second_that_cannot_be_measured_is_told_by_name_before_the_first_is(runs, tmp_path, monkeypatch, capsys, changed, message):
    load = checkpoint.load
    monkeypatch.setattr(checkpoint, "load", lambda path: changed(load(path)) if str(path) == runs[1] else load(path))
    monkeypatch.setattr(report, "measured", None)
    assert run(runs[0], "--other", runs[1], "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err
    assert error.startswith(f"maskrcnn report: {runs[1]}: ")
    assert message in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "-1"], "--images must not be negative; got -1"),
        (["--other", "{trained}"], "is the checkpoint that is measured already; give another, or leave it out"),
        (["--other", "{trained}/x/.."], "is the checkpoint that is measured already; give another, or leave it out"),
        (["--other", "nowhere"], "nowhere"),
        (["--out", "taken"], "taken"),
        (["--data.kind", "coco"], "data.val_annotations is empty; set it"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_measured(runs, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").touch()
    assert run(runs[0], *(argument.format(trained=runs[0]) for argument in arguments)) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("maskrcnn report: ")
    assert message in printed.err
    assert printed.out == ""


def test_data_of_lvis_are_refused(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ShapesSource, "federated", True, raising=False)
    assert run(runs[0], "--out", tmp_path / "out") == 1
    assert "ShapesSource: the images list the classes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_is_no_checkpoint_is_told(tmp_path, capsys):
    assert run(tmp_path / "nowhere") == 1
    assert "nowhere" in capsys.readouterr().err


def test_without_a_checkpoint_the_usage_is_shown(capsys):
    assert run() == 2
    assert "usage: maskrcnn report CHECKPOINT" in capsys.readouterr().err
    assert run("--help") == 0


def test_the_help_says_what_the_flags_mean(runs, capsys):
    assert run(runs[0], "--help") == 0
    out = capsys.readouterr().out
    for word in ("--out", "--other", "--images", "--data.val-annotations"):
        assert word in out
