"""The same numbers as torchvision, computed side by side."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import BackboneConfig, ModelConfig
from maskrcnn_jax.nn import build_trunk
from maskrcnn_jax.ops import decode_boxes, encode_boxes, roi_align
from maskrcnn_jax.weights import backbone_from_classifier

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")]  # of its own calls

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def resnet_stages(theirs):
    """Its parts, each from one level to the next."""
    yield lambda x: theirs.layer1(theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x)))))
    yield from (theirs.layer2, theirs.layer3, theirs.layer4)


def vgg_stages(theirs):
    """Its parts, each from one level to the next: up to the third pool, to the fourth, to the fifth, and that one."""
    pools = [i for i, layer in enumerate(theirs.features) if type(layer).__name__ == "MaxPool2d"]
    bounds = [0, *pools[2:], len(theirs.features)]
    yield from (theirs.features[first:last] for first, last in pairwise(bounds))


TRUNKS = {
    "resnet18": BackboneConfig(depth=18),
    "resnet50": BackboneConfig(depth=50),
    "resnext50_32x4d": BackboneConfig(depth=50, groups=32, width_per_group=4),
    "wide_resnet50_2": BackboneConfig(depth=50, width_per_group=128),
    "vgg16": BackboneConfig(kind="vgg", depth=16, norm="none"),
    "vgg16_bn": BackboneConfig(kind="vgg", depth=16),
}


@pytest.mark.parametrize("name", TRUNKS)
def test_trunks_agree(name, torch, torchvision, rng):
    torch.manual_seed(0)
    theirs = getattr(torchvision.models, name)(weights=None).eval()
    with torch.no_grad():
        for key, array in theirs.state_dict().items():
            if key.endswith("running_var"):
                array.uniform_(0.5, 2)
            elif key.endswith(("running_mean", "bias")):
                array.normal_(0, 0.1)
    config = ModelConfig(backbone=TRUNKS[name])
    ours = backbone_from_classifier(
        {key: array.numpy() for key, array in theirs.state_dict().items()},
        jax.eval_shape(models.build(config).init, jax.random.key(0)),
    )
    images = rng.standard_normal((2, 64, 96, 3)).astype(np.float32)
    own = {collection: modules["backbone"] for collection, modules in ours.items() if "backbone" in modules}
    found = jax.jit(build_trunk(config.backbone).apply)(own, images)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2))
    with torch.no_grad():
        stages = vgg_stages(theirs) if config.backbone.kind == "vgg" else resnet_stages(theirs)
        for level, stage in zip(found, stages, strict=True):
            x = stage(x)
            expected = x.numpy().transpose(0, 2, 3, 1)
            # float32 sums of up to 4,608 products in another order, through up to 49 layers.
            np.testing.assert_allclose(level, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("aligned", [False, True])
def test_roi_align_and_its_gradient_agree(aligned, torch, torchvision, rng):
    features = rng.standard_normal((1, 3, 20, 30)).astype(np.float32)
    corners = rng.uniform(0, 150, (12, 2))
    sides = rng.uniform(0, 80, (12, 2))
    boxes = np.concatenate([corners, corners + sides], axis=1).clip(max=(240, 160, 240, 160)).astype(np.float32)
    weights = rng.standard_normal((12, 3, 5, 5)).astype(np.float32)
    x = torch.from_numpy(features).requires_grad_()
    expected = torchvision.ops.roi_align(x, [torch.from_numpy(boxes)], 5, spatial_scale=1 / 8, sampling_ratio=2, aligned=aligned)
    (expected * torch.from_numpy(weights)).sum().backward()

    def pool(level):
        return roi_align([level], jnp.asarray(boxes), jnp.zeros(12, jnp.int32), strides=[8.0], size=5, samples=2, aligned=aligned)

    found, pull = jax.vjp(pool, jnp.asarray(features[0].transpose(1, 2, 0)))
    (gradient,) = pull(jnp.asarray(weights.transpose(0, 2, 3, 1)))
    # float32 positions up to 50 cells are good to 4e-6; values and weights are about 1, sums of up to 16 of them.
    np.testing.assert_allclose(found, expected.detach().numpy().transpose(0, 2, 3, 1), rtol=0, atol=1e-4)
    np.testing.assert_allclose(gradient, x.grad[0].numpy().transpose(1, 2, 0), rtol=0, atol=1e-4)


def test_box_coding_agrees(torch, torchvision, rng):
    corners = rng.uniform(0, 200, (2, 50, 2)).astype(np.float32)
    anchors, targets = np.concatenate([corners, corners + rng.uniform(5, 90, (2, 50, 2)).astype(np.float32)], axis=2)
    coder = torchvision.models.detection._utils.BoxCoder(WEIGHTS)
    deltas = coder.encode_single(torch.from_numpy(targets), torch.from_numpy(anchors)).numpy()
    # Centres of up to 300 pixels are good to 3e-5, over sides of 5, times 10.
    np.testing.assert_allclose(encode_boxes(jnp.asarray(targets), jnp.asarray(anchors), weights=WEIGHTS), deltas, rtol=0, atol=1e-4)
    wild = (3 * deltas + rng.normal(0, 8, deltas.shape)).astype(np.float32)  # some beyond the clip of the logarithm
    expected = coder.decode_single(torch.from_numpy(wild), torch.from_numpy(anchors)).numpy()
    found = decode_boxes(jnp.asarray(wild), jnp.asarray(anchors), weights=WEIGHTS, max_log_scale=float(np.log(1000 / 16)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
