import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from maskrcnn_jax.models import make_mesh
from maskrcnn_jax.ops import first_true, nms, suppress
from tests.ops.checks import assert_close, assert_transforms_agree
from tests.oracles.selection import greedy_nms

BLOCK = 64  # boxes settled together where `small_blocks` is asked for: more take long to compile


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(importlib.import_module("maskrcnn_jax.ops.nms"), "BLOCK", BLOCK)


def random_boxes(rng, n, spread):
    """Boxes of 5-30 pixels around places of a `spread`-pixel square."""
    corners, sides = rng.uniform(0, spread, (n, 2)), rng.uniform(5, 30, (n, 2))
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def clustered(rng, n):
    centres = random_boxes(rng, 6, 200)[rng.integers(0, 6, n)]
    return (centres + rng.normal(0, 2, (n, 4))).astype(np.float32)


def chain(n):
    """Each box overlaps its two neighbours by 0.6 of its width (IoU 3/7), the ones after them by 0.2 (IoU 1/9)."""
    x = 4 * np.arange(n, dtype=np.float32)
    return np.stack([x, 0 * x, x + 10, 0 * x + 10], axis=1)


def kept(boxes, scores, valid=None, groups=None, *, threshold=0.5, max_output=None):
    n = len(boxes)
    indices, exists = jitted_nms(
        jnp.asarray(boxes),
        jnp.asarray(scores, jnp.float32),
        jnp.ones(n, bool) if valid is None else jnp.asarray(valid),
        jnp.zeros(n, jnp.int32) if groups is None else jnp.asarray(groups, jnp.int32),
        iou_threshold=threshold,
        max_output=max_output or n,
    )
    assert indices.shape == exists.shape == (max_output or n,)
    assert exists.tolist() == sorted(exists.tolist(), reverse=True)
    return indices[exists].tolist()


jitted_nms = jax.jit(nms, static_argnames=("iou_threshold", "max_output"))

N = 120
SCENES = {
    "random": lambda rng: (random_boxes(rng, N, 100), rng.random(N)),
    "clustered": lambda rng: (clustered(rng, N), rng.random(N)),
    "equal scores": lambda rng: (clustered(rng, N), np.zeros(N)),
    "few scores": lambda rng: (clustered(rng, N), rng.integers(-2, 2, N)),
    "identical boxes": lambda rng: (np.repeat(random_boxes(rng, N // 4, 40), 4, axis=0), rng.random(N)),
    "without area": lambda rng: (np.concatenate([random_boxes(rng, N // 2, 40), np.full((N // 2, 4), 20, np.float32)]), rng.random(N)),
}


@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("scene", SCENES)
def test_equals_greedy_nms(rng, scene, threshold):
    boxes, scores = SCENES[scene](rng)
    scores, groups, valid = scores.astype(np.float32), rng.integers(0, 3, N), rng.random(N) < 0.7
    everything, one_group = np.ones(N, bool), np.zeros(N, int)
    assert kept(boxes, scores, threshold=threshold) == greedy_nms(boxes, scores, everything, one_group, threshold)
    assert kept(boxes, scores, valid, groups, threshold=threshold) == greedy_nms(boxes, scores, valid, groups, threshold)


def test_chain_of_a_thousand_boxes():
    """The longest way to the fixed point: whether a box is kept depends on all before it."""
    boxes, scores = chain(1000), -np.arange(1000, dtype=np.float32)
    assert kept(boxes, scores, threshold=0.4) == list(range(0, 1000, 2))
    assert kept(boxes, scores, threshold=0.1) == list(range(0, 1000, 3))
    assert kept(boxes, -scores, threshold=0.4) == list(range(999, 0, -2))


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1, 3 * BLOCK + BLOCK // 2])
@pytest.mark.parametrize("threshold", [0.1, 0.4])
def test_a_chain_over_blocks(small_blocks, n, threshold):
    """Each block's first box depends on the last ones of the block before; more are kept than a tile holds."""
    scores = -np.arange(n, dtype=np.float32)
    assert kept(chain(n), scores, threshold=threshold) == list(range(0, n, 3 if threshold == 0.1 else 2))


@pytest.mark.parametrize("scene", [clustered, lambda rng, n: random_boxes(rng, n, 400)])
@pytest.mark.parametrize("n", [BLOCK + 1, 2 * BLOCK + 100])
def test_many_boxes_equal_greedy_nms(small_blocks, rng, scene, n):
    boxes, scores = np.round(scene(rng, n)), rng.integers(0, 50, n)  # whole pixels: overlaps are exact
    groups, valid = rng.integers(0, 3, n), rng.random(n) < 0.8
    assert kept(boxes, scores, valid, groups) == greedy_nms(boxes, scores, valid, groups, 0.5)


def test_no_array_holds_a_number_for_every_pair(small_blocks):
    n = 2 * BLOCK + 9
    arrays = jnp.zeros((n, 4)), jnp.ones(n, bool), jnp.zeros(n, jnp.int32)
    program = str(jax.make_jaxpr(functools.partial(suppress, iou_threshold=0.5))(*arrays))
    assert f"[{BLOCK},{BLOCK}]" in program
    assert f"{n},{n}]" not in program


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_garbage_in_padding_changes_nothing_over_blocks(small_blocks, rng, garbage):
    n = 2 * BLOCK + 7
    boxes, scores, valid = clustered(rng, n), rng.random(n).astype(np.float32), rng.random(n) < 0.5
    spoiled = np.where(valid[:, None], boxes, np.float32(garbage))
    assert kept(spoiled, scores, valid) == kept(boxes, scores, valid) != []
    assert kept(spoiled, scores, valid & False) == []


def test_a_box_is_dropped_where_its_iou_exceeds_the_threshold():
    boxes = np.asarray([[0, 0, 4, 4], [0, 0, 4, 2]], np.float32)  # IoU exactly 1/2
    assert kept(boxes, [2, 1], threshold=0.5) == [0, 1]
    assert kept(boxes, [2, 1], threshold=0.499) == [0]
    assert kept(boxes, [1, 2], threshold=0.499) == [1]


def test_by_hand():
    boxes = np.asarray([[0, 0, 10, 10], [1, 0, 11, 10], [2, 0, 12, 10], [50, 50, 60, 60]], np.float32)
    scores = [0.7, 0.9, 0.7, 0.8]
    assert kept(boxes, scores, threshold=0.7) == [1, 3]
    assert kept(boxes, scores, threshold=0.9) == [1, 3, 0, 2]  # equal scores: the lower index first
    assert kept(boxes, scores, threshold=0.7, groups=[0, 0, 1, 1]) == [1, 3, 2]
    assert kept(boxes, scores, threshold=0.7, valid=[True, False, True, True]) == [3, 0, 2]  # IoU of 0 and 2: 2/3
    assert kept(boxes, scores, threshold=0.7, valid=[False] * 4) == []
    assert kept(boxes, scores, threshold=0.7, max_output=1) == [1]
    assert kept(boxes, scores, threshold=0.7, max_output=7) == [1, 3]


def test_any_finite_score_of_a_valid_box_ranks_before_padding():
    boxes = chain(4) * 10
    lowest = np.finfo(np.float32).min
    assert kept(boxes, [np.inf, lowest, 1e38, -5], valid=[False, True, True, True]) == [2, 3, 1]


def test_permuting_the_boxes_permutes_what_is_kept(rng):
    boxes, scores = clustered(rng, N), rng.random(N).astype(np.float32)
    order = rng.permutation(N)
    assert [order[i] for i in kept(boxes[order], scores[order])] == kept(boxes, scores)


def test_kept_boxes_do_not_overlap_and_dropped_ones_do(rng):
    """The equation that greedy NMS solves, on its own."""
    boxes = jnp.asarray(clustered(rng, N))
    keep = suppress(boxes, jnp.ones(N, bool), jnp.zeros(N, jnp.int32), iou_threshold=0.5)
    kept_before = greedy_nms(np.asarray(boxes), -np.arange(N), np.ones(N, bool), np.zeros(N), 0.5)
    assert np.flatnonzero(keep).tolist() == kept_before


@pytest.mark.parametrize("garbage", [np.nan, np.inf, -1e30])
def test_garbage_in_padding_changes_nothing(rng, garbage):
    boxes, scores, valid = clustered(rng, N), rng.random(N).astype(np.float32), rng.random(N) < 0.5
    spoiled_boxes, spoiled_scores = boxes.copy(), scores.copy()
    spoiled_boxes[~valid], spoiled_scores[~valid] = garbage, garbage
    assert kept(spoiled_boxes, spoiled_scores, valid) == kept(boxes, scores, valid)


def test_gradient_flows_through_the_chosen_rows_only(rng):
    boxes, scores, valid = jnp.asarray(clustered(rng, 20)), jnp.asarray(rng.random(20), jnp.float32), jnp.arange(20) < 10

    @jax.grad
    def gradient(scores):
        indices, exists = nms(boxes, scores, valid, jnp.zeros(20, jnp.int32), iou_threshold=0.5, max_output=20)
        return jnp.sum(jnp.where(exists, scores[indices], 0))

    expected = np.zeros(20, np.float32)
    expected[kept(boxes, scores, valid)] = 1
    assert_close(gradient(scores), expected)


def test_transforms_agree(rng):
    run = functools.partial(nms, iou_threshold=0.5, max_output=9)
    boxes, scores = np.stack([clustered(rng, 30), chain(30)]), rng.random((2, 30)).astype(np.float32)
    valid, groups = rng.random((2, 30)) < 0.7, rng.integers(0, 2, (2, 30)).astype(np.int32)
    assert_transforms_agree(run, boxes, scores, valid, groups)


@pytest.mark.parametrize("n", [20, BLOCK + 1])
def test_what_is_valid_may_be_a_constant_of_all_devices(small_blocks, rng, n):
    boxes, scores = jnp.asarray(clustered(rng, n)), jnp.asarray(rng.random(n), jnp.float32)

    def run(boxes, scores):
        return nms(boxes, scores, jnp.ones(n, bool), jnp.zeros(n, jnp.int32), iou_threshold=0.5, max_output=n)

    shared = jax.shard_map(run, mesh=make_mesh(jax.devices()), in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data"))
    indices, exists = jax.jit(shared)(boxes, scores)
    assert sorted(indices[exists].tolist()) == sorted(kept(boxes, scores, np.ones(n, bool)))


@pytest.mark.parametrize("n", [20, BLOCK + 1])
def test_groups_alone_may_differ_between_devices(small_blocks, rng, n):
    boxes, everything, groups = jnp.asarray(clustered(rng, n)), jnp.ones(n, bool), rng.integers(0, 3, n).astype(np.int32)

    def run(groups):
        return suppress(boxes, everything, groups, iou_threshold=0.5)

    shared = jax.shard_map(run, mesh=make_mesh(jax.devices()), in_specs=PartitionSpec("data"), out_specs=PartitionSpec("data"))
    keep = jax.jit(shared)(jnp.asarray(groups))
    assert np.flatnonzero(keep).tolist() == greedy_nms(np.asarray(boxes), -np.arange(n), np.ones(n, bool), groups, 0.5)


def test_transforms_agree_over_blocks(small_blocks, rng):
    """Of the two, one keeps less than a tile and the other several."""
    n = 2 * BLOCK + 9
    boxes, scores = np.stack([np.round(clustered(rng, n)), chain(n)]), rng.random((2, n)).astype(np.float32)
    valid, groups = rng.random((2, n)) < 0.9, rng.integers(0, 2, (2, n)).astype(np.int32)
    assert_transforms_agree(functools.partial(nms, iou_threshold=0.5, max_output=n), boxes, scores, valid, groups)


def test_boxes_get_no_gradient_from_what_is_kept(small_blocks, rng):
    n = BLOCK + 1
    boxes, scores = jnp.asarray(clustered(rng, n)), jnp.asarray(rng.random(n), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(boxes):
        indices, exists = nms(boxes, scores, scores > 0.5, jnp.zeros(n, jnp.int32), iou_threshold=0.5, max_output=n)
        return jnp.sum(jnp.where(exists[:, None], boxes[indices], 0))

    expected = np.zeros((n, 4), np.float32)
    expected[kept(boxes, scores, scores > 0.5)] = 1
    assert_close(gradient(boxes), expected)


def test_error_names_the_size():
    with pytest.raises(ValueError) as error:
        nms(jnp.zeros((2, 4)), jnp.zeros(2), jnp.ones(2, bool), jnp.zeros(2, jnp.int32), iou_threshold=0.5, max_output=0)
    assert str(error.value) == "max_output must be at least 1; got 0"


@pytest.mark.parametrize("size", [0, 2, 3, 5])
def test_first_true(size):
    indices, exists = first_true(jnp.asarray([False, True, False, True, True]), size)
    assert indices.tolist() == [1, 3, 4, 0, 0][:size]
    assert exists.tolist() == [True, True, True, False, False][:size]


def test_first_true_of_nothing_and_transforms():
    indices, exists = first_true(jnp.zeros(3, bool), 2)
    assert indices.tolist() == [0, 0]
    assert exists.tolist() == [False, False]
    assert_transforms_agree(lambda mask: first_true(mask, 3), np.asarray([[1, 0, 1, 1], [0, 0, 0, 1]], bool))
