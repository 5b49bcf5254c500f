"""Room `data`: sources, order, transforms and batches, on the host, without JAX."""

from maskrcnn_jax.data.batching import crop_mask, make_batch, tight_box
from maskrcnn_jax.data.canvas import Size, canvas_for, resize_image, resized_size
from maskrcnn_jax.data.channels import read_channels
from maskrcnn_jax.data.check import check_example, check_image, check_source, check_sources, read_example
from maskrcnn_jax.data.coco import CocoSource
from maskrcnn_jax.data.coco_categories import COCO_CATEGORIES, categories_by_id
from maskrcnn_jax.data.coco_json import read_coco_json
from maskrcnn_jax.data.decode import image_files, read_image
from maskrcnn_jax.data.loader import batches
from maskrcnn_jax.data.opening import open_source
from maskrcnn_jax.data.plan import Plan, train_min_sides
from maskrcnn_jax.data.shapes import ShapesSource
from maskrcnn_jax.data.source import DataError, Source, fingerprint, image_name, nonempty_indices, source_name
from maskrcnn_jax.data.transforms import drop_vanished, flip_horizontal, flip_image, resize, resize_masks, train_transform

__all__ = [
    "COCO_CATEGORIES",
    "CocoSource",
    "DataError",
    "Plan",
    "ShapesSource",
    "Size",
    "Source",
    "batches",
    "canvas_for",
    "categories_by_id",
    "check_example",
    "check_image",
    "check_source",
    "check_sources",
    "crop_mask",
    "drop_vanished",
    "fingerprint",
    "flip_horizontal",
    "flip_image",
    "image_files",
    "image_name",
    "make_batch",
    "nonempty_indices",
    "open_source",
    "read_channels",
    "read_coco_json",
    "read_example",
    "read_image",
    "resize",
    "resize_image",
    "resize_masks",
    "resized_size",
    "source_name",
    "tight_box",
    "train_min_sides",
    "train_transform",
]
