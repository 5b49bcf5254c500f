"""Measuring a model on a source."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from maskrcnn_jax import evaluation
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import DataError, Plan, Source, batches, check_example, check_source, source_name
from maskrcnn_jax.evaluation import Metrics
from maskrcnn_jax.inference import CALLS_AT_ONCE, Predictor
from maskrcnn_jax.models import Losses, Model, Variables
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.structs import Batch, Result
from maskrcnn_jax.training.inputs import categories_in, check_measurable
from maskrcnn_jax.training.step import to_devices


class Evaluation(NamedTuple):
    """What was measured.

    metrics: of "bbox" and "segm". ground_truth: COCO dataset. detections: COCO results. losses: by name, where asked for.
    candidates_cut: candidates beyond `model.detect.max_candidates`, left out; should be 0.
    """

    metrics: dict[str, Metrics]
    ground_truth: dict[str, Any]
    detections: list[dict[str, Any]]
    losses: dict[str, float]
    candidates_cut: int


def validate(
    predictor: Predictor, source: Source, config: ExperimentConfig, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """COCO metrics, and if `config.eval.losses` the losses, of a model on the first `config.eval.max_images` images of `source`.

    Args:
      predictor: the model.
      source: images with ground truth. Its categories are those of the model that have the same names; what the model finds of
        others is left out.
      config: `eval` says what is measured, `data` how the batches of the losses are made, `train.seed` what they draw.
      progress: called with images done and their number.

    Raises:
      DataError: it is no source, has a category that the model has not, there is no image, an image fits no canvas or cannot be
        read, an example is not what `structs.Example` says, or two have the same id.
    """
    check_source(source)
    check_measurable(predictor.categories, source, replace(config, model=predictor.model.config))
    total = min(len(source), config.eval.max_images or len(source))
    categories = categories_in(source, predictor.categories)
    detections: list[dict[str, Any]] = []
    cut = 0
    for done, image_id, result in _results(predictor, source, total):
        detections.extend(evaluation.to_coco(result, image_id, categories))
        cut += result.cut
        progress(done, total)
    truth = evaluation.ground_truth(source, range(total))
    metrics = evaluation.evaluate(truth, detections, max_detections=config.eval.max_detections)
    losses = validation_losses(predictor, source, config, total) if config.eval.losses else {}
    return Evaluation(metrics, truth, detections, losses, cut)


def validation_losses(predictor: Predictor, source: Source, config: ExperimentConfig, total: int) -> dict[str, float]:
    """The training losses on the first `total` images of `source`, without augmentation; each a mean over all of them.

    Where the images of a canvas do not fill the last batch, its first ones count twice.
    """
    model = predictor.model
    data = replace(config.data, flip=0.0, train_min_sides=())
    size = predictor.batch_size
    image_ids = getattr(source, "image_ids", None)
    plan = Plan(
        source.sizes, model.config.input, data, batch_size=size, seed=0, indices=np.arange(total), shuffle=False, image_ids=image_ids
    )
    sums: Any = None
    key = jax.random.key(config.train.seed)
    stream = batches(source, plan, model.config.input, data, start_step=0, stop_step=plan.steps_per_epoch, seed=config.train.seed)
    for step, batch in enumerate(stream):
        ratios = _losses(model, predictor.variables, to_devices(batch, model.mesh), jax.random.fold_in(key, step))
        sums = ratios if sums is None else jax.tree.map(jax.numpy.add, sums, ratios)
    return {name: float(ratio_value(ratio)) for name, ratio in sums.items()}


@partial(jax.jit, static_argnums=0)
def _losses(model: Model, variables: Variables, batch: Batch, key: jax.Array) -> Losses:
    return model.losses(variables, batch, key)[0]


def _results(predictor: Predictor, source: Source, total: int) -> Iterator[tuple[int, int, Result]]:
    """Images done, image id and result, image by image; of an example only id and image are held, its masks are large."""
    chunk = predictor.batch_size * CALLS_AT_ONCE
    seen: set[int] = set()
    for start in range(0, total, chunk):
        ids, images = [], []
        for i in range(start, min(start + chunk, total)):
            example = source[i]
            check_example(example, len(source.categories))
            if int(example.image_id) in seen:
                raise DataError(f"{source_name(source)}: image id {example.image_id} occurs twice; give every image an id of its own")
            seen.add(int(example.image_id))
            ids.append(int(example.image_id))
            images.append(example.image)
        for row, result in enumerate(predictor(images)):
            yield start + row + 1, ids[row], result
