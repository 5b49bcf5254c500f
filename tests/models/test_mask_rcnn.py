import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.models import mask_rcnn
from maskrcnn_jax.stages import usable_anchors
from maskrcnn_jax.structs import Instances, RoiSamples
from tests.models.small import CAPACITY, CONFIG, EMPTY, FULL, SMALL, batch_of, by_name, crowded, lively_variables, with_
from tests.oracles.boxes import ioa, iou

LOSSES = {"rpn_class", "rpn_box", "class", "box", "mask"}


@pytest.fixture(scope="module")
def both(walk):
    return walk(batch_of([FULL, SMALL]))


@pytest.fixture(scope="module")
def found(trace):
    return trace(batch_of([FULL, SMALL]))


def assert_equal_trees(actual, expected, atol=0.0):
    jax.tree.map(lambda a, e: np.testing.assert_allclose(a, e, rtol=atol, atol=atol), actual, expected)


def image(trace, i):
    """What a trace holds of image i; anchors have no leading b."""
    return jax.tree.map(lambda x: x[i], trace._replace(features=trace.features._replace(anchors=())))


def test_variables_are_named_by_module_and_layer(model):
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert variables.keys() == {"params", "batch_stats"}
    assert variables["params"].keys() == {"backbone", "fpn", "rpn_head", "box_head", "mask_head"}
    assert variables["batch_stats"].keys() == {"backbone"}
    shapes = {name: value.shape for name, value in by_name_of_shapes(variables["params"]).items()}
    assert shapes["backbone/stem/conv/kernel"] == (7, 7, 3, 32)
    assert shapes["backbone/res3_0/shortcut/conv/kernel"] == (32, 64)
    assert shapes["fpn/lateral5/conv/kernel"] == (256, 32)
    assert shapes["rpn_head/objectness/kernel"] == (32, 3)
    assert shapes["box_head/fc0/kernel"] == (7 * 7 * 32, 32)
    assert shapes["box_head/classes/kernel"] == (32, 4)
    assert shapes["box_head/deltas/kernel"] == (32, 16)
    assert shapes["mask_head/masks/kernel"] == (32, 4)


def by_name_of_shapes(tree):
    return {"/".join(part.key for part in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.slow
def test_class_agnostic_and_group_norm_and_bgr_fit_together():
    config = with_(
        CONFIG,
        input={"channel_order": "bgr"},
        backbone={"norm": "group_norm", "depth": 50},
        box_head={"class_agnostic": True, "convs": 1, "conv_channels": 32},
        mask_head={"class_agnostic": True},
        loss={"mask_target": "binary", "rpn_denominator": "capacity"},
        assign={"crowd_ioa": None, "append_ground_truth": False},
    )
    model, batch = models.build(config), batch_of([FULL, SMALL])
    variables = jax.eval_shape(model.init, jax.random.key(0))
    assert variables["batch_stats"] == {}
    walk = jax.eval_shape(model.trace_train, variables, batch, jax.random.key(0))
    assert walk.box_deltas.shape == (2, 30, 1, 4)
    assert walk.mask_logits.shape == (2, 15, 28, 28, 1)
    detections = jax.eval_shape(model.predict, variables, batch.image, batch.sizes)
    assert detections.masks.shape == (2, 5, 28, 28)


@pytest.mark.slow
def test_losses_are_finite_and_every_module_learns(both):
    assert both.values.keys() == LOSSES
    assert all(np.isfinite(value) and value > 0 for value in both.values.values())
    silent = {name for name, gradient in both.gradients.items() if not gradient.any()}
    assert not silent
    assert all(np.isfinite(gradient).all() for gradient in both.gradients.values())


@pytest.mark.slow
def test_losses_are_a_part_of_the_trace(model, variables, both):
    """`losses` on its own mesh of one device, with nothing else read."""
    losses, batch_stats = jax.jit(model.losses)(variables, batch_of([FULL, SMALL]), jax.random.key(0))
    assert_equal_trees(losses, both.trace.losses, atol=1e-5)
    assert_equal_trees(batch_stats, variables["batch_stats"])


@pytest.mark.slow
def test_predictions_are_a_part_of_the_trace(model, variables, found):
    batch = batch_of([FULL, SMALL])
    detections = jax.jit(model.predict)(variables, batch.image, batch.sizes)  # optimised as users have it
    assert_equal_trees(detections, found.detections, atol=1e-4)


def test_detections_lie_in_the_image_and_have_masks(found):
    detections = found.detections
    assert detections.valid.all()
    assert (detections.labels >= 1).all()
    assert (detections.labels <= 3).all()
    assert (np.diff(detections.scores, axis=1) <= 0).all()
    for boxes, size in zip(detections.boxes, batch_of([FULL, SMALL]).sizes, strict=True):
        assert (boxes >= 0).all()
        assert (boxes <= np.asarray([size[1], size[0], size[1], size[0]])).all()
    own = np.take_along_axis(found.mask_logits, detections.labels[:, :, None, None, None], axis=-1)[..., 0]
    np.testing.assert_allclose(detections.masks, 1 / (1 + np.exp(-own)), atol=1e-5)
    assert detections.masks.std() > 0.1


def by_image(struct):
    """A struct of each image of a batch."""
    return [type(struct)(*(field[i] for field in struct)) for i in range(len(struct.valid))]


def test_detections_are_the_best_candidates_that_nms_leaves(found):
    for candidates, detections in zip(by_image(found.candidates), by_image(found.detections), strict=True):
        assert (np.diff(candidates.scores[candidates.valid]) <= 0).all()
        rows = [
            np.flatnonzero((candidates.boxes == box).all(axis=1) & (candidates.scores == score))
            for box, score in zip(*detections[:2], strict=True)
        ]
        assert [candidates.labels[row[0]] for row in rows] == detections.labels.tolist()
        assert rows[0][0] == 0  # nothing suppresses the best
        assert candidates.valid[np.concatenate(rows)].all()


def test_permuting_the_batch_permutes_what_is_found(trace, found):
    swapped = trace(batch_of([SMALL, FULL]))
    for i in (0, 1):
        assert_equal_trees(image(swapped, i), image(found, 1 - i), atol=1e-5)


def test_an_image_does_not_see_its_neighbour(trace, found):
    assert_equal_trees(image(trace(batch_of([SMALL, SMALL])), 0), image(found, 1), atol=1e-5)


def test_what_stands_in_the_padding_of_the_canvas_changes_nothing(trace, found, walk, both, rng):
    batch = batch_of([FULL, SMALL])
    height, width = SMALL.image.shape[:2]
    canvas = rng.integers(0, 255, (64, 64, 3), np.uint8)
    canvas[:height, :width] = SMALL.image
    spoiled = batch._replace(image=batch.image.at[1].set(canvas))
    assert_equal_trees(trace(spoiled), found)
    assert walk(spoiled).values == both.values


def test_nothing_is_proposed_or_sampled_in_the_padding(both):
    trace, height, width = both.trace, *SMALL.image.shape[:2]
    anchors = np.concatenate(trace.features.anchors)
    sampled = anchors[trace.anchor_samples.indices[1][trace.anchor_samples.valid[1]]]
    assert ((sampled[:, 0] + sampled[:, 2]) / 2 < width).all()
    assert ((sampled[:, 1] + sampled[:, 3]) / 2 < height).all()
    assert len(sampled) > 500
    assert (trace.proposals.boxes[1] <= [width, height, width, height]).all()


def test_permuting_the_batch_changes_no_loss_and_no_gradient(walk, both):
    """Everything that can be sampled is sampled here, so the keys do not matter; the order of the sums does."""
    swapped = walk(batch_of([SMALL, FULL]), jax.random.key(5))
    assert swapped.values == pytest.approx(both.values, rel=1e-4)
    for name, gradient in both.gradients.items():
        np.testing.assert_allclose(swapped.gradients[name], gradient, atol=1e-4 * np.abs(gradient).max(), err_msg=name)


@pytest.mark.slow
def test_each_image_has_a_key_of_its_own(variables):
    """The same image twice: other anchors and RoIs are sampled; the same key samples the same."""
    config = with_(CONFIG, assign={"rpn_samples": 32, "roi_samples": 6})
    model, batch = models.build(config), batch_of([FULL, FULL])

    @jax.jit
    def sample(key):
        trace = model.trace_train(variables, batch, key)
        return trace.anchor_samples.indices, trace.roi_samples.boxes

    first, again, other = (sample(jax.random.key(seed)) for seed in (0, 0, 1))
    for a, b, c in zip(first, again, other, strict=True):
        assert (a[0] != a[1]).any()
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_garbage_in_padded_ground_truth_changes_no_loss_and_no_gradient(walk, both):
    batch = batch_of([FULL, SMALL])
    gt = batch.instances
    row = ~gt.valid[..., None]
    spoiled = gt._replace(
        boxes=jnp.where(row, jnp.asarray([5.0, 5.0, 40.0, 40.0]), gt.boxes),
        labels=jnp.where(gt.valid, gt.labels, 3),
        crowd=gt.crowd | ~gt.valid,
        masks=jnp.where(row[..., None], 255, gt.masks).astype(jnp.uint8),
        mask_frames=jnp.where(row, jnp.asarray([5.0, 5.0, 40.0, 40.0]), gt.mask_frames),
    )
    assert (~gt.valid).sum() == 2 * CAPACITY - 3
    for boxes in (spoiled.boxes, jnp.where(row, jnp.nan, gt.boxes)):
        found = walk(batch._replace(instances=spoiled._replace(boxes=boxes)))
        assert found.values == both.values
        assert_equal_trees(found.gradients, both.gradients)


def test_without_objects_only_the_two_classifiers_learn(walk):
    found = walk(batch_of([EMPTY, EMPTY]))
    assert found.values["rpn_class"] > 0
    assert found.values["class"] > 0
    assert found.values["rpn_box"] == found.values["box"] == found.values["mask"] == 0
    assert all(np.isfinite(gradient).all() for gradient in found.gradients.values())
    regression = ("rpn_head/deltas/", "box_head/deltas/", "mask_head/")
    learning = {name for name, gradient in found.gradients.items() if gradient.any()}
    assert learning == {name for name in found.gradients if not name.startswith(regression)}


def test_an_image_without_objects_among_others(walk, both):
    """It adds negatives to the denominators and nothing to the regression."""
    found = walk(batch_of([FULL, EMPTY]))
    assert found.trace.losses["mask"].denominator < both.trace.losses["mask"].denominator
    assert not found.trace.roi_samples.labels[1].any()
    assert found.trace.losses["box"].numerator > 0
    assert all(np.isfinite(gradient).all() for gradient in found.gradients.values())


def test_a_void_image_has_no_weight(walk, both):
    """Whatever it is: what is left are the losses and gradients of the other alone."""
    batches = [batch_of([FULL, image])._replace(void=jnp.asarray([False, True])) for image in (SMALL, EMPTY)]
    found, other = (walk(batch) for batch in batches)
    assert found.values == other.values
    assert all(value > 0 for value in found.values.values())
    for name, gradient in found.gradients.items():
        np.testing.assert_allclose(other.gradients[name], gradient, atol=1e-5 * np.abs(gradient).max(), err_msg=name)
    rows = {loss: found.trace.losses[loss].denominator for loss in ("rpn_class", "class", "mask")}
    alone = jax.tree.map(lambda x: x[:1], (both.trace.anchor_samples, both.trace.roi_samples))
    assert rows == {"rpn_class": alone[0].valid.sum(), "class": alone[1].valid.sum(), "mask": (alone[1].labels[alone[1].valid] > 0).sum()}


def test_crowds_are_neither_objects_nor_background(walk, both):
    """The second object of the first image as a crowd: its anchors and RoIs leave, everything else stays."""
    trace = walk(batch_of([crowded(FULL, [False, True]), SMALL])).trace
    crowd, kept_object = FULL.boxes[1], FULL.boxes[0]
    anchors = np.concatenate(trace.features.anchors)
    usable = np.asarray(usable_anchors(jnp.asarray(anchors), jnp.asarray([64.0, 64.0]), CONFIG.anchors))
    overlaps = {i: iou(anchors[i], kept_object) for i in np.flatnonzero(usable).tolist()}
    positives = {i for i, overlap in overlaps.items() if overlap == max(overlaps.values())}
    assert max(overlaps.values()) < 0.7  # otherwise there would be more
    expected = positives | {i for i, overlap in overlaps.items() if overlap < 0.3 and ioa(anchors[i], crowd) < 0.7}
    assert set(trace.anchor_samples.indices[0][trace.anchor_samples.valid[0]].tolist()) == expected
    assert trace.roi_samples.labels[0].max() == FULL.labels[0]
    background = trace.roi_samples.boxes[0][trace.roi_samples.valid[0] & (trace.roi_samples.labels[0] == 0)]
    assert len(background) > 3
    assert all(ioa(box, crowd) < 0.7 for box in background)
    assert_equal_trees(*(jax.tree.map(lambda x: x[1], t.roi_samples) for t in (trace, both.trace)))


def test_mask_targets_are_the_objects_own(both):
    """A RoI that is the ground truth box itself sees the ellipse: 1 in the middle, 0 in the corners, pi / 4 of the area."""
    trace = both.trace
    for i, example in ((0, FULL), (1, SMALL)):
        rows = [r for r in range(15) if (trace.roi_samples.boxes[i, r] == example.boxes[-1]).all()]
        assert rows
        target = trace.mask_targets[i, rows[0]]
        np.testing.assert_allclose(target[12:16, 12:16], 1, atol=1e-6)
        assert not target[[0, 0, -1, -1], [0, -1, 0, -1]].any()
        assert target.mean() == pytest.approx(np.pi / 4, abs=0.02)


@pytest.mark.parametrize(("samples", "share"), [(1, 0), (2, 1 / 16)])
def test_mask_targets_have_their_own_number_of_sampling_points(samples, share):
    """A cell of 4 x 4 pixels, one of them the object: at its middle a point does not see it, four points see every pixel."""
    grid = np.zeros((1, 1, 8, 8), np.uint8)
    grid[0, 0, 0, 0] = 255
    box = jnp.asarray([[[0.0, 0.0, 8.0, 8.0]]])
    nought = jnp.zeros((1, 1), jnp.int32)
    instances = Instances(box, nought, nought, jnp.asarray(grid), box, nought)
    rois = RoiSamples(box, nought, nought, box, nought)
    config = with_(CONFIG, pool={"mask_size": 1, "samples": 3}, loss={"mask_target_samples": samples})
    targets = jax.jit(lambda *arrays: mask_rcnn._mask_targets(*arrays, (8, 8), config, models.one_device_mesh()))
    found = targets(instances, rois, jnp.asarray([[8.0, 8.0]]))
    assert found[0, 0].tolist() == [[share, 0], [0, 0]]


@pytest.mark.parametrize("frozen_stages", range(6))
def test_frozen_stages(frozen_stages):
    model = models.build(with_(CONFIG, backbone={"frozen_stages": frozen_stages}))
    params = jax.eval_shape(model.init, jax.random.key(0))["params"]
    frozen = {name.split("/")[1] for name in by_name_of_shapes(params) if model.is_frozen(tuple(name.split("/")))}
    stages = [{"stem"}, {"res2_0", "res2_1"}, {"res3_0", "res3_1"}, {"res4_0", "res4_1"}, {"res5_0", "res5_1"}]
    assert frozen == set().union(*stages[:frozen_stages])


@pytest.mark.slow
def test_batch_norms_everywhere_move_with_training_and_stand_still_at_inference():
    """A step of training counts the sampled RoIs; adaptive samples come along, as Detectron2's LSJ models have both."""
    config = with_(
        CONFIG,
        backbone={"norm": "batch_norm", "frozen_stages": 2},
        fpn={"norm": "batch_norm"},
        box_head={"convs": 1, "conv_channels": 32, "norm": "batch_norm"},
        mask_head={"norm": "batch_norm"},
        pool={"sampling": "adaptive"},
        loss={"mask_target": "binary", "mask_target_sampling": "adaptive"},
    )
    model, batch = models.build(config), batch_of([FULL, SMALL])
    variables = lively_variables(model)
    walk = jax.jit(model.trace_train)(variables, batch, jax.random.key(0))
    assert set(np.unique(walk.mask_targets)) == {0, 1}
    assert jax.tree.structure(walk.batch_stats) == jax.tree.structure(variables["batch_stats"])
    before, after = by_name(variables["batch_stats"]), by_name(walk.batch_stats)
    still = {"/".join(name.split("/")[:2]) for name in before if np.array_equal(before[name], after[name])}
    assert still == {"backbone/stem", "backbone/res2_0", "backbone/res2_1"}
    positives = np.asarray(walk.roi_samples.valid & (walk.roi_samples.labels > 0))[:, : config.assign.roi_max_positives]
    kernel = by_name(variables["params"])["mask_head/conv0/conv/kernel"]
    rows = jnp.asarray(walk.mask_features)[positives]
    plain = jax.lax.conv_general_dilated(rows, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    # Means of thousands of float32 values.
    np.testing.assert_allclose(after["mask_head/conv0/norm/mean"], 0.1 * plain.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-5)
    inference = jax.eval_shape(model.trace, variables, batch.image, batch.sizes)
    assert inference.detections.masks.shape == (2, 5, 28, 28)
