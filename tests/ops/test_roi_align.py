import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import roi_align, roi_levels
from tests.ops.checks import assert_close, assert_gradient, assert_sums_in_float32, assert_transforms_agree
from tests.oracles import roi_align as oracle

STRIDES = (4.0, 8.0, 16.0)
# float32 weights of four taps, summed over at most 9 samples of values of about 3: a few dozen roundings of 2e-7.
ATOL = 1e-5

CANVAS = (48, 64)
ROIS = np.asarray(
    [
        [3.2, 5.1, 41.7, 33.3],  # inside
        [0, 0, 64, 48],  # the whole canvas
        [-9, -7, 20, 30],  # across the upper left border
        [50, 40, 80, 70],  # across the lower right border
        [30, 20, 30, 20],  # a point
        [30, 20, 22, 11],  # negative sides
        [10.1, 11.2, 10.4, 11.3],  # within one cell
        [200, 10, 300, 40],  # outside
        [-8, -8, -4, -4],  # up to one cell outside at stride 4
        [63.9, 47.9, 64, 48],  # at the last corner
    ],
    np.float32,
)


@pytest.fixture
def pyramid(rng):
    return [jnp.asarray(rng.standard_normal((int(CANVAS[0] / s), int(CANVAS[1] / s), 3)), jnp.float32) for s in STRIDES]


@functools.partial(jax.jit, static_argnames=("size", "samples", "aligned"))
def align(pyramid, boxes, levels, *, size=3, samples=2, aligned=True):
    return roi_align(pyramid, boxes, levels, strides=STRIDES, size=size, samples=samples, aligned=aligned)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("size", "samples"), [(3, 2), (2, 3), (1, 1)])
def test_equals_the_oracle_on_every_level(pyramid, aligned, size, samples):
    boxes, levels = np.tile(ROIS, (3, 1)), np.repeat(np.arange(3, dtype=np.int32), len(ROIS))
    pooled = align(pyramid, jnp.asarray(boxes), jnp.asarray(levels), size=size, samples=samples, aligned=aligned)
    expected = [oracle.roi_align(pyramid[k], b, STRIDES[k], size, samples, aligned) for b, k in zip(boxes, levels, strict=True)]
    assert_close(pooled, np.stack(expected), atol=ATOL)


def test_more_rois_than_are_pooled_at_once(pyramid):
    boxes = np.tile(ROIS, (13, 1)) + np.arange(130, dtype=np.float32)[:, None] / 10
    levels = np.arange(130, dtype=np.int32) % 3
    pooled = align(pyramid, jnp.asarray(boxes), jnp.asarray(levels))
    for i in (0, 127, 128, 129):
        # ATOL as above.
        assert_close(pooled[i], oracle.roi_align(pyramid[levels[i]], boxes[i], STRIDES[levels[i]], 3, 2, True), atol=ATOL)


def test_as_many_rois_are_pooled_at_once_as_bound_memory():
    arrays = [jnp.zeros((8, 8, 3))], jnp.zeros((1000, 4)), jnp.zeros(1000, jnp.int32)
    pool = functools.partial(roi_align, strides=[1.0], size=7, samples=2, aligned=True)
    program = str(jax.make_jaxpr(pool)(*arrays))
    assert "f32[128,7,7,3]" in program  # what a tap of a group reads


def test_by_hand():
    cells = jnp.arange(16, dtype=jnp.float32).reshape(4, 4, 1)  # value 4 y + x
    box, level = jnp.asarray([[2.0, 2.0, 6.0, 6.0]]), jnp.asarray([0])
    pool = functools.partial(roi_align, [cells], box, level, strides=[2.0], size=2, samples=1)
    # In cells the box is [1, 3]. Unaligned its bins' centres are at 1.5 and 2.5, aligned half a cell before.
    assert pool(aligned=False)[0, :, :, 0].tolist() == [[7.5, 8.5], [11.5, 12.5]]
    assert pool(aligned=True)[0, :, :, 0].tolist() == [[5.0, 6.0], [9.0, 10.0]]


def test_unaligned_rois_are_at_least_one_cell_wide():
    cells = jnp.arange(16, dtype=jnp.float32).reshape(4, 4, 1)
    pooled = roi_align([cells], jnp.asarray([[1.0, 1.0, 1.0, 1.0]]), jnp.asarray([0]), strides=[1.0], size=1, samples=1, aligned=False)
    assert pooled.item() == 4 * 1.5 + 1.5


def test_of_a_linear_map_is_the_map_at_the_bins_centre():
    """A property: bilinear samples placed evenly average to the centre's value, where no sample leaves the map."""
    y, x = np.mgrid[0:12, 0:16].astype(np.float32)
    pooled = roi_align(
        [jnp.asarray((2 * y - 3 * x)[:, :, None])], jnp.asarray([[8.0, 4.0, 40.0, 28.0]]), jnp.asarray([0]),
        strides=[4.0], size=4, samples=3, aligned=True,
    )  # fmt: skip
    centres_y, centres_x = 1 + 6 * (np.arange(4) + 0.5) / 4 - 0.5, 2 + 8 * (np.arange(4) + 0.5) / 4 - 0.5
    # Nine samples of values up to 45: roundings of 4e-6 each.
    assert_close(pooled[0, :, :, 0], 2 * centres_y[:, None] - 3 * centres_x[None, :], atol=3e-5)


def test_each_roi_reads_its_own_level_only(pyramid):
    boxes = jnp.asarray(ROIS[:3])
    for level in range(3):
        levels = jnp.full(3, level, jnp.int32)
        others = [p if k == level else jnp.full_like(p, jnp.inf) for k, p in enumerate(pyramid)]
        assert_close(align(others, boxes, levels), align(pyramid, boxes, levels))
        gradient = jax.grad(lambda maps, levels=levels: jnp.sum(align(maps, boxes, levels) ** 2))(pyramid)
        assert [bool(jnp.any(g != 0)) for g in gradient] == [k == level for k in range(3)]


def test_garbage_in_padding_changes_no_value_and_no_gradient(pyramid):
    valid = jnp.arange(4) < 2
    clean = jnp.where(valid[:, None], jnp.asarray(ROIS[:4]), 0)
    garbage = clean.at[2:].set(jnp.asarray([[1e30, -1e30, -1e30, 1e30], [-7, 1e9, 3, 1e-9]]))
    levels = jnp.asarray([0, 2, 1, 1])

    def loss(maps, boxes):
        pooled = align(maps, boxes, levels)
        return jnp.sum(jnp.where(valid[:, None, None, None], pooled, 0) ** 2), pooled[:2]

    run = jax.value_and_grad(loss, has_aux=True)
    assert_close(run(pyramid, garbage), run(pyramid, clean))
    assert bool(jnp.all(jnp.isfinite(align(pyramid, garbage, levels))))


@pytest.mark.slow
def test_transforms_agree(pyramid, rng):
    batch = [np.stack([p, p[::-1]]) for p in map(np.asarray, pyramid)]
    boxes, levels = np.stack([ROIS, ROIS + 1]), rng.integers(0, 3, (2, len(ROIS))).astype(np.int32)
    # Fusion reorders the sums of at most 16 products.
    assert_transforms_agree(lambda a, b, c, boxes, levels: align.__wrapped__([a, b, c], boxes, levels), *batch, boxes, levels, atol=ATOL)


@pytest.mark.parametrize("aligned", [False, True])
def test_gradient(pyramid, aligned):
    levels = jnp.arange(len(ROIS)) % 3
    assert_gradient(
        lambda a, b, c, boxes: align([a, b, c], boxes, levels, aligned=aligned), *pyramid, ROIS, wrt=(0, 1, 2)
    )  # fmt: skip


@pytest.mark.parametrize("aligned", [False, True])
def test_gradient_of_the_boxes(pyramid, aligned):
    """Away from the kinks at cell borders, where finite differences tell nothing."""
    boxes = np.asarray([[3.3, 5.7, 21.9, 17.1], [9.1, 2.3, 29.3, 26.9]], np.float32)
    assert_gradient(lambda a, b, c, boxes: align([a, b, c], boxes, jnp.asarray([0, 1]), size=2, aligned=aligned), *pyramid, boxes, wrt=(3,))


def test_bfloat16_features_are_summed_in_float32(pyramid):
    assert_sums_in_float32(lambda maps, boxes: align(maps, boxes, jnp.zeros(len(boxes), jnp.int32)), pyramid, ROIS)


def test_no_gradient_gives_none(pyramid):
    pooled, pull = jax.vjp(lambda maps: align(maps, jnp.asarray(ROIS), jnp.zeros(len(ROIS), jnp.int32)), pyramid)
    assert not any(gradient.any() for gradient in pull(jnp.zeros_like(pooled))[0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_gradient_keeps_the_features_dtype(pyramid, dtype):
    maps, boxes, levels = [p.astype(dtype) for p in pyramid], jnp.asarray(ROIS), jnp.zeros(len(ROIS), jnp.int32)
    with jax.enable_x64(True):  # where an array made without a dtype is float64
        gradient = jax.eval_shape(jax.grad(lambda maps: jnp.sum(align(maps, boxes, levels))), maps)
    assert [g.dtype for g in gradient] == [dtype] * 3


@pytest.mark.parametrize(
    ("change", "found"),
    [({"size": 0}, "size=0"), ({"samples": 0}, "samples=0"), ({"strides": [4.0]}, "3 levels with 1 strides")],
)
def test_errors_name_what_is_wrong(pyramid, change, found):
    arguments = {"strides": STRIDES, "size": 1, "samples": 1, "aligned": True} | change
    with pytest.raises(ValueError) as error:
        roi_align(pyramid, jnp.asarray(ROIS), jnp.zeros(len(ROIS), jnp.int32), **arguments)
    assert found in str(error.value)


LEVELS = {
    "log": {"levels": 4, "finest": 2, "canonical_size": 224.0, "canonical_level": 4, "epsilon": 1e-6, "epsilon_at": "log"},
    "ratio": {"levels": 4, "finest": 2, "canonical_size": 224.0, "canonical_level": 4, "epsilon": 1e-8, "epsilon_at": "ratio"},
    # Other numbers, so that none of them is taken for granted; the epsilons are large enough to matter.
    "log, coarse": {"levels": 3, "finest": 3, "canonical_size": 100.0, "canonical_level": 5, "epsilon": 0.25, "epsilon_at": "log"},
    "ratio, coarse": {"levels": 3, "finest": 3, "canonical_size": 100.0, "canonical_level": 5, "epsilon": 0.25, "epsilon_at": "ratio"},
}


@pytest.mark.parametrize("case", LEVELS)
def test_levels_equal_the_oracle(case, rng):
    sides = np.exp(rng.uniform(0, 7, (200, 2))).astype(np.float32)
    corners = rng.uniform(0, 100, (200, 2)).astype(np.float32)
    boxes = np.concatenate([corners, corners + sides], axis=1)
    boxes[:2] = [[5, 5, 5, 9], [9, 9, 5, 5]]  # without area
    assert roi_levels(jnp.asarray(boxes), **LEVELS[case]).tolist() == [oracle.level(b, **LEVELS[case]) for b in boxes]


@pytest.mark.parametrize("kind", ["log", "ratio"])
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_levels_by_hand(kind, transform):
    """Exact powers of two belong to the coarser level; just below them the finer one."""
    sides = [0, 56, 111.9, 112, 223.9, 224, 447.9, 448, 895.9, 896, 5000]
    boxes = jnp.asarray([[3, 5, 3 + s, 5 + s] for s in sides], jnp.float32)
    levels = transform(functools.partial(roi_levels, **LEVELS[kind]))(boxes)
    assert levels.tolist() == [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 3]
    assert levels.dtype == jnp.int32


def test_levels_grow_with_the_box_and_transforms_agree(rng):
    sides = np.sort(rng.uniform(1, 1000, 50)).astype(np.float32)
    boxes = np.stack([0 * sides, 0 * sides, sides, sides], axis=1)
    levels = np.asarray(roi_levels(jnp.asarray(boxes), **LEVELS["log"]))
    assert (np.diff(levels) >= 0).all()
    assert_transforms_agree(functools.partial(roi_levels, **LEVELS["log"]), np.stack([boxes, boxes[::-1]]))
