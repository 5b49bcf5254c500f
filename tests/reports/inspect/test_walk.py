"""A walk is what the model does, and what the page computes with is of the walk."""

import json
import re
from dataclasses import replace
from functools import cache

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax import models, stages
from maskrcnn_jax.data import DataError
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.reports import html, inspect
from maskrcnn_jax.reports.inspect.record import record_of
from maskrcnn_jax.reports.inspect.walking import over_threshold
from maskrcnn_jax.structs import Proposals
from tests.oracles.boxes import clip, decode
from tests.oracles.roi_align import level
from tests.oracles.selection import greedy_nms
from tests.reports.inspect import walks

POSITIONS = [(0.2, 0.5), (0.05, 0.3), (0.6, 0.8)]  # of the sliders: score and NMS thresholds, the model's own first


@pytest.fixture(scope="module")
def record():
    return json.loads(html.embedded(record_of(walks.walk(), score_threshold=0.3, iou=0.5)))


@cache
def detected(score, nms):
    """What the stages find with these thresholds: candidates and detections."""
    walk, config = walks.walk(), replace(walks.MODEL.detect, score_threshold=score, nms_threshold=nms)

    @jax.jit
    def run(*arrays):
        candidates = stages.classify(*arrays, config)
        return candidates, stages.detect(candidates, config)

    proposals = Proposals(*(jnp.asarray(field) for field in walk.trace.proposals))
    size = jnp.asarray(walk.resized.image.shape[:2], jnp.float32)
    return jax.device_get(run(jnp.asarray(walk.trace.class_logits), jnp.asarray(walk.trace.box_deltas), proposals, size))


def test_the_detections_over_the_model_s_threshold_are_the_predictor_s():
    walk, stored = walks.walk(), walks.stored()
    predictor = Predictor(models.build(stored.config.model), stored.variables, stored.categories)
    (expected,) = predictor([walk.example.image])
    found = over_threshold(walk.result, walks.MODEL.detect.score_threshold)
    assert len(found.scores) == len(expected.scores) > 3
    assert found.labels.tolist() == expected.labels.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4)  # two programs, two orders of sums
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.02)
    for one, other in zip(found.masks, expected.masks, strict=True):
        assert np.mean(mask_utils.decode(one) != mask_utils.decode(other)) < 1e-3  # cells at one half turn over with rounding


@pytest.mark.parametrize(("score", "nms"), POSITIONS)
def test_greedy_nms_on_the_record_is_what_the_stages_find(record, score, nms):
    boxes, scores, labels = (record["candidates"][name] for name in ("boxes", "scores", "labels"))
    over = [i for i in range(len(scores)) if np.float32(scores[i]) > np.float32(score)]
    kept = greedy_nms([boxes[i] for i in over], [scores[i] for i in over], [True] * len(over), [labels[i] for i in over], nms)
    kept = kept[: record["max_detections"]]
    candidates, found = detected(score, nms)
    assert len(over) == candidates.valid.sum()
    assert len(kept) == found.valid.sum() > 0
    assert [labels[over[i]] for i in kept] == found.labels[found.valid].tolist()
    np.testing.assert_allclose([scores[over[i]] for i in kept], found.scores[found.valid], rtol=1e-5)
    np.testing.assert_allclose([boxes[over[i]] for i in kept], found.boxes[found.valid], atol=1e-3)


def test_the_record_s_floats_are_the_model_s(record):
    candidates = walks.walk().trace.candidates
    assert np.float32(record["candidates"]["scores"]).tolist() == candidates.scores[candidates.valid].tolist()
    assert np.float32(record["candidates"]["boxes"]).tolist() == candidates.boxes[candidates.valid].tolist()
    assert record["thresholds"] == {"score": 0.3, "nms": 0.5, "iou": 0.5}
    assert record["own"] == {"score": 0.2, "nms": 0.5}
    assert record["size"] == [64, 48]


def test_the_floor_is_where_candidates_end(record):
    """160 pairs of proposal and class, 120 candidates."""
    assert record["floor"] == min(record["candidates"]["scores"]) > 0
    candidates = walks.walk().trace.candidates
    whole = walks.walk()._replace(trace=walks.walk().trace._replace(candidates=candidates._replace(cut=np.int32(0))))
    assert record_of(whole, score_threshold=0.5, iou=0.5)["floor"] == 0


def test_outlines_are_of_the_masks_of_detections(record):
    walk, detections = walks.walk(), walks.walk().trace.detections
    assert len(record["outlines"]) == detections.valid.sum() == len(walk.result.masks)
    by_box = {tuple(box): key for key, box in enumerate(record["candidates"]["boxes"])}
    for row, mask in enumerate(walk.result.masks):
        path = record["outlines"][str(by_box[tuple(float(str(side)) for side in detections.boxes[row])])]
        canvas = np.zeros((16 * 64, 16 * 48), np.uint8)
        rings = [np.array(re.findall(r"([-\d.]+),([-\d.]+)", ring), float) for ring in path.split("M")[1:]]
        cv2.fillPoly(canvas, [np.round(16 * ring).astype(np.int32) for ring in rings], 1)
        expected = cv2.resize(255 * mask_utils.decode(mask), (16 * 48, 16 * 64), interpolation=cv2.INTER_LINEAR) >= 128
        assert (canvas & expected).sum() / max(1, (canvas | expected).sum()) > 0.85  # of masks of a few pixels the edge is much


def test_truth_is_of_the_resized_image_objects_first(record):
    example = walks.example()
    order = np.argsort(example.crowd, kind="stable")
    assert record["truth"]["labels"] == example.labels[order].tolist()
    assert record["truth"]["crowd"] == [False] * (len(order) - 1) + [True]
    np.testing.assert_allclose(record["truth"]["boxes"], example.boxes[order] * 0.4, rtol=1e-6)


def test_the_best_anchors_and_where_the_network_moves_them():
    walk = walks.walk()
    features, config = walk.trace.features, walks.MODEL
    anchors, logits, deltas = (np.concatenate(levels) for levels in (features.anchors, features.objectness, features.deltas))
    inside = ((anchors[:, :2] + anchors[:, 2:]) / 2 < [48, 64]).all(axis=1)
    assert walk.boxes.usable == inside.sum() < len(anchors)
    best = sorted(np.flatnonzero(inside), key=lambda i: -logits[i])[: len(walk.boxes.anchors)]
    np.testing.assert_array_equal(walk.boxes.anchors, anchors[best])
    moved = [clip(decode(deltas[i], anchors[i], config.propose.coder_weights, config.propose.max_log_scale), 64, 48) for i in best]
    np.testing.assert_allclose(walk.boxes.moved, moved, atol=1e-3)


def test_levels_are_those_that_proposals_are_read_from():
    walk, pool = walks.walk(), walks.MODEL.pool
    rule = (4, 2, pool.canonical_size, pool.canonical_level, pool.level_epsilon, pool.level_epsilon_at)
    assert walk.boxes.levels.tolist() == [level(box, *rule) for box in walk.trace.proposals.boxes]
    assert len(set(walk.boxes.levels.tolist())) > 1


def test_training_sees_the_ground_truth():
    walk = walks.walk()
    training, objects = walk.training, walk.resized.boxes[~walk.resized.crowd]
    positive = training.anchor_samples.positive & training.anchor_samples.valid
    assert positive.any()
    assert all((box == objects).all(axis=1).any() for box in training.anchor_samples.gt_boxes[positive])
    assert set(training.losses) == {"rpn_class", "rpn_box", "class", "box", "mask"}
    assert all(np.isfinite(value) for value in training.losses.values())
    assert training.mask_targets.shape == training.mask_logits.shape


def test_an_image_that_fits_no_canvas_is_an_error_that_names_it():
    config = walks.stored().config
    narrow = replace(config, model=replace(config.model, input=replace(config.model.input, canvases=((32, 32),))))
    with pytest.raises(DataError) as error:
        inspect.walk(walks.stored()._replace(config=narrow), walks.example(), "far.png", annotated=False)
    assert str(error.value).startswith("far.png: resized to 64 x 48")
