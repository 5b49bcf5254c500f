"""A checkpoint that the command line wrote, through the public `load`."""

import numpy as np
import pytest

import maskrcnn_jax
from maskrcnn_jax import checkpoint
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.data import ShapesSource
from maskrcnn_jax.data.shapes import CATEGORIES
from tests import tiny


@pytest.fixture(scope="module")
def images():
    """Three sizes."""
    source = ShapesSource(70, 3)
    return [source[0].image, source[1].image[:100], source[2].image[:, :90]]


def test_model_config_and_categories_come_by_themselves(trained):
    predictor = maskrcnn_jax.load(trained)
    assert predictor.model.config == tiny.MODEL
    assert predictor.categories == CATEGORIES
    stored = checkpoint.load(trained).variables["params"]["box_head"]
    np.testing.assert_array_equal(predictor.variables["params"]["box_head"]["classes"]["kernel"], stored["classes"]["kernel"])


@pytest.mark.slow
def test_padding_a_batch_changes_nothing(trained, images):
    alone = maskrcnn_jax.load(trained, batch_size=1)(images)
    for together in (maskrcnn_jax.load(trained, batch_size=3)(images), maskrcnn_jax.load(trained, batch_size=3)(images[:1])):
        for one, other in zip(alone, together, strict=False):
            assert len(one.boxes) == tiny.MODEL.detect.max_detections
            assert one.size == other.size
            np.testing.assert_allclose(other.scores, one.scores, rtol=1e-4)
            np.testing.assert_array_equal(other.labels, one.labels)
            np.testing.assert_allclose(other.boxes, one.boxes, atol=0.02)


def test_a_folder_that_is_no_checkpoint_is_an_error(tmp_path):
    with pytest.raises(CheckpointError) as error:
        maskrcnn_jax.load(tmp_path)
    assert f"{tmp_path}: no checkpoint in this folder; give a run folder" in str(error.value)
