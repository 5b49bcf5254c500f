import json
import signal
import time
from importlib import import_module

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.data import ShapesSource
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.training import EXIT_STATUS, processes
from maskrcnn_jax.training.inputs import make_plan
from tests import tiny
from tests.training.conftest import MODEL
from tests.training.starting import QUICK, WHOLE, begin, begin_together, ended


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, False),
        ({"SLURM_STEP_NUM_TASKS": "1"}, False),
        ({"SLURM_STEP_NUM_TASKS": "8"}, True),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "t-0,t-1"}, True),
    ],
)
def test_launchers_say_that_there_are_several(environment, expected, monkeypatch):
    for name in (*processes.COUNTS, processes.HOSTS):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert processes.started_by_others() == expected


def test_one_flag_without_the_others_is_an_error():
    with pytest.raises(UserError, match="give --processes and --process-id too"):
        processes.connect("localhost:1234")


def test_processes_that_do_not_find_each_other_are_an_error(monkeypatch):
    def fail(*_):
        raise RuntimeError("deadline exceeded")

    monkeypatch.setattr(jax.distributed, "initialize", fail)
    with pytest.raises(UserError, match=r"do not find each other \(deadline exceeded\); see that every one of them runs"):
        processes.connect("localhost:1234", 2, 1)


@pytest.mark.parametrize("command", ["train", "eval"])
@pytest.mark.parametrize(("flags", "joins"), [([], False), (["--distributed"], True)])
def test_others_that_only_jax_can_find_are_joined_where_so_told(command, flags, joins, monkeypatch):
    joined = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *given: joined.append(given))
    with pytest.raises(SystemExit):
        main([command, "no_such_config", *flags])
    assert joined == ([(None, None, None)] if joins else [])


def test_one_process_has_everything():
    assert processes.gathered({"a": 1.5}) == [{"a": 1.5}]
    assert processes.in_all(lambda: 3) == 3
    assert list(processes.share(3)) == [0, 1, 2]


def test_shares_are_in_order_and_nobody_is_left_out(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 4)
    shares = []
    for process in range(4):
        monkeypatch.setattr(jax, "process_index", lambda process=process: process)
        shares.append(list(processes.share(10)))
    assert [i for own in shares for i in own] == list(range(10))
    assert [len(share) for share in shares] == [2, 3, 2, 3]


def test_what_fails_in_another_process_fails_here(monkeypatch):
    monkeypatch.setattr(processes, "gathered", lambda value: [value, "run/x.json: no such file"])
    with pytest.raises(processes.ProcessError, match=r"process 1: run/x.json: no such file"):
        processes.in_all(lambda: 3)


@pytest.mark.parametrize(
    "place", ["training.loop.MetricsLog", "training.loop.write_manifest", "training.validate.check_measurable", "checkpoint.load"]
)
def test_what_one_process_may_fail_at_is_told_to_all(place, run_training, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(13, "not here")

    told = []
    monkeypatch.setattr(processes, "gathered", lambda value: told.append(value) or [value])
    module, _, name = f"maskrcnn_jax.{place}".rpartition(".")
    monkeypatch.setattr(import_module(module), name, fail)
    if place == "checkpoint.load":
        with pytest.raises(SystemExit):
            main(["eval", str(tmp_path)])
    else:
        with pytest.raises(PermissionError):
            run_training(tiny.experiment(model=MODEL, steps=1), tmp_path / "run")
    assert "PermissionError: [Errno 13] not here" in told


def same_run(run, other, *, close):
    """The same lines, detections and last parameters; `close`: how near."""
    lines = []
    for folder in (run, other):
        lines.append([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()])
        for line in lines[-1]:
            line.get("train", {}).pop("images_per_second", None)
    for ours, theirs in zip(*lines, strict=True):
        assert ours.keys() == theirs.keys()
        for group in ours.keys() - {"step"}:
            unknown = {name for name, value in theirs[group].items() if value is None}
            assert {name for name, value in ours[group].items() if value is None} == unknown
            for name in theirs[group].keys() - unknown:
                assert ours[group][name] == pytest.approx(theirs[group][name], rel=close, abs=close), (name, ours, theirs)
    found = [json.loads((folder / "detections.json").read_text()) for folder in (run, other)]
    assert [(entry["image_id"], entry["category_id"]) for entry in found[0]] == [(e["image_id"], e["category_id"]) for e in found[1]]
    stored = [checkpoint.load(folder / "checkpoints" / str(checkpoint.latest_step(folder))) for folder in (run, other)]
    assert stored[0].step == stored[1].step
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=close, atol=close), *(s.variables for s in stored))


@pytest.mark.slow
def test_two_processes_train_the_stand_in_as_one_does(tmp_path):
    """Float32 over six steps of nine numbers: sums in another order differ by some 1e-7."""
    two = ended(*begin_together(2, QUICK, tmp_path / "two"))
    assert [status for status, _ in two] == [0, 0], two
    ((status, output),) = ended(begin(QUICK, tmp_path / "one"))
    assert status == 0, output
    same_run(tmp_path / "two", tmp_path / "one", close=1e-5)


@pytest.mark.soak
def test_two_processes_of_two_devices_train_as_one_does(tmp_path):
    """With parameters in parts. Float32 over six steps: sums in another order move parameters by some 1e-6."""
    two = begin_together(2, WHOLE, tmp_path / "two", "--train.sharding", "fsdp", devices=2)
    (status, output), *others = ended(begin(WHOLE, tmp_path / "one"), *two)
    assert status == 0, output
    assert [status for status, _ in others] == [0, 0], others
    same_run(tmp_path / "two", tmp_path / "one", close=1e-4)
    assert ["mask  AP" in output for _, output in others] == [True, False], others  # one of them tells
    measured = ended(*begin_together(2, tmp_path / "two", tmp_path / "out", command="evaluate.py"))
    assert [status for status, _ in measured] == [0, 0], measured
    assert ["mask  AP" in output for _, output in measured] == [True, False], measured


@pytest.mark.soak
def test_what_one_process_cannot_read_ends_all_with_everything_saved(tmp_path):
    plan = make_plan(tiny.experiment(steps=6, batch_size=2), ShapesSource(0, 8))
    torn = next(i for i in range(8) if [step for step in range(4) if plan(step)[1][1] == i] == [2])  # the second of step 3's
    two = begin_together(2, QUICK, tmp_path / "two", CHECKPOINT_EVERY="100", TORN=str(torn))
    done = ended(*two)
    assert [status for status, _ in done] == [1, 1], done
    assert "another process, which says why, could not read its images of step 3" in done[0][1]
    assert f"image id {torn}: torn; mend it" in done[1][1]
    assert checkpoint.latest_step(tmp_path / "two") == 2
    ended(begin(QUICK, tmp_path / "two", "--resume", CHECKPOINT_EVERY="100"))
    ended(begin(QUICK, tmp_path / "one", CHECKPOINT_EVERY="100"))
    same_run(tmp_path / "two", tmp_path / "one", close=1e-5)


@pytest.mark.soak
def test_four_processes_stop_together_and_one_goes_on(tmp_path):
    environment = {"STEPS": "400", "BATCH": "4", "CHECKPOINT_EVERY": "1000", "EVALUATE_EVERY": "1000"}
    four = begin_together(4, QUICK, tmp_path / "four", **environment)
    lines = tmp_path / "four" / "metrics.jsonl"
    while not (lines.is_file() and lines.read_text().count("\n") > 5):
        time.sleep(0.05)
        assert all(process.poll() is None for process in four), ended(*four)
    four[2].send_signal(signal.SIGTERM)
    done = ended(*four)
    assert [status for status, _ in done] == [EXIT_STATUS] * 4, done
    step = checkpoint.latest_step(tmp_path / "four")
    assert 5 < step < 400
    assert f"after step {step}; all is saved" in done[0][1]
    resumed, whole = ended(begin(QUICK, tmp_path / "four", "--resume", **environment), begin(QUICK, tmp_path / "one", **environment))
    assert (resumed[0], whole[0]) == (0, 0), (resumed, whole)
    same_run(tmp_path / "four", tmp_path / "one", close=1e-4)


@pytest.mark.soak  # JAX's heartbeat takes 100 s to find out
def test_a_process_that_dies_takes_the_others_with_it(tmp_path):
    two = begin_together(2, QUICK, tmp_path / "run", STEPS="100000", CHECKPOINT_EVERY="10")
    while (checkpoint.latest_step(tmp_path / "run") or 0) < 20:
        time.sleep(0.05)
        assert all(process.poll() is None for process in two), ended(*two)
    two[1].kill()
    (status, _), _ = ended(*two, timeout=200)
    assert status not in (0, EXIT_STATUS)
    assert checkpoint.load(tmp_path / "run").step >= 20  # the last checkpoint is whole
