"""First layers of RGB for other channels."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax import models, ops
from maskrcnn_jax.config import BackboneConfig, InputConfig, ModelConfig, presets
from maskrcnn_jax.weights import WeightsError, backbone_from_classifier, backbone_to_classifier, from_arrays, inflate, stem_path, to_arrays
from tests.weights.test_detectors import arrays_of, small

R, G, B = 1.0, 10.0, 100.0
KERNEL = np.array([R, G, B], np.float32)[None, :, None, None] * np.array([1, 2], np.float32)[:, None, None, None]  # [2, 3, 1, 1]
MEAN, STD = (120.0, 110.0, 100.0), (58.0, 57.0, 56.0)


def with_channels(config, channels, dtype="uint8"):
    image = InputConfig(channels=channels, dtype=dtype, mean=(1.0,) * channels, std=(1.0,) * channels)
    return replace(config, input=image)


@pytest.mark.parametrize(
    ("channels", "expected"),
    [
        (1, [R + G + B]),
        (2, [1.5 * R, 1.5 * G]),
        (3, [R, G, B]),
        (4, [0.75 * R, 0.75 * G, 0.75 * B, 0.75 * R]),
        (6, [R / 2, G / 2, B / 2, R / 2, G / 2, B / 2]),
    ],
)
def test_by_hand(channels, expected):
    found = inflate(KERNEL, channels, axis=1)
    assert found.dtype == np.float32
    assert found[:, :, 0, 0].tolist() == [expected, [2 * x for x in expected]]
    assert np.array_equal(inflate(KERNEL.transpose(2, 3, 1, 0), channels, axis=2), found.transpose(2, 3, 1, 0))
    assert np.array_equal(inflate(KERNEL[:, ::-1], channels, axis=1, reverse=True) if channels != 3 else found, found)


@pytest.mark.parametrize("shape", [(8, 4, 7, 7), (8, 1, 7, 7), (3, 3)])
def test_what_does_not_read_rgb_stays(shape):
    kernel = np.zeros(shape)
    assert inflate(kernel, 5, axis=1) is kernel


def stem_output(image, kernel, mean, std):
    """What the first convolution makes of an image."""
    values = ops.normalise(jnp.asarray(image), jnp.asarray(image.shape[:2]), mean=mean, std=std, reverse_channels=False)
    return jax.lax.conv_general_dilated(values[None], kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


@pytest.mark.parametrize("channels", [6, 9])
def test_channels_that_repeat_rgb_are_seen_as_rgb_was(channels, rng):
    image, kernel = rng.integers(0, 256, (16, 18, 3), np.uint8), rng.normal(size=(7, 7, 3, 8)).astype(np.float32)
    times = channels // 3
    found = stem_output(np.tile(image, times), inflate(kernel, channels, axis=2), MEAN * times, STD * times)
    # Sums of 147 to 441 products of size 1, in another order.
    np.testing.assert_allclose(found, stem_output(image, kernel, MEAN, STD), atol=2e-4)


def test_grey_is_seen_as_the_same_grey_in_rgb_was(rng):
    grey, kernel = rng.integers(0, 256, (16, 18, 1), np.uint8), rng.normal(size=(7, 7, 3, 8)).astype(np.float32)
    rgb = np.repeat(grey, 3, axis=2)
    expected = stem_output(rgb, kernel, (110.0,) * 3, (57.0,) * 3)
    np.testing.assert_allclose(stem_output(grey, inflate(kernel, 1, axis=2), (110.0,), (57.0,)), expected, atol=2e-4)


@pytest.mark.parametrize("kind", ["resnet", "vgg"])
def test_a_classifier_s_stem_is_inflated_and_nothing_else(kind, caplog):
    caplog.set_level("INFO")
    backbone = BackboneConfig(depth=18, width=16) if kind == "resnet" else BackboneConfig(kind="vgg", depth=16, width=16, norm="none")
    config = ModelConfig(backbone=backbone)
    rgb, five = (jax.eval_shape(models.build(c).init, jax.random.key(0)) for c in (config, with_channels(config, 5)))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), rgb)
    arrays = backbone_to_classifier(variables)
    assert not caplog.messages
    found, before = (flatten_dict(v) for v in (backbone_from_classifier(arrays, five), variables))
    stem = ("params", *stem_path(backbone))
    assert found[stem].shape[2] == 5
    np.testing.assert_array_equal(found[stem], inflate(before[stem], 5, axis=2))
    others = [path for path in before if path[1] == "backbone" and path != stem]
    assert len(others) > 20
    assert all(np.array_equal(found[path], before[path]) for path in others)
    assert caplog.messages[0] == "the first layer's kernels of R, G and B serve the images' 5 channels in turn, times 3 / 5"


@pytest.mark.parametrize(
    ("system", "means", "first"),
    [
        ("torchvision", None, 0),
        ("detectron2", None, 2),  # which reads B, G, R
        ("detectron2", (103.53, 116.28, 123.675), 2),
        ("detectron2", (123.675, 116.28, 103.53), 0),
    ],
)
def test_a_detector_s_stem_is_inflated_in_the_order_r_g_b(system, means, first):
    config = small({"torchvision": presets.torchvision_v1, "detectron2": presets.detectron2}[system])
    arrays = arrays_of(system, config)
    name = {"torchvision": "backbone.body.conv1.weight", "detectron2": "backbone.bottom_up.stem.conv1.weight"}[system]
    told = {} if means is None else {"pixel_mean": np.array(means, np.float32).reshape(3, 1, 1)}
    found = from_arrays(system, arrays | told, with_channels(config, 4))["params"]["backbone"]["stem"]["conv"]["kernel"]
    red, green, blue = (arrays[name][:, i].transpose(1, 2, 0) for i in (first, 1, 2 - first))
    np.testing.assert_array_equal(found, np.stack([red, green, blue, red], axis=2) * np.float32(0.75))


@pytest.mark.parametrize("system", ["torchvision", "detectron2"])
def test_other_channels_are_not_exported(system):
    config = with_channels(small(presets.torchvision_v1 if system == "torchvision" else presets.detectron2), 5)
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    with pytest.raises(WeightsError) as error:
        to_arrays(system, shapes, config)
    assert str(error.value) == (
        f"{system}'s models read images of 3 channels, and model.input.channels is 5: keep such a model in a checkpoint of this package"
    )
