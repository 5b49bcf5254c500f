"""The sources that a configuration asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data.channels import RGB_BYTES, is_rgb_bytes
from maskrcnn_jax.data.coco import CocoSource
from maskrcnn_jax.data.faults import Tell
from maskrcnn_jax.data.mixed import MixedSource
from maskrcnn_jax.data.prepared import PreparedSource
from maskrcnn_jax.data.shapes import ShapesSource
from maskrcnn_jax.data.source import DataError, Source

_VAL_START = 10**9  # pictures from here on are for validation: no training set reaches them


def open_source(
    config: DataConfig, split: Literal["train", "val"], input_config: InputConfig = RGB_BYTES, *, tell: Tell | None = None
) -> Source:
    """The training source, several mixed where `config` names more, or the validation source; files of the other are not looked at.

    Args:
      config: the data.
      split: which of the two.
      input_config: what images are (`model.input` of an experiment).
      tell: see `CocoSource`.

    Raises:
      DataError: a path that is empty or does not exist, naming the field of `config`; kind `own`, whose sources only the user
        has; kind `shapes`, whose pictures are RGB bytes made on the fly, with a path or for another input; whatever the source
        itself refuses.
    """
    if config.kind == "own":
        raise DataError(
            "data.kind is `own`: the sources are given in Python, to maskrcnn_jax.train(config, run_dir, sources=(train, val)) with "
            "resume=True to go on, and to maskrcnn_jax.validate(maskrcnn_jax.load(run_dir), source, config) to evaluate; "
            "for COCO files set --data.kind coco and their paths"
        )
    if config.kind == "shapes":
        if not is_rgb_bytes(input_config):
            raise DataError(
                f"data.kind is `shapes`, whose pictures are RGB bytes, and model.input asks for {input_config.channels} channels of "
                f"{input_config.dtype}; set --model.input.channels 3 --model.input.dtype uint8, or give data of your own"
            )
        named = {f"{split}_{what}": getattr(config, f"{split}_{what}") for what in ("annotations", "images")}
        for name, path in named.items():
            if path:
                raise DataError(
                    f"data.kind is `shapes`, which reads no files, but data.{name} is {path}; set --data.kind coco, or prepared, "
                    "to take your data, or leave the paths out"
                )
        return ShapesSource(0, config.train_size) if split == "train" else ShapesSource(_VAL_START, config.val_size)
    first, *more = _sources(config, split, input_config, tell)
    return MixedSource([first, *more], config.train_weights or None) if more else first


def _sources(config: DataConfig, split: Literal["train", "val"], input_config: InputConfig, tell: Tell | None) -> Iterator[Source]:
    """Each dataset of a split."""
    more_annotations, more_images = (config.more_train_annotations, config.more_train_images) if split == "train" else ((), ())
    annotations = (_path(config, f"{split}_annotations"), *more_annotations)
    if config.kind == "prepared":
        for folder in annotations:
            yield PreparedSource(folder, input_config=input_config)
        return
    for paths in zip(annotations, (_path(config, f"{split}_images"), *more_images), strict=True):
        yield CocoSource(*paths, input_config=input_config, tell=tell)


def _path(config: DataConfig, name: str) -> str:
    path, flag = getattr(config, name), f"--data.{name.replace('_', '-')} PATH"
    if not path:
        raise DataError(f"data.{name} is empty; set it, for example by {flag}")
    if not Path(path).exists():
        raise DataError(
            f"data.{name}: {path} does not exist; get the data and give their place by {flag} "
            "(`maskrcnn train CONFIG --help` says what data a packed config needs)"
        )
    return path
