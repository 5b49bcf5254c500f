import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax import models
from maskrcnn_jax.config import BackboneConfig, ModelConfig
from maskrcnn_jax.nn.resnet import ResNet
from maskrcnn_jax.weights import WeightsError, backbone_from_classifier, backbone_to_classifier, read_weights
from maskrcnn_jax.weights.names import resnet_name

NORM = {"weight": "scale", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def resnet_shapes(depth):
    """{torchvision's name: (shape, path of the variable)}, written down from He et al. 2016, table 1."""
    blocks = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    expansion = 1 if depth == 18 else 4
    shapes = {}

    def layer(conv, norm, path, channels_in, channels, kernel):
        shapes[f"{conv}.weight"] = (channels, channels_in, kernel, kernel), f"params/{path}/conv/kernel"
        for name, leaf in NORM.items():
            shapes[f"{norm}.{name}"] = (channels,), f"batch_stats/{path}/norm/{leaf}"

    layer("conv1", "bn1", "stem", 3, 64, 7)
    previous = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        convolutions = [(width, 3), (width, 3)] if depth == 18 else [(width, 1), (width, 3), (4 * width, 1)]
        for block in range(count):
            ours, theirs = f"res{stage + 2}_{block}", f"layer{stage + 1}.{block}"
            channels_in = previous
            for i, (channels, kernel) in enumerate(convolutions, start=1):
                layer(f"{theirs}.conv{i}", f"{theirs}.bn{i}", f"{ours}/conv{i}", channels_in, channels, kernel)
                channels_in = channels
            if block == 0 and previous != expansion * width:
                layer(f"{theirs}.downsample.0", f"{theirs}.downsample.1", f"{ours}/shortcut", previous, expansion * width, 1)
            previous = expansion * width
    return shapes


def wanted(depth):
    """Variables of a model, shapes only."""
    model = models.build(ModelConfig(backbone=BackboneConfig(depth=depth)))
    return jax.eval_shape(model.init, jax.random.key(0))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (("stem", "conv", "kernel"), "conv1.weight"),
        (("stem", "norm", "var"), "bn1.running_var"),
        (("res2_1", "conv2", "conv", "kernel"), "layer1.1.conv2.weight"),
        (("res3_0", "shortcut", "conv", "kernel"), "layer2.0.downsample.0.weight"),
        (("res3_0", "shortcut", "norm", "mean"), "layer2.0.downsample.1.running_mean"),
        (("res4_5", "conv3", "norm", "scale"), "layer3.5.bn3.weight"),
        (("res5_2", "conv1", "norm", "bias"), "layer4.2.bn1.bias"),
    ],
)
def test_names_by_hand(path, name):
    assert resnet_name(path) == name


@pytest.mark.parametrize("depth", [18, 50])
def test_every_leaf_is_loaded_from_its_own_array(depth):
    shapes = resnet_shapes(depth)
    assert len(shapes) == {18: 100, 50: 265}[depth]
    number = {name: i for i, name in enumerate(shapes)}
    arrays = {name: np.broadcast_to(np.float64(number[name]), shape) for name, (shape, _) in shapes.items()}
    unused = {"fc.weight": np.zeros((1000, 512)), "fc.bias": np.zeros(1000), "bn1.num_batches_tracked": np.zeros((), np.int64)}
    before = wanted(depth)
    after = backbone_from_classifier(arrays | unused, before)
    found = flatten_dict({collection: modules["backbone"] for collection, modules in after.items()}, sep="/")
    assert {path: number[name] for name, (_, path) in shapes.items()} == {path: float(value.flat[0]) for path, value in found.items()}
    assert all(value.dtype == np.float32 for value in found.values())
    assert {p: v.shape for p, v in flatten_dict(after, sep="/").items()} == {p: v.shape for p, v in flatten_dict(before, sep="/").items()}
    assert after["params"]["fpn"] is before["params"]["fpn"]


def test_layouts(rng):
    arrays = {name: rng.random(shape, np.float32) for name, (shape, _) in resnet_shapes(18).items()}
    params = backbone_from_classifier(arrays, wanted(18))["params"]["backbone"]
    np.testing.assert_array_equal(params["stem"]["conv"]["kernel"][1, 6, 2, 60], arrays["conv1.weight"][60, 2, 1, 6])
    np.testing.assert_array_equal(
        params["res3_0"]["shortcut"]["conv"]["kernel"], arrays["layer2.0.downsample.0.weight"][:, :, 0, 0].transpose(1, 0)
    )


def test_wrappers_prefixes_and_counters_are_no_matter():
    arrays = {name: np.zeros(shape, np.float32) for name, (shape, _) in resnet_shapes(18).items()} | {
        "bn1.num_batches_tracked": np.array(3)
    }
    wrapped = {f"module.{name}": array for name, array in arrays.items()}
    found = backbone_from_classifier(wrapped, wanted(18))
    assert jax.tree.all(jax.tree.map(np.array_equal, found["batch_stats"], backbone_from_classifier(arrays, wanted(18))["batch_stats"]))


def test_what_does_not_fit_is_listed_at_once():
    arrays = {name: np.zeros(shape, np.float32) for name, (shape, _) in resnet_shapes(18).items()}
    del arrays["bn1.weight"], arrays["layer4.1.conv2.weight"]
    arrays["layer5.0.conv1.weight"] = np.zeros((1, 1, 1, 1))
    arrays["layer1.0.conv1.weight"] = np.zeros((64, 64, 1, 1))
    arrays["layer2.0.downsample.0.weight"] = np.zeros((128, 64, 3, 3))
    arrays["layer2.0.bn1.bias"] = np.zeros(64)
    with pytest.raises(WeightsError) as error:
        backbone_from_classifier(arrays, wanted(18))
    first, *listed = str(error.value).split("\n  ")
    assert "check model.backbone.kind, depth, width, groups, width_per_group and norm" in first
    assert sorted(listed) == [
        "layer1.0.conv1.weight is (64, 64, 1, 1); the model has (64, 64, 3, 3)",
        "layer2.0.bn1.bias is (64,); the model has (128,)",
        "layer2.0.downsample.0.weight is (128, 64, 3, 3); the model has (128, 64, 1, 1)",
        "missing bn1.weight",
        "missing layer4.1.conv2.weight",
        "unexpected layer5.0.conv1.weight",
    ]


VGG_LAYERS = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", *(f"conv{block}_{i}" for block in (3, 4, 5) for i in (1, 2, 3))]
# Where torchvision's and timm's vgg16 and vgg16_bn have these convolutions; a norm is the next number.
FEATURES = {False: [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28], True: [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]}
VGG_UNUSED = {
    "torchvision": {"classifier.0": (7, 5), "classifier.3": (7, 7), "classifier.6": (3, 7)},
    "timm": {"pre_logits.fc1": (7, 5, 7, 7), "pre_logits.fc2": (7, 7, 1, 1), "head.fc": (3, 7)},
}


def vgg(norm):
    """Variables of a model with a thin VGG-16, shapes only."""
    backbone = BackboneConfig(kind="vgg", depth=16, width=16, norm=norm)
    return jax.eval_shape(models.build(ModelConfig(backbone=backbone)).init, jax.random.key(0))


def vgg_arrays(normed, rng):
    """{name: array} of the classifier's trunk, every number another; widths of table 1, column D, a quarter of them."""
    arrays, previous = {}, 3
    for layer, number in zip(VGG_LAYERS, FEATURES[normed], strict=True):
        channels = {1: 16, 2: 32, 3: 64}.get(int(layer[4]), 128)
        arrays[f"features.{number}.weight"] = rng.random((channels, previous, 3, 3), np.float32)
        for name in [f"{number}.bias", *(f"{number + 1}.{leaf}" for leaf in NORM if normed)]:
            arrays[f"features.{name}"] = rng.random(channels, np.float32)
        previous = channels
    return arrays


@pytest.mark.parametrize("system", VGG_UNUSED)
@pytest.mark.parametrize("norm", ["none", "frozen_bn", "batch_norm"])
def test_every_leaf_of_a_vgg_is_loaded_from_its_own_array(norm, system, rng):
    normed = norm != "none"
    arrays = vgg_arrays(normed, rng)
    unused = {f"{name}.{leaf}": np.zeros(shape) for name, shape in VGG_UNUSED[system].items() for leaf in ("weight", "bias")}
    after = backbone_from_classifier(arrays | unused, vgg(norm))
    found = {path: leaf for tree in after.values() for path, leaf in flatten_dict(tree.get("backbone", {})).items()}
    assert len(found) == 13 * (5 if normed else 2)
    for layer, number in zip(VGG_LAYERS, FEATURES[normed], strict=True):
        kernel = arrays[f"features.{number}.weight"]
        np.testing.assert_array_equal(found[layer, "conv", "kernel"], kernel.transpose(2, 3, 1, 0))
        bias = arrays[f"features.{number}.bias"]
        if not normed:
            np.testing.assert_array_equal(found[layer, "conv", "bias"], bias)
            continue
        for name, leaf in NORM.items():  # (x + bias) - mean = x - (mean - bias)
            expected = arrays[f"features.{number + 1}.{name}"] - (bias if leaf == "mean" else 0)
            np.testing.assert_array_equal(found[layer, "norm", leaf], expected)


def test_folded_biases_are_subtracted_in_float32(rng):
    arrays = {name: array.astype(np.float16) for name, array in vgg_arrays(True, rng).items()}
    mean = backbone_from_classifier(arrays, vgg("frozen_bn"))["batch_stats"]["backbone"]["conv5_3"]["norm"]["mean"]
    expected = arrays["features.41.running_mean"].astype(np.float32) - arrays["features.40.bias"].astype(np.float32)
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(mean, expected)


def test_a_vgg_of_another_norm_or_with_another_bias_is_in_the_list(rng):
    with pytest.raises(WeightsError, match=r"none for a VGG-16 without batch norms(.|\n)*unexpected features.2.weight"):
        backbone_from_classifier(vgg_arrays(False, rng), vgg("frozen_bn"))
    with pytest.raises(WeightsError, match=r"unexpected features.1.running_mean"):
        backbone_from_classifier(vgg_arrays(True, rng), vgg("none"))
    arrays = vgg_arrays(True, rng) | {"features.3.bias": np.zeros(5), "classifier.1.weight": np.zeros(5)}
    with pytest.raises(WeightsError) as error:
        backbone_from_classifier(arrays, vgg("frozen_bn"))
    assert str(error.value).split("\n  ")[1:] == ["unexpected features.3.bias", "unexpected classifier.1.weight"]


@pytest.mark.parametrize(
    "backbone",
    [
        {"depth": 18, "width": 16},
        {"depth": 50, "width": 16, "groups": 4, "width_per_group": 16, "norm": "batch_norm"},
        {"kind": "vgg", "depth": 16, "width": 16, "norm": "none"},
        {"kind": "vgg", "depth": 16, "width": 16},
    ],
)
def test_there_and_back(backbone, rng):
    shapes = jax.eval_shape(models.build(ModelConfig(backbone=BackboneConfig(**backbone))).init, jax.random.key(0))
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    arrays = backbone_to_classifier(variables)
    back = backbone_from_classifier(arrays, shapes)
    for collection, modules in variables.items():
        if "backbone" in modules:
            assert jax.tree.all(jax.tree.map(np.array_equal, back[collection]["backbone"], modules["backbone"]))
    again = backbone_to_classifier(back)
    assert again.keys() == arrays.keys()
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


def test_a_group_norm_is_an_error_that_says_what_to_set():
    config = ModelConfig(backbone=BackboneConfig(depth=18, norm="group_norm"))
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    with pytest.raises(WeightsError, match=r"backbone.norm is group_norm, whose groups are others .* set it to frozen_bn or batch_norm"):
        backbone_from_classifier({}, shapes)


def test_the_deep_stem_of_timm_is_no_plain_one():
    """resnet50d: a stem of three convolutions, and a pool before the convolution of a shortcut."""
    arrays = {name: np.zeros(shape, np.float32) for name, (shape, _) in resnet_shapes(50).items()}
    stem = {f"conv1.{i}.weight": np.zeros((32, 32, 3, 3)) for i in (0, 3, 6)} | {
        f"conv1.{i}.{leaf}": np.zeros(32) for i in (1, 4) for leaf in NORM
    }
    del arrays["conv1.weight"]
    with pytest.raises(WeightsError) as error:
        backbone_from_classifier(arrays | stem, wanted(50))
    assert set(str(error.value).split("\n  ")[1:]) == {"missing conv1.weight"} | {f"unexpected {name}" for name in stem}


@pytest.mark.parametrize(("depth", "file"), [(18, "resnet18_ktb_small.npz"), (50, "resnet50_ktb_large.npz")])
def test_trained_trunks_tell_pictures_apart(shared_data, rng, depth, file):
    """With a layer misplaced, C5 of such deep trunks explodes, dies, or is the same for every picture."""
    variables = backbone_from_classifier(read_weights(shared_data / "backbones" / file), wanted(depth))
    trunk = ResNet(BackboneConfig(depth=depth))
    noise = rng.standard_normal((64, 64, 3))
    ramp = np.broadcast_to(np.linspace(-2, 2, 64)[:, None, None], (64, 64, 3))
    own = {collection: modules["backbone"] for collection, modules in variables.items()}
    c5 = np.asarray(jax.jit(trunk.apply)(own, np.stack([noise, ramp, -ramp]).astype(np.float32))[-1])
    assert c5.shape == (3, 2, 2, {18: 512, 50: 2048}[depth])
    assert np.isfinite(c5).all()
    features = c5.mean(axis=(1, 2))
    assert 0.1 < features.mean() < 1
    assert features.max() < 20
    assert 0.4 < (features > 0).mean() < 0.9
    assert np.corrcoef(features)[np.triu_indices(3, 1)].max() < 0.7
