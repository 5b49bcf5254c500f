"""The golden networks: their files, weights, pictures and presets."""

import json
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from pycocotools import mask as mask_utils

from maskrcnn_jax.config import ModelConfig, presets
from maskrcnn_jax.data import canvas_for, resize_image, resized_size
from maskrcnn_jax.structs import AnchorSamples, Batch, Instances, RoiSamples
from maskrcnn_jax.weights import from_arrays
from tests.golden.rule import fill, picture

FOLDER = Path(__file__).parent
PRESETS = {
    "tv_maskrcnn_resnet50_fpn": ("torchvision", presets.torchvision_v1()),
    "tv_maskrcnn_resnet50_fpn_v2": ("torchvision", presets.torchvision_v2()),
    "d2_mask_rcnn_R_50_FPN_1x": ("detectron2", presets.detectron2()),
    "d2_mask_rcnn_R_50_FPN_100ep_LSJ": ("detectron2", presets.detectron2_lsj()),
}
IMAGES = {"": (0,), "portrait/": (1,), "batch2/": (0, 1), "eps0/": (0,), "train/": (0, 1), "train_last/": (0, 1)}
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


class Reference:
    """One golden network."""

    def __init__(self, name):
        self.name = name
        self.system, self._preset = PRESETS[name]
        self.about = json.loads((FOLDER / f"{name}.json").read_text())
        self.arrays = dict(np.load(FOLDER / f"{name}.npz"))

    @cached_property
    def weights(self):
        """The state dict."""
        rule = self.about["rule"]
        return fill(self.about["state_dict"], rule["salt"], rule["gains"], rule["overrides"])

    def image(self, i):
        """uint8[h, w, 3], RGB."""
        return picture(*self.about["image_rule"][i])

    def config(self, group) -> ModelConfig:
        """The preset with what the golden run changed: its test sizes, epsilon 0, and in training smaller numbers and constant norms."""
        config = self._preset
        shorter, longer = (320, 512) if group.startswith("train") else (800, 1333)
        config = replace(config, input=replace(config.input, min_side=shorter, max_side=longer, canvas="multiple"))
        if group == "eps0/":
            config = replace(config, backbone=replace(config.backbone, norm_epsilon=0.0))
        if group.startswith("train"):
            config = replace(
                config,
                propose=replace(config.propose, pre_nms_top_k_train=500, post_nms_top_k_train=400),
                assign=replace(config.assign, roi_samples=128),
                **{
                    part: replace(getattr(config, part), norm="frozen_bn" if getattr(config, part).norm == "batch_norm" else "none")
                    for part in ("fpn", "box_head", "mask_head")
                },
                backbone=replace(config.backbone, norm="frozen_bn", frozen_stages=0),
            )
        return config

    def variables(self, group):
        """The weights as variables of `config(group)`."""
        return from_arrays(self.system, self.weights, self.config(group))

    def canvases(self, group):
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

    def label(self, labels):
        """The reference's labels as ours: background 0."""
        classes = self._preset.num_classes
        return labels if self.system == "torchvision" else np.where(labels == classes, 0, labels + 1)

    def batch(self, group):
        """The training batch; masks are not cropped, and resized as the reference does."""
        images, sizes = self.canvases(group)
        rows = []
        for i, size in enumerate(sizes):
            boxes = self.arrays[f"train/img{i}/gt_boxes_resized"]
            masks = np.zeros((len(boxes), *images.shape[1:3]), np.uint8)
            masks[:, : size[0], : size[1]] = 255 * self._masks(i, size)
            frames = np.tile(np.array([0, 0, images.shape[2], images.shape[1]], np.float32), (len(boxes), 1))
            labels = self.label(self.arrays[f"train/gt{i}/labels"]).astype(np.int32)
            rows.append(Instances(boxes, labels, np.zeros(len(boxes), bool), masks, frames, np.ones(len(boxes), bool)))
        most = max(len(row.valid) for row in rows)
        instances = Instances(*(np.stack([_fill_up(value, most) for value in field]) for field in zip(*rows, strict=True)))
        return Batch(images, sizes, instances, np.arange(len(images)), np.zeros(len(images), np.int32))

    def polygons(self, i, size):
        """Polygons, flat (x, y), of each of image i's objects, in the pixels of the image at `size`."""
        height, width = self.image(i).shape[:2]
        scale = np.tile([size[1] / width, size[0] / height], 14)
        parts = [key for key in self.arrays if key.startswith(f"train/gt{i}/poly")]
        objects = range(len(self.arrays[f"train/gt{i}/labels"]))
        return [[self.arrays[key] * scale for key in parts if key.rpartition("poly")[2].startswith(f"{j}_")] for j in objects]

    def drawn_targets(self, group, cells=28):
        """Mask targets, float32[2, s, cells, cells], as Detectron2 draws them from polygons, RoI by RoI."""
        rois, (_, sizes) = self.roi_samples(group), self.canvases(group)
        targets = np.zeros((2, self.config(group).assign.roi_max_positives, cells, cells), np.float32)
        for i, size in enumerate(sizes):
            polygons = self.polygons(i, size)
            for row in np.flatnonzero(rois.labels[i]):
                x0, y0, x1, y1 = rois.boxes[i][row].astype(np.float64)
                shift, scale = np.tile([x0, y0], 14), np.tile([cells / max(x1 - x0, 0.1), cells / max(y1 - y0, 0.1)], 14)
                moved = [(part - shift) * scale for part in polygons[rois.gt_indices[i][row]]]
                targets[i, row] = mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(moved, cells, cells)))
        return targets

    def _masks(self, i, size):
        if self.system == "detectron2":
            drawn = [mask_utils.decode(mask_utils.merge(mask_utils.frPyObjects(p, *map(int, size)))) for p in self.polygons(i, size)]
            return np.stack(drawn)
        shape = self.arrays[f"train/gt{i}/masks_shape"]
        bits = np.unpackbits(self.arrays[f"train/gt{i}/masks_packed"], axis=1)[:, : shape[1] * shape[2]].reshape(shape)
        return bits[:, nearest(shape[1], size[0])][:, :, nearest(shape[2], size[1])]

    def sampled_anchors(self, group, i):
        """Indices of image i's sampled anchors, positives first, and how many these are."""
        positive, negative = (self.arrays[f"{group}img{i}/rpn_sampled_{sign}_idx"] for sign in ("pos", "neg"))
        return np.concatenate([positive, negative]), len(positive)

    def anchor_samples(self, group, gt_boxes_of_anchors):
        """The sampled anchors; `gt_boxes_of_anchors` is the matched ground truth of every anchor, a leading b."""
        rows = []
        for i, matched in enumerate(gt_boxes_of_anchors):
            indices, positives = self.sampled_anchors(group, i)
            positive = np.arange(len(indices)) < positives
            rows.append(AnchorSamples(indices.astype(np.int32), positive, matched[indices], np.ones(len(indices), bool)))
        return AnchorSamples(*(np.stack(field) for field in zip(*rows, strict=True)))

    def roi_samples(self, group):
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


@lru_cache(maxsize=1)
def reference(name) -> Reference:
    """The golden network `name`, the last one kept."""
    return Reference(name)


def nearest(before, after):
    """Rows that resizing by the nearest neighbour keeps, in torchvision's float32."""
    return np.minimum(np.floor(np.arange(after, dtype=np.float32) * np.float32(before / after)).astype(int), before - 1)


def _fill_up(values, rows):
    return np.concatenate([values, np.zeros((rows - len(values), *values.shape[1:]), values.dtype)])
