import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import DetectConfig
from maskrcnn_jax.stages import classify, detect
from maskrcnn_jax.structs import Proposals
from tests.ops.checks import assert_close
from tests.oracles import stages as oracle

SIZE = (48.0, 64.0)
CONFIG = DetectConfig(max_log_scale=1.0, score_threshold=0.1, nms_threshold=0.3, max_candidates=80, max_detections=25, min_side=2.0)


def run(logits, deltas, rows, valid=None, config=CONFIG):
    rows = jnp.asarray(rows, jnp.float32)
    proposals = Proposals(rows, jnp.zeros(len(rows)), jnp.ones(len(rows), bool) if valid is None else jnp.asarray(valid))
    arrays = jnp.asarray(logits, jnp.float32), jnp.asarray(deltas, jnp.float32), proposals, jnp.asarray(SIZE)
    return compiled(config)(*arrays)


def found_by(*arrays, config):
    return detect(classify(*arrays, config), config)


@functools.cache
def compiled(config):
    return jax.jit(functools.partial(found_by, config=config))


def changed(**fields):
    return DetectConfig(**{**CONFIG.__dict__, **fields})


@pytest.fixture
def scene(rng):
    """40 proposals of 4 classes: crowded, partly beyond the image, a fifth invalid."""
    corner = rng.uniform(-8, 50, (40, 2)) * [1, 0.75]
    rows = np.concatenate([corner, corner + rng.uniform(1, 24, (40, 2))], axis=1).astype(np.float32)
    logits = (1.5 * rng.standard_normal((40, 5))).astype(np.float32)
    deltas = (3 * rng.standard_normal((40, 5, 4))).astype(np.float32)
    deltas[4, :, 2:] = 40  # clipped by max_log_scale
    return logits, deltas, rows, rng.random(40) < 0.8


@pytest.mark.parametrize(
    "changes",
    [{}, {"max_detections": 5}, {"max_candidates": 30}, {"max_candidates": 1000, "max_detections": 1000}, {"score_threshold": 0.9999}],
    ids=str,
)
@pytest.mark.parametrize("class_agnostic", [False, True])
def test_equals_the_oracle(scene, class_agnostic, changes):
    logits, deltas, rows, valid = scene
    deltas = deltas[:, :1] if class_agnostic else deltas
    config = changed(**changes)
    expected, cut = oracle.detect(
        logits,
        deltas,
        rows,
        valid,
        size=SIZE,
        weights=config.coder_weights,
        max_log_scale=config.max_log_scale,
        min_side=config.min_side,
        score_threshold=config.score_threshold,
        nms_threshold=config.nms_threshold,
        max_candidates=config.max_candidates,
        max_detections=config.max_detections,
    )
    found = run(logits, deltas, rows, valid, config)
    capacity, n = min(config.max_detections, config.max_candidates, 160), len(expected)
    assert found.valid.tolist() == [True] * n + [False] * (capacity - n)
    assert (found.cut.item() > 0) == (config.max_candidates == 30)
    assert found.cut.item() == cut
    assert found.labels.tolist() == [label for _, label, _ in expected] + [0] * (capacity - n)
    assert_close(found.scores, np.asarray([score for score, _, _ in expected] + [0] * (capacity - n)), atol=1e-6)
    assert_close(found.boxes, np.asarray([box for _, _, box in expected] + [[0] * 4] * (capacity - n)).reshape(-1, 4), atol=1e-4)
    assert_close(found.mask_frames, found.boxes)


@pytest.mark.parametrize(("score_threshold", "kept"), [(0.5, 0), (0.4999, 1)])
def test_a_score_at_the_threshold_is_dropped(score_threshold, kept):
    config = changed(score_threshold=score_threshold)
    assert run([[0, 0]], np.zeros((1, 2, 4)), [[8, 8, 24, 24]], config=config).valid.sum() == kept


def test_candidates_are_classes_of_proposals_over_the_threshold_best_first():
    """Softmax of 0, 1 and 2 is 0.09, 0.24 and 0.67; of 0, 3 and 0 it is 0.045, 0.91 and 0.045."""
    rows = jnp.asarray([[8, 8, 24, 24], [8, 8, 25, 24]], jnp.float32)
    proposals = Proposals(rows, jnp.zeros(2), jnp.ones(2, bool))
    logits = jnp.asarray([[0, 1, 2], [0, 3, 0]], jnp.float32)
    found = classify(logits, jnp.zeros((2, 3, 4)), proposals, jnp.asarray(SIZE), changed(max_candidates=4))
    assert found.valid.tolist() == [True, True, True, False]
    assert found.labels[:3].tolist() == [1, 2, 1]
    assert found.boxes[:3].tolist() == [[8, 8, 25, 24], [8, 8, 24, 24], [8, 8, 24, 24]]
    assert_close(found.scores[:3], np.array([0.909, 0.665, 0.245]), atol=1e-3)
    assert classify(logits, jnp.zeros((2, 3, 4)), proposals, jnp.asarray(SIZE), changed(max_candidates=2)).cut == 1


def test_classes_do_not_suppress_each_other():
    """Two proposals on the same spot, classes 1 and 2 alike: one detection a class, and none of the background."""
    found = run([[0, 2, 2], [0, 1, 1]], np.zeros((2, 3, 4)), [[8, 8, 24, 24]] * 2)
    assert found.labels[found.valid].tolist() == [1, 2]
    assert found.boxes[0].tolist() == [8, 8, 24, 24]


def test_every_class_has_its_own_deltas():
    """Shifts of a quarter and a half of the side of 16, in units of the coder's weight 10."""
    deltas = np.zeros((1, 3, 4))
    deltas[0, :, 0] = 99, 2.5, 5
    found = run([[0, 1, 2]], deltas, [[8, 8, 24, 24]])
    assert found.labels[:2].tolist() == [2, 1]
    assert found.boxes[:2].tolist() == [[16, 8, 32, 24], [12, 8, 28, 24]]


def test_garbage_in_invalid_proposals_changes_nothing(scene):
    logits, deltas, rows, valid = scene
    spoiled = [np.where(valid.reshape(-1, *(1,) * (x.ndim - 1)), x, np.nan) for x in (logits, deltas, rows)]
    config = changed(max_candidates=1000)  # so many that invalid rows enter NMS
    assert_close(run(*spoiled, valid, config), run(logits, deltas, rows, valid, config))


def test_without_proposals_there_is_nothing(scene):
    found = run(*scene[:3], np.zeros(40, bool))
    assert not any(np.asarray(x).any() for x in (found.boxes, found.scores, found.labels, found.valid, found.cut))


@pytest.mark.slow
def test_jit_equals_eager(scene):
    logits, deltas, rows, valid = (jnp.asarray(x) for x in scene)
    eager = found_by(logits, deltas, Proposals(rows, jnp.zeros(40), valid), jnp.asarray(SIZE), config=CONFIG)
    assert_close(run(*scene), eager, atol=1e-5)
