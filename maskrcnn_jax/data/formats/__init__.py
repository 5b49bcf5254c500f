"""Readers of annotation formats, one file a format, and the one writer, of COCO JSON."""

from maskrcnn_jax.data.formats.dataset import ImportedCategory, ImportedDataset, ImportedImage, ImportedObject
from maskrcnn_jax.data.formats.reading import READERS, Format, Rows, read_format, read_rows
from maskrcnn_jax.data.formats.writing import coco_document, require_new, write_coco

__all__ = [
    "READERS",
    "Format",
    "ImportedCategory",
    "ImportedDataset",
    "ImportedImage",
    "ImportedObject",
    "Rows",
    "coco_document",
    "read_format",
    "read_rows",
    "require_new",
    "write_coco",
]
