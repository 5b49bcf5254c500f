"""Images with more objects than the configuration has room for."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.reports.check_data.findings import Finding
from maskrcnn_jax.reports.check_data.survey import Survey


def over_capacity(config: ExperimentConfig, survey: Survey) -> Iterator[Finding]:
    """Images of a split with too many objects: to be trained on, or, in validation, to be found or to be counted."""
    if survey.split == "train":
        yield from _over(survey, survey.objects_an_image(crowds=True), "max-objects", "data.max_objects", config.data.max_objects)
        return
    counts = survey.objects_an_image(crowds=False)
    limits = {
        "model.detect.max_detections": config.model.detect.max_detections,
        "model.detect.max_candidates": config.model.detect.max_candidates,
        "model.propose.post_nms_top_k_test": config.model.propose.post_nms_top_k_test,
    }
    field = min(limits, key=lambda name: limits[name])
    yield from _over(survey, counts, "max-detections", field, limits[field])
    if not getattr(survey.source, "federated", False):  # LVIS has no limit of a class
        yield from _over(survey, _most_of_a_class(survey), "max-detections", "eval.max_detections", config.eval.max_detections)


def _over(survey: Survey, counts: Int[np.ndarray, "n"], kind: str, field: str, limit: int) -> Iterator[Finding]:
    for i in np.flatnonzero(counts > limit):
        message = (
            f"{counts[i]} objects{' of one category' if field.startswith('eval') else ''}, {field} is {limit}; raise it to {counts.max()}"
        )
        yield Finding(kind=kind, message=message, places=(survey.place(int(i)),))


def _most_of_a_class(survey: Survey) -> Int[np.ndarray, "n"]:
    """How many objects of one class each image has at most; crowds do not count."""
    classes = len(survey.source.categories) + 1
    keys, counts = np.unique((survey.images * classes + survey.labels)[~survey.crowd], return_counts=True)
    most = np.zeros(len(survey.source), np.int64)
    np.maximum.at(most, keys // classes, counts)
    return most
