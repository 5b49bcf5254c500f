"""A golden file: every stage of a network of the real torchvision or Detectron2 on two pictures, and what training drew.

`tests/golden/README.md` says how such files are made. An array's name begins with its group: nothing, `portrait/` and `batch2/` are
inference on the first picture, the second and both; `eps0/` is the first again, with epsilon 0 in the backbone's norms; `train/`
and `train_last/` are a training step on both, the first or the last candidates sampled.
"""

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.data import Size, canvas_for, resize_image, resized_size
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.structs import AnchorSamples, Batch, Instances, RoiSamples
from maskrcnn_jax.weights import System

IMAGES = {"": (0,), "portrait/": (1,), "batch2/": (0, 1), "eps0/": (0,), "train/": (0, 1), "train_last/": (0, 1)}
TRAINING = ("train/", "train_last/")
LOSSES = {
    "torchvision": {
        "rpn_class": "loss_objectness",
        "rpn_box": "loss_rpn_box_reg",
        "class": "loss_classifier",
        "box": "loss_box_reg",
        "mask": "loss_mask",
    },
    "detectron2": {"rpn_class": "loss_rpn_cls", "rpn_box": "loss_rpn_loc", "class": "loss_cls", "box": "loss_box_reg", "mask": "loss_mask"},
}
SIDES, TRAINING_SIDES = (800, 1333), (320, 512)  # of the resized pictures, pixels
CONSTANT = {"none": "none", "frozen_bn": "frozen_bn", "batch_norm": "frozen_bn"}  # norms in the training groups


class GoldenError(UserError, ValueError):
    """A file that is no golden one, or of another model."""


class Golden:
    """One golden file; its methods give what goes into a model and what the reference drew, by group.

    arrays: by name. about: what the .json holds. sums: checksum of each of the weights. classes: without background.
    """

    def __init__(self, path: Path, model: ModelConfig) -> None:
        """Read `path`, an .npz file, and the .json beside it.

        Args:
          path: of the .npz file.
          model: of the model that is compared with it.

        Raises:
          GoldenError: one is missing, or something else.
        """
        try:
            self.about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                self.arrays = dict(file)
            self.classes = int(self.about["state_dict"]["roi_heads.box_predictor.cls_score.bias"][0]) - 1
            self.sums: dict[str, int] = dict(self.about["crc32"])
            self._pictures = [tuple(map(int, rule)) for rule in self.about["image_rule"]]
            self.system: System = "detectron2" if self.about["settings"]["framework"].startswith("detectron2") else "torchvision"
        except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
            raise GoldenError(f"{path}: no golden file ({error}); give NAME.npz with NAME.json beside it") from error
        self.path, self.model = path, model

    def groups(self) -> list[str]:
        """The file's groups that the model can be compared with: one of epsilon 0 has a group of its own."""
        zero = self.model.backbone.norm_epsilon == 0
        return [group for group in IMAGES if self.has(group) and (group == "eps0/") == zero]

    def images(self, group: str) -> list[tuple[int, int, str]]:
        """(row in the batch, number of the picture, prefix of its arrays) for each of the group's pictures."""
        numbers = IMAGES[group]
        return [(row, i, group if len(numbers) == 1 else f"{group}img{row}/") for row, i in enumerate(numbers)]

    def image(self, i: int) -> np.ndarray:
        """Picture i, uint8[h, w, 3], RGB, made by its rule."""
        return picture(*self._pictures[i])

    def config(self, group: str) -> ModelConfig:
        """The model's with what the golden run of the group changed: sizes, padding, and in training smaller numbers and constant norms."""
        shorter, longer = TRAINING_SIDES if group in TRAINING else SIDES
        image = replace(self.model.input, min_side=shorter, max_side=longer, canvas="multiple")
        config = replace(self.model, input=image)
        if group not in TRAINING:
            return config
        config = constant_norms(config)
        return replace(
            config,
            backbone=replace(config.backbone, frozen_stages=0),
            propose=replace(config.propose, pre_nms_top_k_train=500, post_nms_top_k_train=400),
            assign=replace(config.assign, roi_samples=128),
        )

    def has(self, group: str) -> bool:
        """Whether the file has the group."""
        prefix = self.images(group)[0][2]
        return f"{group}loss/loss_mask" in self.arrays if group in TRAINING else f"{prefix}det/boxes" in self.arrays

    def canvases(self, group: str) -> tuple[np.ndarray, np.ndarray]:
        """Images on their canvas, and their sizes there."""
        config = self.config(group).input
        images = [self.image(i) for i in IMAGES[group]]
        sizes = [resized_size(image.shape[:2], config.min_side, config.max_side, config.resize) for image in images]
        resized = [resize_image(image, size, config.resize) for image, size in zip(images, sizes, strict=True)]
        canvas = canvas_for((max(h for h, _ in sizes), max(w for _, w in sizes)), config)
        batch = np.zeros((len(images), *canvas, 3), resized[0].dtype)
        for row, image in zip(batch, resized, strict=True):
            row[: image.shape[0], : image.shape[1]] = image
        return batch, np.array(sizes, np.int32)

    def label(self, labels: np.ndarray) -> np.ndarray:
        """The reference's labels as ours: background 0."""
        return labels if self.system == "torchvision" else np.where(labels == self.classes, 0, labels + 1)

    def batch(self, group: str) -> Batch:
        """The training batch; masks are not cropped, and resized as the reference does."""
        images, sizes = self.canvases(group)
        rows = []
        for i, size in enumerate(map(tuple, sizes.tolist())):
            boxes = self.arrays[f"train/img{i}/gt_boxes_resized"]
            masks = np.zeros((len(boxes), *images.shape[1:3]), np.uint8)
            masks[:, : size[0], : size[1]] = 255 * self._masks(i, size)
            frames = np.tile(np.array([0, 0, images.shape[2], images.shape[1]], np.float32), (len(boxes), 1))
            labels = self.label(self.arrays[f"train/gt{i}/labels"]).astype(np.int32)
            rows.append(Instances(boxes, labels, np.zeros(len(boxes), bool), masks, frames, np.ones(len(boxes), bool)))
        most = max(len(row.valid) for row in rows)
        instances = Instances(*(np.stack([_fill_up(value, most) for value in field]) for field in zip(*rows, strict=True)))
        count = len(images)
        return Batch(
            image=images,
            sizes=sizes,
            instances=instances,
            positions=np.arange(count, dtype=np.int32),
            image_ids=np.arange(count),
            objects_cut=np.zeros(count, np.int32),
            stand_ins=np.zeros(count, np.int32),
            faults=None,
            void=np.zeros(count, np.bool_),
        )

    def polygons(self, i: int, size: Size) -> list[list[np.ndarray]]:
        """Polygons, flat (x, y), of each of image i's objects, in the pixels of the image at `size`."""
        height, width = self.image(i).shape[:2]
        scale = np.array([size[1] / width, size[0] / height])
        parts = [key for key in self.arrays if key.startswith(f"train/gt{i}/poly")]
        objects = range(len(self.arrays[f"train/gt{i}/labels"]))
        scaled = {key.rpartition("poly")[2]: (self.arrays[key].reshape(-1, 2) * scale).ravel() for key in parts}
        return [[polygon for key, polygon in scaled.items() if key.startswith(f"{j}_")] for j in objects]

    def drawn_targets(self, group: str, cells: int = 28) -> np.ndarray:
        """Mask targets, float32[2, s, cells, cells], as Detectron2 draws them from polygons, RoI by RoI."""
        rois, (_, sizes) = self.roi_samples(group), self.canvases(group)
        targets = np.zeros((2, self.config(group).assign.roi_max_positives, cells, cells), np.float32)
        for i, size in enumerate(map(tuple, sizes.tolist())):
            polygons = self.polygons(i, size)
            for row in np.flatnonzero(rois.labels[i]):
                x0, y0, x1, y1 = rois.boxes[i][row].astype(np.float64)
                scale = np.array([cells / max(x1 - x0, 0.1), cells / max(y1 - y0, 0.1)])
                moved = [((part.reshape(-1, 2) - [x0, y0]) * scale).ravel() for part in polygons[rois.gt_indices[i][row]]]
                targets[i, row] = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(moved, cells, cells)))
        return targets

    def _masks(self, i: int, size: Size) -> np.ndarray:
        if self.system == "detectron2":
            drawn = [mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(p, *size))) for p in self.polygons(i, size)]
            return np.stack(drawn)
        shape = self.arrays[f"train/gt{i}/masks_shape"].tolist()
        bits = np.unpackbits(self.arrays[f"train/gt{i}/masks_packed"], axis=1)[:, : shape[1] * shape[2]].reshape(shape)
        return bits[:, nearest(shape[1], size[0])][:, :, nearest(shape[2], size[1])]

    def sampled_anchors(self, group: str, i: int) -> tuple[np.ndarray, int]:
        """Indices of image i's sampled anchors, positives first, and how many these are."""
        positive, negative = (self.arrays[f"{group}img{i}/rpn_sampled_{sign}_idx"] for sign in ("pos", "neg"))
        return np.concatenate([positive, negative]), len(positive)

    def anchor_samples(self, group: str, gt_boxes_of_anchors: Sequence[np.ndarray]) -> AnchorSamples:
        """The sampled anchors; `gt_boxes_of_anchors` is the matched ground truth of every anchor, a leading b."""
        rows = []
        for i, matched in enumerate(gt_boxes_of_anchors):
            indices, positives = self.sampled_anchors(group, i)
            positive = np.arange(len(indices)) < positives
            rows.append(AnchorSamples(indices.astype(np.int32), positive, matched[indices], np.ones(len(indices), bool)))
        return AnchorSamples(*(np.stack(field) for field in zip(*rows, strict=True)))

    def roi_samples(self, group: str) -> RoiSamples:
        """The sampled RoIs, positives first."""
        rows = []
        for i in (0, 1):
            labels = self.label(self.arrays[f"{group}img{i}/roi_labels"]).astype(np.int32)
            order = np.argsort(labels == 0, kind="stable")
            boxes = self.arrays[f"{group}img{i}/rois"][order]
            matched = self.arrays[f"{group}img{i}/roi_matched_gt"][order].astype(np.int32)
            gt_boxes = self.arrays[f"train/img{i}/gt_boxes_resized"][matched]
            rows.append(RoiSamples(boxes, labels[order], matched, gt_boxes, np.ones(len(boxes), bool)))
        return RoiSamples(*(np.stack(field) for field in zip(*rows, strict=True)))


def constant_norms(config: ModelConfig) -> ModelConfig:
    """`config` with batch norms whose statistics, scale and bias are constant."""
    parts = {part: getattr(config, part) for part in ("backbone", "fpn", "box_head", "mask_head")}
    return replace(config, **{part: replace(value, norm=CONSTANT[value.norm]) for part, value in parts.items()})


def nearest(before: int, after: int) -> np.ndarray:
    """Rows that resizing by the nearest neighbour keeps, in torchvision's float32."""
    return np.minimum(np.floor(np.arange(after, dtype=np.float32) * np.float32(before / after)).astype(int), before - 1)


def _fill_up(values: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """The pictures that golden networks saw, uint8[height, width, 3]: a slope, 14 blobs, 12 rectangles, 6 patches of waves and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    image = np.zeros((height, width, 3))
    for channel in range(3):
        down, across = rng.uniform(-60, 60, 2)
        image[..., channel] = 110 + down * (y / height - 0.5) + across * (x / width - 0.5)
    for _ in range(14):
        middle_y, middle_x = rng.uniform(0, height), rng.uniform(0, width)
        long, short = rng.uniform(12, 90, 2)
        angle = rng.uniform(0, np.pi)
        u = (x - middle_x) * np.cos(angle) + (y - middle_y) * np.sin(angle)
        v = -(x - middle_x) * np.sin(angle) + (y - middle_y) * np.cos(angle)
        image += np.exp(-0.5 * ((u / short) ** 2 + (v / long) ** 2))[..., None] * rng.uniform(-110, 110, 3)
    for _ in range(12):
        h, w = rng.integers(20, 140, 2)
        top, left = rng.integers(0, height - 20), rng.integers(0, width - 20)
        image[top : top + h, left : left + w] += rng.uniform(-90, 90, 3)
    for _ in range(6):
        frequency, angle, phase = rng.uniform(0.03, 0.5), rng.uniform(0, np.pi), rng.uniform(0, 6.28)
        middle_y, middle_x, size = rng.uniform(0, height), rng.uniform(0, width), rng.uniform(30, 80)
        envelope = np.exp(-0.5 * (((x - middle_x) / size) ** 2 + ((y - middle_y) / size) ** 2))
        waves = envelope * np.sin(frequency * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        image += waves[..., None] * rng.uniform(-70, 70, 3)
    image += rng.normal(0, 5, image.shape)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
