import json
import logging
import weakref
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax import visualize
from maskrcnn_jax.config import AugmentConfig, EvalConfig
from maskrcnn_jax.data import Augmented, CocoSource, DataError, MixedSource, make_batch
from maskrcnn_jax.evaluation import ground_truth, is_federated
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.training import validate
from maskrcnn_jax.training.pictures import picture_grid
from maskrcnn_jax.training.validate import scalars
from maskrcnn_jax.visualize.text import font_size
from tests import tiny
from tests.training.conftest import MODEL

WIDER = replace(MODEL, input=replace(MODEL.input, max_side=96, canvases=((64, 64), (64, 96))))
CONFIG = replace(tiny.experiment(model=MODEL), eval=EvalConfig(batch_size=2))


def predictor_of(model):
    return Predictor(model, model.init(jax.random.key(0)), tiny.Squares.categories, batch_size=2)


def test_a_source_without_a_file_is_measured():
    result = validate(predictor_of(tiny.stand_in(MODEL)), tiny.Squares(5), CONFIG)
    assert result.metrics["bbox"].stats["AP"] == result.metrics["segm"].stats["AP"] == 1.0
    assert result.metrics["segm"].per_class == {20: 1.0, 30: 1.0}
    assert [image["id"] for image in result.ground_truth["images"]] == [100, 101, 102, 103, 104]
    assert [(entry["image_id"], entry["category_id"]) for entry in result.detections] == [
        (100, 30),
        (101, 20),
        (102, 30),
        (103, 20),
        (104, 30),
    ]
    assert result.losses == {}


def test_zero_detections_are_ap_zero():
    model = tiny.stand_in(MODEL)

    def blind(variables, images, sizes):
        found = model.predict(variables, images, sizes)
        return found._replace(valid=jnp.zeros_like(found.valid))

    result = validate(predictor_of(model._replace(predict=blind)), tiny.Squares(2), CONFIG)
    assert result.detections == []
    assert result.metrics["bbox"].stats["AP"] == result.metrics["segm"].stats["AP"] == 0.0


def test_the_first_images_alone_where_so_configured():
    asked = []
    config = replace(CONFIG, eval=EvalConfig(batch_size=2, max_images=3))
    result = validate(predictor_of(tiny.stand_in(MODEL)), tiny.Squares(5), config, progress=lambda *done: asked.append(done))
    assert [image["id"] for image in result.ground_truth["images"]] == [100, 101, 102]
    assert len(result.detections) == 3
    assert asked == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(("limit", "ap"), [(100, 0.0), (200, 1 / 120)])
def test_more_than_100_detections_count_only_where_configured(limit, ap):
    """The right box comes 120th; the model's own limit decides nothing."""
    config = replace(MODEL, detect=replace(MODEL.detect, max_detections=150))
    model = tiny.stand_in(config)

    def many(variables, images, sizes):
        found = model.predict(variables, images, sizes)
        boxes = jnp.broadcast_to(jnp.float32([0, 60, 4, 64]), (images.shape[0], 150, 4)).at[:, 119].set(found.boxes[:, 0])
        return found._replace(
            boxes=boxes,
            scores=jnp.broadcast_to(jnp.linspace(1, 0.1, 150), boxes.shape[:2]),
            labels=jnp.repeat(found.labels[:, :1], 150, axis=1),
            valid=jnp.ones(boxes.shape[:2], bool),
            masks=jnp.ones((*boxes.shape[:2], 4, 4)),
            mask_frames=boxes,
        )

    result = validate(
        predictor_of(model._replace(predict=many)), tiny.Squares(1), replace(CONFIG, model=config, eval=EvalConfig(max_detections=limit))
    )
    assert len(result.detections) == 150
    assert f"AR{limit}" in result.metrics["segm"].stats
    assert result.metrics["bbox"].stats["AP50"] == pytest.approx(ap)
    assert result.metrics["segm"].stats["AP50"] == pytest.approx(ap)


def test_losses_on_demand_are_those_of_training_without_augmentation():
    config = replace(CONFIG, eval=EvalConfig(batch_size=2, losses=True), train=replace(CONFIG.train, seed=5))
    config = replace(config, data=replace(config.data, augment=AugmentConfig(flip=1.0, min_sides=(32,))))
    predictor, source = predictor_of(tiny.stand_in(MODEL)), tiny.Squares(4)
    found = validate(predictor, source, config).losses
    expected = []
    for indices in [(0, 1), (2, 3)]:
        batch = make_batch([source[i] for i in indices], (64, 64), max_objects=8, mask_crop=16)
        losses, _ = predictor.model.losses(predictor.variables, batch, jax.random.key(5))
        expected.append(losses["mask"].numerator / losses["mask"].denominator)
    assert set(found) == {"rpn_class", "rpn_box", "class", "box", "mask"}
    assert found["mask"] == pytest.approx(np.mean(expected), rel=1e-5)


def test_losses_do_not_depend_on_the_size_of_batches():
    """Each image counts once and draws its own: batches of 2 and 3 fill up their last. Float32: sums in another order."""
    model = tiny.stand_in(WIDER)._replace(losses=tiny.per_image_losses)
    config = replace(CONFIG, eval=EvalConfig(losses=True))
    found = []
    for size in (1, 2, 3):
        predictor = Predictor(model, model.init(jax.random.key(0)), tiny.Squares.categories, batch_size=size)
        found.append(validate(predictor, Wide(5), config).losses)
    assert found[0]["mask"] > 0.1
    assert found[1] == pytest.approx(found[0], rel=1e-6)
    assert found[2] == pytest.approx(found[0], rel=1e-6)


class Wide(tiny.Squares):
    """The first and the last picture are wider than the others."""

    def __init__(self, count):
        super().__init__(count)
        self.sizes[[0, -1]] = (64, 96)


def test_losses_are_compiled_once():
    traced = []
    model = tiny.stand_in(MODEL)

    def counting(variables, batch, key):
        traced.append(batch.image.shape)
        return model.losses(variables, batch, key)

    config = replace(CONFIG, eval=EvalConfig(batch_size=2, losses=True))
    model_counting = model._replace(losses=counting)
    for _ in range(2):  # as training does: a new predictor an evaluation
        validate(predictor_of(model_counting), tiny.Squares(4), config)
    assert traced == [(2, 64, 64, 3)]


def test_candidates_cut_are_summed_and_among_the_scalars():
    model = tiny.stand_in(MODEL)

    def overfull(variables, images, sizes):
        return model.predict(variables, images, sizes)._replace(cut=jnp.full(images.shape[0], 7, jnp.int32))

    assert scalars(validate(predictor_of(model), tiny.Squares(3), CONFIG))["candidates_cut"] == 0
    result = validate(predictor_of(model._replace(predict=overfull)), tiny.Squares(3), CONFIG)
    assert result.candidates_cut == scalars(result)["candidates_cut"] == 21


class Watched(tiny.Squares):
    """Counts, at each reading, the masks of other examples that are still held."""

    def __init__(self, count):
        super().__init__(count)
        self.masks, self.held = [], []

    def __getitem__(self, i):
        self.held.append(sum(mask() is not None for mask in self.masks))
        example = super().__getitem__(i)
        self.masks.append(weakref.ref(example.masks))
        return example


@pytest.mark.parametrize(
    "read",
    [lambda source: validate(predictor_of(tiny.stand_in(MODEL)), source, CONFIG), lambda source: picture_grid(source, evaluated(6), 6)],
)
def test_the_masks_of_one_example_are_held_at_a_time(read):
    source = Watched(6)
    read(source)
    assert len(source.held) >= 6
    assert max(source.held) <= 1


@cache
def evaluated(count):
    """Each square found."""
    return validate(predictor_of(tiny.stand_in(MODEL)), tiny.Squares(count), CONFIG)


def test_pictures_are_of_the_first_images_and_what_was_found_in_them():
    """In rows of two pairs, drawn of the ground truth and of the predictor's results."""
    source, predictor = tiny.Squares(4), predictor_of(tiny.stand_in(MODEL))
    results = predictor([source[i].image for i in range(3)])
    pairs = [
        visualize.compare(visualize.draw_example(source[i], source.categories), visualize.draw(source[i].image, result, source.categories))
        for i, result in enumerate(results)
    ]
    np.testing.assert_array_equal(picture_grid(source, evaluated(4), 3), visualize.grid(pairs, 2))


def test_what_is_found_has_the_colours_of_the_data_s_classes():
    """The model's first class is the data's second."""
    predictor, source = predictor_of(tiny.stand_in(MODEL)), Swapped(2, "yellow", "red")
    (found,) = predictor([source[0].image])
    assert (found.labels.tolist(), source[0].labels.tolist()) == ([1], [2])
    drawn = visualize.draw(source[0].image, found._replace(labels=source[0].labels), source.categories)
    pair = visualize.compare(visualize.draw_example(source[0], source.categories), drawn)
    np.testing.assert_array_equal(picture_grid(source, validate(predictor, source, CONFIG), 1), visualize.grid([pair], 1))


def test_pictures_of_large_images_are_made_smaller_and_many_are_in_more_columns():
    large = tiny.Squares(1, (900, 1200))
    config = replace(MODEL, input=replace(MODEL.input, max_side=96, canvases=((64, 96),)))
    result = validate(predictor_of(tiny.stand_in(config)), large, replace(CONFIG, model=config))
    height, width = picture_grid(large, result, 1).shape[:2]
    assert (width, height) == (2 * 640 + 5 * 8, 480 + 4 * 8 + 2 * font_size(480, 640, 1))
    small = tiny.Squares(40)
    assert picture_grid(small, evaluated(40), 40).shape[1] > picture_grid(small, evaluated(40), 35).shape[1]


class Renamed(tiny.Squares):
    """Of `Squares` with other names; their ids are 30 and 20."""

    def __init__(self, count, *names):
        super().__init__(count)
        self.categories = tuple(category._replace(name=name) for category, name in zip(self.categories, names, strict=False))


class Swapped(Renamed):
    """Yellow is the first category, and has id 30."""

    def __getitem__(self, i):
        example = super().__getitem__(i)
        return example._replace(labels=3 - example.labels)


class Reds(Renamed):
    """The yellow squares are no objects."""

    def __getitem__(self, i):
        example = super().__getitem__(i)
        red = example.labels == 1
        return example._replace(masks=example.masks[red], boxes=example.boxes[red], labels=example.labels[red], crowd=example.crowd[red])


def test_categories_are_those_of_the_same_names_in_any_order():
    result = validate(predictor_of(tiny.stand_in(MODEL)), Swapped(3, "yellow", "red"), CONFIG)
    assert [entry["category_id"] for entry in result.detections] == [20, 30, 20]
    assert result.metrics["bbox"].stats["AP"] == 1.0


def test_what_a_model_finds_of_categories_that_the_data_have_not_is_left_out():
    result = validate(predictor_of(tiny.stand_in(MODEL)), Reds(3, "red"), CONFIG)
    assert [(entry["image_id"], entry["category_id"]) for entry in result.detections] == [(100, 30), (102, 30)]
    assert result.metrics["segm"].stats["AP"] == 1.0


def test_a_category_that_the_model_has_not_is_an_error_that_names_it():
    with pytest.raises(DataError) as error:
        validate(predictor_of(tiny.stand_in(MODEL)), Renamed(2, "red", "blue"), CONFIG)
    assert "Renamed: 1 of 2 categories (blue) are not among the model's 2 (red, yellow); measure the model on data of" in str(error.value)


def test_categories_of_one_name_are_told_apart_by_their_order():
    source, model = Renamed(3, "bow", "bow"), tiny.stand_in(MODEL)
    predictor = Predictor(model, model.init(jax.random.key(0)), source.categories, batch_size=2)
    assert [entry["category_id"] for entry in validate(predictor, source, CONFIG).detections] == [30, 20, 30]
    with pytest.raises(DataError) as error:
        validate(predictor, Reds(3, "bow"), CONFIG)
    assert "Reds: several categories are called bow, and the model has them in another order or number" in str(error.value)


def test_losses_need_the_same_labels():
    config = replace(CONFIG, eval=EvalConfig(batch_size=2, losses=True))
    with pytest.raises(DataError) as error:
        validate(predictor_of(tiny.stand_in(MODEL)), Swapped(2, "yellow", "red"), config)
    assert "Swapped: its categories (yellow, red) are not the model's in their order (red, yellow)" in str(error.value)
    assert "leave out eval.losses" in str(error.value)


class Unlabelled(tiny.Squares):
    """Labels count from 0."""

    def __getitem__(self, i):
        example = super().__getitem__(i)
        return example._replace(labels=example.labels - 1)


def test_an_example_that_is_wrong_is_an_error_that_names_it():
    with pytest.raises(DataError) as error:
        validate(predictor_of(tiny.stand_in(MODEL)), Unlabelled(3), CONFIG)
    assert str(error.value) == "Unlabelled: image id 100: labels are 0 ... 0 of 2 categories; give the position in `categories` plus one"


def test_no_image_is_an_error():
    with pytest.raises(DataError) as error:
        validate(predictor_of(tiny.stand_in(MODEL)), tiny.Squares(0), CONFIG)
    assert str(error.value) == "Squares: no image to validate on; give it one (data.val_annotations, or data.val_size of kind shapes)"


class Doubled(tiny.Squares):
    """The last image has the id of the first."""

    def __getitem__(self, i):
        return super().__getitem__(i)._replace(image_id=100 + i % (len(self) - 1))


def test_an_image_id_that_occurs_twice_is_an_error():
    with pytest.raises(DataError) as error:
        validate(predictor_of(tiny.stand_in(MODEL)), Doubled(40), CONFIG)
    assert str(error.value) == "Doubled: image id 100 occurs twice; give every image an id of its own"


@pytest.fixture
def filed(tmp_path):
    """`Squares` as a COCO file with frequencies; the first image, whose square is red (30), has no annotation, and the lists given."""

    def write(first=None):
        squares = tiny.Squares(4)
        truth = ground_truth(squares)
        for i, image in enumerate(truth["images"]):
            image["file_name"] = f"{i}.png"
            Image.fromarray(squares[i].image).save(tmp_path / image["file_name"])
            if first is not None:
                image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
        truth["images"][0] |= first or {}
        for category in truth["categories"]:
            category["frequency"] = {"red": "r", "yellow": "f"}[category["name"]]
        del truth["annotations"][0]
        (tmp_path / "filed.json").write_text(json.dumps(truth))
        return CocoSource(tmp_path / "filed.json", tmp_path)

    return write


LVIS_NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR300", "ARs", "ARm", "ARl"]


@pytest.mark.parametrize(("first", "red"), [(None, 0.5), ({}, 1.0), ({"neg_category_ids": [30]}, 0.5)])
def test_where_images_have_lvis_s_lists_its_metrics_are_measured(filed, first, red):
    """The red square that nobody annotated is wrong for COCO; for LVIS only where red is known not to be there."""
    result = validate(predictor_of(tiny.stand_in(MODEL)), filed(first), CONFIG)
    for found in result.metrics.values():
        assert found.per_class == pytest.approx({20: 1.0, 30: red})
        assert ("AR100" in found.stats) == (first is None)
    if first is not None:
        names = [f"{kind}_{name}" for kind in ("box", "mask") for name in LVIS_NAMES]
        numbers = scalars(result)
        assert list(numbers) == [*names, "candidates_cut"]
        assert (numbers["mask_APr"], numbers["mask_APf"], numbers["mask_AP"]) == pytest.approx((red, 1, (red + 1) / 2))


@pytest.mark.parametrize(("limit", "first", "told"), [(299, {}, True), (300, {}, False), (299, None, False)])
def test_a_model_of_fewer_detections_than_lvis_counts_is_told(filed, caplog, limit, first, told):
    model = tiny.stand_in(replace(MODEL, detect=replace(MODEL.detect, max_detections=limit, max_candidates=400)))
    with caplog.at_level(logging.WARNING):
        validate(predictor_of(model), filed(first), CONFIG)
    assert ("model.detect.max_detections is 299, and LVIS counts 300 detections" in caplog.text) == told
    assert ("--model.detect.max-detections 300" in caplog.text) == told


def test_training_measures_as_lvis_does_and_keeps_the_best(filed, run_training, read_lines, tmp_path):
    run = tmp_path / "run"
    result = run_training(tiny.experiment(model=MODEL, steps=1), run, sources=(tiny.Squares(8), filed({})))
    (line,) = [line["val"] for line in read_lines(run) if "val" in line]
    assert line["mask_AP"] == result.metrics["segm"].stats["AP"] == pytest.approx(1)
    assert (line["mask_APr"], line["box_APf"]) == pytest.approx((1, 1))
    assert (line["box_AR300"], line["mask_APc"]) == (1.0, None)  # no class is common


def test_an_augmentation_of_one_s_own_hides_no_lists(filed):
    source = Augmented(filed({}), lambda example, rng: example)
    assert is_federated(ground_truth(source))


def test_a_mixture_with_lvis_s_lists_is_not_measured(filed):
    with pytest.raises(DataError) as error:
        validate(predictor_of(tiny.stand_in(MODEL)), MixedSource([filed(), filed({})]), CONFIG)
    assert ": datasets are mixed of which one has LVIS's lists of classes" in str(error.value)
    assert "measure each dataset by itself" in str(error.value)
