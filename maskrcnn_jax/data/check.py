"""Whether sources, examples and images are what `data.Source` and `structs.Example` say: users make them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data.channels import RGB_BYTES, is_rgb_bytes
from maskrcnn_jax.data.source import DataError, Source, image_name, part_of, source_name
from maskrcnn_jax.structs import Example

MEMBERS = ("__len__", "__getitem__", "categories", "sizes")


def check_sources(sources: Any) -> None:
    """Raise DataError unless `sources` are two datasets, to train on and to measure on, that `check_source` passes."""
    if not (isinstance(sources, tuple | list) and len(sources) == 2):
        given = f"{len(sources)} of them" if isinstance(sources, tuple | list) else type(sources).__name__
        raise DataError(f"sources are {given}; give two, (to train on, to measure on)")
    for source in sources:
        check_source(source)


def check_source(source: Any) -> None:
    """Raise DataError, naming dataset, fault and remedy, unless `source` has a dataset's members and a size for each example."""
    missing = [member for member in MEMBERS if not hasattr(source, member)]
    if missing:
        raise DataError(f"{type(source).__name__}: it has no {', no '.join(missing)}; a source has {', '.join(MEMBERS)}")
    count, shape = len(source), np.shape(source.sizes)
    if count and shape != (count, 2):
        raise DataError(
            f"{source_name(source)}: `sizes` has the shape {list(shape)} for {count} examples; give int{[count, 2]}, "
            "height and width of each image"
        )


def read_example(source: Source, index: int, input_config: InputConfig = RGB_BYTES) -> Example:
    """Example `index` of a source, checked; its image must be as `input_config` says.

    Raises:
      DataError: it cannot be read, whatever the source raises then, is not what `structs.Example` says, or of another size than
        the source's `sizes` say.
    """
    try:
        example = source[index]
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{image_name(source, index)} cannot be read ({type(error).__name__}: {error}); mend it, or the source's __getitem__"
        ) from error
    try:
        check_example(example, len(source.categories), input_config)
    except DataError as error:
        raise DataError(f"{source_name(part_of(source, index)[0])}: {error}") from None
    size, planned = tuple(example.image.shape[:2]), tuple(int(side) for side in source.sizes[index])
    if size != planned:
        raise DataError(
            f"{image_name(source, index, example.image_id)} is {size[0]} x {size[1]} (height x width), the source's `sizes` say "
            f"{planned[0]} x {planned[1]}; let `sizes` say what `__getitem__` returns"
        )
    return example


def check_example(example: Any, classes: int, input_config: InputConfig = RGB_BYTES) -> None:
    """Raise DataError, naming image id, fault and remedy, unless `example` can be trained on; reads each mask once.

    Args:
      example: as a source gives it; labels may be integers and boxes floating point numbers of any width.
      classes: number of the source's categories.
      input_config: channels and type of the image.
    """
    if not isinstance(example, Example):
        raise DataError(f"an example is {_form(example)}; return a maskrcnn_jax.Example from __getitem__")
    fault = next(_faults(example, classes, input_config), None)
    if fault:
        raise DataError(f"image id {example.image_id!r}: {fault}")


def check_image(image: Any, name: str, input_config: InputConfig = RGB_BYTES) -> None:
    """Raise DataError, which begins with `name`, unless `image` has the channels and type of `input_config` and is not empty."""
    if not _is_image(image, input_config):
        raise DataError(f"{name}: {_image_fault(image, input_config)}")


def _faults(example: Example, classes: int, input_config: InputConfig) -> Iterator[str]:
    """What is wrong, one by one; each check relies on those before it."""
    image, masks, boxes, labels = example.image, example.masks, example.boxes, example.labels
    if not np.issubdtype(type(example.image_id), np.integer):
        yield "the image id is no integer; number the images"
    if not _is_image(image, input_config):
        yield _image_fault(image, input_config)
    if not _is(labels, np.integer, 1):
        yield f"labels are {_form(labels)}; give int32[n], one an object"
    n, size = len(labels), image.shape[:2]
    if not (_is(masks, np.uint8, 3) and masks.shape == (n, *size)):
        yield f"masks are {_form(masks)}; give uint8{[n, *size]}, one a label, 0 or 1, of the image's size"
    if not (_is(boxes, np.floating, 2) and boxes.shape == (n, 4)):
        yield f"boxes are {_form(boxes)}; give float32{[n, 4]}, one a label"
    if not (_is(example.crowd, np.bool_, 1) and len(example.crowd) == n):
        yield f"crowd is {_form(example.crowd)}; give bool{[n]}, one a label"
    largest = masks.max(axis=(1, 2), initial=0)
    if largest.max(initial=0) > 1:
        yield f"masks hold {largest.max()}; give 0 and 1 alone, for example (masks > 0).astype(np.uint8)"
    if not np.isfinite(boxes).all():
        yield "a box is NaN or infinite; correct it, or leave the object out"
    if (boxes[:, :2] > boxes[:, 2:]).any():
        yield "a box ends before it begins; give (x0, y0, x1, y1), not (x, y, width, height)"
    height, width = size
    if n and (boxes.min() < 0 or boxes[:, 2].max() > width or boxes[:, 3].max() > height):
        yield f"a box reaches out of the image, which is {height} x {width} (height x width); clip it, or leave the object out"
    if not largest.all():
        yield f"mask {int(np.argmin(largest))} has no pixel; draw it, or leave the object out"
    if n and not 1 <= labels.min() <= labels.max() <= classes:
        yield f"labels are {labels.min()} ... {labels.max()} of {classes} categories; give the position in `categories` plus one"


def _is_image(image: Any, config: InputConfig) -> bool:
    # Not `issubdtype`, which takes bytes in the other order for the same type.
    return _is(image, config.dtype, 3) and image.dtype == config.dtype and image.shape[2] == config.channels and image.size > 0


def _image_fault(image: Any, config: InputConfig) -> str:
    meant = ", RGB" if is_rgb_bytes(config) else ", or say otherwise by model.input.channels and model.input.dtype"
    return f"image is {_form(image)}; give {config.dtype}[height, width, {config.channels}]{meant}"


def _is(value: Any, kind: Any, ndim: int) -> bool:
    return isinstance(value, np.ndarray) and np.issubdtype(value.dtype, kind) and value.ndim == ndim


def _form(value: Any) -> str:
    return f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__
