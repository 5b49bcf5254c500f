"""One device and eight: the same steps, and nothing said between devices but what must be."""

import numpy as np
import pytest

from tests.conftest import run_on_devices
from tests.training.hlo import Collective, collectives


def results_of(part, folder, steps=1):
    run_on_devices(8, "-m", "tests.training.on_devices", str(folder / f"{part}.npz"), part, str(steps), JAX_ENABLE_X64="1")
    with np.load(folder / f"{part}.npz") as results:
        return dict(results)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return results_of("devices", tmp_path_factory.mktemp("devices"))


def assert_equal(results, name, other, what, *, tolerance):
    """All `what` that was computed as `name` against `other`, relative to the largest value of each array."""
    keys = [key.removeprefix(f"{name} ") for key in results if key.startswith(f"{name} {what}")]
    assert keys
    for key in keys:
        ours, theirs = results[f"{name} {key}"], results[f"{other} {key}"]
        assert np.isfinite(theirs).all(), key
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs, dtype=float).max(), err_msg=key)


# `slow` is a step, `soak` are twenty and a batch in parts. The bars are 1e-5 and, for parts, 1e-6; in float64 sums in another order
# differ by some 1e-14 of what they sum.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["eight", "fsdp"])
def test_eight_devices_take_the_step_of_one(name, results):
    assert len([key for key in results if key.startswith("one first gradient")]) > 60
    assert results["one first metric loss"] > 0
    assert_equal(results, name, "one", "first", tolerance=1e-9)


@pytest.mark.slow
def test_eight_devices_detect_what_one_does(results):
    assert results["one detections valid"].any()
    assert_equal(results, "eight", "one", "detections", tolerance=1e-9)


@pytest.mark.soak
def test_twenty_steps_that_go_their_own_way(tmp_path):
    results = results_of("devices", tmp_path, steps=20)
    assert not np.array_equal(results["one last params box_head/fc1/kernel"], results["one first gradient box_head/fc1/kernel"])
    for name in ("eight", "fsdp"):
        assert_equal(results, name, "one", "last", tolerance=1e-7)


@pytest.mark.soak
def test_a_batch_in_parts_on_two_devices_has_the_gradient_of_the_whole_on_one(tmp_path):
    results = results_of("parts", tmp_path)
    assert_equal(results, "parts", "whole", "first", tolerance=1e-9)


@pytest.mark.slow
def test_devices_only_sum_and_gather(results):
    found = {name: collectives(str(results[f"{name} program"])) for name in ("one", "eight", "fsdp")}
    assert found["one"] == []
    assert {c.kind for c in found["eight"]} == {"all-reduce"}
    assert {"all-gather"} <= {c.kind for c in found["fsdp"]} <= {"all-reduce", "all-gather", "reduce-scatter"}
    assert [c for name in ("eight", "fsdp") for c in found[name] if c.in_loop] == []


def test_a_collective_in_a_loop_is_found():
    text = """
%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%inner (x: f32[2]) -> f32[2] {
  ROOT %all-reduce.1 = f32[2]{0} all-reduce(%x), to_apply=%add, metadata={op_name="jit(f)/while/body/psum"}
}

%body (x: f32[2]) -> f32[2] {
  ROOT %call = f32[2] call(%x), to_apply=%inner
}

ENTRY %main (x: f32[2]) -> f32[2] {
  %gather = (f32[2], f32[4]) all-gather-start(%x), dimensions={0}, metadata={op_name="jit(f)/params"}
  ROOT %loop = f32[2] while(%x), condition=%more, body=%body
}
"""
    assert collectives(text) == [
        Collective("all-reduce", "jit(f)/while/body/psum", True),
        Collective("all-gather", "jit(f)/params", False),
    ]
