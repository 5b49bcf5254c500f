"""A whole model on images of five channels and 16 bits: trained, stored, loaded, measured, predicting from files."""

import json
import re
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint, inference, train
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.config import AugmentConfig, EvalConfig, TrainConfig
from maskrcnn_jax.data import DataError, Plan, ShapesSource, batches, check_example
from maskrcnn_jax.data.loader import BatchOfStep
from maskrcnn_jax.models import build
from maskrcnn_jax.reports import compare
from maskrcnn_jax.training import initial_variables
from maskrcnn_jax.weights import WeightsError
from tests import tiny
from tests.training.spectra import INPUT, Spectra, experiment

STEM = ("params", "backbone", "stem", "conv", "kernel")


def stem_of(variables):
    for name in STEM:
        variables = variables[name]
    return np.asarray(variables)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """A run of one step that began with the weights of an RGB model, of other classes."""
    folder = tmp_path_factory.mktemp("runs") / "spectra"
    config = replace(experiment(weights=str(trained), new_classes=True), eval=EvalConfig(batch_size=2, pictures=1))
    train(config, folder, sources=(Spectra(4), Spectra(2)))
    return folder


@pytest.mark.slow
def test_a_run_from_weights_of_rgb_leaves_a_model_and_pictures(run, trained):
    stored, before = checkpoint.load(run), checkpoint.load(trained)
    assert stored.config.model.input == INPUT
    # The stem is frozen, hence as it was inflated: R, G, B, R, G, times 3 / 5.
    expected = stem_of(before.variables)[:, :, [0, 1, 2, 0, 1]] * np.float32(0.6)
    np.testing.assert_array_equal(stem_of(stored.variables), expected)
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])["train"]
    assert np.isfinite(line["loss"])
    assert line["nonfinite"] == 0
    assert cv2.imread(str(run / "pictures" / f"{stored.step}.jpg")).std() > 10


@pytest.mark.slow
def test_low_bytes_and_the_fifth_channel_reach_the_network(run):
    """One value more in one channel of one pixel is another canvas, by 1 / std."""
    stored = checkpoint.load(run)
    model, image = build(stored.config.model), Spectra(1)[0].image
    canvas = np.zeros((1, 64, 96, 5), np.uint16)
    canvas[0, :48, :60] = image
    changed = canvas.copy()
    changed[0, 3, 7, 4] += 1
    trace = jax.jit(model.trace)
    found, other = (trace(stored.variables, images, np.array([[48, 60]], np.int32)).features.image for images in (canvas, changed))
    difference = np.asarray(other - found)
    assert np.flatnonzero(difference).tolist() == [np.ravel_multi_index((0, 3, 7, 4), difference.shape)]
    # Values of size 1, rounded to 2^-24 twice.
    assert difference[0, 3, 7, 4] == pytest.approx(1 / 12000, abs=3e-7)


@pytest.mark.slow
def test_a_loaded_model_predicts_from_files(run, tmp_path, capsys):
    images = [Spectra(3)[i].image for i in range(3)]
    (tmp_path / "images").mkdir()
    for i, image in enumerate(images):
        np.save(tmp_path / "images" / f"{i}.npy", image)
    expected = inference.load(run)(images)
    assert sum(len(result.scores) for result in expected) > 0
    main(["predict", str(run), str(tmp_path / "images"), "--out", str(tmp_path / "found"), "--score-threshold", "0"])
    found = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert [entry["score"] for entry in found["annotations"]] == [score for result in expected for score in result.scores]
    assert cv2.imread(str(tmp_path / "found" / "0.png")).std() > 10
    np.save(tmp_path / "rgb.npy", images[0][..., :3])
    with pytest.raises(SystemExit):
        main(["predict", str(run), str(tmp_path / "rgb.npy"), "--out", str(tmp_path / "none")])
    said = " ".join(capsys.readouterr().err.split())
    assert "rgb.npy: the file holds 3 channels of uint16, [48, 60, 3], and model.input asks for 5 channels of uint16; set" in said


def test_models_are_compared_on_a_picture_of_their_channels():
    example = compare._example(checkpoint.Checkpoint(1, experiment(), {}, Spectra.categories))
    check_example(example, 2, INPUT)
    picture = ShapesSource(0, 1)[0].image
    np.testing.assert_array_equal(example.image, picture[..., [0, 1, 2, 0, 1]] * np.uint16(257))


def test_an_image_of_other_channels_is_refused_by_the_predictor():
    config = replace(tiny.MODEL, input=INPUT)
    predictor = inference.Predictor(tiny.stand_in(config), tiny.stand_in(config).init(jax.random.key(0)), [*Spectra.categories] * 2)
    with pytest.raises(DataError) as error:
        predictor([np.zeros((48, 60, 3), np.uint8)])
    assert str(error.value) == (
        "image 0 of the list: image is uint8[48, 60, 3]; give uint16[height, width, 5], "
        "or say otherwise by model.input.channels and model.input.dtype"
    )


def test_batches_hold_all_channels_and_bits():
    source, data = Spectra(2), experiment().data
    plan = Plan(source.sizes, INPUT, data, batch_size=2, seed=0)
    data = replace(data, augment=AugmentConfig(flip=0.0))
    make = BatchOfStep(source, plan, INPUT, data, 0)
    batch = next(batches(source, plan, INPUT, data, start_step=0, stop_step=1, seed=0))
    assert batch.image.dtype == np.uint16
    assert batch.image.shape == (2, 64, 96, 5)
    assert sorted(batch.image[:, 0, 0, 0].tolist()) == [300, 301]
    assert not batch.image[:, :, 80:].any()
    void = make.void(0, "no image")
    assert (void.image.shape, void.image.dtype) == (batch.image.shape, batch.image.dtype)


def test_only_a_stem_of_rgb_is_inflated(tmp_path):
    model = experiment().model
    five = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), jax.eval_shape(build(model).init, jax.random.key(0)))
    writer = checkpoint.CheckpointWriter(tmp_path / "run", experiment(), Spectra.categories)
    writer.save(1, five, None, None)
    writer.close()
    four = replace(model, input=replace(INPUT, channels=4, mean=INPUT.mean[:4], std=INPUT.std[:4]))
    with pytest.raises(WeightsError, match=re.escape("/".join(STEM) + " is (7, 7, 5, 32); the model has (7, 7, 4, 32)")):
        initial_variables(build(four), TrainConfig(weights=str(tmp_path / "run")))


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_a_checkpoint_s_stem_is_inflated_in_the_order_r_g_b(order, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")
    rgb = replace(tiny.MODEL, num_classes=2, input=replace(tiny.MODEL.input, channel_order=order))
    shapes, rng = jax.eval_shape(build(rgb).init, jax.random.key(0)), np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)
    writer = checkpoint.CheckpointWriter(tmp_path / "run", replace(experiment(), model=rgb), Spectra.categories)
    writer.save(1, variables, None, None)
    writer.close()
    model = build(experiment().model)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), jax.eval_shape(model.init, jax.random.key(0)))
    monkeypatch.setattr(jax, "jit", lambda *_, **__: lambda key: zeros)  # of the random start nothing is left
    found = initial_variables(model, TrainConfig(weights=str(tmp_path / "run")))
    turns = [0, 1, 2, 0, 1] if order == "rgb" else [2, 1, 0, 2, 1]
    np.testing.assert_array_equal(stem_of(found), stem_of(variables)[:, :, turns] * np.float32(0.6))
    assert "the first layer's kernels of R, G and B serve the images' 5 channels in turn, times 3 / 5" in caplog.messages
