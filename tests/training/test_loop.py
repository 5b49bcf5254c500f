import io
import json
import os
import re
import signal
import subprocess
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest
from orbax.checkpoint import CheckpointManager
from rich.console import Console

import maskrcnn_jax
from maskrcnn_jax import checkpoint
from maskrcnn_jax.checkpoint import CheckpointError, CheckpointWriter
from maskrcnn_jax.config import AugmentConfig, ConfigError, EvalConfig, OptimizerConfig, to_dict
from maskrcnn_jax.data import Augmented, DataError, MixedSource
from maskrcnn_jax.training import Interrupted, NonFiniteError, manifest, read_dump, replay, train
from maskrcnn_jax.training.inputs import make_plan, train_batches
from maskrcnn_jax.training.metrics import MetricsLog
from maskrcnn_jax.training.start import initial_state
from tests import tiny
from tests.training.conftest import MODEL

LOSSES = {"loss", "rpn_class", "rpn_box", "class", "box", "mask"}


def steps_on_disk(run):
    return sorted(int(path.name) for path in (run / "checkpoints").iterdir())


def assert_equal_checkpoints(run, other, step):
    found, expected = (checkpoint.load(folder / "checkpoints" / str(step)) for folder in (run, other))
    jax.tree.map(np.testing.assert_array_equal, found.variables, expected.variables)


def test_a_run_leaves_metrics_checkpoints_results_and_pictures(run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, log_every=2)
    config = replace(config, eval=EvalConfig(every=4, batch_size=2, pictures=3))
    result = run_training(config, tmp_path)
    assert result.metrics["segm"].stats["AP"] == 1.0
    lines = read_lines(tmp_path)
    assert [(line["step"], *(key for key in line if key != "step")) for line in lines] == [
        (2, "train"),
        (4, "train"),
        (4, "val"),
        (6, "train"),
        (6, "val"),
    ]
    counts = {"rois_sampled", "rois_positive", "objects_cut", "images_unreadable", "nonfinite"}
    assert set(lines[0]["train"]) == LOSSES | counts | {"grad_norm", "learning_rate"}
    assert lines[-1]["val"]["mask_AP"] == lines[-1]["val"]["box_AP50"] == 1.0
    assert steps_on_disk(tmp_path) == [4, 6]
    assert json.loads((tmp_path / "detections.json").read_text()) == result.detections
    assert {entry["image_id"] for entry in result.detections} == {100, 101, 102}
    assert [path.name for path in sorted((tmp_path / "pictures").iterdir())] == ["4.jpg", "6.jpg"]
    picture = cv2.imread(str(tmp_path / "pictures" / "6.jpg"))
    assert picture.std() > 10
    stored = checkpoint.load(tmp_path)
    assert stored.step == 6  # of equals the newest
    assert stored.config == replace(config, data=replace(config.data, kind="own"))
    assert stored.categories == tiny.Squares.categories


def test_the_manifest_says_what_made_the_run(run_training, tmp_path):
    config = tiny.experiment(model=MODEL)
    run_training(config, tmp_path / "one")
    run_training(config, tmp_path / "two", sources=(tiny.Squares(7), tiny.Squares(3)))
    one, two = (json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("one", "two"))
    assert one["versions"]["maskrcnn-jax"] == maskrcnn_jax.__version__
    assert one["versions"]["jax"] == jax.__version__
    assert one["config"] == to_dict(replace(config, data=replace(config.data, kind="own")))
    assert one["command"]
    assert len(one["data"]["train"]) == 64
    assert one["data"]["val"] == two["data"]["val"]
    assert one["data"]["train"] != two["data"]["train"]


def test_the_commit_is_that_of_the_clone_the_package_runs_from(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments], cwd=tmp_path, check=True, capture_output=True)

    module, other = tmp_path / "package.py", tmp_path / ".venv" / "package.py"
    other.parent.mkdir()
    for path in (module, other):
        path.write_text("")
    monkeypatch.setattr("maskrcnn_jax.training.manifest.__file__", str(module))
    assert manifest.git_commit() is None
    git("init", "--initial-branch=main")
    git("add", "package.py")
    git("commit", "--message=one")
    head = (tmp_path / ".git" / "refs" / "heads" / "main").read_text().strip()
    assert manifest.git_commit() == head + "+"  # .venv is neither committed nor ignored
    (tmp_path / ".gitignore").write_text(".venv\n.gitignore\n")
    assert manifest.git_commit() == head
    monkeypatch.setattr("maskrcnn_jax.training.manifest.__file__", str(other))
    assert manifest.git_commit() is None


def test_progress_is_printed_where_there_is_no_terminal(run_training, tmp_path):
    text = io.StringIO()
    run_training(tiny.experiment(model=MODEL, steps=2), tmp_path, console=Console(file=text, force_terminal=False))
    assert "compiling the step for 64 x 64" in text.getvalue()
    assert "step 2  loss" in text.getvalue()
    assert "images/s" in text.getvalue()


def test_progress_is_a_bar_on_a_terminal(run_training, tmp_path):
    text = io.StringIO()
    run_training(tiny.experiment(model=MODEL, steps=2), tmp_path, console=Console(file=text, force_terminal=True, width=200))
    shown = text.getvalue()
    assert shown.index("compiling the initialisation") < shown.index("compiling the step for 64 x 64") < shown.index("evaluating")
    assert "compiling" not in shown[shown.index("evaluating") :]
    assert re.search(r"2/2.*0:00:\d\d.*loss \d.*rpn_class \d.*rpn_box \d.*class \d.*box \d.*mask \d.*images/s", shown)


INTERRUPTIONS = [(place, n) for place, calls in (("log", 7), ("before saving", 3), ("after saving", 3)) for n in range(calls)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    run = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maskrcnn_jax.models, "build", tiny.stand_in)
        train(tiny.experiment(model=MODEL), run, sources=(tiny.Squares(8), tiny.Squares(3)))
    return run


@pytest.mark.parametrize(("place", "n"), INTERRUPTIONS)
def test_interrupted_anywhere_and_resumed_is_as_never_stopped(place, n, uninterrupted, run_training, read_lines, tmp_path, monkeypatch):
    calls = iter(range(100))

    def interrupt_at(function, *, after):
        def run(*arguments, **options):
            now = next(calls) == n
            if now and not after:
                raise KeyboardInterrupt
            function(*arguments, **options)
            if now:
                raise KeyboardInterrupt

        return run

    owner, name = (MetricsLog, "write") if place == "log" else (CheckpointWriter, "save")
    config = tiny.experiment(model=MODEL)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupt_at(getattr(owner, name), after=place == "after saving"))
        with pytest.raises(KeyboardInterrupt):
            run_training(config, tmp_path)
    run_training(config, tmp_path, resume=True)
    assert read_lines(tmp_path) == read_lines(uninterrupted)
    assert steps_on_disk(tmp_path) == steps_on_disk(uninterrupted)
    assert_equal_checkpoints(tmp_path, uninterrupted, 6)


class Torn(tiny.Squares):
    """The last image cannot be read."""

    def __getitem__(self, i):
        if i == len(self) - 1:
            raise DataError(f"image id {100 + i}: torn")
        return super().__getitem__(i)


def test_a_validation_image_that_cannot_be_read_costs_no_training(uninterrupted, run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, checkpoint_every=100)
    with pytest.raises(DataError, match="image id 102: torn"):
        run_training(config, tmp_path, sources=(tiny.Squares(8), Torn(3)))
    assert steps_on_disk(tmp_path) == [6]
    run_training(config, tmp_path, resume=True)
    assert read_lines(tmp_path) == read_lines(uninterrupted)
    assert_equal_checkpoints(tmp_path, uninterrupted, 6)


def test_resuming_a_finished_run_only_evaluates_again(run_training, tmp_path):
    config = tiny.experiment(model=MODEL)
    first = run_training(config, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_text()
    (tmp_path / "pictures" / "6.jpg").unlink()
    assert run_training(config, tmp_path, resume=True).detections == first.detections
    assert (tmp_path / "metrics.jsonl").read_text() == before
    assert (tmp_path / "pictures" / "6.jpg").is_file()


def test_resuming_with_more_steps_goes_on(run_training, read_lines, tmp_path):
    run_training(tiny.experiment(model=MODEL, steps=2), tmp_path)
    config = tiny.experiment(model=MODEL, steps=4)
    moved = replace(config, data=replace(config.data, train_images="elsewhere"))  # the data themselves are the same
    run_training(moved, tmp_path, resume=True)
    assert [line["step"] for line in read_lines(tmp_path)] == [1, 2, 2, 3, 4, 4]


def test_a_cosine_cannot_be_given_more_steps(run_training, tmp_path):
    cosine = OptimizerConfig(learning_rate=0.01, warmup_steps=2, schedule="cosine")
    run_training(tiny.experiment(model=MODEL, optimizer=cosine, steps=2), tmp_path)
    with pytest.raises(CheckpointError) as error:
        run_training(tiny.experiment(model=MODEL, optimizer=cosine, steps=4), tmp_path, resume=True)
    assert_says(error, str(tmp_path), "train.steps is 4, the run's is 2", "another run folder")


@pytest.mark.parametrize("name", ["metrics.jsonl", "detections.json", "pictures/1.jpg", "summary.md", "curves.png", "tensorboard/events"])
def test_files_of_others_are_not_written_over(name, run_training, tmp_path):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("theirs")
    with pytest.raises(CheckpointError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path)
    assert_says(error, str(tmp_path), name.split("/")[0], "is no run folder", "another one by --run-dir")
    assert [file.read_text() for file in tmp_path.rglob("*") if file.is_file()] == ["theirs"]


def assert_says(error, *words):
    for word in words:
        assert word in str(error.value)


def test_resuming_what_is_no_run_is_an_error(run_training, tmp_path):
    with pytest.raises(CheckpointError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", resume=True)
    assert_says(error, str(tmp_path / "run"), "no run to resume", "leave out --resume")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"optimizer": OptimizerConfig(learning_rate=0.02, warmup_steps=2)}, "optimizer.learning_rate is 0.02, the run's is 0.01"),
        ({"train": {"seed": 3}}, "train.seed is 3, the run's is 0"),
        ({"train": {"weights": "other.npz"}}, "train.weights is 'other.npz', the run's is None"),
        ({"train": {"batch_size": 4}}, "train.batch_size is 4, the run's is 2"),
        ({"eval": {"max_detections": 300}}, "eval.max_detections is 300, the run's is 100"),
        ({"sources": (tiny.Squares(7), tiny.Squares(3))}, "the train data are others"),
    ],
)
def test_resuming_another_experiment_is_an_error_that_names_what_differs(change, says, run_training, tmp_path):
    run_training(tiny.experiment(model=MODEL, steps=2), tmp_path)
    before = (tmp_path / "manifest.json").read_text()
    other = tiny.experiment(model=MODEL, optimizer=change.get("optimizer"), **{"steps": 4} | change.get("train", {}))
    other = replace(other, eval=replace(other.eval, **change.get("eval", {})))
    options = {"sources": change["sources"]} if "sources" in change else {}
    with pytest.raises(CheckpointError) as error:
        run_training(other, tmp_path, resume=True, **options)
    assert_says(error, str(tmp_path), says, "manifest.json", "another run folder")
    assert (tmp_path / "manifest.json").read_text() == before


def test_the_manifest_keeps_the_start_and_adds_what_went_on(run_training, tmp_path):
    run_training(tiny.experiment(model=MODEL, steps=2), tmp_path)
    run_training(tiny.experiment(model=MODEL, steps=4), tmp_path, resume=True)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["config"]["train"]["steps"] == 2
    assert [(entry["step"], entry["config"]["train"]["steps"]) for entry in manifest["resumed"]] == [(2, 4)]


def test_a_step_that_cuts_objects_is_always_logged(run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, log_every=6)
    run_training(replace(config, data=replace(config.data, max_objects=1)), tmp_path, sources=(Pairs(8), tiny.Squares(3)))
    lines = [line for line in read_lines(tmp_path) if "train" in line]
    assert [(line["step"], line["train"]["objects_cut"]) for line in lines] == [(step, 2.0) for step in range(1, 7)]


class Pairs(tiny.Squares):
    """Every object twice."""

    def __getitem__(self, i):
        example = super().__getitem__(i)
        twice = {name: np.repeat(getattr(example, name), 2, axis=0) for name in ("masks", "boxes", "labels", "crowd")}
        return example._replace(**twice)


def test_a_used_run_folder_without_resume_is_an_error_and_stays_as_it_is(uninterrupted, run_training):
    before = {path: path.read_bytes() for path in uninterrupted.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError) as error:
        run_training(tiny.experiment(model=MODEL), uninterrupted)
    assert_says(error, str(uninterrupted), "already holds checkpoints up to step 6", "add --resume")
    assert {path: path.read_bytes() for path in uninterrupted.rglob("*") if path.is_file()} == before


def test_resuming_a_model_of_other_shapes_is_an_error(run_training, tmp_path, monkeypatch):
    """The same config, but another version of the package."""
    run_training(tiny.experiment(model=MODEL, steps=2), tmp_path)
    before = (tmp_path / "manifest.json").read_text()
    layer = {"kernel": jax.numpy.ones(4), "bias": jax.numpy.ones(3)}
    wider = {"params": {"backbone": {"stem": {"kernel": jax.numpy.ones(3)}}, "head": {"layer": layer}}, "batch_stats": {}}
    monkeypatch.setattr("maskrcnn_jax.models.build", lambda *given: tiny.stand_in(*given)._replace(init=lambda key: wider))
    with pytest.raises(CheckpointError) as error:
        run_training(tiny.experiment(model=MODEL, steps=4), tmp_path, resume=True)
    expected = "params/head/layer/kernel is (3,); the model has (4,)"
    assert_says(error, str(tmp_path / "checkpoints" / "2"), "does not fit this config", expected, "manifest.json", "another run folder")
    assert (tmp_path / "manifest.json").read_text() == before  # it still holds the config to go back to


class Nan(tiny.Squares):
    """The model's stand-in makes NaN of the images with these indices."""

    def __init__(self, count, *bad):
        super().__init__(count)
        self.bad = bad

    def __getitem__(self, i):
        example = super().__getitem__(i)
        if i in self.bad:
            example.image[:] = tiny.POISON
        return example


def test_losses_that_are_not_finite_end_the_run_with_a_dump_that_can_be_replayed(run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, max_nonfinite=2, batch_size=1, steps=8, checkpoint_every=100)
    plan = make_plan(config, tiny.Squares(8))
    bad = [int(i) for step in (3, 4) for i in plan(step)[1]]
    with pytest.raises(NonFiniteError) as error:
        run_training(config, tmp_path, sources=(Nan(8, *bad), tiny.Squares(3)))
    ids = [100 + bad[-1]]
    folder = tmp_path / "nonfinite" / "step_5"
    says = ("step 5: rpn_class not finite on images", str(ids), "the last of 2 such steps", f"maskrcnn replay {folder}")
    assert_says(error, *says, "lower optimizer.learning_rate", "optimizer.clip_norm")
    lines = read_lines(tmp_path)
    assert [(line["step"], line["train"]["nonfinite"], line["train"]["loss"] is None) for line in lines] == [
        (1, 0, False),
        (2, 0, False),
        (3, 0, False),
        (4, 1, True),
        (5, 2, True),
    ]
    found = replay(read_dump(folder))
    assert (found.step, found.image_ids, found.term) == (5, ids, "rpn_class")
    stored = checkpoint.load(folder)
    whole = run_training(replace(config, train=replace(config.train, steps=3)), tmp_path / "three")
    assert whole
    jax.tree.map(
        np.testing.assert_array_equal, stored.variables, checkpoint.load(tmp_path / "three").variables
    )  # as before the first of them


def test_one_bad_step_is_skipped_and_told(run_training, read_lines, tmp_path, caplog):
    config = tiny.experiment(model=MODEL)
    run_training(config, tmp_path, sources=(Nan(8, 3), tiny.Squares(3)))
    plan = make_plan(config, tiny.Squares(8))
    bad = [step + 1 for step in range(6) if 3 in plan(step)[1]]
    assert 1 <= len(bad) <= 2
    lines = [line for line in read_lines(tmp_path) if "train" in line]
    assert [line["step"] for line in lines if line["train"]["nonfinite"]] == bad
    assert sum("not finite on images" in record.getMessage() and "is skipped" in record.getMessage() for record in caplog.records) == len(
        bad
    )
    assert "103" in caplog.text


class Unreadable(tiny.Squares):
    """One image, number 3 unless another is given, cannot be read."""

    def __init__(self, count, torn=3, fault=DataError):
        super().__init__(count)
        self.torn, self.fault = torn, fault

    def __getitem__(self, i):
        if i == self.torn:
            raise self.fault(f"image id {100 + i}: torn")
        return super().__getitem__(i)


def test_an_unreadable_image_is_told_counted_and_allowed_so_often(run_training, read_lines, tmp_path, caplog):
    config = tiny.experiment(model=MODEL, steps=8)
    sources = (Unreadable(8), tiny.Squares(3))
    run_training(replace(config, data=replace(config.data, max_unreadable=2)), tmp_path / "two", sources=sources)
    lines = [line for line in read_lines(tmp_path / "two") if "train" in line]
    assert sum(line["train"]["images_unreadable"] for line in lines) == 2
    assert caplog.text.count("image id 103: torn; another image stands in for it") == 2
    with pytest.raises(DataError) as error:
        run_training(replace(config, data=replace(config.data, max_unreadable=1)), tmp_path / "one", sources=sources)
    assert_says(error, "2 times an image could not be read", "data.max_unreadable is 1", "mend them", "or allow more")


@pytest.mark.parametrize(("done", "fault"), [(0, DataError), (2, DataError), (2, OSError)])
def test_an_unreadable_image_costs_no_training(done, fault, uninterrupted, run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, checkpoint_every=100)
    torn = int(make_plan(config, tiny.Squares(8))(done)[1][0])  # an epoch has four steps: it comes after `done`
    with pytest.raises(DataError, match=f"image id {100 + torn}: torn"):
        run_training(config, tmp_path, sources=(Unreadable(8, torn, fault), tiny.Squares(3)))
    assert steps_on_disk(tmp_path) == ([done] if done else [])
    run_training(config, tmp_path, resume=True)
    assert read_lines(tmp_path) == read_lines(uninterrupted)
    assert_equal_checkpoints(tmp_path, uninterrupted, 6)


def test_batches_that_break_cost_no_training(uninterrupted, run_training, tmp_path, monkeypatch):
    def breaking(*arguments, original=train_batches):
        stream = original(*arguments)
        for _ in range(3):
            yield next(stream)
        raise RuntimeError("torn")

    config = tiny.experiment(model=MODEL, checkpoint_every=100)
    with monkeypatch.context() as patch:
        patch.setattr("maskrcnn_jax.training.prepare.train_batches", breaking)
        with pytest.raises(RuntimeError, match="torn"):
            run_training(config, tmp_path)
    assert steps_on_disk(tmp_path) == [3]
    run_training(config, tmp_path, resume=True)
    assert_equal_checkpoints(tmp_path, uninterrupted, 6)


def killed(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("kill_at", [None, (MetricsLog, "write"), (CheckpointWriter, "add_mask_ap"), (CheckpointManager, "reload")])
def test_an_evaluation_that_failed_is_made_up_for(kill_at, run_training, read_lines, tmp_path, monkeypatch):
    """Also where that was disturbed: before its line and its mask AP are written, between the two, and after both."""
    config = tiny.experiment(model=MODEL, checkpoint_every=100)
    config = replace(config, eval=replace(config.eval, every=3))
    run_training(config, tmp_path / "whole")
    with pytest.raises(DataError, match="image id 102: torn"):
        run_training(config, tmp_path / "parts", sources=(tiny.Squares(8), Torn(3)))
    assert steps_on_disk(tmp_path / "parts") == [3]
    if kill_at:
        with monkeypatch.context() as patch:
            patch.setattr(*kill_at, killed)
            with pytest.raises(KeyboardInterrupt):
                run_training(config, tmp_path / "parts", resume=True)
    assert_equal_checkpoints(tmp_path / "parts", tmp_path / "whole", 3)
    run_training(config, tmp_path / "parts", resume=True)
    assert read_lines(tmp_path / "parts") == read_lines(tmp_path / "whole")
    scores = [[checkpoint._mask_ap(tmp_path / name / "checkpoints" / str(step)) for step in (3, 6)] for name in ("parts", "whole")]
    assert scores[0] == scores[1] == [1.0, 1.0]


@pytest.mark.parametrize("at", [0, 1, 4])
def test_sigterm_saves_and_the_resumed_run_is_as_never_stopped(at, uninterrupted, run_training, read_lines, tmp_path, monkeypatch):
    config = tiny.experiment(model=MODEL)

    def write(log, step, values, *, group, original=MetricsLog.write):
        original(log, step, values, group=group)
        if step == at:
            os.kill(os.getpid(), signal.SIGTERM)

    def start(*arguments, original=initial_state):
        if at == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(MetricsLog, "write", write)
        patch.setattr("maskrcnn_jax.training.loop.initial_state", start)
        with pytest.raises(Interrupted, match="told to stop after step"):
            run_training(config, tmp_path)
    assert signal.getsignal(signal.SIGTERM) == before
    stopped = max(steps_on_disk(tmp_path))
    assert at <= stopped < 6
    run_training(config, tmp_path, resume=True)
    assert read_lines(tmp_path) == read_lines(uninterrupted)
    assert_equal_checkpoints(tmp_path, uninterrupted, 6)


def test_the_moving_average_is_evaluated_and_survives_a_restart(run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, ema=0.5)
    run_training(config, tmp_path / "whole")
    run_training(replace(config, train=replace(config.train, steps=2)), tmp_path / "parts")
    run_training(config, tmp_path / "parts", resume=True)
    assert [line for line in read_lines(tmp_path / "parts") if "train" in line] == [
        line for line in read_lines(tmp_path / "whole") if "train" in line
    ]
    assert_equal_checkpoints(tmp_path / "parts", tmp_path / "whole", 6)
    run_training(replace(config, train=replace(config.train, ema=None)), tmp_path / "without")
    kernels = [checkpoint.load(tmp_path / name).variables["params"]["head"]["layer"]["kernel"] for name in ("whole", "without")]
    assert not np.allclose(*kernels)


def test_training_ends_when_nothing_gets_better(run_training, read_lines, tmp_path):
    config = tiny.experiment(model=MODEL, steps=20, patience=2)
    config = replace(config, eval=replace(config.eval, every=3))
    run_training(config, tmp_path)  # the stand-in's mask AP is 1 from the start
    assert [line["step"] for line in read_lines(tmp_path) if "val" in line] == [3, 6, 9]
    assert max(steps_on_disk(tmp_path)) == 9
    before = (tmp_path / "metrics.jsonl").read_text()
    run_training(config, tmp_path, resume=True)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def with_blue(count):
    """A source of three categories."""
    source = tiny.Squares(count)
    source.categories = (*tiny.Squares.categories, tiny.Squares.categories[0]._replace(id=50, name="blue"))
    return source


def test_another_number_of_classes_than_the_data_s_is_an_error(run_training, tmp_path):
    with pytest.raises(ConfigError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", sources=(with_blue(8), with_blue(3)))
    assert_says(error, "model.num_classes is 2", "categories in Squares is 3", "--model.num-classes 3", "--train.new-classes")
    assert not (tmp_path / "run").exists()


def test_more_categories_in_validation_are_an_error(run_training, tmp_path):
    with pytest.raises(DataError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", sources=(tiny.Squares(8), with_blue(3)))
    fault = "Squares: 1 of 3 categories (blue) are not among the model's 2 (red, yellow)"
    assert_says(error, fault, "--data.val-annotations PATH")
    assert not (tmp_path / "run").exists()


def test_an_empty_validation_source_is_an_error_before_the_first_step(run_training, tmp_path):
    with pytest.raises(DataError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", sources=(tiny.Squares(8), tiny.Squares(0)))
    assert_says(error, "no image to validate on", "data.val_annotations")
    assert not (tmp_path / "run").exists()


def test_a_validation_image_without_a_canvas_is_an_error_before_the_first_step(run_training, tmp_path):
    source = tiny.Squares(3)
    source.sizes[1] = (64, 90)
    config = tiny.experiment(model=replace(MODEL, input=replace(MODEL.input, max_side=128)))
    with pytest.raises(DataError) as error:
        run_training(config, tmp_path / "run", sources=(tiny.Squares(8), source))
    assert_says(error, "Squares: index 1 of the source: resized to 64 x 90", "fits none of model.input.canvases", "add a canvas")
    assert not (tmp_path / "run").exists()


def test_training_on_an_empty_source_is_an_error(run_training, tmp_path):
    with pytest.raises(DataError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", sources=(tiny.Squares(0), tiny.Squares(3)))
    assert_says(error, "no usable image", "data.train_annotations")
    assert not (tmp_path / "run").exists()


def test_training_data_without_an_object_are_an_error_before_anything_is_made(run_training, tmp_path):
    source = tiny.Squares(8)
    source.object_counts = [0] * 8
    with pytest.raises(DataError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", sources=(source, tiny.Squares(3)))
    assert_says(error, "none of its 8 images has an object", "set data.drop_empty to False")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_mixes_datasets_augments_and_goes_on_as_if_never_stopped(run_training, tmp_path):
    """Two datasets by weight, a function of the user's own, and other images pasted in: all depends on the step alone."""

    def darken(example, rng):
        return example._replace(image=example.image // np.uint8(rng.integers(1, 4)))

    def sources():
        return Augmented(MixedSource([tiny.Squares(6), tiny.Squares(3)], weights=(1, 2)), darken), tiny.Squares(3)

    config = tiny.experiment(model=MODEL)
    augment = AugmentConfig(scale=(0.5, 2.0), copy_paste=0.5, mosaic=0.5, rotate=20.0)
    config = replace(config, data=replace(config.data, augment=augment))
    run_training(config, tmp_path / "whole", sources=sources())
    run_training(replace(config, train=replace(config.train, steps=2)), tmp_path / "parts", sources=sources())
    run_training(config, tmp_path / "parts", resume=True, sources=sources())
    assert_equal_checkpoints(tmp_path / "whole", tmp_path / "parts", 6)
    run_training(replace(config, data=replace(config.data, augment=AugmentConfig())), tmp_path / "plain", sources=sources())
    one, other = (checkpoint.load(tmp_path / name).variables["params"]["head"]["layer"]["kernel"] for name in ("whole", "plain"))
    assert not np.array_equal(one, other)
