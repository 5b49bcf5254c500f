import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import LossConfig, ModelConfig
from maskrcnn_jax.models import Features
from maskrcnn_jax.models.losses import mask_losses, roi_losses, rpn_losses
from maskrcnn_jax.structs import AnchorSamples, RoiSamples

LOG2 = np.log(2)
FAR = [[1000.0, 0.0, 1001.0, 1.0]]


def value(ratio):
    return float(ratio.numerator), float(ratio.denominator)


@pytest.mark.parametrize(("rpn_denominator", "denominator"), [("sampled", 4), ("capacity", 6)])
def test_rpn_losses_by_hand(rpn_denominator, denominator):
    """Two images, two levels of two anchors and one; three rows an image, of which the second image uses one."""
    config = ModelConfig(loss=LossConfig(rpn_denominator=rpn_denominator, rpn_box_beta=0.0))
    square = [0.0, 0.0, 10.0, 10.0]
    features = Features(
        image=jnp.zeros(()),
        backbone=(),
        pyramid=(),
        objectness=(jnp.asarray([[9.0, 0.0], [9.0, 9.0]]), jnp.asarray([[0.0], [0.0]])),
        deltas=(jnp.asarray([[[9.0] * 4, [0.0] * 4], [[9.0] * 4] * 2]), jnp.asarray([[[1.0, 0.0, 0.0, 0.0]], [[9.0] * 4]])),
        anchors=(jnp.asarray([square, square]), jnp.asarray([square])),
    )
    samples = AnchorSamples(
        indices=jnp.asarray([[2, 1, 0], [2, 0, 0]]),
        positive=jnp.asarray([[True, True, False], [False, False, False]]),
        # Deltas (0.5, 0, 0, 0) where (1, 0, 0, 0) is said, and (0, 0.25, 0, log 2) where 0 is; garbage elsewhere.
        gt_boxes=jnp.asarray([[[5.0, 0.0, 15.0, 10.0], [0.0, -2.5, 10.0, 17.5], [0.0] * 4], FAR * 3]),
        valid=jnp.asarray([[True, True, True], [True, False, False]]),
    )
    losses = rpn_losses(features, samples, config)
    assert value(losses["rpn_class"]) == pytest.approx((LOG2 + LOG2 + (9 + np.log1p(np.exp(-9))) + LOG2, denominator))
    assert value(losses["rpn_box"]) == pytest.approx((0.5 + (0.25 + LOG2), denominator))


def roi_samples(labels, valid):
    boxes = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 10.0, 10.0]), (*np.shape(labels), 4))
    gt_boxes = jnp.where((jnp.asarray(labels) > 0)[..., None], boxes + jnp.asarray([1.0, 0.0, 1.0, 0.0]), jnp.asarray(FAR))
    return RoiSamples(boxes, jnp.asarray(labels), jnp.zeros(np.shape(labels), jnp.int32), gt_boxes, jnp.asarray(valid))


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_roi_losses_by_hand(class_agnostic):
    """Three RoIs of two images: an object of class 2, background, background; an invalid row that would count for much."""
    config = ModelConfig(loss=LossConfig(roi_box_beta=0.0))
    samples = roi_samples([[2, 0], [0, 0]], [[True, True], [True, False]])
    logits = jnp.asarray([[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[9.0, 0.0, 0.0], [-100.0, 0.0, 0.0]]])
    deltas = np.full((2, 2, 1 if class_agnostic else 3, 4), 50.0)
    deltas[0, 0, -1] = 0.25, 0, 0, 0  # the target is 1 / 10 of the side, times the coder's weight 10
    losses = roi_losses(logits, jnp.asarray(deltas, jnp.float32), samples, config)
    assert value(losses["class"]) == pytest.approx((2 * np.log(3) + np.log1p(2 * np.exp(-9)), 3), rel=1e-5)
    assert value(losses["box"]) == pytest.approx((0.75, 3), rel=1e-5)


@pytest.mark.parametrize("class_agnostic", [False, True])
def test_mask_losses_by_hand(class_agnostic):
    """Two positives of two images; the mean over 2 x 2 cells of each, over the number of positives."""
    samples = roi_samples([[1, 0], [2, 1]], [[True, True], [True, False]])
    logits = np.full((2, 2, 2, 2, 1 if class_agnostic else 3), 50.0)
    logits[0, 0, :, :, 0 if class_agnostic else 1] = [[0, 0], [0, 3]]
    logits[1, 0, :, :, 0 if class_agnostic else 2] = 0
    targets = np.zeros((2, 2, 2, 2))
    targets[0, 0] = [[1, 0], [0.5, 1]]
    losses = mask_losses(jnp.asarray(logits, jnp.float32), jnp.asarray(targets, jnp.float32), samples)
    assert value(losses["mask"]) == pytest.approx(((3 * LOG2 + np.log1p(np.exp(-3))) / 4 + LOG2, 2), rel=1e-5)
