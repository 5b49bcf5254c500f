import numpy as np
import pytest

from maskrcnn_jax.evaluation import RESAMPLES, bootstrap, interval, run_coco
from maskrcnn_jax.evaluation.bootstrap import image_weights
from maskrcnn_jax.evaluation.ranked import average_precision, ranked, recall
from tests.evaluation.by_hand import dataset, found, made_up, thing
from tests.evaluation.plain_coco import drawn, mean, plain_coco

EXACT = {"rtol": 0, "atol": 1e-12}  # the same divisions, summed in another order


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_with_each_image_once_every_class_and_size_is_that_of_pycocotools(kind):
    truth, detections = made_up()
    run, plain = run_coco(truth, detections, kind), plain_coco(truth, detections, kind)
    once = np.ones((1, len(truth["images"])), np.int64)
    for k in range(3):
        for area in range(4):
            of = ranked(run, k, area)
            expected = np.where(plain.eval["precision"] > -1, plain.eval["precision"], np.nan)[:, :, k, area, -1].mean(axis=1)
            np.testing.assert_allclose(average_precision(of, once)[0], expected, **EXACT)
            for m, limit in enumerate((1, 10, 100)):
                expected = np.where(plain.eval["recall"] > -1, plain.eval["recall"], np.nan)[:, k, area, m]
                np.testing.assert_allclose(recall(of, once, limit)[0], expected, **EXACT)


def test_a_resample_is_what_pycocotools_gives_for_images_that_are_there_so_often():
    truth, detections = made_up()
    resampled = bootstrap(run_coco(truth, detections, "segm"), resamples=4, seed=3)
    for b, weights in enumerate(image_weights(len(truth["images"]), 4, 3)):
        assert weights.max() > 1
        assert weights.min() == 0
        plain = plain_coco(*drawn(truth, detections, weights), "segm")
        stats = [of[b] for of in resampled.stats_of.values()]
        np.testing.assert_allclose(stats, np.where(plain.stats > -1, plain.stats, np.nan), **EXACT)
        for k, category in enumerate((2, 5, 7)):
            np.testing.assert_allclose(resampled.per_class_of[category][b], mean(plain.eval["precision"][:, :, k, 0, -1]), **EXACT)


def test_the_numbers_of_the_data_are_the_metrics():
    truth, detections = made_up()
    resampled = bootstrap(run_coco(truth, detections, "bbox"), resamples=2)
    np.testing.assert_allclose(list(resampled.stats.values()), plain_coco(truth, detections, "bbox").stats, **EXACT)


def test_two_images_one_right_one_wrong_worked_out_by_hand():
    """Resamples hold the right image twice (AP 1), both (one of two objects found: 51 of 101 recalls), or the wrong one twice (0)."""
    truth = dataset(thing(0, 0, 40, 40), thing(0, 0, 40, 40, image=2), images=(1, 2))
    resampled = bootstrap(run_coco(truth, [found(0, 0, 40, 40, 0.9)], "segm"))
    assert resampled.stats["AP"] == pytest.approx(51 / 101)
    weights = image_weights(2)
    expected = {2: 1.0, 1: 51 / 101, 0: 0.0}
    np.testing.assert_allclose(resampled.stats_of["AP"], [expected[w] for w in weights[:, 0].tolist()])
    assert set(weights[:, 0].tolist()) == {0, 1, 2}
    around = interval(resampled.stats["AP"], resampled.stats_of["AP"])
    assert (around.low, around.high) == (pytest.approx(0.0, abs=1e-12), pytest.approx(1.0))


def test_weights_are_resamples_with_replacement_and_the_same_for_every_model():
    weights = image_weights(30)
    assert weights.shape == (RESAMPLES, 30)
    assert (weights.sum(axis=1) == 30).all()
    # A count is binomial: 30 tries of 1/30. Its mean over 1,000 resamples of 30 is 1, its variance 29/30, and 5% are many deviations.
    assert weights.var() == pytest.approx(29 / 30, rel=0.05)
    np.testing.assert_array_equal(weights, image_weights(30))
    assert (weights != image_weights(30, seed=1)).any()


def test_an_interval_has_the_percentiles_around_the_number_and_ends_where_numbers_do():
    samples = np.concatenate([0.5 + np.arange(101) ** 2 / 20_000, [np.nan] * 50])  # the median is 0.625
    low, high = 0.5 + 2.5**2 / 20_000, 0.5 + 97.5**2 / 20_000  # between two samples, that is to 0.25 / 20,000
    samples = np.random.default_rng(0).permutation(samples)
    around = interval(0.4, samples)
    assert around.value == 0.4
    assert (around.low, around.high) == (pytest.approx(0.4 + low - 0.625, abs=2e-5), pytest.approx(0.4 + high - 0.625, abs=2e-5))
    assert interval(0.05, samples).low == 0.0
    assert interval(0.05, samples, least=-1.0).low == pytest.approx(0.05 + low - 0.625, abs=2e-5)
    assert interval(0.95, samples).high == 1.0
    for nowhere in (interval(float("nan"), samples), interval(0.4, np.full(3, np.nan))):
        assert np.isnan([nowhere.low, nowhere.high]).all()


def test_intervals_hold_what_datasets_of_their_kind_measure_on_average():
    """Of twelve of 30 images each the mean AP lies in eleven intervals or so; were they right, in fewer than nine once in 400 times."""
    truth, detections = made_up(images=360, categories=(1,), seed=1, objects=3)
    run = run_coco(truth, detections, "bbox")
    of, parts = ranked(run, 0), np.repeat(np.arange(12), 30)
    aps = average_precision(of, (parts == np.arange(12)[:, None]).astype(np.int64)).mean(axis=1)
    rng, held = np.random.default_rng(0), 0
    for part, ap in enumerate(aps.tolist()):
        weights = np.zeros((100, 360), np.int64)
        weights[:, parts == part] = rng.multinomial(30, np.full(30, 1 / 30), size=100)
        around = interval(ap, average_precision(of, weights).mean(axis=1))
        held += around.low <= aps.mean() <= around.high
    assert held >= 9


def test_classes_without_objects_are_not_defined_and_leave_the_mean_alone():
    truth, detections = made_up(categories=(7, 2, 5))
    truth["categories"].append({"id": 9, "name": "never there"})
    resampled = bootstrap(run_coco(truth, [*detections, {**detections[0], "category_id": 9}], "bbox"), resamples=3)
    without = bootstrap(run_coco(made_up()[0], detections, "bbox"), resamples=3)
    assert np.isnan(resampled.per_class_of[9]).all()
    np.testing.assert_array_equal(resampled.stats_of["AP"], without.stats_of["AP"])


def test_no_detections_are_zero():
    resampled = bootstrap(run_coco(made_up()[0], [], "segm"), resamples=3)
    assert resampled.stats_of["AP"].tolist() == resampled.stats_of["AR100"].tolist() == [0.0, 0.0, 0.0]
