import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import covered, match, pairwise_iou
from maskrcnn_jax.ops.matching import CHUNK
from tests.ops.checks import assert_close, assert_transforms_agree
from tests.oracles import selection
from tests.oracles.boxes import ioa, iou

jitted_match = jax.jit(match, static_argnames=("foreground_iou", "background_iou", "low_quality"))
jitted_covered = jax.jit(covered, static_argnames="ioa")


def as_lists(matches):
    """Like the oracle's: ground truth and kind of each row."""
    kinds = {(True, False): "positive", (False, True): "negative", (False, False): "ignored"}
    return [(g, kinds[p, n]) for g, p, n in zip(*(x.tolist() for x in matches), strict=True)]


def small_boxes(rng, n):
    """Whole pixels of a small square: overlaps are exact, and many are equal."""
    corner = rng.integers(0, 8, (n, 2))
    return np.concatenate([corner, corner + rng.integers(1, 5, (n, 2))], axis=1).astype(np.float32)


def table(function, rows, columns):
    return np.asarray([[function(row, column) for column in columns] for row in rows], np.float32)


# Few and many ground truths: fewer than a chunk, a whole number of them, more; and padding anywhere.
COUNTS = [1, 7, CHUNK, 2 * CHUNK, 2 * CHUNK + 3]


@pytest.mark.parametrize("g", COUNTS)
@pytest.mark.parametrize("low_quality", [False, True])
@pytest.mark.parametrize("thresholds", [(0.7, 0.3), (0.5, 0.5), (0.9, 0.0)])
def test_equals_the_oracle(rng, low_quality, thresholds, g):
    boxes, gt_boxes, gt_valid = small_boxes(rng, 60), small_boxes(rng, g), rng.random(g) < 0.7
    gt_valid[-1] = True
    foreground, background = (float(np.float32(t)) for t in thresholds)
    found = jitted_match(boxes, gt_boxes, gt_valid, foreground_iou=foreground, background_iou=background, low_quality=low_quality)
    overlaps = table(iou, boxes, gt_boxes)
    assert as_lists(found) == selection.match(overlaps, gt_valid, foreground, background, low_quality)


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_boxes_and_objects_of_two_dtypes(rng, dtypes):
    boxes, gt_boxes, gt_valid = small_boxes(rng, 60), small_boxes(rng, 3), np.ones(3, bool)
    thresholds = {"foreground_iou": 0.7, "background_iou": 0.3, "low_quality": True}
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        found = jitted_match(boxes.astype(dtypes[0]), gt_boxes.astype(dtypes[1]), gt_valid, **thresholds)
    assert as_lists(found) == as_lists(jitted_match(boxes, gt_boxes, gt_valid, **thresholds))


GT_BOXES = [[0, 0, 8, 1], [8, 0, 16, 1], [100, 0, 108, 1]]
BOXES = [
    [0, 0, 6, 1],  # IoU 3/4 reaches the foreground
    [0, 0, 5, 1],  # 5/8, between
    [6, 0, 10.5, 1],  # 2/10.5 and 1/4: best of the second ground truth, low
    [8, 0, 10, 1],  # 0 and 1/4: the same, a tie
    [0, 0, 12, 1],  # 8/12 and 1/4: the same, but its own best is the first
    [7, 0, 9, 1],  # 1/9 of both: background
    [50, 0, 58, 1],  # nothing: the third ground truth's best is 0 and does not count
    [0, 0, 3, 1],  # 3/8, exactly the background's bound: ignored
    [0, 0, 7, 1],  # 7/8, best of the first, whose other positives stay positive
]


@pytest.mark.parametrize(
    ("low_quality", "expected"),
    [
        (False, ["positive", "ignored", "negative", "negative", "ignored", "negative", "negative", "ignored", "positive"]),
        (True, ["positive", "ignored", "positive", "positive", "positive", "negative", "negative", "ignored", "positive"]),
    ],
)
def test_by_hand(low_quality, expected):
    boxes, gt_boxes = jnp.asarray(BOXES, jnp.float32), jnp.asarray(GT_BOXES, jnp.float32)
    found = match(boxes, gt_boxes, jnp.ones(3, bool), foreground_iou=0.75, background_iou=0.375, low_quality=low_quality)
    assert [kind for _, kind in as_lists(found)] == expected
    assert found.gt_indices.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]


def random_boxes(rng, n):
    corner = rng.uniform(0, 20, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 20, (n, 2))], axis=1).astype(np.float32)


def test_permuting_the_ground_truth_permutes_the_matches(rng):
    boxes, gt_boxes = random_boxes(rng, 30), random_boxes(rng, 20)  # no ties
    order = rng.permutation(20)
    run = functools.partial(jitted_match, gt_valid=np.ones(20, bool), foreground_iou=0.7, background_iou=0.3, low_quality=True)
    straight, permuted = run(boxes, gt_boxes), run(boxes, gt_boxes[order])
    overlap = np.asarray(pairwise_iou(jnp.asarray(boxes), jnp.asarray(gt_boxes))).max(axis=1) > 0
    assert order[np.asarray(permuted.gt_indices)][overlap].tolist() == np.asarray(straight.gt_indices)[overlap].tolist()
    assert_close(permuted[1:], straight[1:])


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1.0, -3.0])
def test_padded_ground_truth_matches_nothing(rng, garbage):
    """Wherever the padding stands."""
    boxes, gt_boxes = random_boxes(rng, 30), random_boxes(rng, 5)
    run = functools.partial(jitted_match, foreground_iou=0.7, background_iou=0.3, low_quality=True)
    places = np.asarray([1, 4, 9, 17, 18])
    padded, valid = np.full((20, 4), garbage, np.float32), np.zeros(20, bool)
    padded[places], valid[places] = gt_boxes, True
    alone, found = run(boxes, gt_boxes, np.ones(5, bool)), run(boxes, padded, valid)
    assert_close(found, alone._replace(gt_indices=places[np.asarray(alone.gt_indices)]))


@pytest.mark.parametrize("low_quality", [False, True])
def test_without_ground_truth_everything_is_negative(low_quality):
    found = match(
        jnp.ones((4, 4)), jnp.full((3, 4), jnp.nan), jnp.zeros(3, bool), foreground_iou=0.7, background_iou=0.3, low_quality=low_quality
    )
    assert not found.positive.any()
    assert found.negative.all()
    assert not found.gt_indices.any()


def test_transforms_agree(rng):
    """Of the two images, one has more chunks of ground truth."""
    boxes, gt_boxes = np.stack([small_boxes(rng, 10), small_boxes(rng, 10)]), np.stack([small_boxes(rng, 20), small_boxes(rng, 20)])
    valid = np.stack([rng.random(20) < 0.2, rng.random(20) < 0.9])
    run = functools.partial(match, foreground_iou=0.7, background_iou=0.3, low_quality=True)
    assert_transforms_agree(run, boxes, gt_boxes, valid)
    assert_transforms_agree(functools.partial(covered, ioa=0.5), boxes, gt_boxes, valid)


def test_boxes_that_matching_decides_about_have_gradients(rng):
    """Matching itself has none, and stands in nobody's way."""
    boxes, gt_boxes, valid = jnp.asarray(small_boxes(rng, 10)), jnp.asarray(small_boxes(rng, 3)), jnp.ones(3, bool)

    def chosen(boxes):
        found = match(boxes, gt_boxes, valid, foreground_iou=0.5, background_iou=0.5, low_quality=True)
        wanted = found.positive & covered(boxes, gt_boxes, valid, ioa=0.1)
        return jnp.sum(jnp.where(wanted[:, None], boxes, 0)), wanted

    gradient, wanted = jax.jit(jax.grad(chosen, has_aux=True))(boxes)
    assert wanted.any()
    assert_close(gradient, np.repeat(np.asarray(wanted, np.float32)[:, None], 4, axis=1))


@pytest.mark.parametrize("g", COUNTS)
@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_covered_equals_the_oracle(rng, share, g):
    boxes, regions, valid = small_boxes(rng, 60), small_boxes(rng, g), rng.random(g) < 0.7
    expected = (table(ioa, boxes, regions[valid]) >= share).any(axis=1) if valid.any() else np.zeros(60, bool)
    regions[~valid] = np.nan
    assert jitted_covered(boxes, regions, valid, ioa=share).tolist() == expected.tolist()


def test_error_names_both_thresholds():
    with pytest.raises(ValueError) as error:
        match(jnp.zeros((2, 4)), jnp.zeros((1, 4)), jnp.ones(1, bool), foreground_iou=0.3, background_iou=0.5, low_quality=False)
    assert str(error.value) == "background_iou must be at most foreground_iou; got 0.5 and 0.3"


def test_without_a_row_of_ground_truth_all_is_background():
    boxes, nothing = jnp.asarray([[0.0, 0, 4, 4], [1, 1, 2, 2]]), jnp.zeros((0, 4))
    matches = match(boxes, nothing, jnp.zeros(0, bool), foreground_iou=0.5, background_iou=0.5, low_quality=True)
    assert as_lists(matches) == [(0, "negative")] * 2
    assert not covered(boxes, nothing, jnp.zeros(0, bool), ioa=0.7).any()
