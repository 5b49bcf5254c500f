from dataclasses import replace

import pytest

from maskrcnn_jax.config import InputConfig, OptimizerConfig
from maskrcnn_jax.reports.check_data.advice import padding_of, suggested_canvases, suggested_rate
from tests import tiny


def test_padding_by_hand():
    config = InputConfig(canvases=((64, 96), (96, 64)))
    found = padding_of([(64, 80), (64, 80), (96, 64)], config)
    assert found.padding == pytest.approx(1 - (2 * 64 * 80 + 96 * 64) / (3 * 64 * 96))
    assert found.canvases == config.canvases
    assert padding_of([(64, 128)], config).padding is None


def test_padding_of_exact_canvases_is_that_of_rounding():
    found = padding_of([(60, 90), (33, 64)], InputConfig(canvas="multiple"))
    assert found.canvases == ((64, 64), (64, 96))
    assert found.padding == pytest.approx(1 - (60 * 90 + 33 * 64) / (64 * 96 + 64 * 64))


def test_landscape_and_portrait_get_a_canvas_each():
    found = suggested_canvases([(64, 96)] * 5 + [(96, 64)] * 5, 32)
    assert found.canvases == ((64, 96), (96, 64))
    assert found.padding == 0


def test_a_canvas_that_saves_little_is_not_suggested():
    assert suggested_canvases([(800, 1333)] * 99 + [(800, 1066)], 32).canvases == ((800, 1344),)


def test_no_more_than_three_canvases_and_every_image_fits(rng):
    sizes = [(int(h), int(w)) for h, w in rng.integers(40, 400, (60, 2))]
    found = suggested_canvases(sizes, 32)
    assert 1 <= len(found.canvases) <= 3
    assert all(side % 32 == 0 for canvas in found.canvases for side in canvas)
    own = padding_of(sizes, InputConfig(canvases=found.canvases))  # raises nothing: each fits
    assert own.padding == pytest.approx(found.padding)
    assert found.padding < padding_of(sizes, InputConfig(canvases=((416, 416),))).padding


@pytest.mark.parametrize(("images", "suggested"), [(16, 0.02), (4, 0.005), (64, 0.08)])
def test_the_rate_of_sgd_is_linear_in_the_images(images, suggested):
    config = tiny.experiment(batch_size=images)
    assert suggested_rate(config).suggested == pytest.approx(suggested)
    assert suggested_rate(config).configured == 0.01


def test_a_rate_for_other_images_counts_as_it_is_scaled():
    optimizer = OptimizerConfig(learning_rate=0.01, reference_batch=8)
    assert suggested_rate(replace(tiny.experiment(batch_size=4), optimizer=optimizer)).configured == 0.005


def test_no_rate_is_suggested_for_adamw():
    rate = suggested_rate(tiny.experiment(optimizer=OptimizerConfig(kind="adamw", learning_rate=1e-3)))
    assert rate.suggested is None
    assert "AdamW" in rate.reason
