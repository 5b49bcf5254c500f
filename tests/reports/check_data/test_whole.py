"""What is wrong with a whole dataset or its configuration, and datasets that have no files."""

import importlib
import io
import json
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from maskrcnn_jax import models
from maskrcnn_jax.config import AugmentConfig, DataConfig, InputConfig
from maskrcnn_jax.data import Augmented, MixedSource, open_source
from maskrcnn_jax.reports.check_data import check_data
from maskrcnn_jax.reports.check_data.findings import Place
from maskrcnn_jax.reports.check_data.lines import advice_lines
from maskrcnn_jax.training import dry_run
from maskrcnn_jax.training.dry_run import StepCost
from tests import tiny
from tests.reports.check_data.planted import clean, experiment, square, texture

DRY_RUN = importlib.import_module("maskrcnn_jax.training.dry_run")  # the function of the same name hides the module


def check(config, **options):
    return check_data(config, console=Console(file=io.StringIO()), **{"step": False} | options)[0]


def only(report):
    """Kind, split and message of the one finding."""
    assert len(report.findings) == 1, report.findings[:3]
    (finding,) = report.findings
    return finding.kind, finding.places[0].split, finding.message


@pytest.fixture
def data(tmp_path):
    return clean().write(tmp_path)


@pytest.fixture
def mixed(tmp_path):
    """Training data of two datasets that have the same ids; in the second a bad category, a polygon without area and a missing file."""
    first = clean().write(tmp_path / "first")
    second = clean()
    for offset, split in ((50, "train"), (80, "val")):  # other pictures than in the first
        for row in second.documents[split]["images"]:
            seed = row["id"] + 1000 * offset
            second.files[row["file_name"]] = lambda path, seed=seed: Image.fromarray(texture(seed)).save(path)
    second.annotations("train", 4)[0]["category_id"] = 3
    second.annotations("train", 5)[0]["segmentation"] = [[8, 8, 24, 8, 16, 8]]
    second.image("train", 6)["file_name"] = "gone.png"
    del second.files["006.png"]
    for row in second.documents["val"]["images"]:  # the second's are not read
        del second.files[row["file_name"]]
    more = second.write(tmp_path / "second")
    return replace(first, more_train_annotations=(more.train_annotations,), more_train_images=(more.train_images,))


def test_faults_of_mixed_datasets_say_of_which_they_are(mixed):
    report, pictures = check_data(experiment(mixed), step=False, console=Console(file=io.StringIO()))
    (second,) = mixed.more_train_annotations
    assert {finding.kind: (finding.message, finding.places) for finding in report.findings} == {
        "unknown-category": (
            "unknown category id 3; add it to `categories`, or correct it",
            (Place(split="train", dataset=second, file="004.png", image_id=4, annotation_id=40),),
        ),
        "missing-file": (
            "no such image file; restore it, or remove the image from the annotations",
            (Place(split="train", dataset=second, file="gone.png", image_id=6),),
        ),
        "no-area": (
            "a segmentation without area, left out; remove the annotation",
            (Place(split="train", dataset=second, file="005.png", image_id=5, annotation_id=50),),
        ),
    }
    assert str(report.findings[0].places[0]) == f"train {second} image 4 annotation 40"
    train, val = report.splits
    assert (train.source, val.source) == (f"{mixed.train_annotations}, {second}", mixed.val_annotations)
    assert (train.images, train.objects, val.images) == (80, 238, 5)  # of 2 * 120 two are left out
    shown = pictures.of(report.findings[0])
    assert like(shown, texture(50004))
    assert not like(shown, texture(4))


def like(shown, whole):
    """Whether the part of a picture around the square at 8, 8 was drawn; the square and its name are left out of the comparison."""
    x1, y1 = 49, 49  # the square ends at 24; 24 pixels more are shown
    part = cv2.resize(whole[:y1, :x1], shown.shape[1::-1]).astype(np.float64)
    below = slice(shown.shape[0] * 3 // 4, None)
    return np.abs(part[below] - shown[below]).mean() < 8  # JPEG and resampling; other pictures are about 80 away


def test_an_augmented_source_is_checked_as_it_is_without(data):
    train, val = (open_source(data, split) for split in ("train", "val"))
    augmented = Augmented(train, lambda example, rng: example)
    found = check(experiment(replace(data, max_objects=2)), sources=(augmented, val)).findings
    assert found == check(experiment(replace(data, max_objects=2)), sources=(train, val)).findings
    assert found[0].places[0].file == "001.png"


def test_a_dataset_that_cannot_be_opened_leaves_the_other_checked(data):
    report = check(experiment(replace(data, val_annotations="gone.json")))
    kind, split, message = only(report)
    assert (kind, split) == ("dataset", "val")
    assert "data.val_annotations: gone.json does not exist" in message
    assert [of.name for of in report.splits] == ["train"]
    assert report.splits[0].objects == 120
    assert not report.sound


def test_without_data_there_are_two_errors_and_nothing_else():
    report = check(experiment(DataConfig()))
    assert [finding.kind for finding in report.findings] == ["dataset", "dataset"]
    assert report.anchors is report.canvases is report.steps_per_epoch is None
    assert report.splits == ()


def test_no_json_is_told(data, tmp_path):
    (tmp_path / "train.json").write_text("{")
    kind, split, message = only(check(experiment(data)))
    assert (kind, split) == ("dataset", "train")
    assert "train.json: not JSON" in message
    assert "export or download it again" in message


def test_no_images_are_told(data, tmp_path):
    document = json.loads((tmp_path / "val.json").read_text())
    (tmp_path / "val.json").write_text(json.dumps(document | {"images": [], "annotations": []}))
    report = check(experiment(data))
    assert {finding.kind for finding in report.findings} == {"no-rows", "extra-file", "unused-category"}
    assert sum(finding.kind == "extra-file" for finding in report.findings) == 5
    assert not report.sound


def test_a_name_that_no_file_can_have_is_told(data, tmp_path):
    document = json.loads((tmp_path / "val.json").read_text())
    document["images"][0]["file_name"] = "x" * 300 + "/a.png"
    (tmp_path / "val.json").write_text(json.dumps(document))
    findings = check(experiment(data)).findings
    assert [finding.kind for finding in findings] == ["missing-file", "extra-file"]
    assert findings[0].places[0].image_id == document["images"][0]["id"]


def test_other_classes_than_the_model_s_are_told(data):
    kind, split, message = only(check(experiment(data, num_classes=7)))
    assert (kind, split) == ("classes", "train")
    assert "model.num_classes is 7" in message
    assert "--model.num-classes 3" in message


def test_validation_categories_that_the_model_does_not_have_are_told(data, tmp_path):
    document = json.loads((tmp_path / "val.json").read_text())
    document["categories"][0]["name"] = "sphere"
    (tmp_path / "val.json").write_text(json.dumps(document))
    kind, split, message = only(check(experiment(data)))
    assert (kind, split) == ("classes", "val")
    assert "sphere" in message


def test_training_data_without_an_object_are_told(data, tmp_path):
    document = json.loads((tmp_path / "train.json").read_text())
    (tmp_path / "train.json").write_text(json.dumps(document | {"annotations": []}))
    report = check(experiment(data))
    assert {finding.kind for finding in report.findings} == {"no-objects", "unused-category"}
    assert report.anchors is None
    assert report.splits[0].empty_images == 40


def roomy(config):
    """With room for 20 detections of an image, 11 of which count of a class."""
    model = config.model
    model = replace(model, detect=replace(model.detect, max_detections=20), propose=replace(model.propose, post_nms_top_k_test=20))
    return replace(config, eval=replace(config.eval, max_detections=11), model=model)


def test_more_objects_of_a_class_than_evaluation_counts_are_told(tmp_path):
    dataset = clean()
    for k in range(11):
        dataset.add("val", 104, annotation_id=9200 + k, category_id=5, **square(4 + 8 * k, 40, 4, 4))
    config = roomy(experiment(dataset.write(tmp_path)))
    kind, split, message = only(check(config))
    assert (kind, split) == ("max-detections", "val")
    assert "12 objects of one category, eval.max_detections is 11" in message


def test_lvis_has_no_limit_of_a_class(tmp_path):
    dataset = clean()
    for k in range(11):
        dataset.add("val", 104, annotation_id=9200 + k, category_id=5, **square(4 + 8 * k, 40, 4, 4))
    for row in dataset.documents["val"]["images"]:
        row |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for row in dataset.documents["val"]["categories"]:
        row["frequency"] = "r"
    config = roomy(experiment(dataset.write(tmp_path)))
    assert check(config).findings == ()


def test_shapes_are_sound():
    report = check(tiny.experiment())
    assert report.sound
    assert {finding.kind for finding in report.findings} <= {"anchor-iou", "max-detections", "unused-category"}
    assert [(of.name, of.images) for of in report.splits] == [("train", 8), ("val", 3)]
    assert report.steps_per_epoch == 4
    assert all(finding.places[0].image_id is not None for finding in report.findings if finding.kind == "anchor-iou")


@pytest.fixture
def spectral(tmp_path):
    """The clean dataset with five channels of 16 bits in .npy files, and its experiment."""
    dataset = clean()
    for split in dataset.documents:
        for row in dataset.documents[split]["images"]:
            del dataset.files[row["file_name"]]
            row["file_name"] = f"{row['id']:03d}.npy"
            image = texture(row["id"])[..., [0, 1, 2, 0, 1]].astype(np.uint16) * 100
            dataset.files[row["file_name"]] = lambda path, image=image: np.save(path, image)
    input_config = InputConfig(
        channels=5, dtype="uint16", mean=(12000.0,) * 5, std=(6000.0,) * 5, min_side=64, max_side=96, canvases=((64, 96),)
    )
    return dataset, input_config


def test_other_channels_and_16_bits_are_sound_where_the_config_asks_for_them(spectral, tmp_path):
    dataset, input_config = spectral
    report = check(experiment(dataset.write(tmp_path), input=input_config))
    assert report.findings == ()
    assert report.sound


def test_a_file_of_other_channels_than_the_config_asks_for_is_told(spectral, tmp_path):
    dataset, input_config = spectral
    dataset.files["003.npy"] = lambda path: np.save(path, texture(3))
    dataset.files["004.npy"] = lambda path: np.save(path, np.zeros((10, 96, 5), np.uint16))
    dataset.files["005.npy"] = lambda path: np.save(path, texture(6)[..., [0, 1, 2, 0, 1]].astype(np.uint16) * 100)
    config = experiment(dataset.write(tmp_path), input=input_config)
    report, pictures = check_data(config, step=False, console=Console(file=io.StringIO()))
    kinds = {finding.kind: finding for finding in report.findings}
    assert {kind: finding.places[0].image_id for kind, finding in kinds.items()} == {
        "unreadable-image": 3,
        "image-size": 4,
        "duplicate-image": 5,
    }
    assert "the file holds 3 channels of uint8" in kinds["unreadable-image"].message
    assert pictures.of(kinds["unreadable-image"]) is None
    assert pictures.of(kinds["image-size"]) is not None
    assert pictures.of(kinds["duplicate-image"]) is not None


def test_sources_of_other_channels_are_checked_against_the_config(spectral, tmp_path):
    dataset, input_config = spectral
    config = experiment(dataset.write(tmp_path), input=input_config)
    sources = tuple(open_source(config.data, split, input_config) for split in ("train", "val"))
    assert check(config, sources=sources).findings == ()
    report = check(experiment(config.data), sources=sources)
    assert {finding.kind for finding in report.findings} == {"unreadable-image"}
    assert "give uint8[height, width, 3], RGB" in report.findings[0].message


class Broken(tiny.Squares):
    def __getitem__(self, i):
        if i == 1:
            raise RuntimeError("lightning")
        example = super().__getitem__(i)
        return example._replace(labels=np.array([9], np.int32)) if i == 2 else example


def test_examples_of_a_source_in_python_that_are_not_as_they_should_be_are_told():
    config = tiny.experiment(model=replace(tiny.MODEL, num_classes=2))
    report = check(config, sources=(Broken(6), tiny.Squares(2)))
    found = [finding for finding in report.findings if finding.kind == "example"]
    assert [finding.places[0].split for finding in found] == ["train", "train"]
    assert "index 1 of the source cannot be read (RuntimeError: lightning)" in found[0].message
    assert "image id 102: labels are 9 ... 9 of 2 categories" in found[1].message
    assert report.splits[0].objects == 4
    across = [finding for finding in report.findings if finding.kind == "across-splits"]
    assert [[place.image_id for place in finding.places] for finding in across] == [[100, 100]]


def test_validation_images_of_one_id_are_told():
    config = tiny.experiment(model=replace(tiny.MODEL, num_classes=2))
    train, val = tiny.Squares(4), MixedSource([tiny.Squares(3), tiny.Squares(2)])
    report = check(config, sources=(train, val))
    found = [finding for finding in report.findings if finding.severity == "error"]
    assert [(finding.kind, [(place.split, place.image_id) for place in finding.places]) for finding in found] == [
        ("same-id", [("val", 100), ("val", 100)]),
        ("same-id", [("val", 101), ("val", 101)]),
    ]
    assert "image id 100 occurs twice; give every image an id of its own" in found[0].message
    few = replace(config, eval=replace(config.eval, max_images=4))  # evaluation reads no more
    assert sum(finding.kind == "same-id" for finding in check(few, sources=(train, val)).findings) == 1
    assert check(config, sources=(val, train)).sound


def test_suggested_canvases_hold_the_images_of_both_splits(tmp_path):
    """Training images lie, validation images stand, smaller than the short side of training."""
    dataset = clean()
    for row in dataset.documents["val"]["images"]:
        row.update(height=96, width=64)
        dataset.save("val", row["id"], Image.fromarray(texture(row["id"], 96, 64)))
    for row in dataset.documents["val"]["annotations"]:
        row.update(square(8, 8 + 24 * (row["id"] % 10)))
    inputs = InputConfig(min_side=64, max_side=192, canvases=((192, 192),))
    config = experiment(replace(dataset.write(tmp_path), augment=AugmentConfig(min_sides=(64, 128))), input=inputs)
    report = check(config)
    assert report.sound
    assert report.canvases.padding == pytest.approx(1 - (40 * 128 * 192 + 5 * 64 * 96) / (45 * 192**2))
    assert set(report.better_canvases.canvases) == {(96, 64), (128, 192)}
    assert check(experiment(config.data, input=replace(inputs, canvases=report.better_canvases.canvases))).sound


def test_a_source_with_sizes_of_other_examples_is_told():
    source = tiny.Squares(4)
    source.sizes = source.sizes.T
    kind, split, message = only(check(tiny.experiment(model=replace(tiny.MODEL, num_classes=2)), sources=(tiny.Squares(4), source)))
    assert (kind, split) == ("dataset", "val")
    assert "`sizes` has the shape [2, 4] for 2 examples" in message


def test_sources_without_images_are_told():
    config = tiny.experiment(model=replace(tiny.MODEL, num_classes=2))
    report = check(config, sources=(tiny.Squares(0), tiny.Squares(0)))
    assert {(finding.kind, finding.places[0].split) for finding in report.findings} >= {("plan", "train"), ("no-rows", "val")}
    assert "no usable image" in report.findings[1].message
    assert not report.sound


def test_a_config_that_makes_no_batches_is_told(data):
    inputs = InputConfig(min_side=64, max_side=96, canvas="multiple")
    config = experiment(replace(data, augment=AugmentConfig(min_sides=(32, 64))), input=inputs)
    (finding,) = [finding for finding in check(config).findings if finding.severity == "error"]
    assert (finding.kind, finding.places[0].split) == ("plan", "train")
    message = finding.message
    assert "canvas `multiple` takes one short side in training" in message


def test_a_size_that_no_memory_holds_is_told_and_nothing_is_drawn(data, tmp_path):
    document = json.loads((tmp_path / "train.json").read_text())
    document["images"][0].update(height=40_000, width=40_000)
    (tmp_path / "train.json").write_text(json.dumps(document))
    report = check(experiment(data))
    assert {finding.kind: finding.places[0].image_id for finding in report.findings} == {"image-size": 1}
    assert report.splits[0].objects == 117


def test_objects_of_an_image_that_cannot_be_read_are_checked(data, tmp_path):
    (tmp_path / "images" / "001.png").write_bytes(b"no image")
    document = json.loads((tmp_path / "train.json").read_text())
    document["annotations"][0].update(square(8, 56, 80, 4))
    (tmp_path / "train.json").write_text(json.dumps(document))
    report = check(experiment(data))
    assert [finding.kind for finding in report.findings] == ["unreadable-image", "anchor-iou"]
    assert report.splits[0].objects == 120


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(models, "build", tiny.stand_in)


def test_the_cost_of_a_step_is_measured_where_the_data_are_sound(data, stand_in):
    cost = check(experiment(data), step=True).step
    assert isinstance(cost, StepCost)
    assert cost.canvas == (64, 96)
    assert cost.seconds > 0
    assert cost.memory > 2 * 64 * 96 * 3  # a batch of two images
    assert cost.limit > cost.memory


def test_the_weights_that_training_starts_from_are_not_needed_for_it(data, stand_in):
    config = experiment(data)
    report = check(replace(config, train=replace(config.train, weights="gone.pth")), step=True)
    assert isinstance(report.step, StepCost)


def test_memory_that_runs_out_in_a_step_costs_no_more_than_its_time(data, stand_in, monkeypatch):
    def run(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nA list of buffers\n")

    monkeypatch.setattr(DRY_RUN, "_timed", run)
    report = check(experiment(data), step=True)
    assert report.step == "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."
    assert ("a training step", f"Not measured: {report.step}.") in advice_lines(report)


def test_a_step_that_does_not_fit_is_told_and_not_run(data, stand_in, monkeypatch):
    monkeypatch.setattr(DRY_RUN, "device_memory", lambda: 1000)
    report = check(experiment(data), step=True)
    kind, split, message = only(report)
    assert (kind, split) == ("memory", "train")
    assert "lower train.batch_size" in message
    assert report.step.seconds is None
    assert report.sound


def test_a_dry_run_of_a_step_that_does_not_fit_says_so(data, stand_in, monkeypatch):
    monkeypatch.setattr(DRY_RUN, "device_memory", lambda: 1000)
    out = io.StringIO()
    dry_run(experiment(data), console=Console(file=out, width=200))
    assert "more than the 0 MiB that a device has, so it is not run; lower train.batch_size" in out.getvalue()
    assert "s a step" not in out.getvalue()


def test_no_step_is_compiled_where_there_are_errors(data, stand_in, monkeypatch):
    monkeypatch.setattr(models, "build", None)
    assert check(experiment(data, num_classes=7), step=True).step == "not measured: there are errors"


def test_a_step_that_cannot_be_compiled_says_why(data, stand_in):
    config = experiment(data)
    report = check(replace(config, train=replace(config.train, freeze=("*",))), step=True)
    assert "train.freeze leaves no parameter to train" in report.step
