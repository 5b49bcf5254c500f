"""Signals at random moments of one run: what is left at the end is what an undisturbed run leaves, to the bit."""

import random
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint
from maskrcnn_jax.training import EXIT_STATUS
from tests.training.starting import QUICK, begin, ended


def disturb(run: Path, signals: int, seed: int, **environment: str) -> list[str]:
    """Start the run again and again until it has got so many signals, or ended; what happened, a word a signal.

    Every third signal comes when a checkpoint is being written, the others up to six seconds after the process began. SIGKILL
    and SIGTERM take turns.
    """
    rng = random.Random(seed)
    story: list[str] = []
    while True:
        resume = ["--resume"] if (run / "manifest.json").is_file() else []
        left_over = set(run.glob("checkpoints/*tmp*"))
        process = begin(QUICK, run, *resume, **environment)
        if len(story) < signals:
            while_writing = len(story) % 3 == 2
            until = time.monotonic() + (60 if while_writing else rng.uniform(1, 6))
            writing = False
            while process.poll() is None and time.monotonic() < until and not writing:
                present = set(run.glob("checkpoints/*tmp*"))
                writing = while_writing and bool(present - left_over)
                left_over &= present  # what was killed before is cleared away; who is there again is being written
                time.sleep(0.001)
            if process.poll() is None and checkpoint.latest_step(run) != int(environment["STEPS"]):  # not done yet
                process.send_signal(signal.SIGTERM if len(story) % 2 else signal.SIGKILL)
                story.append("writing" if writing else "anywhere")
        ((status, output),) = ended(process)
        # A process that has not yet begun to listen dies of SIGTERM; one may end before its signal comes.
        assert status in (0, EXIT_STATUS, -signal.SIGKILL, -signal.SIGTERM), output
        if status == 0:
            return story


def assert_same_run(run: Path, other: Path, read_lines) -> None:
    assert read_lines(run) == read_lines(other)
    steps = [sorted(int(path.name) for path in (folder / "checkpoints").iterdir()) for folder in (run, other)]
    assert steps[0] == steps[1]
    for step in steps[0]:
        ours, theirs = (checkpoint.load(folder / "checkpoints" / str(step)) for folder in (run, other))
        jax.tree.map(np.testing.assert_array_equal, ours.variables, theirs.variables)
    assert (run / "detections.json").read_bytes() == (other / "detections.json").read_bytes()


@pytest.mark.soak
def test_sixty_signals(tmp_path, read_lines):
    environment = {"STEPS": "300", "CHECKPOINT_EVERY": "7", "EVALUATE_EVERY": "50"}
    ((status, output),) = ended(begin(QUICK, tmp_path / "whole", **environment))
    assert status == 0, output
    story = disturb(tmp_path / "run", 60, 0, **environment)
    assert len(story) == 60  # it was not done before
    assert story.count("writing") > 10
    assert_same_run(tmp_path / "run", tmp_path / "whole", read_lines)
