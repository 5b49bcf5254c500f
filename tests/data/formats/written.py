"""Real annotations, written in other formats by code that does not know the package, and what must come back."""

import base64
import contextlib
import io
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from maskrcnn_jax.data import CocoSource
from maskrcnn_jax.data.formats import read_format, write_coco


class Thing(NamedTuple):
    label: str
    mask: np.ndarray
    polygons: list | None
    crowd: bool = False


class Picture(NamedTuple):
    path: Path
    things: list[Thing]

    @property
    def size(self):
        with Image.open(self.path) as image:
            return image.height, image.width


def opened(path):
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(path)


def pictures_of(folder: Path, split: str, every: int) -> list[Picture]:
    """Each so many images of a COCO dataset, with masks drawn by pycocotools."""
    coco = opened(folder / f"instances_{split}.json")
    read = []
    for image_id in list(coco.imgs)[::every]:
        things = [
            Thing(
                coco.cats[row["category_id"]]["name"],
                coco.annToMask(row),
                row["segmentation"] if isinstance(row["segmentation"], list) else None,
                bool(row["iscrowd"]),
            )
            for row in coco.loadAnns(coco.getAnnIds([image_id]))
        ]
        read.append(Picture(folder / "images" / coco.imgs[image_id]["file_name"], things))
    return read


def kept(pictures, wanted):
    """The pictures with those of their things that are wanted."""
    return [picture._replace(things=[thing for thing in picture.things if wanted(thing)]) for picture in pictures]


def painted(picture: Picture) -> tuple[np.ndarray, Picture]:
    """Numbers 1, 2, ... of the things, later ones over earlier, and the picture with what is seen of each."""
    numbers = np.zeros(picture.size, np.int32)
    for number, thing in enumerate(picture.things, 1):
        numbers[thing.mask > 0] = number
    seen = [thing._replace(mask=(numbers == number).astype(np.uint8)) for number, thing in enumerate(picture.things, 1)]
    return numbers, picture._replace(things=[thing for thing in seen if thing.mask.any()])


def outlines(mask: np.ndarray) -> list[list[int]]:
    """Closed walks along the edges between pixels within and without, as polygons; the longest first."""
    padded = np.pad(mask.astype(bool), 1)
    steps: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x in zip(*np.nonzero(mask), strict=True):
        for without, start, end in (
            ((y - 1, x), (x, y), (x + 1, y)),
            ((y, x + 1), (x + 1, y), (x + 1, y + 1)),
            ((y + 1, x), (x + 1, y + 1), (x, y + 1)),
            ((y, x - 1), (x, y + 1), (x, y)),
        ):
            if not padded[without[0] + 1, without[1] + 1]:
                steps.setdefault(start, []).append(end)
    walks = []
    while steps:
        first = at = next(iter(steps))
        walk = []
        while True:
            walk += [int(at[0]), int(at[1])]
            following = steps[at].pop()
            if not steps[at]:
                del steps[at]
            at = following
            if at == first:
                break
        walks.append(walk)
    return sorted(walks, key=len, reverse=True)


def imported(tmp_path: Path, format_: str, source: Path, **options: Any) -> tuple[Any, Path, tuple[str, ...]]:
    """pycocotools' view of what is written, the image folder, and the notes; the package's own source opens it without a warning."""
    target = tmp_path / "imported.json"
    dataset = read_format(format_, source, **options)
    notes = write_coco(target, dataset).notes
    with contextlib.ExitStack() as stack:
        logger, records = logging.getLogger("maskrcnn_jax"), []
        handler = logging.Handler()
        handler.emit = records.append
        logger.addHandler(handler)
        stack.callback(logger.removeHandler, handler)
        source_ = CocoSource(target, dataset.image_folder)
        for i in range(0, len(source_), 3):
            source_[i]
        assert records == []
    return opened(target), dataset.image_folder, notes


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.logical_or(a, b).sum()
    return np.logical_and(a, b).sum() / union if union else 0.0


def overlaps(coco: Any, folder: Path, pictures: list[Picture]) -> list[float]:
    """IoU of each thing with its own object of the same image, class and kind; every image and object is one of `pictures`."""
    names = {(folder / row["file_name"]).resolve(): row for row in coco.imgs.values()}
    assert names.keys() == {picture.path.resolve() for picture in pictures}
    found = []
    for picture in pictures:
        row = names[picture.path.resolve()]
        assert (row["height"], row["width"]) == picture.size
        rows = coco.loadAnns(coco.getAnnIds([row["id"]]))
        masks = [coco.annToMask(row) for row in rows]
        left = {i: (coco.cats[row["category_id"]]["name"], bool(row["iscrowd"])) for i, row in enumerate(rows)}
        assert sorted(left.values()) == sorted((thing.label, thing.crowd) for thing in picture.things)
        for thing in picture.things:
            same = {i: iou(thing.mask, masks[i]) for i, kind in left.items() if kind == (thing.label, thing.crowd)}
            best = max(same, key=same.get)
            found.append(same[best])
            del left[best]
        for mask, annotation in zip(masks, rows, strict=True):
            encoded = coco_mask.encode(np.asfortranarray(mask))
            assert annotation["area"] == coco_mask.area(encoded)
            assert annotation["bbox"] == coco_mask.toBbox(encoded).tolist()
    return found


def write_json(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_png(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def voc_palette() -> list[int]:
    """The colours of VOC: bits of the index, dealt to red, green and blue from the highest down."""
    colours = []
    for index in range(256):
        rgb = [0, 0, 0]
        for bit in range(8):
            rgb[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
        colours += rgb
    return colours


def write_palette_png(path: Path, indices: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices.astype(np.uint8))
    image.putpalette(voc_palette())
    image.save(path)
    return path


def linked(folder: Path, pictures: list[Picture]) -> Path:
    """A folder of links to the images."""
    folder.mkdir(parents=True)
    for picture in pictures:
        (folder / picture.path.name).symlink_to(picture.path.resolve())
    return folder


def png_base64(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(bool)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
