from dataclasses import replace

import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax import ConfigError, Predictor, WeightsError, matterport, models
from maskrcnn_jax import checkpoint as checkpoints
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.matterport.model import LAYERS, _named
from maskrcnn_jax.models import build
from maskrcnn_jax.structs import Result
from tests import tiny
from tests.matterport.tiny import VALUES


class Config(matterport.Config):
    NAME = "Squares"
    NUM_CLASSES = 1 + 2


for _name, _value in VALUES.items():
    setattr(Config, _name, _value)


@pytest.fixture(autouse=True)
def quick_model(monkeypatch):
    monkeypatch.setattr(models, "build", tiny.stand_in)


def made(folder, mode="training", **values):
    return matterport.MaskRCNN(mode, type("Own", (Config,), values)(), folder)


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Folder of two trainings of one model, and the model."""
    folder = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "build", tiny.stand_in)
        model = made(folder)
        for epochs, layers, rate in ((1, "heads", 0.5), (3, "4+", 0.25)):
            result = model.train(tiny.Squares(4), tiny.Squares(3), rate, epochs, layers)
    assert len(result.ground_truth["images"]) == 2  # one step of validation
    assert set(result.losses) == {"rpn_class", "rpn_box", "class", "box", "mask"}
    return model


def test_a_call_of_train_is_a_run_of_its_epochs_that_begins_where_the_last_ended(logs):
    first, second = logs.log_dir / "epochs_0001_0001", logs.log_dir / "epochs_0002_0003"
    assert logs.log_dir.name.startswith("squares20")
    assert (logs.epoch, checkpoints.latest_step(first), checkpoints.latest_step(second)) == (3, 2, 4)
    began, ended = (checkpoints.load(run / "checkpoints" / str(step)) for run, step in ((first, 2), (second, 4)))
    assert [stored.config.model.backbone.frozen_stages for stored in (began, ended)] == [5, 3]
    assert [stored.config.optimizer.learning_rate for stored in (began, ended)] == [0.5, 0.25]
    assert [stored.config.train.steps for stored in (began, ended)] == [2, 4]
    assert (began.config.train.weights, ended.config.train.weights) == (None, str(first / "checkpoints" / "2"))
    assert ended.config.train.new_classes is False
    assert ended.categories == tiny.Squares.categories
    assert logs.find_last() == second / "checkpoints" / "4"


@pytest.mark.parametrize(
    ("layers", "trained"),
    [
        ("heads", ""),
        ("5+", "res5"),
        ("4+", "res4 res5"),
        ("3+", "res3 res4 res5"),
        ("all", "stem res2 res3 res4 res5"),
    ],
)
def test_layers_are_those_that_matterport_trains(layers, trained):
    config = Config().experiment().model
    model = build(replace(config, backbone=replace(config.backbone, frozen_stages=LAYERS[layers])))
    stages = {"stem": "stem"} | {f"res{n}_0": f"res{n}" for n in (2, 3, 4, 5)}
    paths = {name: ("backbone", layer, "conv1", "conv", "kernel") for layer, name in stages.items()}
    assert [name for name, path in paths.items() if not model.is_frozen(path)] == trained.split()
    assert not any(model.is_frozen((module, "layer", "kernel")) for module in ("fpn", "rpn_head", "box_head", "mask_head"))


def test_find_last_takes_the_newest_training_of_this_name_that_has_a_checkpoint(logs, tmp_path):
    (tmp_path / "squares20200101T000000" / "epochs_0001_0001" / "checkpoints" / "7").mkdir(parents=True)
    (tmp_path / "squares20200101T000000" / "epochs_0002_0010" / "checkpoints" / "3").mkdir(parents=True)
    (tmp_path / "squares20210101T000000" / "epochs_0001_0001").mkdir(parents=True)  # stopped before its first checkpoint
    (tmp_path / "squares220220101T000000" / "epochs_0001_0001" / "checkpoints" / "9").mkdir(parents=True)  # of another name
    assert made(tmp_path).find_last() == tmp_path / "squares20200101T000000" / "epochs_0002_0010" / "checkpoints" / "3"
    with pytest.raises(CheckpointError, match="no training of 'Other' below it"):
        made(tmp_path, NAME="Other").find_last()


def test_detect_gives_what_the_predictor_finds_by_matterports_names(logs):
    model = made(logs.model_dir, "inference")
    model.load_weights(logs.find_last())
    images = [tiny.Squares(3, size)[i].image for i, size in ((0, (64, 64)), (2, (48, 64)))]
    images.append(np.zeros((50, 40, 3), np.uint8))  # without an object
    found = model.detect(images)
    stored = checkpoints.load(logs.find_last())
    results = Predictor(models.build(stored.config.model), stored.variables, stored.categories)(images)
    assert [list(own) for own in found] == [["rois", "class_ids", "scores", "masks"]] * 3
    assert [len(own["rois"]) for own in found] == [1, 1, 0]
    for own, result, image in zip(found, results, images, strict=True):
        n = len(result.scores)
        assert (own["rois"].dtype, own["rois"].shape) == (np.int32, (n, 4))
        assert (own["class_ids"].dtype, own["class_ids"].shape) == (np.int32, (n,))
        assert (own["scores"].dtype, own["scores"].shape) == (np.float32, (n,))
        assert (own["masks"].dtype, own["masks"].shape) == (np.bool_, (*image.shape[:2], n))
        assert own["rois"].tolist() == np.rint(result.boxes[:, [1, 0, 3, 2]]).tolist()
        assert own["class_ids"].tolist() == result.labels.tolist()
        assert own["scores"].tolist() == result.scores.tolist()
        for i, mask in enumerate(result.masks):
            assert np.array_equal(own["masks"][..., i], mask_utils.decode(mask))
    assert found[0]["rois"].tolist() == [[4, 8, 20, 24]]  # of `Squares`: columns 8 to 24, rows 4 to 20
    inside = found[0]["masks"][4:20, 8:24]
    assert inside.sum() == found[0]["masks"].sum() > 250  # of 256: pixels at the corners are less than half the object's


def test_a_result_by_hand():
    masks = np.zeros((4, 6, 3), np.uint8)
    masks[1:3, 2:5, 0] = 1
    masks[0, 0, 1] = 1
    masks[3, :, 2] = 1
    result = Result(
        boxes=np.array([[1.6, 0.7, 5.4, 2.9], [0.1, 0.0, 0.4, 1.0], [0.0, 2.6, 6.0, 4.0]], np.float32),
        scores=np.array([0.9, 0.8, 0.7], np.float32),
        labels=np.array([2, 1, 1], np.int32),
        masks=mask_utils.encode(np.asfortranarray(masks)),
        size=(4, 6),
    )
    found = _named(result)
    assert found["rois"].tolist() == [[1, 2, 3, 5], [3, 0, 4, 6]]  # the box of the second is empty once rounded
    assert found["class_ids"].tolist() == [2, 1]
    assert found["scores"].tolist() == result.scores[[0, 2]].tolist()
    assert np.array_equal(found["masks"], masks[..., [0, 2]].astype(bool))


def test_detection_takes_its_thresholds_from_the_configuration_given(logs):
    (one,) = made_to_detect(logs).detect([tiny.Squares(1)[0].image])
    assert len(one["scores"]) == 1
    model = made_to_detect(logs, DETECTION_MIN_CONFIDENCE=0.9, IMAGE_MIN_DIM=32, POST_NMS_ROIS_INFERENCE=4, IMAGES_PER_GPU=1)
    config = model._predictor.model.config
    assert (config.detect.score_threshold, config.input.min_side, config.propose.post_nms_top_k_test) == (0.9, 32, 4)
    assert config.backbone.frozen_stages == 3
    assert model._predictor.batch_size == 1


def made_to_detect(logs, **values):
    model = made(logs.model_dir, "inference", **values)
    model.load_weights(logs.find_last())
    return model


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"RPN_ANCHOR_SCALES": (4, 8, 16, 32, 64)}, "model.anchors.sizes is [4.0, 8.0, 16.0, 32.0, 64.0] here, [8.0, "),
        ({"MEAN_PIXEL": (0, 0, 0)}, "model.input.mean is [0.0, 0.0, 0.0] here"),
        ({"NUM_CLASSES": 4}, "model.num_classes is 3 here, 2 there"),
    ],
)
def test_a_model_of_another_configuration_is_refused(logs, values, line):
    with pytest.raises(WeightsError, match="Own has; give the Config that it was trained with") as refused:
        made_to_detect(logs, **values)
    assert line in str(refused.value)


def test_weights_to_begin_with_and_what_is_left_out_of_them(logs, tmp_path):
    model = made(tmp_path, NUM_CLASSES=1 + 2)
    model.load_weights(logs.find_last(), exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"])
    model.train(tiny.Squares(2), tiny.Squares(2), learning_rate=0.1, epochs=1, layers="all")
    stored = checkpoints.load(model.find_last()).config.train
    assert (stored.weights, stored.new_classes) == (str(logs.find_last()), True)
    with pytest.raises(ConfigError, match=r"exclude is \['mrcnn_mask'\]; all that depends on the classes"):
        model.load_weights(logs.find_last(), exclude=["mrcnn_mask"])
    with pytest.raises(WeightsError, match=r"mask_rcnn_coco\.h5: Keras weights .* cannot be read; start from"):
        model.load_weights("mask_rcnn_coco.h5")


def test_the_augmentation_is_for_training_alone(tmp_path):
    seen = []

    def note(example, rng):
        seen.append(example.image_id)
        return example

    made(tmp_path).train(tiny.Squares(4), tiny.Squares(1), 0.1, 1, "all", augmentation=note)
    assert len(seen) >= 4
    assert set(seen) == {100, 101, 102, 103}


def trains(model, **changed):
    arguments = {"train_dataset": tiny.Squares(2), "val_dataset": tiny.Squares(2), "learning_rate": 0.1, "epochs": 1, "layers": "all"}
    model.train(**arguments | changed)


class Augmenter:
    """What imgaug's look like from outside."""

    __module__ = "imgaug.augmenters.flip"

    def __call__(self, **given):
        return given


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda folder: made(folder, "predict"), 'mode is \'predict\'; give "training" or "inference"'),
        (lambda folder: made(folder, NUM_CLASSES=1), "count the background"),
        (lambda folder: trains(made(folder, "inference")), 'made for inference; make one with mode="training"'),
        (lambda folder: trains(made(folder), layers="res5.*"), "layers is 'res5.*'; give one of heads, 5+, 4+, 3+, all, or override"),
        (lambda folder: trains(made(folder), epochs=0), "epochs is 0, and 0 are done"),
        (lambda folder: trains(made(folder), augmentation=Augmenter()), "augmentation is imgaug's; give data.Albumentations"),
        (lambda folder: trains(made(folder, NUM_CLASSES=2)), "NUM_CLASSES is 2, Squares has 2 classes and the background"),
        (lambda folder: made(folder).detect([]), 'made for training; make one with mode="inference"'),
        (lambda folder: made(folder, "inference").detect([]), "no weights to detect with; call load_weights first"),
        (
            lambda folder: made(folder, "inference").load_weights(folder, exclude=["mrcnn_bbox_fc", "mrcnn_mask", "mrcnn_class_logits"]),
            "for training",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(tmp_path, use, words):
    with pytest.raises(ConfigError) as refused:
        use(tmp_path)
    assert words in str(refused.value)
    assert list(tmp_path.iterdir()) == []
