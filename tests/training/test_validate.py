from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import EvalConfig
from maskrcnn_jax.data import make_batch
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.training import validate
from tests import tiny
from tests.training.conftest import MODEL

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
def test_more_than_100_detections_count_where_configured(limit, ap):
    """The right box comes 120th."""
    config = replace(MODEL, detect=replace(MODEL.detect, max_detections=limit))
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

    result = validate(predictor_of(model._replace(predict=many)), tiny.Squares(1), replace(CONFIG, model=config))
    assert len(result.detections) == 150
    assert f"AR{limit}" in result.metrics["segm"].stats
    assert result.metrics["bbox"].stats["AP50"] == pytest.approx(ap)
    assert result.metrics["segm"].stats["AP50"] == pytest.approx(ap)


def test_losses_on_demand_are_those_of_training_without_augmentation():
    config = replace(CONFIG, eval=EvalConfig(batch_size=2, losses=True), train=replace(CONFIG.train, seed=5))
    config = replace(config, data=replace(config.data, flip=1.0, train_min_sides=(32,)))
    predictor, source = predictor_of(tiny.stand_in(MODEL)), tiny.Squares(4)
    found = validate(predictor, source, config).losses
    expected = []
    for step, indices in enumerate([(0, 1), (2, 3)]):
        batch = make_batch([source[i] for i in indices], (64, 64), max_objects=8, mask_crop=16)
        losses, _ = predictor.model.losses(predictor.variables, batch, jax.random.fold_in(jax.random.key(5), step))
        expected.append(losses["mask"].numerator / losses["mask"].denominator)
    assert set(found) == {"rpn_class", "rpn_box", "class", "box", "mask"}
    assert found["mask"] == pytest.approx(np.mean(expected), rel=1e-5)
