import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import AssignConfig
from maskrcnn_jax.stages import assign_anchors, assign_rois
from maskrcnn_jax.structs import Instances, Proposals
from tests.ops.checks import assert_close
from tests.oracles import boxes, selection

CONFIG = AssignConfig(rpn_samples=12, roi_samples=12, roi_positive_fraction=0.5)


def instances(gt_boxes, labels=None, crowd=None, valid=None):
    """Ground truth with masks that nobody reads here."""
    g = len(gt_boxes)
    return Instances(
        boxes=jnp.asarray(gt_boxes, jnp.float32).reshape(g, 4),
        labels=jnp.asarray(labels if labels is not None else [1] * g, jnp.int32),
        crowd=jnp.asarray(crowd if crowd is not None else [False] * g, bool),
        masks=jnp.zeros((g, 1, 1), jnp.uint8),
        mask_frames=jnp.zeros((g, 4)),
        valid=jnp.asarray(valid if valid is not None else [True] * g, bool),
    )


def proposed(rows, valid=None):
    n = len(rows)
    return Proposals(jnp.asarray(rows, jnp.float32), jnp.zeros(n), jnp.ones(n, bool) if valid is None else jnp.asarray(valid))


def run_anchors(anchors, usable, truth, priority, config=CONFIG):
    return compiled(assign_anchors, config)(
        jnp.asarray(anchors, jnp.float32), jnp.asarray(usable), truth, jnp.asarray(priority, jnp.float32)
    )


def run_rois(proposals, truth, priority, config=CONFIG):
    return compiled(assign_rois, config)(proposals, truth, jnp.asarray(priority, jnp.float32))


@functools.cache
def compiled(stage, config):
    return jax.jit(functools.partial(stage, config=config))


def changed(**fields):
    return AssignConfig(**{**CONFIG.__dict__, **fields})


@pytest.fixture
def scene(rng):
    """Boxes around ground truth boxes, ground truth with padding and a crowd."""
    corner = rng.uniform(0, 40, (8, 2))
    gt = np.concatenate([corner, corner + rng.uniform(8, 24, (8, 2))], axis=1).astype(np.float32)
    rows = (gt[rng.integers(0, 8, 60)] + rng.uniform(-4, 4, (60, 4))).astype(np.float32)
    rows[40:] += 100
    truth = instances(gt, rng.integers(1, 6, 8), crowd=np.arange(8) == 5, valid=np.arange(8) < 6)
    return rows, rng.random(60) < 0.8, truth, rng.random(68).astype(np.float32)


def expected(rows, usable, truth, priority, *, foreground, background, low_quality, size, max_positives, crowd_ioa):
    """(positives, negatives, ground truth of each row) by the oracles."""
    objects = np.asarray(truth.valid & ~truth.crowd)
    overlaps = np.asarray([[boxes.iou(row, gt) if u else 0 for gt in truth.boxes] for row, u in zip(rows, usable, strict=True)])
    matches = selection.match(overlaps, objects, foreground, background, low_quality)
    crowds = np.asarray(truth.boxes)[np.asarray(truth.valid & truth.crowd)]
    in_crowd = [any(boxes.ioa(row, crowd) >= crowd_ioa for crowd in crowds) for row in rows]
    positive = [kind == "positive" and u for (_, kind), u in zip(matches, usable, strict=True)]
    negative = [kind == "negative" and u and not c for (_, kind), u, c in zip(matches, usable, in_crowd, strict=True)]
    return *selection.sample(positive, negative, priority, size, max_positives), [best for best, _ in matches]


def test_anchors_equal_the_oracle(scene):
    rows, usable, truth, priority = scene
    positives, negatives, best = expected(
        rows, usable, truth, priority[:60], foreground=0.7, background=0.3, low_quality=True, size=12, max_positives=6, crowd_ioa=0.7
    )
    found = run_anchors(rows, usable, truth, priority[:60])
    assert len(positives) > 2
    assert found.indices.tolist() == positives + negatives
    assert found.positive.tolist() == [True] * len(positives) + [False] * len(negatives)
    assert found.valid.all()
    assert_close(found.gt_boxes[: len(positives)], np.asarray(truth.boxes)[[best[i] for i in positives]])


@pytest.mark.parametrize("append", [True, False])
def test_rois_equal_the_oracle(scene, append):
    rows, usable, truth, priority = scene
    config = changed(append_ground_truth=append)
    found = run_rois(proposed(rows, usable), truth, priority, config)
    if append:
        rows, usable = np.concatenate([rows, truth.boxes]), np.concatenate([usable, truth.valid & ~truth.crowd])
    positives, negatives, best = expected(
        rows,
        usable,
        truth,
        priority[: len(rows)],
        foreground=0.5,
        background=0.5,
        low_quality=False,
        size=12,
        max_positives=6,
        crowd_ioa=0.7,
    )
    assert len(positives) == 6
    assert_close(found.boxes, rows[positives + negatives])
    assert found.labels.tolist() == [int(truth.labels[best[i]]) for i in positives] + [0] * len(negatives)
    assert found.gt_indices[:6].tolist() == [best[i] for i in positives]
    assert_close(found.gt_boxes[:6], np.asarray(truth.boxes)[[best[i] for i in positives]])
    assert found.valid.all()


# A box that matches the object, and boxes of which a crowd, (0, 0, 100, 100), covers all, 3/4, 1/2 and nothing.
ROWS = [[10, 10, 30, 30], [50, 50, 90, 90], [70, 0, 110, 40], [80, 0, 120, 40], [200, 200, 240, 240]]
CROWDED = instances([[10, 10, 30, 30], [0, 0, 100, 100]], [2, 3], crowd=[False, True])


@pytest.mark.parametrize(("crowd_ioa", "negatives"), [(None, [1, 2, 3, 4]), (0.7, [3, 4]), (0.75, [3, 4]), (0.8, [2, 3, 4])])
def test_what_lies_in_a_crowd_is_no_background(crowd_ioa, negatives):
    config = changed(crowd_ioa=crowd_ioa, append_ground_truth=False)
    anchors = run_anchors(ROWS, [True] * 5, CROWDED, [5, 4, 3, 2, 1], config)
    n = 1 + len(negatives)
    assert anchors.indices[:n].tolist() == [0, *negatives]
    assert anchors.valid.tolist() == [True] * n + [False] * (12 - n)
    rois = run_rois(proposed(ROWS), CROWDED, [5, 4, 3, 2, 1, 0, 0], config)
    assert rois.boxes[:n].tolist() == [ROWS[i] for i in (0, *negatives)]
    assert rois.labels.tolist() == [2] + [0] * 11  # the box inside both object and crowd is the object's
    assert rois.valid.tolist() == anchors.valid.tolist()


def test_a_crowd_is_no_object():
    crowd = instances([[0, 0, 100, 100]], crowd=[True])
    rois = run_rois(proposed([[0, 0, 100, 100], [300, 300, 320, 320]]), crowd, [3, 2, 1])
    assert rois.boxes[rois.valid].tolist() == [[300, 300, 320, 320]]
    assert not rois.labels.any()


@pytest.mark.parametrize("garbage", [0.0, np.nan])
def test_without_ground_truth_all_are_negatives(garbage):
    nothing = instances(np.full((3, 4), garbage), [7, 8, 9], valid=[False] * 3)
    anchors = run_anchors(ROWS, [True, True, False, True, True], nothing, [5, 4, 3, 2, 1])
    assert anchors.indices[:4].tolist() == [0, 1, 3, 4]
    assert anchors.valid.tolist() == [True] * 4 + [False] * 8
    assert not anchors.positive.any()
    rois = run_rois(proposed(ROWS), nothing, [5, 4, 3, 2, 1, 9, 9, 9])
    assert rois.boxes[:5].tolist() == ROWS
    assert rois.valid.tolist() == [True] * 5 + [False] * 7
    assert not rois.labels.any()
    assert np.isfinite(rois.boxes).all()


@pytest.mark.parametrize(("append", "labels"), [(True, [2, 1]), (False, [])])
def test_ground_truth_joins_the_proposals(append, labels):
    gt = [[10, 10, 30, 30], [40, 40, 80, 60], [1, 1, 9, 9], [0, 0, 99, 99]]
    truth = instances(gt, [2, 1, 5, 4], crowd=[False, False, False, True], valid=[True, True, False, True])
    far = [[300, 300, 320, 320]]
    rois = run_rois(proposed(far), truth, [9, 3, 2, 8, 7], changed(append_ground_truth=append))
    assert rois.labels[rois.labels > 0].tolist() == labels
    assert rois.boxes[rois.valid].tolist() == [gt[0], gt[1]][: len(labels)] + far


def test_the_highest_priorities_are_chosen_positives_first():
    truth = instances([[0, 0, 20, 20]])
    rows = [[0, 0, 20, 20], [100, 0, 120, 20], [0, 0, 20, 19], [200, 0, 220, 20], [0, 0, 20, 18], [300, 0, 320, 20]]
    priority = [1, 2, 3, 4, 5, 6]
    config = changed(rpn_samples=4, roi_samples=4, append_ground_truth=False)
    anchors = run_anchors(rows, [True] * 6, truth, priority, config)
    assert anchors.indices.tolist() == [4, 2, 5, 3]
    assert anchors.positive.tolist() == [True, True, False, False]
    rois = run_rois(proposed(rows), truth, [*priority, 9], config)
    assert rois.boxes.tolist() == [rows[i] for i in (4, 2, 5, 3)]
    assert rois.labels.tolist() == [1, 1, 0, 0]


def test_the_best_usable_anchor_is_positive():
    """An object at the image's border; the best anchor, which lies in the padding, is no reason to go without."""
    rows = [[12, 0, 28, 16], [0, 0, 16, 16], [0, 0, 8, 8]]
    found = run_anchors(rows, [False, True, True], instances([[8, 0, 20, 16]]), [3, 2, 1])
    assert found.indices[found.valid].tolist() == [1, 2]
    assert found.positive[:2].tolist() == [True, False]


def test_garbage_in_padding_changes_nothing(scene):
    rows, usable, truth, priority = scene
    bad_row, bad_gt = jnp.asarray(~usable), ~truth.valid
    spoiled = truth._replace(
        boxes=jnp.where(bad_gt[:, None], jnp.nan, truth.boxes), labels=jnp.where(bad_gt, 99, truth.labels), crowd=truth.crowd | bad_gt
    )
    spoiled_rows = jnp.where(bad_row[:, None], jnp.nan, jnp.asarray(rows))
    anchors, again = (run_anchors(x, usable, t, priority[:60]) for x, t in ((rows, truth), (spoiled_rows, spoiled)))
    assert_close(again[:2], anchors[:2])
    assert_close(again.gt_boxes[again.positive], anchors.gt_boxes[anchors.positive])
    rois, again = (run_rois(proposed(x, usable), t, priority) for x, t in ((rows, truth), (spoiled_rows, spoiled)))
    assert_close((again.boxes, again.labels, again.valid), (rois.boxes, rois.labels, rois.valid))
    assert_close(again.gt_indices[again.labels > 0], rois.gt_indices[rois.labels > 0])


def test_gradients_stop_at_proposals(scene):
    rows, usable, truth, priority = scene

    def total(x):
        return jnp.sum(assign_rois(proposed(rows, usable)._replace(boxes=x), truth, jnp.asarray(priority), CONFIG).boxes)

    assert not jax.jit(jax.grad(total))(jnp.asarray(rows)).any()


def test_jit_equals_eager(scene):
    rows, usable, truth, priority = scene
    assert_close(
        run_rois(proposed(rows, usable), truth, priority), assign_rois(proposed(rows, usable), truth, jnp.asarray(priority), CONFIG)
    )
