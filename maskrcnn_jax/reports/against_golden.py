"""A model against a golden file, stage by stage."""

import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax import models, ops
from maskrcnn_jax.config import PasteConfig
from maskrcnn_jax.errors import first_few, misfits
from maskrcnn_jax.inference import encode_masks
from maskrcnn_jax.models import Features, Trace, Variables, mask_rcnn, one_device_mesh
from maskrcnn_jax.models.losses import mask_losses
from maskrcnn_jax.reports.compare import Difference, of_arrays, of_pairs, partners, worst_of
from maskrcnn_jax.reports.golden import LOSSES, TRAINING, Golden, GoldenError
from maskrcnn_jax.structs import Array, Detections, Proposals, RoiSamples
from maskrcnn_jax.training.compiled import jit_once
from maskrcnn_jax.weights import from_arrays, to_arrays
from maskrcnn_jax.weights.files import NOT_WEIGHTS

BOX_POOL_STRIDE, MASK_POOL_STRIDE = 8, 16  # channels of RoI features that a file keeps


def compare_golden(golden: Golden, group: str, variables: Variables) -> list[Difference]:
    """Stage by stage, how far a model is from the file's group; the reference's own samples are used in training.

    Args:
      golden: the file, read for the model.
      group: one of `golden.groups()`.
      variables: of the model.

    Raises:
      GoldenError: the file is of a model of other layers or classes, or of other weights.
    """
    arrays = to_arrays(golden.system, variables, golden.model)
    shapes = {name: tuple(shape) for name, shape in golden.about["state_dict"].items() if not name.endswith(NOT_WEIGHTS)}
    if problems := misfits({name: array.shape for name, array in arrays.items()}, shapes):
        raise GoldenError(f"{golden.path}: is of another model than the checkpoint:\n  {first_few(problems, chr(10) + '  ')}")
    sums = {name: zlib.crc32(array.astype("<f4").tobytes()) for name, array in arrays.items()}
    if others := [name for name, value in sums.items() if value != golden.sums.get(name)]:
        raise GoldenError(
            f"{golden.path}: its outputs are of other weights than the checkpoint's ({len(others)} of {len(sums)} arrays differ: "
            f"{first_few(others)}); convert the weights that it was made with"
        )
    if group in TRAINING:  # norms are constant there, and lie elsewhere
        step = training_step(golden, group, from_arrays(golden.system, arrays, golden.config(group)))
        return list(_training_differences(golden, group, step))
    model, (images, sizes) = models.build(golden.config(group)), golden.canvases(group)
    walk = jax.device_get(jit_once(model.trace)(variables, images, sizes))
    return list(_inference_differences(golden, group, walk, sizes))


class TrainingStep(NamedTuple):
    """A training step on a golden file's samples: our proposals and matches, losses by name, mask targets and gradients."""

    proposals: Proposals
    matches: list[Any]
    losses: dict[str, Array]
    targets: Array
    gradients: Variables


def training_step(golden: Golden, group: str, variables: Variables) -> TrainingStep:
    """One step of a training group up to losses and gradients, on the anchors and RoIs that the reference sampled.

    Args:
      golden: the file.
      group: `train/` or `train_last/`.
      variables: of the model `golden.config(group)`.
    """
    config, batch, mesh = golden.config(group), jax.tree.map(jnp.asarray, golden.batch(group)), one_device_mesh()
    rois = jax.tree.map(jnp.asarray, golden.roi_samples(group))

    def prepare(variables: Variables) -> tuple[Proposals, list[Any]]:
        features, _ = mask_rcnn.compute_features(variables, batch.image, batch.sizes, config, mesh, training=True)
        anchors = jnp.concatenate(features.anchors)
        top_k = (config.propose.pre_nms_top_k_train, config.propose.post_nms_top_k_train)
        proposals = mask_rcnn.compute_proposals(features, batch.sizes.astype(jnp.float32), top_k, config, mesh)
        assign = config.assign
        matches = [
            ops.match(
                anchors,
                boxes,
                valid,
                foreground_iou=assign.rpn_foreground_iou,
                background_iou=assign.rpn_background_iou,
                low_quality=assign.rpn_low_quality,
            )
            for boxes, valid in zip(batch.instances.boxes, batch.instances.valid, strict=True)
        ]
        return proposals, matches

    proposals, matches = jax.device_get(jit_once(prepare)(variables))
    gt_boxes = [np.asarray(boxes)[match.gt_indices] for boxes, match in zip(batch.instances.boxes, matches, strict=True)]
    samples = jax.tree.map(jnp.asarray, golden.anchor_samples(group, gt_boxes))
    drawn = None if golden.system == "torchvision" else jnp.asarray(golden.drawn_targets(group))

    def step(variables: Variables) -> tuple[Array, tuple[dict[str, Array], Array]]:
        features, _ = mask_rcnn.compute_features(variables, batch.image, batch.sizes, config, mesh, training=True)
        walk = mask_rcnn.supervise(variables, batch, features, samples, proposals, rois, config, mesh)
        ratios = walk.losses
        if drawn is not None:  # Detectron2 draws its targets on the host, from polygons
            ratios = ratios | mask_losses(walk.mask_logits, drawn, RoiSamples(*(x[:, : drawn.shape[1]] for x in rois)))
        losses = {name: ops.ratio_value(ratio) for name, ratio in ratios.items()}
        return sum(losses.values(), jnp.zeros(())), (losses, walk.mask_targets)

    (_, (losses, targets)), gradients = jax.device_get(jit_once(jax.value_and_grad(step, has_aux=True))(variables))
    return TrainingStep(proposals, matches, losses, targets, gradients)


def sampled(array: np.ndarray, stride: tuple[int, int, int] | np.ndarray) -> np.ndarray:
    """A map as the files hold it: NCHW, every so many channels, rows, columns."""
    c, y, x = stride
    return array.transpose(0, 3, 1, 2)[:, ::c, ::y, ::x]


def head_maps(features: Features, level: int) -> tuple[np.ndarray, np.ndarray]:
    """Objectness [b, h, w, a] and deltas [b, h, w, 4 * a] of a level."""
    b, h, w, _ = features.pyramid[level].shape
    return features.objectness[level].reshape(b, h, w, -1), features.deltas[level].reshape(b, h, w, -1)


def _inference_differences(golden: Golden, group: str, walk: Trace, sizes: np.ndarray) -> Iterator[Difference]:
    arrays, features = golden.arrays, walk.features
    if f"{group}input/crop" in arrays:
        yield of_arrays("input", features.image[:, 100:116, 200:216].transpose(0, 3, 1, 2), arrays[f"{group}input/crop"])
    maps = {f"C{i + 2}": (f"backbone/c{i + 2}", level) for i, level in enumerate(features.backbone)}
    maps |= {f"P{i + 2}": (f"fpn/p{i + 2}", level) for i, level in enumerate(features.pyramid)}
    for i in range(len(features.pyramid)):
        for stage, level in zip(("objectness", "deltas"), head_maps(features, i), strict=True):
            maps[f"{stage} P{i + 2}"] = (f"rpn/p{i + 2}/{stage}", level)
    for stage, (name, level) in maps.items():
        if f"{group}{name}/sub" in arrays:
            yield of_arrays(stage, sampled(level, arrays[f"{group}{name}/stride"]), arrays[f"{group}{name}/sub"])
        else:
            expected = np.array([arrays[f"{group}{name}/{part}"] for part in ("mean", "std")])
            row = of_arrays(stage, np.array([level.mean(), level.std(ddof=1)]), expected)
            yield row._replace(note="mean and spread of the whole map")
    if f"{group}anchors/first30" in arrays:
        anchors = np.concatenate(features.anchors)
        parts = {"first30": anchors[:30], "last30": anchors[-30:], "every997": anchors[::997]}
        expected = np.concatenate([arrays[f"{group}anchors/{part}"] for part in parts])
        yield of_arrays("anchors", np.concatenate(list(parts.values())), expected)
    for i, number, prefix in golden.images(group):
        picture = f" {number}" if len(golden.images(group)) > 1 else ""
        for difference in _roi_differences(golden, prefix, walk, i, sizes[i], golden.config(group).paste):
            yield difference._replace(stage=difference.stage + picture)


def _roi_differences(golden: Golden, prefix: str, walk: Trace, row: int, size: np.ndarray, paste: PasteConfig) -> Iterator[Difference]:
    arrays = golden.arrays
    boxes, expected = walk.proposals.boxes[row][walk.proposals.valid[row]], arrays[f"{prefix}proposals/boxes"]
    pairs, distances = partners(boxes, expected)
    yield of_pairs("proposals, px", distances, pairs, boxes, expected)
    if f"{prefix}roi/box_pool_first8_c8" in arrays:
        pooled = walk.box_features[row].transpose(0, 3, 1, 2)[:, ::BOX_POOL_STRIDE]
        yield _of_partners("box features", pooled, arrays[f"{prefix}roi/box_pool_first8_c8"], pairs)
        logits, deltas = walk.class_logits[row], walk.box_deltas[row]
        if golden.system == "detectron2":  # background is the last there, and has no box
            logits, deltas = np.roll(logits, -1, axis=1), deltas[:, 1:]
        yield _of_partners("class logits", logits, arrays[f"{prefix}box_head/class_logits"], pairs)
        yield _of_partners("box deltas", deltas.reshape(len(deltas), -1), arrays[f"{prefix}box_head/box_deltas"], pairs)
    found = jax.tree.map(lambda x: x[row], walk.detections)
    labels, expected = golden.label(arrays[f"{prefix}det/labels"]), arrays[f"{prefix}det/boxes_resized"]
    pairs, distances = partners(found.boxes[found.valid], expected, found.labels[found.valid], labels)
    yield of_pairs("detections, px", distances, pairs, found.boxes[found.valid], expected)
    yield _of_partners("scores", found.scores, arrays[f"{prefix}det/scores"], pairs)
    if f"{prefix}roi/mask_pool_first8_c16" in arrays:
        pooled = walk.mask_features[row].transpose(0, 3, 1, 2)[:, ::MASK_POOL_STRIDE]
        yield _of_partners("mask features", pooled, arrays[f"{prefix}roi/mask_pool_first8_c16"], pairs)
    yield _of_partners("masks", found.masks, arrays[f"{prefix}det/mask_probs"], pairs)
    yield _of_pasted(golden, prefix, size, found, pairs, paste)


def _of_partners(stage: str, ours: np.ndarray, theirs: np.ndarray, pairs: np.ndarray) -> Difference:
    """Rows that are partners, of the first rows that the file keeps."""
    kept = pairs[pairs[:, 1] < len(theirs)]
    return of_arrays(stage, ours[kept[:, 0]], theirs[kept[:, 1]])


def _of_pasted(golden: Golden, prefix: str, size: np.ndarray, found: Detections, pairs: np.ndarray, config: PasteConfig) -> Difference:
    """Largest share of the picture's pixels in which a pair's pasted masks differ; `size` is the picture's on the canvas."""
    shape = golden.arrays[f"{prefix}det/masks_shape"]
    expected = np.unpackbits(golden.arrays[f"{prefix}det/masks_packed"], axis=1)[:, : shape[1] * shape[2]].reshape(shape)
    if not len(pairs):
        return Difference("pasted masks", None, None, "none to compare")
    frames = found.mask_frames[pairs[:, 0]] * np.array([shape[2] / size[1], shape[1] / size[0]] * 2, np.float32)
    pasted = mask_utils.decode(encode_masks(found.masks[pairs[:, 0]], frames, (int(shape[1]), int(shape[2])), config))
    shares = np.mean(pasted.transpose(2, 0, 1) != expected[pairs[:, 1]], axis=(1, 2))
    return Difference("pasted masks", float(shares.max()), 1.0, "share of the picture's pixels")


def _training_differences(golden: Golden, group: str, step: TrainingStep) -> Iterator[Difference]:
    for row in (0, 1):
        boxes, expected = step.proposals.boxes[row][step.proposals.valid[row]], golden.arrays[f"train/img{row}/proposals/boxes"]
        pairs, distances = partners(boxes, expected)
        yield of_pairs(f"proposals {row}, px", distances, pairs, boxes, expected)
    for ours, theirs in LOSSES[golden.system].items():
        expected = float(golden.arrays[f"{group}loss/{theirs}"])
        yield Difference(f"loss {ours}", abs(float(step.losses[ours]) - expected), expected)
    yield from _of_gradients(golden, group, step.gradients)


def listed_values(gradient: np.ndarray) -> np.ndarray:
    """The values of a gradient that a file lists: its first 32, and 32 spread over all of it."""
    flat = gradient.ravel()
    return np.concatenate([flat[:32], flat[:: max(1, flat.size // 32)][:32]])


def _of_gradients(golden: Golden, group: str, gradients: Variables) -> Iterator[Difference]:
    """The gradient whose norm differs most, of the norm; and where the file lists values, the one whose values do, in L2 of theirs."""
    found = to_arrays(golden.system, gradients, golden.config(group))
    start, end = f"{group}grad/", "/norm"
    keys = [key for key in golden.arrays if key.startswith(start) and key.endswith(end)]
    norms = {key.removeprefix(start).removesuffix(end): float(golden.arrays[key]) for key in keys}
    errors = {name: abs(float(np.linalg.norm(found[name].astype(np.float64))) - norm) / norm for name, norm in norms.items()}
    worst = worst_of(errors)
    yield Difference("gradients", errors[worst], 1.0, f"norm, of itself: {worst}")
    parts = {name: [f"{start}{name}/{part}" for part in ("first32", "strided32")] for name in norms}
    listed = {name: keys for name, keys in parts.items() if all(key in golden.arrays for key in keys)}
    expected = {name: np.concatenate([golden.arrays[key] for key in keys]) for name, keys in listed.items()}
    if expected:
        errors = {name: float(np.linalg.norm(listed_values(found[name]) - e) / np.linalg.norm(e)) for name, e in expected.items()}
        worst = worst_of(errors)
        yield Difference("gradients' values", errors[worst], 1.0, f"up to 64 listed, L2, of their own norm: {worst}")
