import functools

import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import match
from tests.ops.checks import assert_close, assert_transforms_agree
from tests.oracles import selection as oracle


def as_lists(matches):
    """Like the oracle's: ground truth and kind of each row."""
    kinds = {(True, False): "positive", (False, True): "negative", (False, False): "ignored"}
    return [(g, kinds[p, n]) for g, p, n in zip(*(x.tolist() for x in matches), strict=True)]


@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("thresholds", [(0.7, 0.3), (0.5, 0.5), (0.9, 0.0)])
def test_equals_the_oracle(rng, low_quality, thresholds):
    # Tenths: ties within rows and columns, values on the thresholds, columns whose best is below the foreground.
    iou = (np.minimum(rng.integers(0, 11, (40, 7)), [10, 4, 8, 0, 6, 9, 2]) / 10).astype(np.float32)
    gt_valid = np.asarray([1, 1, 0, 1, 1, 0, 1], bool)
    foreground, background = (float(np.float32(t)) for t in thresholds)
    found = match(jnp.asarray(iou), jnp.asarray(gt_valid), foreground_iou=foreground, background_iou=background, low_quality=low_quality)
    assert as_lists(found) == oracle.match(iou, gt_valid, foreground, background, low_quality)


IOU = [
    [0.75, 0.0, 0.0],  # reaches the foreground
    [0.625, 0.0, 0.0],  # between
    [0.125, 0.25, 0.0],  # best of the second ground truth, low
    [0.0, 0.25, 0.0],  # the same, a tie
    [0.5, 0.25, 0.0],  # the same, but its own best is the first
    [0.25, 0.125, 0.0],  # background
    [0.0, 0.0, 0.0],  # nothing: the third ground truth's best is 0 and does not count
    [0.375, 0.0, 0.0],  # exactly the background's bound: ignored
    [0.875, 0.0, 0.0],  # best of the first, whose other positives stay positive
]


@pytest.mark.parametrize(
    ("low_quality", "expected"),
    [
        (False, ["positive", "ignored", "negative", "negative", "ignored", "negative", "negative", "ignored", "positive"]),
        (True, ["positive", "ignored", "positive", "positive", "positive", "negative", "negative", "ignored", "positive"]),
    ],
)
def test_by_hand(low_quality, expected):
    found = match(jnp.asarray(IOU), jnp.ones(3, bool), foreground_iou=0.75, background_iou=0.375, low_quality=low_quality)
    assert [kind for _, kind in as_lists(found)] == expected
    assert found.gt_indices.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_permuting_the_ground_truth_permutes_the_matches(rng):
    iou = rng.random((30, 5)).astype(np.float32)  # no ties
    order = rng.permutation(5)
    run = functools.partial(match, gt_valid=jnp.ones(5, bool), foreground_iou=0.7, background_iou=0.3, low_quality=True)
    straight, permuted = run(jnp.asarray(iou)), run(jnp.asarray(iou[:, order]))
    assert order[np.asarray(permuted.gt_indices)].tolist() == straight.gt_indices.tolist()
    assert_close(permuted[1:], straight[1:])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1.0, -3.0])
def test_padded_ground_truth_matches_nothing(rng, garbage):
    iou = rng.random((30, 5)).astype(np.float32)
    run = functools.partial(match, foreground_iou=0.7, background_iou=0.3, low_quality=True)
    padded = np.concatenate([iou, np.full((30, 2), garbage, np.float32)], axis=1)
    assert_close(run(jnp.asarray(padded), jnp.arange(7) < 5), run(jnp.asarray(iou), jnp.ones(5, bool)))


@pytest.mark.parametrize("low_quality", [False, True])
def test_without_ground_truth_everything_is_negative(low_quality):
    found = match(jnp.full((4, 3), jnp.nan), jnp.zeros(3, bool), foreground_iou=0.7, background_iou=0.3, low_quality=low_quality)
    assert not found.positive.any()
    assert found.negative.all()


def test_transforms_agree(rng):
    iou, valid = rng.random((2, 10, 4)).astype(np.float32), rng.random((2, 4)) < 0.7
    run = functools.partial(match, foreground_iou=0.7, background_iou=0.3, low_quality=True)
    assert_transforms_agree(run, iou, valid)


def test_error_names_both_thresholds():
    with pytest.raises(ValueError) as error:
        match(jnp.zeros((2, 1)), jnp.ones(1, bool), foreground_iou=0.3, background_iou=0.5, low_quality=False)
    assert str(error.value) == "background_iou must be at most foreground_iou; got 0.5 and 0.3"
