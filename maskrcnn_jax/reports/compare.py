"""Two models on the same picture, stage by stage."""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict
from pycocotools import mask as mask_utils
from rich.table import Table

from maskrcnn_jax import models
from maskrcnn_jax.checkpoint import Checkpoint
from maskrcnn_jax.config import ModelConfig, differing
from maskrcnn_jax.data import ShapesSource
from maskrcnn_jax.inference import as_result
from maskrcnn_jax.models import Trace, Variables
from maskrcnn_jax.ops import ratio_value
from maskrcnn_jax.reports.one_image import batch_of
from maskrcnn_jax.structs import Batch, Detections, Example
from maskrcnn_jax.training.compiled import jit_once
from maskrcnn_jax.training.placement import to_devices

PARTNERS_WITHIN = 1.0  # pixels of the canvas: boxes further apart are not the same proposal or detection


class Difference(NamedTuple):
    """What one stage differs by.

    largest: of the absolute differences; None where there is nothing to compare. scale: largest magnitude, of the reference.
    note: what else to know, such as boxes without a partner.
    """

    stage: str
    largest: float | None
    scale: float | None
    note: str = ""


class Walk(NamedTuple):
    """A model on one picture with its ground truth: inference, pasted masks, and one step of training up to the gradients."""

    trace: Trace
    pasted: list[dict[str, Any]]
    losses: dict[str, float]
    gradients: dict[str, np.ndarray]


def compare_checkpoints(left: Checkpoint, right: Checkpoint) -> list[Difference]:
    """Stage by stage, how far `left` is from `right` on the first procedural picture; `right` is the reference.

    In training both draw the same samples from the same candidates.
    """
    return list(_differences(*(_walk(stored, _example(stored)) for stored in (left, right))))


def config_differences(ours: ModelConfig, theirs: ModelConfig) -> list[str]:
    """Every field of the configs that differs, a line each."""
    return [f"model.{name} is {here}, of the reference {there}" for name, (here, there) in differing(ours, theirs).items()]


def difference_table(rows: Sequence[Difference]) -> Table:
    """A table for `rich.print`."""
    table = Table("stage")
    for title in ("largest difference", "of values up to"):
        table.add_column(title, justify="right")
    table.add_column("note")
    for row in rows:
        table.add_row(row.stage, *("-" if x is None else f"{x:.2e}" for x in (row.largest, row.scale)), row.note)
    return table


def _example(stored: Checkpoint) -> Example:
    """The first procedural picture; its labels, and its channels, are counted round where the model has others."""
    example, config = ShapesSource(start=0, count=1)[0], stored.config.model
    image = example.image[..., np.arange(config.input.channels) % 3].astype(config.input.dtype)
    image *= np.iinfo(image.dtype).max // 255
    return example._replace(image=image, labels=(example.labels - 1) % config.num_classes + 1)


def _walk(stored: Checkpoint, example: Example) -> Walk:
    batch = to_devices(batch_of(example, stored.config, "the procedural picture"), models.one_device_mesh())
    walk, differentiate = _programs(stored.config.model)
    trace = jax.device_get(walk(stored.variables, batch.image, batch.sizes))
    height, width = (int(side) for side in batch.sizes[0])
    detections = Detections(*(value[0] for value in trace.detections))
    pasted = as_result(detections, example.image.shape[:2], (height, width), stored.config.model.paste).masks
    gradients, losses = jax.device_get(differentiate(stored.variables["params"], stored.variables, batch))
    return Walk(trace, pasted, {name: float(value) for name, value in losses.items()}, flatten_dict(gradients, sep="/"))


@cache
def _programs(config: ModelConfig) -> tuple[Callable[..., Trace], Callable[..., Any]]:
    """Inference, and gradients with losses, compiled once for all models of one config."""
    model = models.build(config)

    def total(params: Any, variables: Variables, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        ratios, _ = model.losses({**variables, "params": params}, batch, jax.random.key(0))
        losses = {name: ratio_value(ratio) for name, ratio in ratios.items()}
        return sum(losses.values(), jnp.zeros(())), losses

    return jit_once(model.trace), jit_once(jax.grad(total, has_aux=True))


def _differences(left: Walk, right: Walk) -> Iterator[Difference]:
    ours, theirs = left.trace, right.trace
    yield of_arrays("input", ours.features.image, theirs.features.image)
    for i, pair in enumerate(zip(ours.features.backbone, theirs.features.backbone, strict=True)):
        yield of_arrays(f"C{i + 2}", *pair)
    for i, pair in enumerate(zip(ours.features.pyramid, theirs.features.pyramid, strict=True)):
        yield of_arrays(f"P{i + 2}", *pair)
    for name in ("objectness", "deltas", "anchors"):
        axis = 0 if name == "anchors" else 1
        yield of_arrays(name, *(np.concatenate(getattr(walk.features, name), axis) for walk in (ours, theirs)))
    yield from _roi_differences(left, right)
    for name, value in right.losses.items():
        yield Difference(f"loss {name}", abs(left.losses[name] - value), abs(value))
    yield of_gradients(left.gradients, right.gradients)


def _roi_differences(left: Walk, right: Walk) -> Iterator[Difference]:
    """Proposals and detections, and what is computed for those that have a partner."""
    ours, theirs = left.trace, right.trace
    boxes = [walk.proposals.boxes[0][walk.proposals.valid[0]] for walk in (ours, theirs)]
    pairs, distances = partners(*boxes)
    yield of_pairs("proposals, px", distances, pairs, *boxes)
    for name in ("box_features", "class_logits", "box_deltas"):
        yield of_arrays(name.replace("_", " "), *_rows(getattr(ours, name)[0], getattr(theirs, name)[0], pairs))
    found = [walk.detections for walk in (ours, theirs)]
    boxes, labels = ([getattr(one, name)[0][one.valid[0]] for one in found] for name in ("boxes", "labels"))
    pairs, distances = partners(*boxes, *labels)
    yield of_pairs("detections, px", distances, pairs, *boxes)
    yield of_arrays("scores", *_rows(found[0].scores[0], found[1].scores[0], pairs))
    yield of_arrays("mask features", *_rows(ours.mask_features[0], theirs.mask_features[0], pairs))
    yield of_arrays("masks", *_rows(found[0].masks[0], found[1].masks[0], pairs))
    yield of_pasted([left.pasted[i] for i, _ in pairs], [right.pasted[j] for _, j in pairs])


def partners(
    ours: np.ndarray, theirs: np.ndarray, our_labels: np.ndarray | None = None, their_labels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of boxes that are the same one: each other's nearest, of equal labels and not `PARTNERS_WITHIN` apart.

    Args:
      ours: [n, 4], pixels.
      theirs: [m, 4].
      our_labels: [n]; None where there are none.
      their_labels: [m].

    Returns:
      Indices [k, 2] into both, and the largest distance of the corners' coordinates of each pair, [k].
    """
    distance = np.abs(ours[:, None] - theirs[None]).max(axis=2, initial=0)
    if our_labels is not None and their_labels is not None:
        distance = np.where(our_labels[:, None] == their_labels[None], distance, np.inf)
    if not distance.size:
        return np.zeros((0, 2), int), np.zeros(0)
    nearest, back = distance.argmin(axis=1), distance.argmin(axis=0)
    rows = np.flatnonzero((back[nearest] == np.arange(len(ours))) & (distance.min(axis=1) <= PARTNERS_WITHIN))
    pairs = np.stack([rows, nearest[rows]], axis=1)
    return pairs, distance[pairs[:, 0], pairs[:, 1]]


def of_arrays(stage: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """The largest difference of two arrays."""
    if ours.shape != theirs.shape:
        return Difference(stage, None, None, f"shapes {ours.shape} and {theirs.shape}")
    if not ours.size:
        return Difference(stage, None, None, "none to compare")
    return Difference(stage, float(np.abs(ours - theirs).max()), float(np.abs(theirs).max()))


def of_pairs(stage: str, distances: np.ndarray, pairs: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """The largest distance of two sets' pairs; boxes without a partner are counted."""
    note = f"{len(ours) - len(pairs)} of {len(ours)} and {len(theirs) - len(pairs)} of {len(theirs)} without a partner"
    if not len(pairs):
        return Difference(stage, None, None, note)
    return Difference(stage, float(distances.max()), float(np.abs(theirs).max()), note)


def of_pasted(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> Difference:
    """The share of pixels that differ in the mask which differs most."""
    shares = []
    for one, other in zip(ours, theirs, strict=True):
        masks = [mask_utils.decode(encoding) for encoding in (one, other)]
        shares.append(np.mean(masks[0] != masks[1]))
    if not shares:
        return Difference("pasted masks", None, None, "none to compare")
    return Difference("pasted masks", float(max(shares)), 1.0, "share of the picture's pixels")


def of_gradients(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> Difference:
    """The array of gradients that differs most, in L2 and of its own norm."""
    errors = {
        name: float(np.linalg.norm(ours[name] - gradient) / max(np.linalg.norm(gradient), np.finfo(np.float32).tiny))
        for name, gradient in theirs.items()
        if name in ours and ours[name].shape == gradient.shape
    }
    if not errors:
        return Difference("gradients", None, None, "no parameter of the same name and shape")
    worst, others = worst_of(errors), len(ours.keys() | theirs.keys()) - len(errors)
    skipped = f"; {others} of another name or shape not compared" if others else ""
    return Difference("gradients", errors[worst], 1.0, f"L2, of its own norm: {worst}{skipped}")


def worst_of(errors: dict[str, float]) -> str:
    """The name of the largest error; one that is not a number is larger than any."""
    return max(errors, key=lambda name: (np.isnan(errors[name]), errors[name]))


def _rows(ours: np.ndarray, theirs: np.ndarray, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return ours[pairs[:, 0]], theirs[pairs[:, 1]]
