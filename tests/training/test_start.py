from dataclasses import replace

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from maskrcnn_jax import checkpoint, models
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.config import TrainConfig, presets
from maskrcnn_jax.data.shapes import CATEGORIES
from maskrcnn_jax.training import check_variables, initial_variables
from maskrcnn_jax.weights import WeightsError, from_arrays, to_arrays, write_weights
from tests import tiny


@pytest.fixture(scope="module")
def model():
    return models.build(tiny.MODEL)


@pytest.fixture(scope="module")
def other_model():
    """Seven classes instead of four."""
    return models.build(replace(tiny.MODEL, num_classes=7))


def flat(variables):
    return {name: np.asarray(value) for name, value in flatten_dict(variables, sep="/").items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_without_weights_the_seed_decides(model):
    one, same, other = (flat(initial_variables(model, TrainConfig(seed=seed))) for seed in (4, 4, 5))
    assert_same(one, same)
    kernels = [name for name in one if name.endswith("/kernel")]
    assert len(kernels) > 20
    assert not any(np.array_equal(one[name], other[name]) for name in kernels)


def test_frozen_layers_at_random_are_warned_of(model, caplog):
    initial_variables(model, TrainConfig())
    assert "give train.weights, or set model.backbone.frozen_stages to 0" in caplog.text


def test_a_checkpoint_is_taken_over(model, trained):
    found = initial_variables(model, TrainConfig(weights=str(trained)))
    assert_same(flat(found), flat(checkpoint.load(trained).variables))
    # Also where a collection is empty, as are the statistics of a model with group norm.
    assert jax.tree.structure(found) == jax.tree.structure(jax.eval_shape(model.init, jax.random.key(0)))


def test_other_numerics_of_a_checkpoint_are_told(trained, caplog):
    config = replace(tiny.MODEL, input=replace(tiny.MODEL.input, channel_order="bgr"))
    initial_variables(models.build(config), TrainConfig(weights=str(trained)))
    assert caplog.messages == [
        f"{trained}: these weights were trained with other values:\n  model.input.channel_order is bgr here, rgb there"
    ]


@pytest.mark.parametrize(("before", "after"), [("batch_norm", "frozen_bn"), ("frozen_bn", "batch_norm")])
def test_norms_that_were_trained_can_be_frozen_and_the_other_way_round(before, after, tmp_path, monkeypatch):
    configs = [replace(tiny.MODEL, backbone=replace(tiny.MODEL.backbone, norm=norm)) for norm in (before, after)]
    shapes = [jax.eval_shape(models.build(config).init, jax.random.key(0)) for config in configs]
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes[0])
    writer = checkpoint.CheckpointWriter(tmp_path / "run", tiny.experiment(model=configs[0]), CATEGORIES)
    writer.save(1, variables, None, None)
    writer.close()
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), shapes[1])
    model = models.build(configs[1])
    monkeypatch.setattr(jax, "jit", lambda *_, **__: lambda key: zeros)  # of the random start nothing is left
    found, expected = flat(initial_variables(model, TrainConfig(weights=str(tmp_path / "run")))), flat(variables)
    assert found.keys() == flat(zeros).keys()
    assert len(found.keys() - expected.keys()) > 10
    assert_same(*({name.partition("/")[2]: value for name, value in one.items()} for one in (found, expected)))


def test_another_class_count_is_an_error_that_names_the_way_out(other_model, trained):
    with pytest.raises(WeightsError) as error:
        initial_variables(other_model, TrainConfig(weights=str(trained)))
    for word in (str(trained), "train.new_classes", "params/box_head/classes/kernel is (32, 5); the model has (32, 8)"):
        assert word in str(error.value)


def test_new_classes_start_afresh_and_all_else_is_the_checkpoint_s(other_model, trained):
    found = flat(initial_variables(other_model, TrainConfig(weights=str(trained), new_classes=True, seed=9)))
    stored, fresh = flat(checkpoint.load(trained).variables), flat(initial_variables(other_model, TrainConfig(seed=9)))
    layers = ("params/box_head/classes/", "params/box_head/deltas/", "params/mask_head/masks/")
    afresh = {name for name in found if name.startswith(layers)}
    assert len(afresh) == 6
    assert {name for name in found if found[name].shape != stored[name].shape} <= afresh
    assert_same({name: found[name] for name in afresh}, {name: fresh[name] for name in afresh})
    assert_same({name: found[name] for name in found.keys() - afresh}, {name: stored[name] for name in stored.keys() - afresh})


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """A file of Detectron2's weights for three classes, and the config of its model."""
    config = presets.detectron2(num_classes=3)
    config = replace(
        config,
        backbone=replace(config.backbone, depth=18, width=16, stride_on="3x3", frozen_stages=0),
        fpn=replace(config.fpn, channels=32),
        box_head=replace(config.box_head, fc_width=48),
        mask_head=replace(config.mask_head, channels=32),
    )
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    rng = np.random.default_rng(0)
    arrays = to_arrays("detectron2", jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes), config)
    file = tmp_path_factory.mktemp("detector") / "model.pth"
    write_weights(file, arrays)
    return file, config, flat(from_arrays("detectron2", arrays, config))


@pytest.mark.slow
def test_a_detector_s_weights_are_taken_over(detector, caplog):
    file, config, expected = detector
    assert_same(flat(initial_variables(models.build(config), TrainConfig(weights=str(file)))), expected)
    assert caplog.text == ""


@pytest.mark.slow
def test_a_detector_of_other_classes_and_numerics(detector, caplog):
    file, config, expected = detector
    model = models.build(replace(config, num_classes=5, pool=replace(config.pool, sampling="fixed")))
    with pytest.raises(WeightsError) as error:
        initial_variables(model, TrainConfig(weights=str(file)))
    for word in (str(file), "cls_score.weight is (4, 48); the model has (6, 48)", "for other classes, set train.new_classes"):
        assert word in str(error.value)
    found = flat(initial_variables(model, TrainConfig(weights=str(file), new_classes=True)))
    afresh = {name for name in found if "/".join(name.split("/")[1:3]) in ("box_head/classes", "box_head/deltas", "mask_head/masks")}
    assert_same({name: found[name] for name in found.keys() - afresh}, {name: expected[name] for name in expected.keys() - afresh})
    assert found["params/box_head/classes/kernel"].shape == (48, 6)
    fault = f"{file}: these weights were trained with other values:"
    assert caplog.messages == [f"{fault}\n  model.pool.sampling is fixed here, adaptive there"]


def test_another_trunk_is_an_error_that_lists_all_that_differs(trained):
    config = replace(tiny.MODEL, fpn=replace(tiny.MODEL.fpn, channels=64))
    fake = tiny.stand_in(config)
    with pytest.raises(WeightsError) as error:
        initial_variables(fake, TrainConfig(weights=str(trained), new_classes=True))
    first, *listed = str(error.value).split("\n  ")
    assert first.startswith(f"{trained}: ")
    assert "the model config it was trained with" in first
    assert "missing params/head/layer/kernel" in listed
    stored = flat(checkpoint.load(trained).variables)
    assert {line for line in listed if line.startswith("unexpected")} == {f"unexpected {name}" for name in stored}
    assert len(listed) == 3 + len(stored)


def test_variables_are_checked_against_the_model_without_making_its_own(model, other_model, trained):
    stored = checkpoint.load(trained).variables
    check_variables(model, stored, trained)
    with pytest.raises(WeightsError) as error:
        check_variables(other_model, stored, trained)
    for word in (str(trained), "params/box_head/classes/kernel is (32, 5); the model has (32, 8)", "the model config it was trained with"):
        assert word in str(error.value)


def test_a_folder_without_checkpoint_and_a_missing_file_are_errors(model, tmp_path):
    with pytest.raises(CheckpointError) as error:
        initial_variables(model, TrainConfig(weights=str(tmp_path)))
    assert f"{tmp_path}: no checkpoint in this folder" in str(error.value)
    with pytest.raises(WeightsError) as error:
        initial_variables(model, TrainConfig(weights=str(tmp_path / "gone.npz")))
    assert f"{tmp_path / 'gone.npz'}: no such file or folder; give a run folder, a file of weights" in str(error.value)


def test_weights_that_do_not_fit_are_an_error_at_once_that_names_their_file(model, tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "jit", lambda *_, **__: pytest.fail("compiles first"))
    np.savez(tmp_path / "other.npz", unknown=np.zeros(3))
    with pytest.raises(WeightsError) as error:
        initial_variables(model, TrainConfig(weights=str(tmp_path / "other.npz")))
    assert str(error.value).count("other.npz") == 1
    assert "model.backbone.norm is group_norm" in str(error.value)
