"""One pass over a split: every image is read once, and let go."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int
from rich.console import Console
from rich.progress import track

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data import CocoSource, DataError, ImageSizeError, Source, check_image, part_of, read_example
from maskrcnn_jax.data.channels import is_rgb_bytes
from maskrcnn_jax.data.decode import ARRAY_ENDING
from maskrcnn_jax.reports.check_data.findings import Finding, Place
from maskrcnn_jax.reports.check_data.objects import ObjectFault, Objects, coco_objects, example_objects, inspect_objects
from maskrcnn_jax.reports.check_data.opening import Filed, image_id, place_of
from maskrcnn_jax.reports.check_data.prints import Print, make_print

MODES = {
    "1": "grey",
    "L": "grey",
    "LA": "alpha",
    "La": "alpha",
    "P": "palette",
    "PA": "alpha",
    "RGBA": "alpha",
    "RGBa": "alpha",
    "CMYK": "cmyk",
}
"""Pillow's modes of bytes to kinds of findings."""
MOST_PIXELS = 178_956_970
"""Of an image; a larger one Pillow does not read."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over a split has found besides faults; no pixels.

    boxes: of every object that has a pixel, crowds among them, x0 y0 x1 y1 in its image's pixels; the next four have a row each.
    images: index of the object's image. annotation_ids: None where there is none. prints: of the images that can be read, by index.
    """

    split: str
    source: Source
    image_ids: dict[int, int]
    boxes: Float32[np.ndarray, "m 4"]
    images: Int[np.ndarray, "m"]
    labels: Int[np.ndarray, "m"]
    crowd: Bool[np.ndarray, "m"]
    annotation_ids: list[int | None]
    prints: dict[int, Print]

    def place(self, i: int, annotation_id: int | None = None) -> Place:
        """Of image `i`, and of an annotation of it."""
        return place_of(self.split, self.source, i, self.image_ids.get(i), annotation_id)

    def objects_an_image(self, *, crowds: bool) -> Int[np.ndarray, "n"]:
        """How many objects each image has, with or without crowds."""
        return np.bincount(self.images if crowds else self.images[~self.crowd], minlength=len(self.source))


def survey(split: str, source: Source, input_config: InputConfig, findings: list[Finding], console: Console) -> Survey:
    """Read a split, whose images must be as `input_config` says; what is wrong with its images and objects goes to `findings`."""
    tables, boxes = [np.zeros((0, 3), np.int64)], [np.zeros((0, 4), np.float32)]  # of each image, its objects' rows
    annotation_ids: list[int | None] = []
    ids: dict[int, int] = {}
    prints: dict[int, Print] = {}
    for i in track(range(len(source)), f"reading {split}", console=console, transient=True):
        found: list[ObjectFault] = []
        pixels, objects = _read(source, i, input_config, ids, found)
        if pixels is not None:
            prints[i] = make_print(pixels)
        if objects is not None and (seen := inspect_objects(objects, source.categories, found)):
            tables.append(np.array([(i, objects.labels[k], objects.crowd[k]) for k, _, _ in seen], np.int64))
            annotation_ids += [objects.ids[k] for k, _, _ in seen]
            boxes.append(np.array([box for _, box, _ in seen], np.float32))
        for kind, message, named in found:
            places = (place_of(split, source, i, ids.get(i), id_) for id_ in named)
            findings.append(Finding(kind=kind, message=message, places=tuple(places)))
    images, labels, crowd = np.concatenate(tables).T
    return Survey(
        split=split,
        source=source,
        image_ids=ids,
        boxes=np.concatenate(boxes),
        images=images,
        labels=labels,
        crowd=crowd.astype(np.bool_),
        annotation_ids=annotation_ids,
        prints=prints,
    )


def _read(
    source: Source, i: int, input_config: InputConfig, ids: dict[int, int], found: list[ObjectFault]
) -> tuple[np.ndarray | None, Objects | None]:
    """Pixels and objects of image `i`, None what cannot be had; its id goes to `ids`, what is wrong with the image to `found`."""
    known = image_id(source, i)
    if known is not None:
        ids[i] = known
    part, index = part_of(source, i)
    if isinstance(part, Filed):
        pixels = _read_file(part, index, input_config, found)
        # The size that only the JSON tells may be a slip of the pen, and masks of it more than memory holds.
        drawable = pixels is not None or int(part.sizes[index].prod()) <= MOST_PIXELS
        with contextlib.suppress(DataError):  # of a record that cannot be read, which is told already
            return pixels, coco_objects(part, index) if drawable else None
        return None, None
    try:
        example = read_example(part, index, input_config)
    except DataError as error:
        found.append(ObjectFault("example", str(error), (None,)))
        return None, None
    ids[i] = int(example.image_id)
    return example.image, example_objects(example)


def _read_file(source: Filed, i: int, input_config: InputConfig, found: list[ObjectFault]) -> np.ndarray | None:
    path, (height, width) = source.image_path(i), source.sizes[i]
    if isinstance(source, CocoSource) and not os.path.exists(path):  # also of names that no file can have
        return None  # told when the source was opened
    try:
        pixels = source.read_image(i, (int(height), int(width)))
        check_image(pixels, str(path), input_config)
    except DataError as error:
        kind = "image-size" if isinstance(error, ImageSizeError) else "unreadable-image"
        found.append(ObjectFault(kind, str(error).removeprefix(f"{path}: "), (None,)))
        return None
    found += [ObjectFault(kind, message, (None,)) for kind, message in _header_faults(source, i)]
    return pixels


def _header_faults(source: Filed, i: int) -> Iterator[tuple[str, str]]:
    """What is done to a file's pixels on the way to RGB bytes; other channels and types are taken as they are stored, or refused."""
    path = source.image_path(i)
    if path.suffix.lower() == ARRAY_ENDING:
        return
    header = source.read_header(i)
    if is_rgb_bytes(source.input_config) and header.mode != "RGB":
        kind = "16-bit" if header.mode == "I" or ";16" in header.mode else MODES.get(header.mode, "other-mode")
        yield kind, f"Pillow's mode {header.mode}; convert it to 8-bit RGB where that is not what you want"
    if is_rgb_bytes(source.input_config) and header.pages > 1:
        yield "pages", f"{header.pages} pages or frames, of which the first is read; save each that is wanted as a file of its own"
    if header.orientation != 1:
        yield "exif", f"EXIF orientation {header.orientation}; turn the pixels and remove the tag, so that every program shows the same"
