"""Whole models against torchvision's, side by side in one process, stage by stage."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax import models, ops, stages
from maskrcnn_jax.data import resize_image
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.models import mask_rcnn, one_device_mesh
from maskrcnn_jax.reports.golden import LOSSES
from maskrcnn_jax.structs import AnchorSamples, Batch, Category, Instances, Proposals, RoiSamples
from maskrcnn_jax.weights import from_arrays, to_arrays
from tests.golden.bounds import (
    ANCHOR_PX,
    BOX_PX,
    FPN,
    GRADIENT,
    INPUT,
    LOSS,
    MASK,
    PASTE_MARGIN_PX,
    PASTED,
    SCORE,
    SWAPPED,
)
from tests.golden.matching import one_to_one, strangers
from tests.parity import live
from tests.parity.live import POST_NMS, ROIS, Variant

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")]

LANDSCAPE_AND_PORTRAIT = ((275, 410), (330, 260))
# What is compiled. Sides of resized images are no multiples of 32, but for one.
VARIANTS = [
    Variant(1, "resnet18", 90, 230, 330, LANDSCAPE_AND_PORTRAIT, trained=2),
    Variant(1, "resnet18", 20, 300, 500, ((450, 310),)),
    Variant(1, "resnet50", 90, 256, 400, LANDSCAPE_AND_PORTRAIT, trained=2),
    Variant(1, "resnet50", 5, 384, 600, ((470, 345),)),
    Variant(1, "resnet101", 90, 280, 400, ((333, 500),)),
    Variant(1, "resnext50_32x4d", 37, 250, 400, ((260, 420),)),
    Variant(2, "resnet50", 90, 260, 350, LANDSCAPE_AND_PORTRAIT, trained=2),
    Variant(2, "resnet18", 3, 350, 512, ((512, 360),)),
]
# Of all values of a gradient, which feel single ReLUs: where its input moves by 1e-6, a layer of torchvision's own moves by up to 8e-3.
WHOLE_GRADIENT = 1e-2
# Run by continuous integration; the others are slow.
INFERRED_IN_SHORT, TRAINED_IN_SHORT = [(VARIANTS[i], 0) for i in (0, 6)], [(VARIANTS[0], 0)]


def cases(seeds, in_short):
    """Parameters of a fixture; seeds: how many of each variant."""
    for variant in VARIANTS:
        for seed in range(getattr(variant, seeds)):
            marks = [] if (variant, seed) in in_short else pytest.mark.slow
            yield pytest.param((variant, seed), marks=marks, id=f"{variant.name}-seed{seed}")


@lru_cache(maxsize=1)
def compiled(variant):
    return jax.jit(models.build(variant.config).trace)


@pytest.fixture(scope="module", params=cases("seeds", INFERRED_IN_SHORT))
def case(request, torch, torchvision, record):
    """The variant, torchvision's stages, our walk and our results, and what notes a difference."""
    variant, seed = request.param
    model = live.filled(torch, torchvision, variant, seed)
    pictures = variant.pictures(seed)
    theirs = live.infer(torch, model, pictures)
    variables = from_arrays("torchvision", live.arrays(model), variant.config)
    categories = [Category(i, str(i)) for i in range(variant.classes)]
    predictor = Predictor(models.build(variant.config), variables, categories, batch_size=len(pictures))
    walks = []

    def trace(*arguments):  # the Predictor's program, with all that lies between
        walks.append(jax.device_get(compiled(variant)(*arguments)))
        return walks[-1].detections

    predictor._program = lambda canvas: trace
    results = predictor(pictures)
    assert len(walks) == 1
    return variant, theirs, walks[0], results, partial(record, variant.title, seed)


def relative(found, expected):
    """The largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()


def test_it_is_worth_comparing(case):
    _, theirs, *_ = case
    for found in theirs.detections:
        assert len(found["scores"]) >= 5
        assert len(set(found["labels"])) >= 3
        assert np.ptp(found["scores"]) > 0.1
        assert 0.05 < (found["masks"] > 0.5).mean() < 0.95
    assert all(len(boxes) == POST_NMS for boxes in theirs.proposals)


def test_input(case):
    variant, theirs, walk, _, note = case
    assert theirs.sizes == variant.sizes
    note("input", difference := np.abs(walk.features.image - theirs.image).max())
    assert difference <= INPUT


def test_maps(case):
    _, theirs, walk, _, note = case
    found = walk.features
    heads = [values.reshape(expected.shape) for values, expected in zip(found.objectness, theirs.objectness, strict=True)]
    heads += [values.reshape(expected.shape) for values, expected in zip(found.deltas, theirs.deltas, strict=True)]
    for stage, maps, expected in (
        ("C2-C5", found.backbone, theirs.trunk),
        ("P2-P6", found.pyramid, theirs.pyramid),
        ("RPN", heads, theirs.objectness + theirs.deltas),
    ):
        note(stage, difference := max(relative(ours, level) for ours, level in zip(maps, expected, strict=True)))
        assert difference <= FPN, stage


def test_anchors(case):
    _, theirs, walk, _, note = case
    note("anchors, px", difference := np.abs(np.concatenate(walk.features.anchors) - theirs.anchors).max())
    assert difference <= ANCHOR_PX


def test_proposals_are_the_same_set(case):
    _, theirs, walk, _, note = case
    for i, expected in enumerate(theirs.proposals):
        found = walk.proposals.boxes[i][walk.proposals.valid[i]]
        note("proposals swapped", share := max(strangers(expected, found), strangers(found, expected)) / len(expected))
        assert share <= SWAPPED


def test_detections_are_the_same_one_to_one(case):
    _, theirs, walk, _, note = case
    found = walk.detections
    for i, expected in enumerate(theirs.detections):
        valid = found.valid[i]
        rows = one_to_one(expected["boxes"], expected["labels"], found.boxes[i][valid], found.labels[i][valid])
        for stage, values, name, bound in (
            ("boxes, px", found.boxes, "boxes", BOX_PX),
            ("scores", found.scores, "scores", SCORE),
            ("masks", found.masks[:, :, None], "masks", MASK),
        ):
            note(stage, difference := np.abs(values[i][rows] - expected[name]).max())
            assert difference <= bound, stage
        assert found.cut[i] == 0


def test_results_in_the_pictures_pixels(case):
    """The pasted masks are equal but near one half, and where torchvision cuts a box to integers."""
    _, theirs, walk, results, note = case
    for i, (expected, result) in enumerate(zip(theirs.results, results, strict=True)):
        rows = one_to_one(expected["boxes"], expected["labels"], result.boxes, result.labels)
        moved = np.abs(result.boxes[rows] - expected["boxes"]).max(axis=1)
        assert moved.max() <= BOX_PX * max(np.divide(result.size, theirs.sizes[i]))
        probabilities = expected["masks"][:, 0]
        found = mask_utils.decode([result.masks[row] for row in rows]).transpose(2, 0, 1)
        # Pasting takes means of the grid's cells, so no probability differs more than they do.
        cells = np.abs(walk.detections.masks[i][rows] - theirs.detections[i]["masks"][:, 0]).max()
        near = np.abs(probabilities - 0.5) < PASTED + cells
        certain = integer_margin(expected["boxes"]) >= PASTE_MARGIN_PX + moved
        assert certain.mean() > 0.5
        assert near.mean() < 1e-2
        differ = (found != (probabilities >= 0.5))[certain]
        note("pixels", differ.mean())
        assert not (differ & ~near[certain]).any()


def integer_margin(boxes):
    """How far the boxes are, widened as torchvision does before it cuts them to integers, from doing so otherwise."""
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2 * 30 / 28
    corners = np.concatenate([middle - half, middle + half], axis=1)
    return np.abs(corners - np.rint(corners)).min(axis=1)


def padded(values, rows):
    """`values` with as many rows, the last ones zero."""
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])


def instances_of(objects, canvas):
    """Ground truth of one image, its masks uncropped."""
    count, height, width = objects["masks"].shape
    masks = np.zeros((count, *canvas), np.uint8)
    masks[:, :height, :width] = 255 * objects["masks"]
    frames = np.tile(np.array([0, 0, canvas[1], canvas[0]], np.float32), (count, 1))
    return Instances(objects["boxes"], objects["labels"].astype(np.int32), np.zeros(count, bool), masks, frames, np.ones(count, bool))


def anchor_samples_of(theirs, i, rows):
    """torchvision's sampled anchors of image i, positives first."""
    indices, count = np.concatenate(theirs.sampled[i]), sum(map(len, theirs.sampled[i]))
    positive = np.arange(rows) < len(theirs.sampled[i][0])
    gt_boxes = padded(theirs.matched[i][indices], rows)
    return AnchorSamples(padded(indices.astype(np.int32), rows), positive, gt_boxes, np.arange(rows) < count)


def roi_samples_of(theirs, i):
    """torchvision's sampled RoIs of image i, positives first."""
    rois = theirs.rois[i]
    order = np.argsort(rois.labels == 0, kind="stable")
    gt_boxes = theirs.objects[i]["boxes"][rois.gt_indices[order]]
    fields = (rois.boxes[order], rois.labels[order].astype(np.int32), rois.gt_indices[order].astype(np.int32), gt_boxes)
    return RoiSamples(*(padded(field, ROIS) for field in fields), np.arange(ROIS) < len(order))


def stacked(rows):
    """One struct of a batch."""
    return jax.tree.map(lambda *values: jnp.asarray(np.stack(values)), *rows)


@lru_cache(maxsize=1)
def compiled_step(variant):
    """Our samples from torchvision's proposals; and our losses and gradients from torchvision's samples."""
    config, mesh = variant.training_config, one_device_mesh()

    def assign(anchors, priority, proposals, instances, size):
        usable = stages.usable_anchors(anchors, size, config.anchors)
        drawn = stages.assign_anchors(anchors, usable, instances, priority, config.assign)
        return drawn, stages.assign_rois(proposals, instances, priority, config.assign)

    def step(variables, batch, samples, proposals, rois):
        features, _ = mask_rcnn.compute_features(variables, batch.image, batch.sizes, config, mesh, training=True)
        walk = mask_rcnn.supervise(variables, batch, features, samples, proposals, rois, config, mesh)
        losses = {name: ops.ratio_value(ratio) for name, ratio in walk.losses.items()}
        return sum(losses.values()), losses

    def whole(variables, batch, samples, proposals, rois, anchors, priority):
        drawn = jax.vmap(assign, (None, None, 0, 0, 0))(anchors, priority, proposals, batch.instances, batch.sizes.astype(jnp.float32))
        (_, losses), gradients = jax.value_and_grad(step, has_aux=True)(variables, batch, samples, proposals, rois)
        return drawn, losses, gradients

    return jax.jit(whole)


@pytest.fixture(scope="module", params=cases("trained", TRAINED_IN_SHORT))
def step(request, torch, torchvision, record):
    """torchvision's step, the samples we gave, those we would have drawn, our losses and gradients, and what notes a difference."""
    variant, seed = request.param
    config, model = variant.training_config, live.filled(torch, torchvision, variant, seed)
    pictures = variant.pictures(seed)
    variables = from_arrays("torchvision", live.arrays(model), config)
    last = seed % 2 == 1  # the first anchors are P2's, the last P6's
    theirs = live.train(torch, model, pictures, live.objects(variant, seed), last=last)
    canvas = np.zeros((len(pictures), *variant.canvas, 3), np.float32)
    for row, image, size in zip(canvas, pictures, variant.sizes, strict=True):
        row[: size[0], : size[1]] = resize_image(image, size, config.input.resize)
    count = range(len(pictures))
    batch = Batch(
        jnp.asarray(canvas),
        jnp.asarray(variant.sizes, jnp.int32),
        stacked([instances_of(objects, variant.canvas) for objects in theirs.objects]),
        positions=np.arange(len(pictures), dtype=np.int32),
        image_ids=np.arange(len(pictures)),
        objects_cut=np.zeros(len(pictures), np.int32),
        stand_ins=np.zeros(len(pictures), np.int32),
        faults=None,
        void=np.zeros(len(pictures), np.bool_),
    )
    samples = stacked([anchor_samples_of(theirs, i, config.assign.rpn_samples) for i in count])
    rois = stacked([roi_samples_of(theirs, i) for i in count])
    scores = np.zeros(POST_NMS, np.float32)
    proposals = stacked([Proposals(padded(boxes, POST_NMS), scores, np.arange(POST_NMS) < len(boxes)) for boxes in theirs.proposals])
    priority = np.arange(len(theirs.anchors), dtype=np.float32) * (1 if last else -1)
    found = compiled_step(variant)(variables, batch, samples, proposals, rois, jnp.asarray(theirs.anchors), jnp.asarray(priority))
    drawn, losses, gradients = jax.device_get(found)
    gradients = to_arrays("torchvision", gradients, config)
    return theirs, (samples, rois), drawn, losses, gradients, partial(record, variant.title, seed)


def test_the_same_anchors_and_rois_are_sampled(step):
    _, given, drawn, *_ = step
    for expected, found in zip(given, drawn, strict=True):
        valid, positive = (np.asarray(values) for values in (expected.valid, positives(expected)))
        assert valid.mean() > 0.5
        for field, values in expected._asdict().items():
            rows = valid & positive if field.startswith("gt_") else valid  # the others have no ground truth
            np.testing.assert_array_equal(getattr(found, field)[rows], np.asarray(values)[rows], err_msg=field)
    assert np.sum(given[1].labels > 0) >= 10


def positives(samples):
    return samples.positive if isinstance(samples, AnchorSamples) else samples.labels > 0


def test_losses(step):
    theirs, _, _, losses, _, note = step
    for ours, name in LOSSES["torchvision"].items():
        note("losses", difference := abs(losses[ours] / theirs.losses[name] - 1))
        assert difference <= LOSS, name


def test_gradients(step):
    theirs, *_, gradients, note = step
    assert sum(expected.any() for expected in theirs.gradients.values()) > 30
    for name, expected in theirs.gradients.items():
        expected, found = expected.astype(np.float64), gradients[name].astype(np.float64)
        if not expected.any():  # of a level that no sample is read from
            assert not found.any(), name
            continue
        norm = np.linalg.norm(expected)
        note("gradients' norms", difference := abs(np.linalg.norm(found) - norm) / norm)
        assert difference <= GRADIENT, name
        note("gradients", difference := np.linalg.norm(found - expected) / norm)
        assert difference <= WHOLE_GRADIENT, name
