"""One device and eight: the same steps, and nothing said between devices but what must be."""

import math
from collections import Counter

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
    assert not np.array_equal(results["one last params box_head/fc1/kernel"], results["one before box_head/fc1/kernel"])
    for name in ("eight", "fsdp"):
        assert_equal(results, name, "one", "last", tolerance=1e-7)


@pytest.mark.soak
def test_a_batch_in_parts_on_two_devices_has_the_gradient_of_the_whole_on_one(tmp_path):
    results = results_of("parts", tmp_path)
    assert_equal(results, "parts", "whole", "first", tolerance=1e-9)
    in_loop = [c for c in collectives(str(results["parts program"])) if c.in_loop]  # the exception that docs/scaling.md states
    assert {c.kind for c in in_loop} == {"all-reduce"}
    assert_sums_gradients(in_loop, results, "parts")


def named(results, name):
    return {key.removeprefix(f"{name} "): value for key, value in results.items() if key.startswith(f"{name} ")}


def shapes_in(found, kind):
    return [shape for c in found if c.kind == kind for shape in c.shapes]


def elements(shapes):
    return sum(math.prod(shape) for shape in shapes)


def assert_sums_gradients(found, results, name):
    """What is summed are gradients, statistics of batch norms and single numbers, each about once; nothing of an activation's shape."""
    parameters = {key: value.shape for key, value in named(results, f"{name} before").items()}
    trained = {key for key, value in named(results, f"{name} first gradient").items() if value.any()}
    sums = shapes_in(found, "all-reduce")
    kernels = [shape for shape in parameters.values() if len(shape) == 4]
    rows = [(shape[0] * shape[2], shape[3]) for shape in kernels]  # gradients of wide kernels are matrix products, a column each
    tiles = [shape[2:] for shape in kernels if shape[0] == 3]  # or, of many cells, 16 where the kernel has 9 places

    def sides(shape):  # XLA turns arrays round, and adds axes of one
        return tuple(sorted(side for side in shape if side != 1))

    assert {sides(shape) for shape in sums} <= {sides(shape) for shape in [(), *parameters.values(), *rows, *tiles]}
    gradients = elements(parameters[key] for key in trained)
    again = 4 * elements(shape for key, shape in parameters.items() if key.startswith("rpn_head"))  # it has five levels: each is summed
    statistics = 4 * elements(value.shape for value in named(results, f"{name} statistics").values())  # two, and their gradients
    single = sum(shape == () for shape in sums)
    assert gradients <= elements(sums) <= gradients + again + statistics + single + 7 * elements(tiles)


@pytest.mark.slow
def test_devices_only_sum_and_gather(results):
    found = {name: collectives(str(results[f"{name} program"])) for name in ("one", "eight", "fsdp")}
    assert found["one"] == []
    assert {c.kind for c in found["eight"]} == {"all-reduce"}
    assert {"all-gather"} <= {c.kind for c in found["fsdp"]} <= {"all-reduce", "all-gather", "reduce-scatter"}
    assert [c for name in ("eight", "fsdp") for c in found[name] if c.in_loop] == []
    assert_sums_gradients(found["eight"], results, "eight")


@pytest.mark.slow
def test_parameters_in_parts_are_gathered_once(results):
    """Whole, each once, and nothing else is; of batch norms, whose vectors are small, the new statistics too."""
    gathers = Counter(shapes_in(collectives(str(results["fsdp program"])), "all-gather"))
    parameters = Counter(value.shape for value in named(results, "fsdp before").values())
    statistics = Counter(value.shape for value in named(results, "fsdp statistics").values())
    assert gathers.keys() <= parameters.keys() | statistics.keys()
    kernels = {shape for shape in gathers if len(shape) > 1}
    assert {shape: gathers[shape] for shape in kernels} == {shape: parameters[shape] for shape in kernels}
    assert (
        0.99 * elements(parameters.elements())
        < elements(gathers.elements())
        <= elements(parameters.elements()) + 4 * elements(statistics.elements())
    )


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
        Collective("all-reduce", "jit(f)/while/body/psum", True, ((2,),)),
        Collective("all-gather", "jit(f)/params", False, ((2,), (4,))),
    ]
