from collections import Counter

import numpy as np
import pytest

from maskrcnn_jax.config import AugmentConfig, DataConfig, InputConfig
from maskrcnn_jax.data import DataError, Plan, canvas_for, resized_size, train_min_sides

INPUT = InputConfig(min_side=64, max_side=128, canvases=((64, 128), (128, 64), (128, 128)))
DATA = DataConfig()


@pytest.fixture
def sizes(rng):
    return rng.integers(40, 300, (53, 2))


def epoch_of(plan, epoch):
    return [plan(epoch * plan.steps_per_epoch + i) for i in range(plan.steps_per_epoch)]


@pytest.mark.parametrize("epoch", [0, 3])
def test_every_image_is_read_and_only_full_last_batches_repeat(sizes, epoch):
    plan = Plan(sizes, INPUT, DATA, batch_size=4, seed=0)
    counts = Counter(int(i) for _, indices in epoch_of(plan, epoch) for i in indices)
    assert set(counts) == set(range(53))
    assert sum(counts.values()) == 4 * plan.steps_per_epoch
    assert sum(counts.values()) - 53 < 4 * len(INPUT.canvases)


def test_every_image_of_a_batch_has_the_batch_s_canvas(sizes):
    for canvas, indices in epoch_of(Plan(sizes, INPUT, DATA, batch_size=4, seed=0), 0):
        assert len(indices) == 4
        for h, w in sizes[indices].tolist():
            assert canvas_for(resized_size((h, w), 64, 128, INPUT.resize), INPUT) == canvas


def test_the_plan_is_a_pure_function_of_the_step(sizes):
    plan, other = (Plan(sizes, INPUT, DATA, batch_size=4, seed=7) for _ in range(2))
    forward = {step: plan(step) for step in range(3 * plan.steps_per_epoch)}
    for step in np.random.default_rng(1).permutation(3 * plan.steps_per_epoch):
        canvas, indices = other(int(step))
        assert canvas == forward[step][0]
        assert np.array_equal(indices, forward[step][1])


def test_epochs_and_seeds_differ(sizes):
    plan, other = (Plan(sizes, INPUT, DATA, batch_size=4, seed=seed) for seed in (0, 1))
    orders = [np.concatenate([i for _, i in epoch_of(p, e)]).tolist() for p, e in ((plan, 0), (plan, 1), (other, 0))]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]


def test_a_group_smaller_than_the_batch_wraps_round():
    plan = Plan(np.array([[64, 64], [64, 64]]), INPUT, DATA, batch_size=5, seed=0)
    assert plan.steps_per_epoch == 1
    assert sorted(Counter(plan(0)[1].tolist()).values()) == [2, 3]


def test_only_usable_indices_are_planned(sizes):
    plan = Plan(sizes, INPUT, DATA, batch_size=2, seed=0, indices=np.array([3, 8, 21]))
    assert {int(i) for _, indices in epoch_of(plan, 0) for i in indices} == {3, 8, 21}


def test_without_shuffle_the_order_is_that_of_the_indices():
    plan = Plan(np.full((6, 2), 64), INPUT, DATA, batch_size=2, seed=0, shuffle=False)
    assert [plan(step)[1].tolist() for step in range(4)] == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_the_largest_short_side_of_training_decides_the_canvas():
    data = DataConfig(augment=AugmentConfig(min_sides=(64, 96)))
    plan = Plan(np.array([[50, 60]]), INPUT, data, batch_size=1, seed=0)
    assert train_min_sides(data.augment, INPUT) == (64, 96)
    assert plan(0)[0] == (128, 128)


def test_multiple_makes_the_canvas_of_each_batch():
    config = InputConfig(min_side=64, max_side=128, canvas="multiple")
    plan = Plan(np.array([[64, 70], [100, 64]]), config, DATA, batch_size=2, seed=0)
    assert plan(0)[0] == (128, 96)


def test_multiple_with_several_short_sides_is_an_error_with_the_remedy():
    config = InputConfig(min_side=64, max_side=128, canvas="multiple")
    with pytest.raises(DataError) as error:
        Plan(np.array([[64, 70]]), config, DataConfig(augment=AugmentConfig(min_sides=(64, 96))), batch_size=2, seed=0)
    assert "data.augment.min_sides is (64, 96)" in str(error.value)
    assert "give one side" in str(error.value)


@pytest.mark.parametrize(("given", "name"), [({}, "index 1 of the source"), ({"name": "image {}".format}, "image 1")])
def test_an_image_that_fits_no_canvas_is_named(given, name):
    config = InputConfig(min_side=64, max_side=128, canvases=((64, 128),))
    with pytest.raises(DataError) as error:
        Plan(np.array([[64, 64], [128, 64]]), config, DATA, batch_size=1, seed=0, **given)
    assert str(error.value).startswith(f"{name}: resized to 128 x 64 (height x width) it fits none")
    assert "add a canvas" in str(error.value)


def test_no_usable_image_is_an_error_with_the_remedy():
    with pytest.raises(DataError) as error:
        Plan(np.zeros((0, 2), np.int64), INPUT, DATA, batch_size=1, seed=0)
    assert (
        str(error.value) == "no usable image; give a source that has some (kind coco: check data.train_annotations or data.val_annotations)"
    )
