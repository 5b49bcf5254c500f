"""Room `data`: sources, order, transforms and batches, on the host, without JAX."""

from maskrcnn_jax.data.batching import crop_mask, make_batch, tight_box
from maskrcnn_jax.data.canvas import Size, canvas_for, resize_image, resized_size
from maskrcnn_jax.data.check import check_example, check_image, check_source, check_sources, read_example
from maskrcnn_jax.data.coco import CocoSource, object_box
from maskrcnn_jax.data.coco_categories import COCO_CATEGORIES, categories_by_id
from maskrcnn_jax.data.coco_json import read_coco_json
from maskrcnn_jax.data.coco_masks import bitmap, covers_pixels
from maskrcnn_jax.data.decode import ImageSizeError, image_files, read_header, read_image
from maskrcnn_jax.data.faults import Fault, Tell
from maskrcnn_jax.data.loader import batches
from maskrcnn_jax.data.opening import open_source
from maskrcnn_jax.data.plan import Plan, train_min_sides
from maskrcnn_jax.data.shapes import ShapesSource
from maskrcnn_jax.data.source import DataError, Source, fingerprint, image_name, nonempty_indices, source_name
from maskrcnn_jax.data.transforms import drop_vanished, flip_horizontal, resize, resize_masks, train_transform

__all__ = [
    "COCO_CATEGORIES",
    "CocoSource",
    "DataError",
    "Fault",
    "ImageSizeError",
    "Plan",
    "ShapesSource",
    "Size",
    "Source",
    "Tell",
    "batches",
    "bitmap",
    "canvas_for",
    "categories_by_id",
    "check_example",
    "check_image",
    "check_source",
    "check_sources",
    "covers_pixels",
    "crop_mask",
    "drop_vanished",
    "fingerprint",
    "flip_horizontal",
    "image_files",
    "image_name",
    "make_batch",
    "nonempty_indices",
    "object_box",
    "open_source",
    "read_coco_json",
    "read_example",
    "read_header",
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
