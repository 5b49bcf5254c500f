"""The rows of docs/reliability.md that no other file shows."""

import contextlib
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import CoroutineType

import pytest

from maskrcnn_jax import checkpoint
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.training import EXIT_STATUS
from tests import tiny
from tests.training.conftest import MODEL
from tests.training.starting import QUICK, REPO, begin, ended

TRAIN = [sys.executable, str(REPO / "scripts" / "train.py"), str(QUICK)]


def test_every_row_of_the_table_names_a_test_that_exists():
    rows = [line for line in (REPO / "docs" / "reliability.md").read_text().splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(rows) >= 12
    for row in rows:
        for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row):
            assert f"def {test}(" in (REPO / file).read_text(), row
        assert re.search(r"`tests/[\w/]+\.py::\w+`", row), row


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_done(run_training, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError) as error:
        run_training(tiny.experiment(model=MODEL), tmp_path / "file" / "run")
    for word in (str(tmp_path / "file" / "run"), "Not a directory", "another folder by --run-dir"):
        assert word in str(error.value)


def test_a_folder_that_not_even_root_may_make_is_an_error_before_anything_is_done(run_training):
    with pytest.raises(CheckpointError, match=r"/proc/none/run: no run can be written there: /proc .*; give another folder by --run-dir"):
        run_training(tiny.experiment(model=MODEL), Path("/proc/none/run"))


def test_what_is_tried_at_the_start_leaves_nothing_behind(run_training, tmp_path):
    with pytest.raises(CheckpointError, match="no run to resume"):
        run_training(tiny.experiment(model=MODEL), tmp_path / "run", resume=True)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def finished(run_training, tmp_path) -> Path:
    run_training(tiny.experiment(model=MODEL, steps=4), tmp_path / "finished")
    return tmp_path / "finished"


@pytest.mark.soak
# What Orbax had begun to read in a thread tells that its event loop is gone.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_truncated_checkpoint_is_named_and_the_one_before_it_goes_on(finished, run_training, tmp_path):
    """Every file of the newest checkpoint in turn; what training reads and what `load` does."""
    config = tiny.experiment(model=MODEL, steps=6)
    newest = finished / "checkpoints" / "4"
    files = [path.relative_to(finished) for path in sorted(newest.rglob("*")) if path.is_file() and path.stat().st_size > 1]
    told = 0
    for number, file in enumerate(files):
        run = tmp_path / f"copy{number}"
        shutil.copytree(finished, run)
        os.truncate(run / file, (run / file).stat().st_size // 2)
        fault = error_of(lambda run=run: run_training(config, run, resume=True))
        if fault is not None:
            told += 1
            assert isinstance(fault, CheckpointError), file
            assert str(run / "checkpoints" / "4") in str(fault), file
            assert "aside" in str(fault) or "delete" in str(fault), file
            shutil.rmtree(run / "checkpoints" / "4")
            run_training(config, run, resume=True)
        assert checkpoint.load(run).step == 6
    assert told >= 4  # arrays and the records of what they are; not those that nobody needs
    for left in gc.get_objects():  # by Orbax, which had begun to read; collected in a later test, they would fail that
        if type(left) is CoroutineType:
            with contextlib.suppress(Exception):
                left.close()


def error_of(function):
    try:
        function()
    except Exception as error:
        return error
    return None


DISK = """
set -e
mount -t tmpfs -o size=40m none "$DISK"
set +e
{train} --run-dir "$DISK/run" >"$OUT/first" 2>&1 &
training=$!
until [ -d "$DISK/run/checkpoints/20" ]; do sleep 0.05; kill -0 $training || exit 1; done
dd if=/dev/zero of="$DISK/fill" bs=64k 2>/dev/null
wait $training
echo $? >"$OUT/status"
ls "$DISK/run/checkpoints" >"$OUT/checkpoints"
rm "$DISK/fill"
last=$(ls "$DISK/run/checkpoints" | grep -v tmp | sort -n | tail -1)
{train} --run-dir "$DISK/run" --resume --train.steps $((last + 5)) >"$OUT/second" 2>&1
echo $? >>"$OUT/status"
cp -r "$DISK/run" "$OUT/run"
"""


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_what_it_had_and_it_goes_on_when_there_is_room(tmp_path):
    own = ["unshare", "--map-root-user", "--mount"]  # a mount that nobody else sees, without being root
    if shutil.which("unshare") is None or subprocess.run([*own, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user namespace (unshare --map-root-user --mount), so no small disk can be made")
    disk, out = tmp_path / "disk", tmp_path / "out"
    disk.mkdir()
    out.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(REPO), "DISK": str(disk), "OUT": str(out), "STEPS": "100000", "CHECKPOINT_EVERY": "10"}
    script = DISK.replace("{train}", " ".join(TRAIN))
    done = subprocess.run([*own, "bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, second = ((out / name).read_text() for name in ("first", "second"))
    assert (out / "status").read_text().split() == ["1", "0"], (first, second)
    told = first.strip().splitlines()[-1]
    for word in ("maskrcnn train:", str(disk / "run"), "No space left", "space", "--resume"):
        assert word in told, first
    assert "Traceback" not in first
    whole = [int(name) for name in (out / "checkpoints").read_text().split() if name.isdigit()]
    assert checkpoint.load(out / "run").step == max(whole) + 5


@pytest.mark.soak
def test_a_signal_to_all_processes_of_a_run_leaves_workers_until_it_is_saved(tmp_path):
    """As SLURM and systemd send it. When the trainer is killed its workers end with it."""
    arguments = ("--data.workers", "2")
    environment = {"STEPS": "100000", "CHECKPOINT_EVERY": "100000"}
    process = begin(QUICK, tmp_path / "run", *arguments, **environment)
    until_step(process, tmp_path / "run", 10)
    os.killpg(process.pid, signal.SIGTERM)
    ((status, output),) = ended(process)
    assert status == EXIT_STATUS, output
    assert (checkpoint.latest_step(tmp_path / "run") or 0) >= 10
    process = begin(QUICK, tmp_path / "run", "--resume", *arguments, **environment)
    until_step(process, tmp_path / "run", 10 + (checkpoint.latest_step(tmp_path / "run") or 0))
    workers = workers_of(process)
    assert len(workers) == 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def until_step(process, run, step):
    """Wait until metrics of `step` are written."""
    lines = run / "metrics.jsonl"
    while not (lines.is_file() and lines.read_text().count("\n") >= step):
        time.sleep(0.05)
        assert process.poll() is None, ended(process)


def workers_of(process):
    children = [child for task in Path(f"/proc/{process.pid}/task").glob("*/children") for child in task.read_text().split()]
    return [int(child) for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_run_with_what_it_had(tmp_path):
    process = begin(QUICK, tmp_path / "run", "--data.workers", "2", STEPS="100000", CHECKPOINT_EVERY="100000")
    try:
        until_step(process, tmp_path / "run", 20)
        workers = workers_of(process)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        ((status, output),) = ended(process, timeout=120)
    finally:
        process.kill()
    assert status == 1, output
    (told,) = [line for line in output.splitlines() if line.startswith("maskrcnn train:")]
    for word in ("a worker process has died", "exit code -9", "lower data.workers", "--resume"):
        assert word in told, output
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert checkpoint.latest_step(tmp_path / "run") == last["step"] >= 20  # of no other step is there a checkpoint
    assert checkpoint.load(tmp_path / "run").step == last["step"]
