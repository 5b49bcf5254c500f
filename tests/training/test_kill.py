"""SIGKILL at different moments, then --resume: the same losses and parameters, to the bit, as a run never stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint

REPO = Path(__file__).resolve().parent.parent.parent
CONFIG = Path(__file__).with_name("kill.py")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def start():
    """`maskrcnn train` in a process of its own; the exit status."""

    def run(folder: Path, kill_at: str, *arguments: str) -> int:
        environment = {**os.environ, "KILL_AT": kill_at, "RUN": str(folder), "PYTHONPATH": str(REPO)}
        command = [sys.executable, REPO / "scripts" / "train.py", CONFIG, "--run-dir", folder, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
        return done.returncode

    return run


@pytest.fixture(scope="module")
def uninterrupted(start, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert start(run, "") == 0
    return run


def test_killed_anywhere_and_resumed_is_as_never_stopped(start, uninterrupted, tmp_path, read_lines):
    run = tmp_path / "run"
    assert start(run, "compile") == -signal.SIGKILL
    assert checkpoint.latest_step(run) is None  # before the first checkpoint
    assert start(run, "log 3", "--resume") == -signal.SIGKILL  # between checkpoints, a line half written
    assert checkpoint.latest_step(run) == 2
    assert start(run, "save 4", "--resume") == -signal.SIGKILL  # a checkpoint half written
    assert list((run / "checkpoints").glob("4*tmp*"))
    assert checkpoint.latest_step(run) == 2
    assert start(run, "saved 4", "--resume") == -signal.SIGKILL  # right after a checkpoint
    assert checkpoint.latest_step(run) == 4
    assert start(run, "", "--resume") == 0

    assert read_lines(run) == read_lines(uninterrupted)
    assert [(line["step"], "val" in line) for line in read_lines(run)] == [*((step, False) for step in range(1, 7)), (6, True)]
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["4", "6"]
    for step in ("4", "6"):
        ours, theirs = (checkpoint.load(folder / "checkpoints" / step) for folder in (run, uninterrupted))
        jax.tree.map(np.testing.assert_array_equal, ours.variables, theirs.variables)
    assert (run / "detections.json").read_bytes() == (uninterrupted / "detections.json").read_bytes()
    assert (run / "pictures" / "6.jpg").read_bytes() == (uninterrupted / "pictures" / "6.jpg").read_bytes()
