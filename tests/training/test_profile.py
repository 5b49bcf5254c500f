import io
import json

import pytest
from rich.console import Console

from maskrcnn_jax.training import profile
from maskrcnn_jax.training.profile import Profile, time_table
from maskrcnn_jax.training.watchdog import Watchdog
from tests import tiny
from tests.training.conftest import MODEL


def printed(table):
    console = Console(file=io.StringIO(), width=140)
    console.print(table)
    return console.file.getvalue()


def test_the_table_has_seconds_a_step_and_shares():
    lines = printed(time_table({"input": 1.0, "compile": 0.0, "step": 6.0, "host": 3.0}, 5)).splitlines()
    assert "where the time of 5 steps went" in lines[0]
    rows = {cells[1].strip(): [cell.strip() for cell in cells[3:5]] for cells in (line.split("│") for line in lines) if len(cells) > 5}
    assert rows == {"input": ["0.200", "10.0%"], "compile": ["0.000", "0.0%"], "step": ["1.200", "60.0%"], "host": ["0.600", "30.0%"]}


@pytest.fixture
def trace(monkeypatch):
    """JAX's profiler, which only says when it begins and ends."""
    calls = []
    monkeypatch.setattr(profile.jax.profiler, "start_trace", lambda folder: calls.append("start"))
    monkeypatch.setattr(profile.jax.profiler, "stop_trace", lambda: calls.append("stop"))
    return calls


@pytest.mark.parametrize(
    ("steps", "calls", "says"),
    [
        (3, [], "no profile: it begins 3 steps after the start, and there were no more"),
        (4, ["start", "stop"], "time of 1 steps"),
        (8, ["start", "stop"], "time of 5 steps"),
        (20, ["start", "stop"], "time of 5 steps"),
    ],
)
def test_five_steps_after_the_first_three_are_profiled_once(steps, calls, says, trace, tmp_path):
    console = Console(file=io.StringIO(), width=140)
    profiled = Profile(tmp_path, Watchdog(300), console)
    for _ in range(steps):
        profiled.before_step()
    profiled.close()
    profiled.close()
    assert trace == calls
    assert console.file.getvalue().count(says) >= 1
    assert console.file.getvalue().count("where the time") == len(calls) // 2


def test_a_run_leaves_a_trace_and_tells_where_its_time_went(run_training, read_lines, tmp_path):
    console = Console(file=io.StringIO(), width=140)
    config = tiny.experiment(model=MODEL, steps=9)
    run_training(config, tmp_path / "run", profile=True, console=console)
    out = console.file.getvalue()
    for word in ("where the time of 5 steps went", "waiting for the next batch", f"{tmp_path / 'run' / 'profile'}"):
        assert word in out
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
    run_training(config, tmp_path / "other")
    assert not (tmp_path / "other" / "profile").exists()
    assert json.dumps(read_lines(tmp_path / "run")) == json.dumps(read_lines(tmp_path / "other"))
