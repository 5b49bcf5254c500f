import json
import re
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as mask_utils

from maskrcnn_jax import checkpoint, inference, load_experiment, models, train
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.data import ShapesSource
from maskrcnn_jax.data.shapes import CATEGORIES
from maskrcnn_jax.inference import Predictor
from tests import tiny
from tests.data.videos import halves, write_video
from tests.training.spectra import Spectra


def test_train_writes_a_run_folder_with_the_changed_fields(trained):
    stored = checkpoint.load(trained)
    assert stored.step == stored.config.train.steps == 2
    assert stored.config.eval.pictures == 2
    assert stored.config.model == tiny.MODEL
    assert stored.categories == CATEGORIES
    assert (trained / "pictures" / "2.jpg").stat().st_size > 1000
    assert [json.loads(line)["step"] for line in (trained / "metrics.jsonl").read_text().splitlines()] == [1, 2, 2]


@pytest.mark.slow
def test_a_dry_run_tells_parameters_compile_memory_and_time_and_writes_nothing(tiny_config, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["train", str(tiny_config), "--dry-run"])
    out = capsys.readouterr().out
    parameters = dict(line.split()[1:4:2] for line in out.splitlines() if line.count("│") == 4)
    assert set(parameters) == {"backbone", "fpn", "rpn_head", "box_head", "mask_head", "all"}
    assert f"{sum(int(parameters[name].replace(',', '')) for name in parameters if name != 'all'):,}" == parameters["all"]
    for word in ("compiling the step for 64 x 64", "compile: ", "memory of the step: ", "s a step"):
        assert word in out
    assert re.search(r", \d+\.\d s for 6 steps without evaluation", " ".join(out.split()))
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_that_resumes_is_refused(tiny_config, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", str(tiny_config), "--run-dir", str(tmp_path / "run"), "--dry-run", "--resume"])
    assert end.value.code == 1
    assert "maskrcnn train: --dry-run begins no run and resumes none; leave out --resume" in capsys.readouterr().err


def test_a_dry_run_that_profiles_is_refused(tiny_config, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", str(tiny_config), "--run-dir", str(tmp_path / "run"), "--dry-run", "--profile"])
    assert end.value.code == 1
    assert "maskrcnn train: --dry-run writes nothing; leave out one of --dry-run and --profile" in capsys.readouterr().err


def test_eval_of_a_checkpoint(trained, tmp_path, capsys):
    main(["eval", str(trained), "--out", str(tmp_path / "measured"), "--data.val-size", "4"])
    out = capsys.readouterr().out
    assert all(category.name in out for category in CATEGORIES)
    assert "box   AP 0.0" in out
    assert "mask  AP 0.0" in out
    entries = json.loads((tmp_path / "measured" / "detections.json").read_text())
    assert {entry["image_id"] for entry in entries} == {10**9 + i for i in range(4)}
    assert {entry["category_id"] for entry in entries} <= {category.id for category in CATEGORIES}


@pytest.mark.slow
def test_eval_of_a_config_with_random_weights(tiny_config, tmp_path, monkeypatch, capsys):
    """Zero detections, for nothing scores over 1."""
    monkeypatch.chdir(tmp_path)
    main(["eval", str(tiny_config), "--data.val-size", "2", "--model.detect.score-threshold", "1"])
    out = capsys.readouterr().out
    assert "box   AP 0.000  AP50 0.000" in out
    assert "mask  AP 0.000  AP50 0.000" in out
    assert list(tmp_path.iterdir()) == []


def test_eval_of_a_checkpoint_on_data_with_other_classes_is_an_error(trained, shared_data, capsys):
    """Training data are not named, and not asked for."""
    nuclei = shared_data / "nuclei"
    paths = ["--data.val-annotations", str(nuclei / "instances_val.json"), "--data.val-images", str(nuclei / "images")]
    with pytest.raises(SystemExit) as end:
        main(["eval", str(trained), "--data.kind", "coco", *paths])
    assert end.value.code == 1
    err = capsys.readouterr().err
    fault = "1 of 1 categories (nucleus) are not among the model's 4 (circle, square, triangle, star)"
    assert f"maskrcnn eval: {nuclei / 'instances_val.json'}: {fault}; measure the model on data of" in err
    assert "--data.val-annotations PATH --data.val-images PATH" in err
    assert "num_classes" not in err
    assert "train" not in err.replace("it was trained on", "")


def test_eval_of_a_checkpoint_with_a_field_that_changes_shapes_is_an_error(trained, capsys):
    with pytest.raises(SystemExit) as end:
        main(["eval", str(trained), "--model.box-head.fc-width", "48"])
    assert end.value.code == 1
    err = capsys.readouterr().err
    for word in (str(trained), "params/box_head/classes/kernel is (32, 5); the model has (48, 5)", "the model config it was trained with"):
        assert word in err


@pytest.fixture(scope="module")
def own_run(tmp_path_factory):
    """A run of sources given in Python, and the config file it was made with, whose own data would be shapes."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own.py").write_text(
        "from dataclasses import replace\nfrom tests import tiny\n\n"
        "def get_config():\n    return tiny.experiment(model=replace(tiny.MODEL, num_classes=2), steps=2)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", tiny.stand_in)
        train(load_experiment(str(folder / "own.py")), folder / "run", sources=(tiny.Squares(4), tiny.Squares(3)))
    return folder


def test_eval_of_a_run_on_sources_of_python_is_an_error_that_names_run_and_way(own_run, capsys):
    with pytest.raises(SystemExit) as end:
        main(["eval", str(own_run / "run")])
    assert end.value.code == 1
    err = capsys.readouterr().err
    assert f"maskrcnn eval: {own_run / 'run'}: data.kind is `own`: the sources are given in Python" in err
    assert "maskrcnn_jax.validate(maskrcnn_jax.load(run_dir), source, config) to evaluate" in err
    assert "set --data.kind coco" in err


def test_resuming_a_run_on_sources_of_python_by_the_command_is_an_error_that_names_run_and_way(own_run, capsys):
    before = (own_run / "run" / "manifest.json").read_text()
    with pytest.raises(SystemExit) as end:
        main(["train", str(own_run / "own.py"), "--run-dir", str(own_run / "run"), "--resume"])
    assert end.value.code == 1
    err = capsys.readouterr().err
    assert f"maskrcnn train: {own_run / 'run'}: this run's sources were given in Python; resume it there" in err
    assert f"maskrcnn_jax.train(config, {str(own_run / 'run')!r}, sources=(train, val), resume=True)" in err
    assert (own_run / "run" / "manifest.json").read_text() == before


def test_training_on_sources_of_python_by_the_command_is_an_error_that_names_the_way(tiny_config, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", str(tiny_config), "--run-dir", str(tmp_path / "run"), "--data.kind", "own"])
    assert end.value.code == 1
    assert "maskrcnn train: data.kind is `own`" in (err := capsys.readouterr().err)
    assert "maskrcnn_jax.train(config, run_dir, sources=(train, val))" in err
    assert not (tmp_path / "run").exists()


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    shape = ShapesSource(50, 1)[0].image
    Image.fromarray(shape).save(folder / "rgb.png")
    Image.fromarray(shape[:120, :, 0]).save(folder / "grey.jpg")
    return [folder / "rgb.png", folder / "grey.jpg"]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_predict_writes_pictures_and_one_json(batch_size, trained, images, tmp_path, capsys):
    out = tmp_path / "found"
    arguments = ["--score-threshold", "0", "--batch-size", str(batch_size)]
    main(["predict", str(trained), *map(str, images), "--out", str(out), *arguments])
    assert sorted(path.name for path in out.iterdir()) == ["grey.png", "predictions.json", "rgb.png"]
    found = json.loads((out / "predictions.json").read_text())
    assert found["categories"] == [{"id": category.id, "name": category.name} for category in CATEGORIES]
    assert found["images"] == [
        {"id": 1, "file_name": str(images[0]), "height": 160, "width": 160},
        {"id": 2, "file_name": str(images[1]), "height": 120, "width": 160},
    ]
    assert {entry["image_id"] for entry in found["annotations"]} == {1, 2}
    assert [entry["id"] for entry in found["annotations"]] == list(range(1, len(found["annotations"]) + 1))
    for entry in found["annotations"]:
        height, width = (found["images"][entry["image_id"] - 1][side] for side in ("height", "width"))
        x, y, w, h = entry["bbox"]
        assert x >= 0
        assert y >= 0
        assert x + w <= width + 1e-3
        assert y + h <= height + 1e-3
        assert 0 < entry["score"] <= 1
        assert entry["category_id"] in {category.id for category in CATEGORIES}
        assert mask_utils.decode(entry["segmentation"]).shape == (height, width)
    for image, name in zip(images, ("rgb.png", "grey.png"), strict=True):
        drawn, original = cv2.imread(str(out / name)), cv2.imread(str(image))
        assert drawn.shape[:2] >= original.shape[:2]
        assert drawn.shape != original.shape or not np.array_equal(drawn, original)
    count = len(found["annotations"])
    assert f"{count} detections in 2 images, {count} shown (score 0.0 and above): {out}\n" in capsys.readouterr().out


def refused(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(["predict", *map(str, arguments)])
    assert end.value.code == 1
    return capsys.readouterr().err


def test_two_images_of_one_name_are_refused(trained, images, tmp_path, capsys):
    images[0].with_suffix(".jpg").write_bytes(images[0].read_bytes())
    err = refused([trained, images[0], images[0].with_suffix(".jpg"), "--out", tmp_path / "found"], capsys)
    written = tmp_path / "found" / "rgb.png"
    assert f"rgb.jpg: {written} would be written of it and of {images[0]} too; predict them into two folders" in err
    assert not (tmp_path / "found").exists()


def test_no_images_are_refused(trained, tmp_path, capsys):
    assert "no files; name at least one image, video or folder of them" in refused([trained, "--out", tmp_path / "found"], capsys)


def test_an_image_is_never_overwritten_by_its_picture(trained, images, capsys):
    before = images[0].read_bytes()
    err = refused([trained, *images, "--out", images[0].parent], capsys)
    assert f"maskrcnn predict: {images[0]}: exists already and would be overwritten; give another folder by --out" in err
    assert images[0].read_bytes() == before
    assert sorted(images[0].parent.iterdir()) == sorted(images)


def test_earlier_predictions_are_not_overwritten(trained, images, tmp_path, capsys):
    (tmp_path / "predictions.json").write_text("kept")
    err = refused([trained, images[0], "--out", tmp_path], capsys)
    assert f"{tmp_path / 'predictions.json'}: exists already" in err
    assert (tmp_path / "predictions.json").read_text() == "kept"
    assert not (tmp_path / "rgb.png").exists()


@pytest.fixture
def instant(monkeypatch):
    """A model in no time for the checkpoint: it finds what is bright, here all but black pictures, with a score under 0.9."""

    def stand_in_for(config):
        model = tiny.stand_in(config)
        variables = model.init(jax.random.key(0))
        variables["params"]["head"]["layer"]["kernel"] = np.float32([1, 0, 0])
        monkeypatch.setattr(inference, "load", lambda path, *, batch_size: Predictor(model, variables, CATEGORIES, batch_size=batch_size))

    stand_in_for(tiny.MODEL)
    return stand_in_for


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_images_that_cannot_be_read_are_named_at_the_end_and_the_others_are_done(batch_size, images, tmp_path, capsys):
    """A mended file can be predicted as the message says."""
    bad = [tmp_path / "bad.png", tmp_path / "worse.png"]
    for path in bad:
        path.write_bytes(b"no image")
    given = [bad[0], images[0], bad[1], images[1]]
    with pytest.raises(SystemExit) as end:
        main(["predict", "run", *map(str, given), "--out", str(tmp_path / "found"), "--batch-size", str(batch_size)])
    assert end.value.code == 1
    printed = capsys.readouterr()
    assert "maskrcnn predict: 2 of 4 files could not be predicted, or not to the end; all else is done. Predict these again" in printed.err
    assert "into another folder by --out:\n" in printed.err
    for path in bad:
        assert f"\n  {path}: corrupt, truncated or not an image" in printed.err
    assert printed.err.count("replace the file, or leave the image out") == 2
    assert f"in 2 images, 2 shown (score 0.5 and above): {tmp_path / 'found'}" in printed.out
    found = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert [image["file_name"] for image in found["images"]] == [str(image) for image in images]
    assert {entry["image_id"] for entry in found["annotations"]} == {1, 2}
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["grey.png", "predictions.json", "rgb.png"]
    bad[0].write_bytes(images[0].read_bytes())
    main(["predict", "run", str(bad[0]), "--out", str(tmp_path / "mended")])
    assert sorted(path.name for path in (tmp_path / "mended").iterdir()) == ["bad.png", "predictions.json"]


def test_an_image_that_fits_no_canvas_is_named_at_the_end_and_the_others_are_done(instant, tmp_path, capsys):
    instant(replace(tiny.MODEL, input=replace(tiny.MODEL.input, max_side=128)))
    square, wide = tmp_path / "square.png", tmp_path / "wide.png"
    Image.new("RGB", (64, 64)).save(square)
    Image.new("RGB", (128, 64)).save(wide)
    err = refused(["run", wide, square, "--out", tmp_path / "found"], capsys)
    assert "1 of 2 files could not be predicted, or not to the end; all else is done" in err
    assert f"\n  {wide}: resized to 64 x 128 (height x width) it fits none of model.input.canvases" in err
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["predictions.json", "square.png"]


@pytest.mark.usefixtures("instant")
def test_where_no_image_can_be_read_the_same_command_works_once_they_are_mended(images, tmp_path, capsys):
    path = tmp_path / "bad.png"
    path.write_bytes(b"no image")
    err = refused(["run", path, "--out", tmp_path / "found"], capsys)
    assert "maskrcnn predict: 1 of 1 file could not be predicted" in err
    assert f"{path}: corrupt" in err
    path.write_bytes(images[0].read_bytes())
    main(["predict", "run", str(path), "--out", str(tmp_path / "found")])
    assert (tmp_path / "found" / "predictions.json").is_file()


@pytest.mark.usefixtures("instant")
@pytest.mark.parametrize(("threshold", "says"), [("0.5", "1 shown (score 0.5 and above)"), ("0.9", "0 shown (score 0.9 and above)")])
def test_what_is_shown_is_counted_apart(threshold, says, images, tmp_path, capsys):
    main(["predict", "run", str(images[0]), "--out", str(tmp_path / "found"), "--score-threshold", threshold])
    assert f"1 detection in 1 image, {says}: {tmp_path / 'found'}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("instant")
def test_what_was_found_before_the_command_is_stopped_is_written(images, tmp_path, monkeypatch):
    def stopped(path, _):
        if path == images[1]:
            raise KeyboardInterrupt
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr("maskrcnn_jax.data.media.read_channels", stopped)
    monkeypatch.setattr("maskrcnn_jax.inference.predictor.CALLS_AT_ONCE", 1)
    with pytest.raises(SystemExit, match="130"):
        main(["predict", "run", *map(str, images), "--out", str(tmp_path / "found")])
    found = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert [image["file_name"] for image in found["images"]] == [str(images[0])]


@pytest.mark.usefixtures("instant")
def test_a_folder_stands_for_the_images_and_videos_in_it(images, tmp_path, capsys):
    folder = images[0].parent
    (folder / "notes.txt").write_text("no image")
    (folder / "more").mkdir()
    write_video(folder / "moving.avi", halves(3))
    main(["predict", "run", str(folder), "--out", str(tmp_path / "found"), "--masks"])
    found = json.loads((tmp_path / "found" / "predictions.json").read_text())
    assert [image["file_name"] for image in found["images"]] == [str(path) for path in (images[1], *[folder / "moving.avi"] * 3, images[0])]
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == [
        "grey.png",
        "masks",
        "moving.mp4",
        "predictions.json",
        "rgb.png",
    ]
    assert sorted(path.name for path in (tmp_path / "found" / "masks").iterdir()) == ["grey.png", "moving", "rgb.png"]
    printed = capsys.readouterr()
    assert "5 detections in 2 images and 3 frames, 5 shown (score 0.5 and above)" in printed.out
    assert f"{folder}: left out, for it is neither image nor video: more/, notes.txt; name what is wanted of it, too\n" in printed.err
    assert re.search(r"predicting .*100% .*5/5 .*images/s", printed.err)


@pytest.mark.usefixtures("instant")
def test_flags_choose_what_is_written(images, tmp_path, capsys):
    main(["predict", "run", str(images[0]), "--out", str(tmp_path / "found"), "--no-pictures", "--no-json", "--masks"])
    assert [path.name for path in (tmp_path / "found").rglob("*")] == ["masks", "rgb.png"]
    err = refused(["run", images[0], "--out", tmp_path / "none", "--no-pictures", "--no-json"], capsys)
    assert "neither pictures nor masks nor JSON are to be written; leave out --no-pictures or --no-json, or add --masks" in err
    assert not (tmp_path / "none").exists()


def test_what_is_no_image_file_is_refused_before_the_model_is_loaded(images, tmp_path, capsys):
    missing, folder = tmp_path / "gone.png", tmp_path / "pictures"
    folder.mkdir()
    for path, fault in (
        (missing, "no such file; correct the path"),
        (folder, "no image or video in this folder; name files, or the folder that holds them"),
    ):
        err = refused(["no run", *images, path, "--out", tmp_path / "found"], capsys)
        assert err == f"maskrcnn predict: {path}: {fault}\n"
    assert not (tmp_path / "found").exists()


def test_out_must_be_a_folder(images, capsys):
    err = refused(["no run", images[0], "--out", images[1]], capsys)
    assert err == f"maskrcnn predict: {images[1]}: is a file; give a folder by --out\n"


@pytest.mark.parametrize("threshold", ["-0.1", "1.5", "nan"])
def test_a_score_threshold_is_a_probability(threshold, images, tmp_path, capsys):
    err = refused(["no run", images[0], "--out", tmp_path / "found", "--score-threshold", threshold], capsys)
    assert "--score-threshold must lie between 0 and 1" in err


def test_summary_prints_the_modules_on_the_asked_canvas(tiny_config, capsys):
    main(["summary", str(tiny_config), "--canvas", "96", "64", "--model.num-classes", "2"])
    out = capsys.readouterr().out
    assert "one image on a canvas of 96 x 64" in out
    assert re.search(r"box_head .*8x3, 8x3x4", out)  # 8 proposals, background and two classes
    assert "FLOPs: two a multiply-add" in out


def test_show_data_draws_training_images_with_the_changed_fields(tiny_config, tmp_path, capsys):
    out = tmp_path / "pictures"
    main(
        ["show-data", str(tiny_config), "--out", str(out), "--count", "3", "--data.augment.flip", "1", "--data.augment.scale", "0.5", "0.5"]
    )
    names = sorted(path.name for path in out.iterdir())
    assert [name.split("_image")[0] for name in names] == ["step000001_00", "step000001_01", "step000002_00"]
    picture = cv2.imread(str(out / names[0]))
    assert picture.shape == (512, 512, 3)  # a canvas of 64 x 64, eight times as large
    assert len(np.unique(picture[300:].reshape(-1, 3), axis=0)) == 1  # the image is half as large, the rest the mean colour
    assert re.search(rf"3 pictures, \d+ objects, 0 cut by data.max_objects 8: {re.escape(str(out))}", capsys.readouterr().out)


def test_show_data_draws_files_of_five_channels_and_16_bits(tmp_path):
    row = {
        "id": 7,
        "image_id": 100,
        "category_id": 30,
        "iscrowd": 0,
        "bbox": [8, 4, 16, 16],
        "segmentation": [[8, 4, 24, 4, 24, 20, 8, 20]],
    }
    categories = [{"id": category.id, "name": category.name} for category in Spectra.categories]
    images = [{"id": 100, "file_name": "0.npy", "height": 48, "width": 60}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images, "annotations": [row], "categories": categories}))
    np.save(tmp_path / "0.npy", Spectra(1)[0].image)
    (tmp_path / "spectra.py").write_text("from tests.training.spectra import experiment as get_config\n")
    files = ["--data.kind", "coco", "--data.train-annotations", str(tmp_path / "a.json"), "--data.train-images", str(tmp_path)]
    main(["show-data", str(tmp_path / "spectra.py"), "--out", str(tmp_path / "shown"), "--count", "1", *files])
    (path,) = (tmp_path / "shown").iterdir()
    assert path.name == "step000001_00_image100.png"
    assert cv2.imread(str(path)).std() > 10


@pytest.mark.parametrize(
    ("flags", "said"), [(("--count", "0"), "--count must be at least 1; got 0"), ((), "give an empty or a new folder by --out")]
)
def test_show_data_overwrites_nothing_and_says_so(tiny_config, tmp_path, capsys, flags, said):
    (tmp_path / "kept.png").write_bytes(b"mine")
    with pytest.raises(SystemExit) as end:
        main(["show-data", str(tiny_config), "--out", str(tmp_path), *flags])
    assert end.value.code == 1
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["kept.png"]
