import math
from collections import Counter

import numpy as np
import pytest

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import DataError, Plan, ShapesSource, repeat_factors, sampling_rates

INPUT = InputConfig(min_side=64, max_side=128, canvases=((64, 128), (128, 64)))


def slow_repeat_factors(labels, threshold):
    """The paper's two formulas, image by image; `labels` are the classes of each image."""
    share = {c: sum(c in present for present in labels) / len(labels) for present in labels for c in present}
    return [max([1.0, *(math.sqrt(threshold / share[c]) for c in present)]) for present in labels]


def pairs(labels):
    return np.array([(i, c) for i, present in enumerate(labels) for c in present], np.int32).reshape(-1, 2)


def test_repeat_factors_by_hand():
    """Of four images all have class 1, one class 2: with the threshold 1 it is read sqrt(1 / (1 / 4)) times as often."""
    factors = repeat_factors(pairs([{1}, {1, 2}, {1}, {1}]), np.ones(4, np.bool_), 1.0)
    assert factors.tolist() == [1, 2, 1, 1]


@pytest.mark.parametrize("threshold", [0.001, 0.1, 0.5, 1.0])
def test_repeat_factors_are_the_paper_s(rng, threshold):
    labels = [set(rng.integers(1, 30, rng.integers(0, 4)).tolist()) for _ in range(60)]
    factors = repeat_factors(pairs(labels), np.ones(60, np.bool_), threshold)
    np.testing.assert_allclose(factors, slow_repeat_factors(labels, threshold), rtol=1e-12)


def test_images_that_are_not_usable_do_not_count():
    labels = [{1}, {2}, set(), {1}]
    usable = np.array([True, True, False, False])
    assert repeat_factors(pairs(labels), usable, 1.0)[:2].tolist() == pytest.approx([math.sqrt(2), math.sqrt(2)])
    source = ShapesSource(0, 4)
    source.labels_present = pairs(labels)
    rates = sampling_rates(source, np.array([0, 1]), 1.0)
    assert rates.tolist() == pytest.approx([math.sqrt(2), math.sqrt(2), 0, 0])


def mixture(parts, weights):
    source = ShapesSource(0, len(parts))
    source.parts, source.weights = np.array(parts), weights
    return source


def test_weights_are_shares_of_what_is_read():
    """Three images of one part and one of the other, equal weights: the one is read three times as often, four reads in all."""
    assert sampling_rates(mixture([0, 0, 0, 1], (5.0, 5.0)), None, None).tolist() == pytest.approx([2 / 3] * 3 + [2])
    assert sampling_rates(mixture([0, 0, 0, 1], (3.0, 1.0)), None, None).tolist() == pytest.approx([1] * 4)


def test_weights_count_after_repeats():
    source = mixture([0, 0, 1, 1], (1.0, 3.0))
    source.labels_present = pairs([{1}, {2}, {1}, {1}])
    rates = sampling_rates(source, None, 1.0)
    assert rates[2:].sum() == pytest.approx(3 * rates[:2].sum())
    assert rates[1] / rates[0] == pytest.approx(math.sqrt(4) / math.sqrt(4 / 3))


def test_without_either_every_image_counts_once():
    assert sampling_rates(ShapesSource(0, 3), None, None) is None


def test_a_threshold_for_a_source_that_does_not_tell_its_classes_is_an_error_with_the_remedy():
    with pytest.raises(DataError) as error:
        sampling_rates(ShapesSource(0, 3), None, 0.001)
    assert str(error.value).startswith("ShapesSource: it has no `labels_present`, which data.repeat_threshold needs")
    assert "leave the threshold out" in str(error.value)


def test_a_part_without_usable_image_is_an_error_with_the_remedy():
    with pytest.raises(DataError) as error:
        sampling_rates(mixture([0, 0, 1], (1.0, 1.0)), np.array([0, 1]), None)
    assert "its part 2 of 2 has no usable image; leave it out, or set data.drop_empty to False" in str(error.value)


def plan_of(rates, batch_size=4, sizes=None, **options):
    sizes = np.full((len(rates), 2), 64) if sizes is None else sizes
    return Plan(sizes, INPUT, DataConfig(), batch_size=batch_size, seed=3, rates=np.array(rates, np.float64), **options)


def reads(plan, epoch):
    steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
    return Counter(int(i) for step in steps for i in plan(step)[1])


def test_an_epoch_reads_an_image_as_often_as_its_rate_rounded_either_way():
    rates = [1.0, 2.5, 1.25, 3.0, 1.1, 1.15]  # 10 in all: five batches of two, none filled up
    plan = plan_of(rates, batch_size=2)
    assert plan.steps_per_epoch == 5
    for epoch in range(40):
        counts = reads(plan, epoch)
        assert all(math.floor(rate) <= counts[i] <= math.ceil(rate) for i, rate in enumerate(rates))
    total = sum((reads(plan, epoch) for epoch in range(400)), Counter())
    assert [total[i] / 400 for i in range(6)] == pytest.approx(rates, abs=0.02)


def test_images_of_a_low_rate_have_their_turn_within_three_times_their_period():
    """Of the multiples of the golden ratio modulo 1, no gap is longer than 2.62 / n after n of them."""
    rates = [0.05] * 40 + [2.0]
    plan = plan_of(rates, batch_size=1)
    assert plan.steps_per_epoch == 4
    for start in range(0, 180, 60):
        seen = sum((reads(plan, epoch) for epoch in range(start, start + 60)), Counter())
        assert set(seen) == set(range(41))


def test_rates_of_one_change_nothing(rng):
    sizes = rng.integers(40, 300, (53, 2))
    plain = Plan(sizes, INPUT, DataConfig(), batch_size=4, seed=3)
    rated = plan_of(np.ones(53), sizes=sizes)
    assert plain.steps_per_epoch == rated.steps_per_epoch
    for step in range(3 * plain.steps_per_epoch):
        assert np.array_equal(plain(step)[1], rated(step)[1])


def test_with_rates_the_plan_is_a_function_of_the_step_and_keeps_canvases_apart(rng):
    sizes, rates = rng.integers(40, 300, (53, 2)), rng.uniform(0.1, 3, 53)
    plan, other = plan_of(rates, sizes=sizes), plan_of(rates, sizes=sizes)
    forward = [plan(step) for step in range(60)]
    for step in rng.permutation(60):
        canvas, indices = other(int(step))
        assert canvas == forward[step][0]
        assert np.array_equal(indices, forward[step][1])
        assert len({tuple(side) for side in (sizes[indices][:, :1] > sizes[indices][:, 1:])}) == 1  # all upright, or none


def test_other_images_are_drawn_as_often_as_their_rates_say(rng):
    plan = plan_of([1.0, 9.0, 3.0, 7.0], indices=np.array([0, 1, 3]))
    drawn = Counter(plan.draw(rng) for _ in range(4000))
    assert set(drawn) == {0, 1, 3}
    # Five standard deviations of a binomial share of 4000 are below 0.04.
    assert [drawn[i] / 4000 for i in (0, 1, 3)] == pytest.approx([1 / 17, 9 / 17, 7 / 17], abs=0.04)


class Last(np.random.Generator):
    def random(self):
        return 1 - 2**-53


def test_the_last_image_can_be_drawn():
    """By the largest number below 1, and of rates whose sum rounds."""
    plan = plan_of([0.1] * 10)
    assert plan.draw(Last(np.random.PCG64(0))) == 9
