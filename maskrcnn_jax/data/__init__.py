"""Room `data`: sources, order, transforms and batches, on the host, without JAX."""

from maskrcnn_jax.data.augment import train_transform
from maskrcnn_jax.data.augmented import Albumentations, Augmented
from maskrcnn_jax.data.batching import crop_mask, make_batch, tight_box
from maskrcnn_jax.data.canvas import Size, canvas_for, expected_canvases, resize_image, resized_size, train_min_sides
from maskrcnn_jax.data.channels import read_channels
from maskrcnn_jax.data.check import check_example, check_image, check_source, check_sources, read_example
from maskrcnn_jax.data.coco import CocoSource, drawn_example, object_box
from maskrcnn_jax.data.coco_categories import COCO_CATEGORIES, categories_by_id
from maskrcnn_jax.data.coco_json import read_coco_json
from maskrcnn_jax.data.coco_masks import bitmap, covers_pixels
from maskrcnn_jax.data.colour import blur, jitter_colour
from maskrcnn_jax.data.composites import mosaic, paste
from maskrcnn_jax.data.decode import ImageSizeError, image_files, read_header, read_image, read_size
from maskrcnn_jax.data.faults import Fault, Tell
from maskrcnn_jax.data.loader import batches
from maskrcnn_jax.data.media import Frame, count_frames, frames_of, media_files
from maskrcnn_jax.data.mixed import MixedSource
from maskrcnn_jax.data.opening import open_source
from maskrcnn_jax.data.plan import Plan
from maskrcnn_jax.data.prepared import PreparedSource
from maskrcnn_jax.data.sampling import repeat_factors, sampling_rates
from maskrcnn_jax.data.shapes import ShapesSource
from maskrcnn_jax.data.source import DataError, Source, fingerprint, image_name, nonempty_indices, part_of, source_name
from maskrcnn_jax.data.transforms import (
    crop,
    drop_vanished,
    fit_boxes,
    flip_horizontal,
    flip_image,
    flip_vertical,
    pad,
    resize,
    resize_masks,
    rotate,
)
from maskrcnn_jax.data.unbatching import example_of, paste_grid
from maskrcnn_jax.data.video import is_video, read_video_header, video_frames

__all__ = [
    "COCO_CATEGORIES",
    "Albumentations",
    "Augmented",
    "CocoSource",
    "DataError",
    "Fault",
    "Frame",
    "ImageSizeError",
    "MixedSource",
    "Plan",
    "PreparedSource",
    "ShapesSource",
    "Size",
    "Source",
    "Tell",
    "batches",
    "bitmap",
    "blur",
    "canvas_for",
    "categories_by_id",
    "check_example",
    "check_image",
    "check_source",
    "check_sources",
    "count_frames",
    "covers_pixels",
    "crop",
    "crop_mask",
    "drawn_example",
    "drop_vanished",
    "example_of",
    "expected_canvases",
    "fingerprint",
    "fit_boxes",
    "flip_horizontal",
    "flip_image",
    "flip_vertical",
    "frames_of",
    "image_files",
    "image_name",
    "is_video",
    "jitter_colour",
    "make_batch",
    "media_files",
    "mosaic",
    "nonempty_indices",
    "object_box",
    "open_source",
    "pad",
    "part_of",
    "paste",
    "paste_grid",
    "read_channels",
    "read_coco_json",
    "read_example",
    "read_header",
    "read_image",
    "read_size",
    "read_video_header",
    "repeat_factors",
    "resize",
    "resize_image",
    "resize_masks",
    "resized_size",
    "rotate",
    "sampling_rates",
    "source_name",
    "tight_box",
    "train_min_sides",
    "train_transform",
    "video_frames",
]
