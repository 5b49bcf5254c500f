import json
import math
import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import operators, rows, scaling, throughput
from benchmarks.reference import against, example
from benchmarks.rows import Row


class Clock:
    """Time that passes only while somebody works."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        """A call that takes the first of `seconds`, then the second ..., then the last one again and again."""
        left = list(seconds)

        def call():
            self.now += left.pop(0) if len(left) > 1 else left[0]
            self.calls.append(name)

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(rows.in_turn, "__kwdefaults__", {"clock": clock})
    return clock


def test_calls_take_turns_after_two_that_do_not_count(clock):
    ours, theirs = rows.in_turn(clock.work("ours", 9, 5, 1, 2), clock.work("theirs", 8, 7, 3), repeats=2)
    assert (ours, theirs) == ([1, 2], [3, 3])
    assert clock.calls == ["ours", "theirs", "ours", "theirs", "ours", "theirs", "ours", "theirs"]


def test_a_short_call_is_called_several_times_a_turn(clock):
    ((seconds,),) = rows.in_turn(clock.work("short", 0.02), repeats=1)
    assert seconds == pytest.approx(0.02)
    assert len(clock.calls) == 2 + math.ceil(rows.LEAST / 0.02)


def test_a_line_has_medians_quartiles_and_the_ratio():
    row = Row("x", [0.1, 0.2, 0.3], [3, 4, 5], "live", "a note")
    assert rows.line(row) == "| x | 200 ms (150 ... 250) | 4 s (3.5 ... 4.5) | 20.00 | live | a note |"
    assert rows.ratio(row) == 20


def test_a_line_without_torchvision():
    assert rows.line(Row("x", [512.0], [], "alone", "", "MiB")) == "| x | 512 MiB (512 ... 512) |  |  | alone |  |"
    assert rows.line(Row("x", [1.0], [], "alone", "", "")) == "| x | 1 (1 ... 1) |  |  | alone |  |"


def test_the_document_is_json_with_machine_versions_and_date():
    written = json.loads(json.dumps(rows.document([Row("x", [1.0, 3.0], [4.0], "live"), Row("y", [1.0], [], "alone")], ["command"])))
    assert set(written) == {"date", "command", "machine", "versions", "rows"}
    assert written["versions"]["jax"]
    assert written["machine"]["cores"] >= 1
    first, second = written["rows"]
    assert (first["ours"], first["ours_median"], first["theirs_median"], first["ratio"]) == ([1, 3], 2, 4, 2)
    assert "ratio" not in second


def test_a_scaled_row_says_so(clock):
    reference = SimpleNamespace(compiled=False, backbone_fpn=clock.work("backbone", 2))
    row = against(reference, "x", clock.work("ours", 1), pytest.fail, factor=2.2, repeats=2, note="note")
    assert row == Row("x", [1, 1], [4.4, 4.4], "scaled", "torchvision: 2.2 x its backbone+FPN of this run; note")


def test_a_row_scaled_from_one_core_runs_both_on_one(clock):
    allowed, seen = os.sched_getaffinity(0), []

    def seeing(name, seconds):
        work = clock.work(name, seconds)
        return lambda: (work(), seen.append((name, len(os.sched_getaffinity(0)))))

    def seeing_both(call):
        return lambda: (call(), seen.append(("one thread", len(os.sched_getaffinity(0)))))

    reference = SimpleNamespace(compiled=False, backbone_fpn=seeing("backbone", 5), on_one_thread=seeing_both)
    row = against(reference, "x", seeing("ours", 1), pytest.fail, factor=3, repeats=1, one_core=True)
    assert (row.ours, row.theirs) == ([1], [15])
    assert row.note == "torchvision: 3 x its backbone+FPN of this run, both on one core"
    assert set(seen) == {("ours", 1), ("backbone", 1), ("one thread", 1)}
    assert os.sched_getaffinity(0) == allowed


def test_a_live_row_is_torchvisions_own_time(clock):
    row = against(SimpleNamespace(compiled=True), "x", clock.work("ours", 1), clock.work("theirs", 3), factor=2.2, repeats=1)
    assert row == Row("x", [1], [3], "live", "")


@pytest.mark.parametrize("kind", ["spread", "clustered"])
def test_nms_of_a_few_boxes(monkeypatch, kind):
    monkeypatch.setattr(rows, "LEAST", 0)
    reference = SimpleNamespace(compiled=False, backbone_fpn=lambda: None)
    row = operators.nms_row(reference, kind, 100, 0.01, repeats=2)
    assert row.name == f"NMS, 100 {kind} boxes"
    assert len(row.ours) == len(row.theirs) == 2
    assert row.how == "scaled"


def test_rois_lie_in_the_image_on_every_level():
    boxes = operators.roi_boxes(1000)
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] <= np.array(operators.SIZE[::-1]) + 1e-3).all()
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    levels = np.clip(np.floor(4 + np.log2(np.sqrt(areas) / 224)), 2, 5)
    assert (np.bincount(levels.astype(int))[2:] > 30).all()  # of 1,000; P5 is read for the largest alone


def test_examples_have_their_boxes_around_their_masks():
    made = example((200, 300), 3, 5, 0)
    assert made.masks.shape == (3, 200, 300)
    for box, mask in zip(made.boxes, made.masks, strict=True):
        inside = np.zeros((200, 300), bool)
        x0, y0, x1, y1 = box.round().astype(int)
        inside[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
        assert mask.any()
        assert not mask[~inside].any()


def test_the_slope_of_a_power_is_its_exponent():
    work = (1, 2, 4)
    assert scaling._slopes(work, [[w**1.5, 7 * w**0.5] for w in work]) == pytest.approx([1.5, 0.5])


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({8: 2.0, 16: 3.0, 32: 7.0}, (16, [3 / 16, 3 / 16])),  # 32 is slower an image
        ({8: 2.0, 16: 3.0}, (16, [3 / 16, 3 / 16])),  # memory ends
        ({8: 1.0, 16: 2.0}, (8, [1 / 8, 1 / 8])),
    ],
)
def test_the_best_batch_has_the_least_seconds_an_image_up_to_what_memory_holds(clock, seconds, best):
    def make(count):
        if count not in seconds:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return clock.work(count, seconds[count])

    assert throughput._best(make, 2) == best


def test_a_device_that_holds_no_batch_ends_with_the_remedy():
    def make(count):
        raise RuntimeError("CUDA out of memory")

    with pytest.raises(SystemExit, match="not even a batch of 8 fits into the device's memory; end what else uses it"):
        throughput._best(make, 1)


def test_the_largest_kernels_of_a_profile_are_those_of_the_streams():
    def line(name, *events):
        return SimpleNamespace(name=name, events=[SimpleNamespace(name=kernel, duration_ns=time) for kernel, time in events])

    streams = [line("Stream #1", ("a", 30.0), ("b", 50.0), ("a", 30.0)), line("Stream #2", ("c", 10.0)), line("XLA Ops", ("a", 900.0))]
    planes = [
        SimpleNamespace(name="/host:CPU", lines=[line("Stream #1", ("d", 900.0))]),
        SimpleNamespace(name="/device:GPU:0", lines=streams),
    ]
    assert throughput.largest(SimpleNamespace(planes=planes)) == [("a", 0.5), ("b", 50 / 120), ("c", 10 / 120)]


def test_a_part_that_fails_loses_none_of_the_others(monkeypatch, tmp_path, capsys):
    script = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "benchmark.py"), run_name="imported")

    def measure(part, command, reference):
        yield Row(f"first of {part}", [1.0], [], "alone")
        if part == "nms":
            raise SystemExit("outputs differ")

    monkeypatch.setitem(script["main"].__globals__, "measure", measure)
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--parts", "nms", "compile", "--json", str(tmp_path / "a.json")])
    with pytest.raises(SystemExit, match="failed: nms"):
        script["main"]()
    assert [row["name"] for row in json.loads((tmp_path / "a.json").read_text())["rows"]] == ["first of nms", "first of compile"]
    assert "outputs differ" in capsys.readouterr().err
