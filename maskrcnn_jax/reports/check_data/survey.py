"""One pass over a split: every image is read once, and let go."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8
from rich.console import Console
from rich.progress import track

from maskrcnn_jax.data import CocoSource, DataError, ImageSizeError, Source, read_example, read_header, read_image
from maskrcnn_jax.reports.check_data.findings import Finding, Place
from maskrcnn_jax.reports.check_data.objects import ObjectFault, Objects, coco_objects, example_objects, inspect_objects
from maskrcnn_jax.reports.check_data.opening import file_name, image_id
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
    "I": "16-bit",
    "I;16": "16-bit",
    "I;16B": "16-bit",
    "I;16L": "16-bit",
    "I;16N": "16-bit",
}
"""Pillow's modes to kinds of findings."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one pass over a split has found besides faults; no pixels.

    boxes: of every object that has a pixel, crowds among them, x0 y0 x1 y1 in its image's pixels; the next four have a row each.
    images: index of the object's image. annotation_ids: -1 where there is none. prints: of the images that can be read, by index.
    """

    split: str
    source: Source
    image_ids: dict[int, int]
    boxes: Float32[np.ndarray, "m 4"]
    images: Int[np.ndarray, "m"]
    labels: Int[np.ndarray, "m"]
    crowd: Bool[np.ndarray, "m"]
    annotation_ids: Int[np.ndarray, "m"]
    prints: dict[int, Print]

    def place(self, i: int, annotation_id: int | None = None) -> Place:
        """Of image `i`, and of an annotation of it."""
        return Place(split=self.split, file=file_name(self.source, i), image_id=self.image_ids.get(i), annotation_id=annotation_id)

    def objects_an_image(self, *, crowds: bool) -> Int[np.ndarray, "n"]:
        """How many objects each image has, with or without crowds."""
        return np.bincount(self.images if crowds else self.images[~self.crowd], minlength=len(self.source))


def survey(split: str, source: Source, findings: list[Finding], console: Console) -> Survey:
    """Read a split; what is wrong with its images and objects goes to `findings`."""
    rows: list[tuple[np.ndarray, int, int, bool, int]] = []
    ids: dict[int, int] = {}
    prints: dict[int, Print] = {}
    for i in track(range(len(source)), f"reading {split}", console=console, transient=True):
        found: list[ObjectFault] = []
        pixels, objects = _read(source, i, ids, found)
        if pixels is not None:
            prints[i] = make_print(pixels)
        if objects is not None:
            for index, box, _ in inspect_objects(objects, source.categories, found):
                id_ = objects.ids[index]
                rows.append((box, i, objects.labels[index], objects.crowd[index], -1 if id_ is None else id_))
        for kind, message, annotation_ids in found:
            places = (Place(split=split, file=file_name(source, i), image_id=ids.get(i), annotation_id=id_) for id_ in annotation_ids)
            findings.append(Finding(kind=kind, message=message, places=tuple(places)))
    boxes, images, labels, crowd, annotation_ids = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return Survey(
        split=split,
        source=source,
        image_ids=ids,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        images=np.array(images, np.int64),
        labels=np.array(labels, np.int64),
        crowd=np.array(crowd, np.bool_),
        annotation_ids=np.array(annotation_ids, np.int64),
        prints=prints,
    )


def _read(
    source: Source, i: int, ids: dict[int, int], found: list[ObjectFault]
) -> tuple[UInt8[np.ndarray, "h w 3"] | None, Objects | None]:
    """Pixels and objects of image `i`, None what cannot be had; its id goes to `ids`, what is wrong with the image to `found`."""
    known = image_id(source, i)
    if known is not None:
        ids[i] = known
    if isinstance(source, CocoSource):
        return _read_file(source, i, found), coco_objects(source, i)
    try:
        example = read_example(source, i)
    except DataError as error:
        found.append(ObjectFault("example", str(error), (None,)))
        return None, None
    ids[i] = int(example.image_id)
    return example.image, example_objects(example)


def _read_file(source: CocoSource, i: int, found: list[ObjectFault]) -> UInt8[np.ndarray, "h w 3"] | None:
    path, (height, width) = source.image_path(i), source.sizes[i]
    if not path.exists():
        return None  # told when the source was opened
    try:
        pixels = read_image(path, (int(height), int(width)))
    except DataError as error:
        kind = "image-size" if isinstance(error, ImageSizeError) else "unreadable-image"
        found.append(ObjectFault(kind, str(error).removeprefix(f"{path}: "), (None,)))
        return None
    found += [ObjectFault(kind, message, (None,)) for kind, message in _header_faults(source, i)]
    return pixels


def _header_faults(source: CocoSource, i: int) -> Iterator[tuple[str, str]]:
    header = read_header(source.image_path(i))
    if header.mode != "RGB":
        yield MODES.get(header.mode, "other-mode"), f"Pillow's mode {header.mode}; convert it to 8-bit RGB where that is not what you want"
    if header.orientation != 1:
        yield "exif", f"EXIF orientation {header.orientation}; turn the pixels and remove the tag, so that every program shows the same"
