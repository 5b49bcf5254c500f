import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import AnchorConfig, ProposeConfig
from maskrcnn_jax.stages import propose, pyramid_anchors, usable_anchors
from tests.ops.checks import assert_close
from tests.oracles import stages as oracle

SIZE = (48.0, 64.0)
COUNTS = (60, 30, 6)  # anchors a level
CONFIG = ProposeConfig(coder_weights=(2.0, 2.0, 1.0, 1.0), max_log_scale=1.5, nms_threshold=0.4, min_side=3.0)
PRE, POST = 20, 25


def sigmoid32(x):
    return np.float32(1) / (np.float32(1) + np.exp(-np.float32(x)))


@pytest.fixture
def levels(rng):
    """(logits, deltas, anchors, usable), a list a level: crowded, some boxes beyond the image, some tiny, some huge."""
    logits = [rng.permutation(n).astype(np.float32) / 8 - 2 for n in COUNTS]  # ties between levels, none within
    logits[0][:5] = [20, 30, 25, 40, 21]  # sigmoid is 1 for all of these
    deltas = [rng.standard_normal((n, 4)).astype(np.float32) * [0.6, 0.6, 0.5, 0.5] for n in COUNTS]
    deltas[1][3, 2:] = 50  # clipped by max_log_scale
    anchors = []
    for n, side in zip(COUNTS, (8, 16, 32), strict=True):
        corner = rng.uniform(-4, 60, (n, 2)) * [1, 0.75]
        anchors.append(np.concatenate([corner, corner + side * rng.uniform(0.2, 1.2, (n, 2))], axis=1))
    usable = [rng.random(n) < 0.8 for n in COUNTS]
    usable[0][:5] = True
    as_arrays = [[jnp.asarray(x, dtype) for x in kind] for kind, dtype in ((logits, jnp.float32), (deltas, jnp.float32))]
    return *as_arrays, [jnp.asarray(x, jnp.float32) for x in anchors], [jnp.asarray(x) for x in usable]


def run(levels, config=CONFIG, pre=PRE, post=POST):
    return compiled(config, pre, post)(*levels, jnp.asarray(SIZE))


@functools.cache
def compiled(config, pre, post):
    return jax.jit(functools.partial(propose, config=config, pre_nms_top_k=pre, post_nms_top_k=post))


@pytest.mark.parametrize("rank_by", ["logits", "sigmoid"])
@pytest.mark.parametrize(("pre", "post"), [(PRE, POST), (100, 1000)])
def test_equals_the_oracle(levels, rank_by, pre, post):
    config = ProposeConfig(**{**CONFIG.__dict__, "rank_by": rank_by})
    found = run(levels, config, pre, post)
    expected = oracle.propose(
        list(zip(*levels, strict=True)),
        {"logits": float, "sigmoid": sigmoid32}[rank_by],
        size=SIZE,
        weights=config.coder_weights,
        max_log_scale=config.max_log_scale,
        min_side=config.min_side,
        nms_threshold=config.nms_threshold,
        pre_nms_top_k=pre,
        post_nms_top_k=post,
    )
    rows = min(post, sum(min(pre, n) for n in COUNTS))  # static, whatever NMS keeps
    n = len(expected)
    assert n == rows or post == 1000
    assert found.boxes.shape == (rows, 4)
    assert found.valid.tolist() == [True] * n + [False] * (rows - n)
    assert_close(found.scores[:n], np.asarray([score for score, _ in expected]), atol=1e-6)
    assert_close(found.boxes[:n], np.asarray([box for _, box in expected]), atol=1e-4)
    assert not found.boxes[n:].any()
    assert not found.scores[n:].any()


def test_sigmoid_ties_are_in_order_of_level_then_logit(levels):
    logits, *others = levels
    usable = [others[2][0], others[2][1].at[7].set(True), others[2][2]]
    levels = [logits[0], logits[1].at[7].set(50), logits[2]], *others[:2], usable
    config = ProposeConfig(**{**CONFIG.__dict__, "nms_threshold": 1.0, "min_side": 0.0})
    by_logits = run(levels, config, 100, 4)
    by_sigmoid = run(levels, ProposeConfig(**{**config.__dict__, "rank_by": "sigmoid"}), 100, 3)
    assert by_logits.scores.tolist() == [50, 40, 30, 25]
    assert by_sigmoid.scores.tolist() == [1, 1, 1]
    assert_close(by_sigmoid.boxes, by_logits.boxes[1:])  # the first level's come first, whatever another level's logit


def test_levels_do_not_suppress_each_other():
    """The same box twice: once on one level, twice on two."""
    box = jnp.asarray([[8.0, 8.0, 24.0, 24.0]])

    def proposals(anchors):
        logits = [jnp.arange(float(len(x))) for x in anchors]
        levels = logits, [jnp.zeros_like(x) for x in anchors], anchors, [jnp.ones(len(x), bool) for x in anchors]
        return run(levels, CONFIG, 10, 10).valid.tolist()

    assert proposals([jnp.concatenate([box, box])]) == [True, False]
    assert proposals([box, box]) == [True, True]


def test_garbage_in_unusable_anchors_changes_nothing(levels):
    logits, deltas, anchors, usable = levels
    bad = [~u for u in usable]
    spoiled = (
        [jnp.where(b, jnp.nan, x) for x, b in zip(logits, bad, strict=True)],
        [jnp.where(b[:, None], jnp.nan, x) for x, b in zip(deltas, bad, strict=True)],
        [jnp.where(b[:, None], jnp.inf, x) for x, b in zip(anchors, bad, strict=True)],
        usable,
    )
    assert_close(run(spoiled, pre=100), run(levels, pre=100))  # so many that unusable ones enter NMS


def test_without_usable_anchors_there_are_no_proposals(levels):
    found = run((*levels[:3], [jnp.zeros_like(u) for u in levels[3]]))
    assert not found.valid.any()
    assert not found.boxes.any()


def test_gradients_stop(levels):
    def total(logits, deltas):
        found = propose(logits, deltas, *levels[2:], jnp.asarray(SIZE), CONFIG, pre_nms_top_k=PRE, post_nms_top_k=POST)
        return jnp.sum(found.boxes) + jnp.sum(found.scores)

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(*levels[:2])
    assert not any(x.any() for x in jax.tree.leaves(gradients))


def test_jit_equals_eager(levels):
    levels = [x[:1] for x in levels]  # plain calls are slow
    eager = propose(*levels, jnp.asarray(SIZE), CONFIG, pre_nms_top_k=PRE, post_nms_top_k=POST)
    assert_close(run(levels), eager, atol=1e-5)


def test_pyramid_anchors_by_hand():
    config = AnchorConfig(sizes=(4.0, 8.0, 16.0, 32.0, 64.0), ratios=(0.25, 1.0))
    levels = pyramid_anchors((8, 16), [(2, 4), (1, 2), (1, 1), (1, 1), (1, 1)], config)
    assert [level.shape for level in levels] == [(16, 4), (4, 4), (2, 4), (2, 4), (2, 4)]
    wide, square = [-4, -1, 4, 1], [-2, -2, 2, 2]
    expected = [[x + dx, y + dy, X + dx, Y + dy] for dy in (0, 4) for dx in (0, 4, 8, 12) for x, y, X, Y in (wide, square)]
    assert levels[0].tolist() == expected
    assert levels[1][-1].tolist() == [8 - 4, -4, 8 + 4, 4]


@pytest.mark.parametrize(("stride", "last"), [("level", (16, 8)), ("canvas", (20, 10))])
def test_strides_of_a_canvas_that_does_not_divide(stride, last):
    """Grid (2, 3) of a canvas of (20, 30): cells are 8 apart, or 20 // 2 and 30 // 3."""
    config = AnchorConfig(stride=stride, ratios=(1.0,))
    grids = [(5, 8), (2, 3), (1, 1), (1, 1), (1, 1)]
    x0, y0, x1, y1 = pyramid_anchors((20, 30), grids, config)[1][-1].tolist()
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == last


def test_rounded_anchors():
    config = AnchorConfig(sizes=(5.0, 5.0, 5.0, 5.0, 5.0), ratios=(1.0,), round_base=True)
    assert pyramid_anchors((4, 4), [(1, 1)] * 5, config)[0].tolist() == [[-2, -2, 2, 2]]  # 2.5, halves to even


@pytest.mark.parametrize(("in_padding", "expected"), [("drop", [True, True, False, False]), ("keep", [True] * 4)])
def test_anchors_in_the_padding(in_padding, expected):
    """Image of 20 x 30 (height x width): an anchor counts by its centre, and the border is outside."""
    centres = jnp.asarray([[0.0, 0.0], [29.0, 19.0], [30.0, 10.0], [10.0, 20.0]])
    anchors = jnp.concatenate([centres - 16, centres + 16], axis=1)
    assert usable_anchors(anchors, jnp.asarray([20.0, 30.0]), AnchorConfig(in_padding=in_padding)).tolist() == expected
