"""Reports of made-up detections, each made once."""

import copy
from functools import cache

import numpy as np

from maskrcnn_jax.reports.model_report import model_report
from maskrcnn_jax.reports.model_report.pictures import Pictures
from tests.evaluation.by_hand import made_up

NAMES = {2: "cat", 5: "traffic light that stands <b>far</b> away & behind trees", 7: "dog"}


def truth_and_detections():
    """A dataset with names of classes, and a file name for each image."""
    truth, detections = made_up()
    truth["categories"] = [{"id": id, "name": NAMES[id]} for id in (7, 2, 5)]
    for k, entry in enumerate(detections[:60:3]):
        entry["score"] = (5 + 4 * k) / 100  # at positions of the slider
    for image in truth["images"]:
        image["file_name"] = f"picture {image['id']}.jpg"
    return truth, detections


def better(truth, detections):
    """The same with a third of the wrong detections gone, and other scores."""
    rng = np.random.default_rng(5)
    kept = [copy.copy(entry) for entry in detections if rng.random() < 0.75]
    for entry in kept:
        entry["score"] = float(entry["score"] ** 0.7)
    return kept


@cache
def one_model():
    truth, detections = truth_and_detections()
    return model_report("made up", truth, {"runs/a": detections})


@cache
def two_models():
    truth, detections = truth_and_detections()
    return model_report("made up", truth, {"runs/a": detections, "runs/b": better(truth, detections)})


def pictures(report, count, side=64):
    """Noise, in place of the worst images."""
    rng = np.random.default_rng(0)

    def noise():
        return rng.integers(0, 256, (side, side, 3), np.uint8)

    return [Pictures(image=i, truth=noise(), found=tuple(noise() for _ in report.models)) for i in report.worst_first()[:count]]
