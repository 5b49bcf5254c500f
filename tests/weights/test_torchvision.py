import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax import models
from maskrcnn_jax.config import BackboneConfig, ModelConfig
from maskrcnn_jax.nn.resnet import ResNet
from maskrcnn_jax.weights import WeightsError, backbone_from_torchvision, read_weights
from maskrcnn_jax.weights.names import torchvision_trunk_name
from tests.quick import quick_jit

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
    assert torchvision_trunk_name(path) == name


@pytest.mark.parametrize("depth", [18, 50])
def test_every_leaf_is_loaded_from_its_own_array(depth):
    shapes = resnet_shapes(depth)
    assert len(shapes) == {18: 100, 50: 265}[depth]
    number = {name: i for i, name in enumerate(shapes)}
    arrays = {name: np.broadcast_to(np.float64(number[name]), shape) for name, (shape, _) in shapes.items()}
    unused = {"fc.weight": np.zeros((1000, 512)), "fc.bias": np.zeros(1000), "bn1.num_batches_tracked": np.zeros((), np.int64)}
    before = wanted(depth)
    after = backbone_from_torchvision(arrays | unused, before)
    found = flatten_dict({collection: modules["backbone"] for collection, modules in after.items()}, sep="/")
    assert {path: number[name] for name, (_, path) in shapes.items()} == {path: float(value.flat[0]) for path, value in found.items()}
    assert all(value.dtype == np.float32 for value in found.values())
    assert {p: v.shape for p, v in flatten_dict(after, sep="/").items()} == {p: v.shape for p, v in flatten_dict(before, sep="/").items()}
    assert after["params"]["fpn"] is before["params"]["fpn"]


def test_layouts(rng):
    arrays = {name: rng.random(shape, np.float32) for name, (shape, _) in resnet_shapes(18).items()}
    params = backbone_from_torchvision(arrays, wanted(18))["params"]["backbone"]
    np.testing.assert_array_equal(params["stem"]["conv"]["kernel"][1, 6, 2, 60], arrays["conv1.weight"][60, 2, 1, 6])
    np.testing.assert_array_equal(
        params["res3_0"]["shortcut"]["conv"]["kernel"], arrays["layer2.0.downsample.0.weight"][:, :, 0, 0].transpose(1, 0)
    )


def test_wrappers_prefixes_and_counters_are_no_matter():
    arrays = {name: np.zeros(shape, np.float32) for name, (shape, _) in resnet_shapes(18).items()} | {
        "bn1.num_batches_tracked": np.array(3)
    }
    wrapped = {f"module.{name}": array for name, array in arrays.items()}
    found = backbone_from_torchvision(wrapped, wanted(18))
    assert jax.tree.all(jax.tree.map(np.array_equal, found["batch_stats"], backbone_from_torchvision(arrays, wanted(18))["batch_stats"]))


def test_what_does_not_fit_is_listed_at_once():
    arrays = {name: np.zeros(shape, np.float32) for name, (shape, _) in resnet_shapes(18).items()}
    del arrays["bn1.weight"], arrays["layer4.1.conv2.weight"]
    arrays["layer5.0.conv1.weight"] = np.zeros((1, 1, 1, 1))
    arrays["layer1.0.conv1.weight"] = np.zeros((64, 64, 1, 1))
    arrays["layer2.0.downsample.0.weight"] = np.zeros((128, 64, 3, 3))
    arrays["layer2.0.bn1.bias"] = np.zeros(64)
    with pytest.raises(WeightsError) as error:
        backbone_from_torchvision(arrays, wanted(18))
    first, *listed = str(error.value).split("\n  ")
    assert "check model.backbone.depth, width and norm" in first
    assert sorted(listed) == [
        "layer1.0.conv1.weight is (64, 64, 1, 1); the model has (64, 64, 3, 3)",
        "layer2.0.bn1.bias is (64,); the model has (128,)",
        "layer2.0.downsample.0.weight is (128, 64, 3, 3); the model has (128, 64, 1, 1)",
        "missing bn1.weight",
        "missing layer4.1.conv2.weight",
        "unexpected layer5.0.conv1.weight",
    ]


@pytest.mark.parametrize(("depth", "file"), [(18, "resnet18_ktb_small.npz"), (50, "resnet50_ktb_large.npz")])
def test_trained_trunks_tell_pictures_apart(shared_data, rng, depth, file):
    """With a layer misplaced, C5 of such deep trunks explodes, dies, or is the same for every picture."""
    variables = backbone_from_torchvision(read_weights(shared_data / "backbones" / file), wanted(depth))
    trunk = ResNet(BackboneConfig(depth=depth))
    noise = rng.standard_normal((64, 64, 3))
    ramp = np.broadcast_to(np.linspace(-2, 2, 64)[:, None, None], (64, 64, 3))
    own = {collection: modules["backbone"] for collection, modules in variables.items()}
    c5 = np.asarray(quick_jit(trunk.apply)(own, np.stack([noise, ramp, -ramp]).astype(np.float32))[-1])
    assert c5.shape == (3, 2, 2, {18: 512, 50: 2048}[depth])
    assert np.isfinite(c5).all()
    features = c5.mean(axis=(1, 2))
    assert 0.1 < features.mean() < 1
    assert features.max() < 20
    assert 0.4 < (features > 0).mean() < 0.9
    assert np.corrcoef(features)[np.triu_indices(3, 1)].max() < 0.7
