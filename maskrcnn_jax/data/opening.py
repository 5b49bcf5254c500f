"""The sources that a configuration asks for."""

from pathlib import Path

from maskrcnn_jax.config import DataConfig
from maskrcnn_jax.data.coco import CocoSource
from maskrcnn_jax.data.shapes import ShapesSource
from maskrcnn_jax.data.source import DataError, Source

_VAL_START = 10**9  # pictures from here on are for validation: no training set reaches them


def open_sources(config: DataConfig) -> tuple[Source, Source]:
    """Training and validation source.

    Raises:
      DataError: a path that is empty or does not exist, naming the field of `config`; whatever the source itself refuses.
    """
    if config.kind == "shapes":
        return ShapesSource(0, config.train_size), ShapesSource(_VAL_START, config.val_size)
    for name in ("train_annotations", "train_images", "val_annotations", "val_images"):
        path = getattr(config, name)
        flag = f"--data.{name.replace('_', '-')} PATH"
        if not path:
            raise DataError(f"data.{name} is empty; set it, for example by {flag}")
        if not Path(path).exists():
            raise DataError(f"data.{name}: {path} does not exist; correct it, for example by {flag}")
    return CocoSource(config.train_annotations, config.train_images), CocoSource(config.val_annotations, config.val_images)
