"""Single operators against outputs of the real torchvision and Detectron2 (tests/golden/README.md says which)."""

import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax import ops
from maskrcnn_jax.reports.golden import nearest
from tests.ops.checks import assert_close

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def single():
    return dict(np.load(GOLDEN / "ops_single.npz"))


@pytest.fixture(scope="module")
def training():
    return dict(np.load(GOLDEN / "ops_torchvision_train.npz"))


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.slow
def test_roi_align_and_its_gradient(single, aligned):
    """Two images side by side as two levels of the same stride; sampling ratio 2, stride 4."""
    features = [jnp.asarray(image.transpose(1, 2, 0)) for image in single["roi_align/features"]]
    rois, name = single["roi_align/rois"], f"roi_align/aligned{int(aligned)}_ratio2"
    boxes, levels = jnp.asarray(rois[:, 1:]), jnp.asarray(rois[:, 0].astype(np.int32))
    pooled, pull = jax.vjp(
        lambda maps: ops.roi_align(maps, boxes, levels, strides=(4.0, 4.0), size=7, samples=2, aligned=aligned), features
    )
    # float32 sums of 16 products of values up to 4, in another order.
    assert_close(pooled.transpose(0, 3, 1, 2), single[name], atol=2e-5)
    (gradient,) = pull(jnp.asarray(single["roi_align/grad_output"].transpose(0, 2, 3, 1)))
    # A cell's gradient is the sum of up to a few hundred weights.
    assert_close(np.stack(gradient).transpose(0, 3, 1, 2), single[f"{name}_grad_features"], atol=1e-4)


@pytest.mark.parametrize("aligned", [False, True])
def test_adaptive_roi_align_and_its_gradient(single, aligned):
    """The same with sampling ratio 0: as many samples as a RoI has cells."""
    features = [jnp.asarray(image.transpose(1, 2, 0)) for image in single["roi_align/features"]]
    rois, name = single["roi_align/rois"], f"roi_align/aligned{int(aligned)}_ratio0"
    boxes, levels = jnp.asarray(rois[:, 1:]), jnp.asarray(rois[:, 0].astype(np.int32))
    pooled, pull = jax.vjp(
        lambda maps: ops.roi_align_adaptive(maps, boxes, levels, strides=(4.0, 4.0), size=7, aligned=aligned)[0], features
    )
    # As above, of up to a few dozen products.
    assert_close(pooled.transpose(0, 3, 1, 2), single[name], atol=2e-5)
    (gradient,) = pull(jnp.asarray(single["roi_align/grad_output"].transpose(0, 2, 3, 1)))
    assert_close(np.stack(gradient).transpose(0, 3, 1, 2), single[f"{name}_grad_features"], atol=1e-4)


@pytest.mark.parametrize("threshold", [0.5, 0.7])
def test_nms(single, threshold):
    n = len(single["nms/boxes"])
    assert _kept(single, n, np.zeros(n, np.int32), threshold) == single[f"nms/keep_{threshold}"].tolist()


@pytest.mark.parametrize(("n", "name"), [(300, "first300"), (1500, "all")])
def test_nms_within_classes(single, n, name):
    assert _kept(single, n, single["nms/labels"][:n], 0.5) == single[f"nms/batched_keep_0.5_{name}"].tolist()


def _kept(single, n, groups, threshold):
    boxes, scores = jnp.asarray(single["nms/boxes"][:n]), jnp.asarray(single["nms/scores"][:n])
    run = jax.jit(ops.nms, static_argnames=("iou_threshold", "max_output"))
    indices, exists = run(boxes, scores, jnp.ones(n, bool), jnp.asarray(groups), iou_threshold=threshold, max_output=n)
    return indices[exists].tolist()


@pytest.mark.parametrize(("system", "epsilon", "epsilon_at"), [("torchvision", 1e-6, "log"), ("detectron2", 1e-8, "ratio")])
def test_levels(single, system, epsilon, epsilon_at):
    boxes = jnp.asarray(single["levels/boxes"])
    levels = ops.roi_levels(
        boxes, levels=4, finest=2, canonical_size=224.0, canonical_level=4, epsilon=epsilon, epsilon_at=epsilon_at
    )  # fmt: skip
    assert levels.tolist() == single[f"levels/{system}"].tolist()


@pytest.mark.parametrize("system", ["torchvision", "detectron2"])
@pytest.mark.parametrize(("coder", "weights"), [("rpn", (1.0, 1.0, 1.0, 1.0)), ("box", (10.0, 10.0, 5.0, 5.0))])
def test_box_coding(single, system, coder, weights):
    anchors, deltas, gt = (jnp.asarray(single[f"box_coder/{name}"]) for name in ("anchors", "deltas", "gt"))
    decoded = ops.decode_boxes(deltas, anchors, weights=weights, max_log_scale=math.log(1000 / 16))
    # Coordinates of thousands of pixels, a few roundings of 1e-7 each.
    assert_close(decoded, single[f"box_coder/{system}_decode_{coder}"], atol=1e-4, rtol=1e-6)
    # Weights of 10 times differences of coordinates of hundreds.
    assert_close(ops.encode_boxes(gt, anchors, weights=weights), single[f"box_coder/{system}_encode_{coder}"], atol=5e-5)


def test_paste_as_torchvision(single):
    # Both multiply and add float32 weights in [0, 1]; positions up to 30 cells are rounded to 2e-6.
    assert_close(_pasted(single, "expanded"), single["paste/torchvision"], atol=1e-5)


def test_paste_as_detectron2(single):
    assert ((_pasted(single, "continuous") >= 0.5) == single["paste/detectron2"]).all()


def _pasted(single, kind):
    height, width = single["paste/image_hw"].tolist()
    masks, frames = jnp.asarray(single["paste/masks"]), jnp.asarray(single["paste/boxes"])
    return np.asarray(ops.paste_masks(masks, frames, height=height, width=width, kind=kind))


def _anchors(shape, counts):
    """Torchvision's: strides are the padded size over the feature map's, in whole pixels."""
    height, width = shape[-2:].tolist()
    levels = []
    for size, stride in ((32, 4), (64, 8), (128, 16), (256, 32), (512, 64)):
        grid = (math.ceil(height / stride), math.ceil(width / stride))
        base = ops.base_anchors(size, (0.5, 1.0, 2.0), round_corners=True)
        levels.append(ops.grid_anchors(base, grid, (height // grid[0], width // grid[1])))
    assert [len(level) for level in levels] == counts.tolist()
    return jnp.concatenate(levels)


def test_anchors(training):
    anchors = _anchors(training["input/shape"], training["anchors/count_per_level"])
    assert_close(anchors[:30], training["anchors/first30"])
    assert_close(anchors[-30:], training["anchors/last30"])
    assert_close(anchors[::997], training["anchors/every997"])


@pytest.mark.parametrize("image", ["img0", "img1"])
@pytest.mark.slow
def test_matching_and_sampling_of_anchors(training, image):
    """The goldens' random permutation is 'the first k in index order' (train) or 'the last k' (train_last)."""
    anchors = _anchors(training["train/input/shape"], training["train/anchors/count_per_level"])
    gt = jnp.asarray(training[f"train/{image}/gt_boxes_resized"])
    matches = ops.match(anchors, gt, jnp.ones(len(gt), bool), foreground_iou=0.7, background_iou=0.3, low_quality=True)
    sample = jax.jit(ops.sample_balanced, static_argnames=("size", "max_positives"))
    ignored = ~matches.positive & ~matches.negative
    counts = [int(kind.sum()) for kind in (matches.positive, matches.negative, ignored)]
    assert counts == training[f"train/{image}/rpn_label_counts"].tolist()
    index = jnp.arange(len(anchors), dtype=jnp.float32)
    for order, priority in (("train", -index), ("train_last", index)):
        samples = sample(matches.positive, matches.negative, priority, size=256, max_positives=128)
        for kind, mask in (("pos", samples.positive), ("neg", samples.valid & ~samples.positive)):
            assert sorted(samples.indices[mask].tolist()) == sorted(training[f"{order}/{image}/rpn_sampled_{kind}_idx"].tolist())


@pytest.mark.parametrize(("order", "image"), [("train", "img0"), ("train", "img1"), ("train_last", "img0"), ("train_last", "img1")])
@pytest.mark.slow
def test_matching_and_sampling_of_rois(training, order, image):
    """Proposals with the ground truth appended; torchvision lists the samples in ascending order."""
    gt = jnp.asarray(training[f"train/{image}/gt_boxes_resized"])
    rois = jnp.concatenate([jnp.asarray(training[f"train/{image}/proposals/boxes"]), gt])
    matches = ops.match(rois, gt, jnp.ones(len(gt), bool), foreground_iou=0.5, background_iou=0.5, low_quality=False)
    index = jnp.arange(len(rois), dtype=jnp.float32)
    priority = -index if order == "train" else index
    samples = ops.sample_balanced(matches.positive, matches.negative, priority, size=128, max_positives=32)
    assert bool(samples.valid.all())
    ascending = jnp.argsort(samples.indices)
    chosen = samples.indices[ascending]
    assert_close(rois[chosen], training[f"{order}/{image}/rois"])
    labels = training[f"{order}/{image}/roi_labels"]
    assert samples.positive[ascending].tolist() == (labels > 0).tolist()
    positive = np.flatnonzero(labels > 0)
    assert matches.gt_indices[chosen][positive].tolist() == training[f"{order}/{image}/roi_matched_gt"][positive].tolist()


def test_mask_targets_as_torchvision(training):
    """Torchvision pools targets with ceil(RoI / 28) samples a cell; compared where both axes have the same count."""
    targets = jax.jit(ops.mask_targets, static_argnames=("size", "samples", "aligned"))
    goldens, compared = iter(training["train/mask_targets_first20"]), set()
    for i in (0, 1):
        shape = training[f"train/gt{i}/masks_shape"]
        bits = np.unpackbits(training[f"train/gt{i}/masks_packed"], axis=1)[:, : shape[1] * shape[2]].reshape(shape)
        height, width = training["train/input/resized_hw"][i]
        resized = bits[:, nearest(int(shape[1]), int(height))][:, :, nearest(int(shape[2]), int(width))]
        masks, size = jnp.asarray(resized * 255, jnp.uint8), jnp.asarray([height, width], jnp.float32)
        frames = jnp.broadcast_to(jnp.asarray([0, 0, width, height], jnp.float32), (len(masks), 4))
        positive = training[f"train/img{i}/roi_labels"] > 0
        rois, matched = training[f"train/img{i}/rois"][positive], training[f"train/img{i}/roi_matched_gt"][positive]
        for roi, g, golden in zip(rois, matched, goldens, strict=False):
            samples = {math.ceil(max(float(side), 1) / 28) for side in (roi[2] - roi[0], roi[3] - roi[1])}
            if len(samples) > 1:
                continue
            (count,) = samples
            compared.add((i, count))
            found = targets(
                masks, frames, jnp.asarray(roi)[None], jnp.asarray([g], jnp.int32), size, size=28, samples=count, aligned=False
            )  # fmt: skip
            # Positions of hundreds of pixels are rounded to 3e-5; a cell is a mean of such samples.
            assert_close(found[0], golden, atol=1e-4)
    assert len(compared) > 2  # both images, several counts
