"""Prepared datasets: images and annotations in a few large files."""

from maskrcnn_jax.data.prepared.dataset import Dataset, ImageFolder, ImageZip, read_dataset
from maskrcnn_jax.data.prepared.preparing import Origin, Prepared, open_dataset, prepare, require_new
from maskrcnn_jax.data.prepared.source import PreparedSource

__all__ = [
    "Dataset",
    "ImageFolder",
    "ImageZip",
    "Origin",
    "Prepared",
    "PreparedSource",
    "open_dataset",
    "prepare",
    "read_dataset",
    "require_new",
]
