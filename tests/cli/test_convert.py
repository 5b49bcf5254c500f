"""maskrcnn convert: from state dicts to checkpoints and back."""

import hashlib
import json
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint, convert, models
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.config import ExperimentConfig, presets
from maskrcnn_jax.data import COCO_CATEGORIES
from maskrcnn_jax.inference import load
from maskrcnn_jax.structs import Category
from maskrcnn_jax.weights import published, read_weights, to_arrays, write_weights

SYSTEMS = {"torchvision": presets.torchvision_v1, "detectron2": presets.detectron2}


def small(system, classes):
    """A preset with a thin ResNet-18 and small images."""
    config = SYSTEMS[system](num_classes=classes)
    return replace(
        config,
        backbone=replace(config.backbone, depth=18, width=16, stride_on="3x3"),
        fpn=replace(config.fpn, channels=32),
        box_head=replace(config.box_head, fc_width=48),
        mask_head=replace(config.mask_head, channels=32),
    )


def weights(file, system, classes):
    """A state dict of that model at `file`, every number another."""
    config = small(system, classes)
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    rng = np.random.default_rng(classes)
    arrays = to_arrays(system, jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes), config)
    write_weights(file, arrays)
    return arrays, config


def fails(capsys, *arguments):
    """What `maskrcnn convert` prints to stderr before it ends with status 1."""
    with pytest.raises(SystemExit) as end:
        main(["convert", *map(str, arguments)])
    assert end.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize("system", SYSTEMS)
def test_there_and_back(system, tmp_path, capsys, caplog):
    arrays, config = weights(tmp_path / "theirs.pth", system, 80)
    main(["convert", str(tmp_path / "theirs.pth"), "--to", str(tmp_path / "ours")])
    assert (system == "torchvision") == ("--model.backbone.norm-epsilon 0" in caplog.text)
    told = "taken are bgr and 3x3. If they were trained with others: --model.input.channel-order rgb|bgr"
    assert (system == "detectron2") == (told in caplog.text)
    assert "own models" not in caplog.text
    assert f"{tmp_path / 'ours'}: a checkpoint of 80 classes (person, bicycle, car," in capsys.readouterr().out
    stored = checkpoint.load(tmp_path / "ours")
    assert stored.config == ExperimentConfig(model=config)
    assert stored.categories == COCO_CATEGORIES
    main(["convert", str(tmp_path / "ours"), f"--to-{system}", str(tmp_path / "back.pth")])
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'ours'}: a checkpoint's Mask R-CNN, resnet 18, norm frozen_bn, epsilon 1e-05",
        f"{tmp_path / 'back.pth'}: written for {system}",  # and nothing is done otherwise there
    ]
    back = read_weights(tmp_path / "back.pth")
    assert back.keys() - {"pixel_mean", "pixel_std"} == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.slow
def test_a_converted_model_is_one_like_any_other(tmp_path):
    weights(tmp_path / "theirs.pth", "torchvision", 90)
    main(["convert", str(tmp_path / "theirs.pth"), "--to", str(tmp_path / "ours"), "--model.input.min-side", "64"])
    predictor = load(tmp_path / "ours")
    assert predictor.model.config.input.min_side == 64
    names = [category.name for category in predictor.categories]
    assert (len(names), names[0], names[11], names[12], names[89]) == (90, "person", "unused 12", "stop sign", "toothbrush")
    assert [category.id for category in predictor.categories] == list(range(1, 91))
    (result,) = predictor([np.zeros((60, 70, 3), np.uint8)])
    assert result.size == (60, 70)


def test_from_one_system_to_the_other_says_what_is_done_otherwise_there(tmp_path, capsys):
    weights(tmp_path / "theirs.pth", "torchvision", 3)
    main(["convert", str(tmp_path / "theirs.pth"), "--to-detectron2", str(tmp_path / "d2.pth")])
    out = capsys.readouterr().out.splitlines()
    assert out[2].startswith("detectron2 detects otherwise with these weights")
    assert "  model.input.channel_order is rgb here, bgr there" in out
    assert read_weights(tmp_path / "d2.pth")["roi_heads.box_predictor.cls_score.weight"].shape == (4, 48)


def test_categories_of_a_coco_file(tmp_path, caplog):
    weights(tmp_path / "theirs.pth", "torchvision", 2)
    categories = [{"id": 7, "name": "cell"}, {"id": 3, "name": "nucleus"}]
    image = {"id": 1, "file_name": "a.png", "height": 8, "width": 8}
    (tmp_path / "data.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": categories}))
    arguments = ["convert", str(tmp_path / "theirs.pth"), "--data.val-annotations", str(tmp_path / "data.json"), "--to"]
    main([*arguments, str(tmp_path / "ours")])
    assert checkpoint.load(tmp_path / "ours").categories == (Category(3, "nucleus"), Category(7, "cell"))
    assert "numbered" not in caplog.text


def test_detectron2_s_file_keeps_the_constants_of_the_input(tmp_path):
    weights(tmp_path / "theirs.pth", "torchvision", 3)
    main(["convert", str(tmp_path / "theirs.pth"), "--to-detectron2", str(tmp_path / "d2.pth")])
    assert read_weights(tmp_path / "d2.pth")["pixel_mean"].shape == (3, 1, 1)
    here, back = (convert.open_model(str(tmp_path / name), print).config.model.input for name in ("theirs.pth", "d2.pth"))
    assert (back.mean, back.std, back.channel_order) == (here.mean, here.std, "rgb")


def test_a_head_of_another_depth_is_told(tmp_path, caplog):
    arrays, _ = weights(tmp_path / "theirs.pth", "torchvision", 2)
    write_weights(tmp_path / "cut.pth", {name: array for name, array in arrays.items() if "fc7" not in name})
    main(["convert", str(tmp_path / "cut.pth"), "--to", str(tmp_path / "ours")])
    assert "model.box_head.fcs is 1, in torchvision's own models 2; if no such head was trained, the file lacks" in caplog.text


def test_without_names_classes_are_numbered_and_it_is_said(tmp_path, caplog):
    weights(tmp_path / "theirs.pth", "detectron2", 2)
    main(["convert", str(tmp_path / "theirs.pth"), "--to", str(tmp_path / "ours")])
    assert checkpoint.load(tmp_path / "ours").categories == (Category(1, "class 1"), Category(2, "class 2"))
    assert "the weights do not name their 2 classes, so they are numbered; --data.val-annotations JSON names them" in caplog.text


def test_a_coco_file_of_other_classes_is_an_error(tmp_path, capsys, shared_data):
    weights(tmp_path / "theirs.pth", "torchvision", 2)
    file = shared_data / "nuclei" / "instances_val.json"
    err = fails(capsys, tmp_path / "theirs.pth", "--to", tmp_path / "ours", "--data.val-annotations", file)
    assert f"{file}: 1 categories, but the weights have 2 classes; give the data they are of" in err
    assert not (tmp_path / "ours").exists()


def test_torchvision_s_first_coco_weights_have_epsilon_0(tmp_path, monkeypatch):
    weights(tmp_path / "theirs.pth", "torchvision", 2)
    digest = hashlib.sha256((tmp_path / "theirs.pth").read_bytes()).hexdigest()
    assert convert.open_model(str(tmp_path / "theirs.pth"), print).config.model.backbone.norm_epsilon == 1e-5
    assert published.PUBLISHED["torchvision/maskrcnn_resnet50_fpn"].digest == published.EPSILON_ZERO == "sha256:bf2d0c1e"
    monkeypatch.setattr(sys.modules["maskrcnn_jax.weights.recognise"], "EPSILON_ZERO", f"sha256:{digest[:8]}")
    assert convert.open_model(str(tmp_path / "theirs.pth"), print).config.model.backbone.norm_epsilon == 0


@pytest.mark.parametrize("there", ["file", "folder"])
def test_what_is_there_is_not_overwritten(there, tmp_path, capsys):
    weights(tmp_path / "theirs.pth", "torchvision", 2)
    if there == "file":
        (tmp_path / "ours").write_text("mine")
    else:
        (tmp_path / "ours").mkdir()
        (tmp_path / "ours" / "mine").touch()
    before = sorted(tmp_path.rglob("*"))
    err = fails(capsys, tmp_path / "theirs.pth", "--to", tmp_path / "ours")
    assert f"maskrcnn convert: {tmp_path / 'ours'}: exists already; give a new folder by --to" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    weights(tmp_path / "theirs.pth", "torchvision", 2)

    def fill_the_disk(*arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(checkpoint.CheckpointWriter, "save", fill_the_disk)
    with pytest.raises(SystemExit):
        main(["convert", str(tmp_path / "theirs.pth"), "--to", str(tmp_path / "ours")])
    assert [path.name for path in tmp_path.iterdir()] == ["theirs.pth"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nowhere to write to; give --to DIR, --to-torchvision FILE.pth"),
        (["--to", "{}/new", "--to-torchvision", "{}/there.pth"], "there.pth: exists already and would be overwritten"),
        (["--to-torchvision", "{}/x.pth", "--to-detectron2", "{}/./x.pth"], "x.pth: is to be written twice; give each target a path"),
        (["--to", "{}/x.pth", "--to-detectron2", "{}/x.pth"], "x.pth: is to be written twice"),
        (["--to-detectron2", "{}/gone/x.pth"], "gone/x.pth: its folder does not exist; make it first"),
        (["--to-detectron2", "{}/x.pkl"], "x.pkl: weights are written as PyTorch's files"),
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_read(arguments, message, tmp_path, capsys):
    (tmp_path / "there.pth").touch()
    err = fails(capsys, "http://127.0.0.1:1/model.pth", *(argument.format(tmp_path) for argument in arguments))
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["there.pth"]


def test_help_needs_no_weights(capsys):
    with pytest.raises(SystemExit) as end:
        main(["convert", "http://127.0.0.1:1/model.pth", "--help"])
    assert end.value.code == 0
    assert "--to-torchvision" in capsys.readouterr().out


def test_files_beside_the_target_are_no_matter(tmp_path):
    weights(tmp_path / "theirs.pth", "torchvision", 2)
    (tmp_path / "ours.part").mkdir()
    (tmp_path / "ours.part" / "mine.txt").touch()
    main(["convert", str(tmp_path / "theirs.pth"), "--to", str(tmp_path / "ours"), "--to-torchvision", str(tmp_path / "back.pth")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back.pth", "ours", "ours.part", "theirs.pth"]
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["checkpoints"]


def test_80_other_categories_are_not_coco_s(tmp_path, capsys):
    weights(tmp_path / "theirs.pth", "torchvision", 90)
    categories = [{"id": i, "name": f"widget {i}"} for i in range(1, 81)]
    image = {"id": 1, "file_name": "a.png", "height": 8, "width": 8}
    (tmp_path / "data.json").write_text(json.dumps({"images": [image], "annotations": [], "categories": categories}))
    err = fails(capsys, tmp_path / "theirs.pth", "--data.val-annotations", tmp_path / "data.json", "--to", tmp_path / "ours")
    assert "80 categories, but the weights have 90 classes" in err


def test_a_source_that_is_not_there_may_have_been_a_run_folder(tmp_path, capsys):
    err = fails(capsys, tmp_path / "typo", "--to-torchvision", tmp_path / "x.pth")
    assert f"{tmp_path / 'typo'}: no such file or folder; give a run folder, a file of weights, a URL, or one of" in err


def test_constants_of_the_input_that_cannot_be_are_an_error_that_names_the_file(tmp_path, capsys):
    arrays, _ = weights(tmp_path / "theirs.pth", "detectron2", 2)
    write_weights(tmp_path / "zero.pth", arrays | {"pixel_mean": np.ones(3, np.float32), "pixel_std": np.zeros(3, np.float32)})
    err = fails(capsys, tmp_path / "zero.pth", "--to", tmp_path / "ours")
    assert f"{tmp_path / 'zero.pth'}: pixel_std is (0.0, 0.0, 0.0), whose numbers must be positive" in err


def test_arrays_that_do_not_fit_a_changed_config_are_all_listed(tmp_path, capsys):
    weights(tmp_path / "theirs.pth", "torchvision", 2)
    err = fails(capsys, tmp_path / "theirs.pth", "--to", tmp_path / "ours", "--model.box-head.fc-width", "50")
    assert f"{tmp_path / 'theirs.pth'}: these weights are not all those of torchvision's model of this config" in err
    assert "roi_heads.box_head.fc7.weight is (48, 48); the model has (50, 50)" in err


def test_a_checkpoint_with_a_field_that_changes_shapes_is_an_error(trained, tmp_path, capsys):
    err = fails(capsys, trained, "--to-torchvision", tmp_path / "x.pth", "--model.box-head.fc-width", "48")
    assert "params/box_head/classes/kernel is (32, 5); the model has (48, 5)" in err


def test_a_model_that_the_other_system_cannot_have_is_an_error_that_leaves_nothing(trained, tmp_path, capsys):
    err = fails(capsys, trained, "--to", tmp_path / "ours", "--to-torchvision", tmp_path / "x.pth")
    assert "model.backbone.norm: group_norm over 32 channels has 4 groups here and 32 in torchvision and Detectron2; a model for" in err
    assert not list(tmp_path.iterdir())
