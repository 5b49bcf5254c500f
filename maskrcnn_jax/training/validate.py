"""Measuring a model on a source."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from maskrcnn_jax import evaluation
from maskrcnn_jax.config import AugmentConfig, ExperimentConfig
from maskrcnn_jax.data import DataError, Plan, Source, batches, check_source, image_name, read_example, source_name
from maskrcnn_jax.evaluation import Metrics
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.models import Losses, Model, Variables
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.structs import Batch, Ratio, Result
from maskrcnn_jax.training.inputs import categories_in, check_measurable
from maskrcnn_jax.training.placement import to_devices
from maskrcnn_jax.training.processes import gathered, in_all, share

logger = logging.getLogger(__name__)


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
    """Metrics, and if `config.eval.losses` the losses, of a model on the first `config.eval.max_images` images of `source`.

    The metrics are LVIS's where the images have its lists of classes (`CocoSource.federated`), and COCO's otherwise.

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
    found = gathered(in_all(lambda: _measured(predictor, source, config, progress)))
    ids = [image_id for part in found for image_id in part["image_ids"]]
    if len(set(ids)) < len(ids):
        twice = next(image_id for image_id in ids if ids.count(image_id) > 1)
        raise DataError(f"{source_name(source)}: image id {twice} occurs twice; give every image an id of its own")
    truth = evaluation.joined([part["truth"] for part in found])
    detections = [entry for part in found for entry in part["detections"]]
    if evaluation.is_federated(truth):
        metrics = evaluation.evaluate_lvis(truth, detections)
        _tell_of_too_few(predictor)
    else:
        metrics = evaluation.evaluate(truth, detections, max_detections=config.eval.max_detections)
    losses = _mean_losses([part["losses"] for part in found])
    return Evaluation(metrics, truth, detections, losses, sum(part["cut"] for part in found))


def scalars(result: Evaluation) -> dict[str, float]:
    """The numbers of an evaluation by name: `box_AP`, `mask_AP50`, ..., `candidates_cut`, and `loss_mask` and so on where measured."""
    names = {"bbox": "box", "segm": "mask"}
    numbers = {f"{names[kind]}_{name}": value for kind, metrics in result.metrics.items() for name, value in metrics.stats.items()}
    return numbers | {"candidates_cut": float(result.candidates_cut)} | {f"loss_{name}": value for name, value in result.losses.items()}


def _tell_of_too_few(predictor: Predictor) -> None:
    limit, counted = predictor.model.config.detect.max_detections, evaluation.LVIS_DETECTIONS
    if limit < counted:
        logger.warning(
            "model.detect.max_detections is %d, and LVIS counts %d detections an image: AP is lower than it could be; "
            "set --model.detect.max-detections %d",
            limit,
            counted,
            counted,
        )


def _measured(predictor: Predictor, source: Source, config: ExperimentConfig, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """What this process contributes: its share of the images, ready for JSON."""
    check_source(source)
    check_measurable(predictor.categories, source, replace(config, model=predictor.model.config))
    total = min(len(source), config.eval.max_images or len(source))
    own = share(total)
    categories = categories_in(source, predictor.categories)
    detections: list[dict[str, Any]] = []
    ids: list[int] = []
    cut = 0
    for image_id, result in _results(predictor, source, own):
        detections.extend(evaluation.to_coco(result, image_id, categories))
        cut += result.cut
        ids.append(image_id)
        progress(len(ids) * total // len(own), total)
    losses = validation_losses(predictor, source, config, total) if config.eval.losses else {}
    truth = evaluation.ground_truth(source, own)
    return {"image_ids": ids, "truth": truth, "detections": detections, "losses": losses, "cut": cut}


def _mean_losses(parts: list[dict[str, tuple[float, float]]]) -> dict[str, float]:
    """Each loss over what all processes have summed; those without a share have no sums."""
    sums = [part for part in parts if part]
    return {
        name: float(ratio_value(Ratio(*(np.float32(sum(part[name][i] for part in sums)) for i in range(2))))) for name in (sums or [{}])[0]
    }


def validation_losses(predictor: Predictor, source: Source, config: ExperimentConfig, total: int) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of the training losses, without augmentation, summed over this process's share of the batches.

    The batches hold the first `total` images of `source`, each once. What is drawn for an image depends on its index, so that the
    size of the batches and the number of devices matter to the order of sums alone; but batch norms that are trained see the batch.
    """
    model = predictor.model
    data = replace(config.data, augment=AugmentConfig(flip=0.0))
    size = predictor.batch_size
    name = partial(image_name, source)
    plan = Plan(source.sizes, model.config.input, data, batch_size=size, seed=0, indices=np.arange(total), shuffle=False, name=name)
    sums: Any = {}
    key = jax.random.key(config.train.seed)
    steps = share(plan.steps_per_epoch)
    stream = batches(source, plan, model.config.input, data, start_step=steps.start, stop_step=steps.stop, seed=config.train.seed)
    with closing(stream):
        for step, batch in zip(steps, stream, strict=True):
            indices = plan(step)[1]
            fills = indices <= np.maximum.accumulate(np.append(-1, indices))[:-1]  # they rise, until a canvas's first fill its last batch
            counted = batch._replace(positions=indices.astype(np.int32), void=fills)
            ratios = _losses(model, predictor.variables, to_devices(counted, model.mesh), key)
            sums = jax.tree.map(jax.numpy.add, sums, ratios) if sums else ratios
    return {name: (float(ratio.numerator), float(ratio.denominator)) for name, ratio in sums.items()}


@partial(jax.jit, static_argnums=0)
def _losses(model: Model, variables: Variables, batch: Batch, key: jax.Array) -> Losses:
    logger.info("compiling the losses for images of shape %s", batch.image.shape)  # a traced function runs once a program
    return model.losses(variables, batch, key)[0]


def _results(predictor: Predictor, source: Source, indices: range) -> Iterator[tuple[int, Result]]:
    """Image id and result, image by image; of an example only id and image are held, its masks are large."""

    def read(i: int) -> tuple[int, Any]:
        example = read_example(source, i, predictor.model.config.input)
        return int(example.image_id), example.image

    for image_id, _, result in predictor.stream(map(read, indices)):
        yield image_id, result
