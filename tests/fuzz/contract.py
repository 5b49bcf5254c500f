"""What holds of every file, however it is spoilt: it works and nothing is lost, or a DataError says what is wrong where."""

import contextlib
import faulthandler
import json
import logging
import re
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from rich.console import Console

from maskrcnn_jax.config import ExperimentConfig, InputConfig
from maskrcnn_jax.data import CocoSource, DataError, PreparedSource, read_channels, read_example, read_header, read_image
from maskrcnn_jax.data.coco_masks import area_and_box, bitmap, covers_pixels
from maskrcnn_jax.data.decode import read_labels, read_size
from maskrcnn_jax.data.formats import ImportedDataset, coco_document, read_format, write_coco
from maskrcnn_jax.evaluation import evaluate, ground_truth
from maskrcnn_jax.reports.check_data.findings import Finding
from maskrcnn_jax.reports.check_data.opening import extra_files, misfits, open_splits
from maskrcnn_jax.reports.check_data.survey import survey
from tests import tiny
from tests.fuzz.datasets import Dataset, coco_inputs
from tests.fuzz.edits import Files
from tests.fuzz.pictures import HEIGHT, WIDTH

SECONDS = 30  # a case takes a few milliseconds; a mask of 144 megapixels several seconds on a busy machine
MEMORY = 2**30  # more than before, bytes
LONGEST_MESSAGE = 2_000
# What is said of a file as a whole; of anything in it a message names the image, the annotation, the category, the row, the line ...
OF_A_FILE = (
    "not JSON|no Unicode|regions are|no list `|no categories|dataset is empty|image files are not in|no such|no image|corrupt, truncated|"
    "too large for Pillow|more memory than|the file is|the file holds|pixels of Pillow mode|a JPEG|colour 0 of the palette|"
    "no object has a class|not a VIA|no `shapes`|imagePath|"
    "regions have|occurs twice|leaves the image folder|is missing|`names`|no YAML|no text|not XML|is not one of|is not the background|"
    "no prepared dataset|index of a prepared|prepared as version|bytes long|missing;|damaged|no dataset that can be read|"
    "16-bit colours|pages or frames|samples of a pixel|pages, which are|no readable|the mask is"
)
PLACED = r"(image|annotation|category) id |`(images|annotations|categories)`\[|entry |region |shape |line |object |value |id \d"

faulthandler.register(signal.SIGVTALRM, chain=True)  # a hang in C: a traceback, and the end of the process
_listener = logging.Handler()
_heard: list[str] = []
_listener.emit = lambda record: _heard.append(record.getMessage())


@contextlib.contextmanager
def limits() -> Iterator[list[str]]:
    """Stop what hangs or takes memory, and give what is logged; a crash or a hang in C ends the process, with a traceback."""

    def hang(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} seconds")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    logger = logging.getLogger("maskrcnn_jax")
    handler = signal.signal(signal.SIGALRM, hang)
    _heard.clear()
    logger.addHandler(_listener)
    signal.setitimer(signal.ITIMER_VIRTUAL, 6 * SECONDS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield _heard
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        logger.removeHandler(_listener)


def assert_says(error: Exception, names: list[str]) -> None:
    """The message names a file that was spoilt, what in it, and what to do."""
    message = str(error)
    assert any(name in message for name in names), f"names no file: {message}"
    assert re.search(OF_A_FILE, message) or re.search(PLACED, message), f"says not where: {message}"
    assert_helps(error)


def assert_helps(error: Exception) -> None:
    """The message has a remedy, can be shown, and is read."""
    message = str(error)
    assert ";" in message, f"says not what to do: {message}"
    assert len(message) <= LONGEST_MESSAGE, f"is {len(message)} characters long"
    message.encode()


def attempt(names: list[str], do: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What `do` returns, or None after a DataError as it should be."""
    try:
        return do(*arguments, **options)
    except DataError as error:
        assert_says(error, names)
        return None


def spoilt_names(dataset: Dataset, spoilt: Files) -> list[str]:
    return [Path(name).stem for name, content in spoilt.items() if content != dataset.files[name]] or ["no file is spoilt"]


def named(id_: int, texts: list[str]) -> bool:
    return any(re.search(rf"(?<![\d-]){id_}(?!\d)", text) for text in texts)


def pixels_of(content: bytes) -> int:
    try:
        with Image.open(BytesIO(content)) as image:
            return image.width * image.height
    except Exception:
        return 0


# ---------------------------------------------------------------------------------------------------------------------- COCO


def coco_examples(folder: Path, source: CocoSource, heard: list[str], names: list[str]) -> dict[str, Any]:
    """Each example by file name; objects that it lacks must have been told."""
    examples = {}
    for i in range(len(source)):
        heard.clear()
        example = attempt(names, read_example, source, i)
        if example is None:
            continue
        left_out = [found.id for found in source.objects(i) if named(found.id, heard)]
        assert len(example.labels) == len(source.objects(i)) - len(left_out), f"lost: {heard}"
        examples[str(source.image_path(i).relative_to(folder))] = example
    return examples


def check_coco(folder: Path, dataset: Dataset, spoilt: Files, heard: list[str], valid: dict[str, Any]) -> None:
    """`CocoSource`, all its examples, and what evaluation makes of its rows."""
    names = spoilt_names(dataset, spoilt)
    path = folder / dataset.source
    source = attempt(names, CocoSource, path, folder)
    if source is None:
        return
    document = json.loads(spoilt[dataset.source])
    assert source.image_ids.tolist() == [row["id"] for row in document["images"]]
    assert [c.id for c in source.categories] == sorted(row["id"] for row in document["categories"])
    present = {found.id for i in range(len(source)) for found in source.objects(i)}
    for row in document["annotations"]:
        assert row["id"] in present or named(row["id"], heard), f"annotation {row['id']} is lost"
    evaluate(ground_truth(source), [])
    examples = coco_examples(folder, source, heard, names)
    assert_same(coco_inputs(dataset.files), coco_inputs(spoilt), valid, examples)


def assert_same(inputs: dict[str, Any], spoilt: dict[str, Any], valid: dict[str, Any], found: dict[str, Any]) -> None:
    """What the edits did not touch is as it was."""
    for name in inputs:
        if spoilt.get(name) == inputs[name]:
            assert name in found, f"{name} is lost"
            for before, after in zip(valid[name], found[name], strict=True):
                assert np.array_equal(before, after), f"{name} has changed"


def check_told(folder: Path, dataset: Dataset, spoilt: Files, heard: list[str], valid: dict[str, Any]) -> None:
    """check-data: whatever is wrong with the training split is a finding, and whatever is not is in the source."""
    names = spoilt_names(dataset, spoilt)
    config = told_config(folder, dataset)
    findings: list[Finding] = []
    opened = open_splits(config, None, findings)
    assert "val" in opened.sources
    assert not any(place.split == "val" for finding in findings for place in finding.places)
    if "train" not in opened.sources:
        (finding,) = (finding for finding in findings if finding.kind == "dataset")
        assert_says(DataError(finding.message), names)
        return
    source = opened.sources["train"]
    assert isinstance(source, CocoSource)
    document = json.loads(spoilt[dataset.source])
    messages = [finding.message for finding in findings]
    places = [place for finding in findings for place in finding.places]
    told = {key: {getattr(place, f"{key}_id") for place in places} for key in ("image", "annotation", "category")}
    faulty = {place.image_id for finding in findings if finding.kind in ("image-row", "duplicate-id") for place in finding.places}
    present = {
        "image": set(source.image_ids.tolist()),
        "annotation": {found.id for i in range(len(source)) for found in source.objects(i)},
        "category": {category.id for category in source.categories},
    }
    for key, word in (("images", "image"), ("annotations", "annotation"), ("categories", "category")):
        for position, row in enumerate(document[key]):
            id_ = row.get("id") if isinstance(row, dict) else None
            if type(id_) is not int or not -(2**63) <= id_ < 2**63:
                assert any(f"`{key}`[{position}]" in message for message in messages), f"{key}[{position}] is lost"
            else:
                of_faulty_image = word == "annotation" and type(row.get("image_id")) is int and row["image_id"] in faulty
                assert id_ in present[word] | told[word] or of_faulty_image, f"{word} {id_} is lost"
    findings += misfits(config, opened.sources)
    findings += extra_files(opened.sources)
    for split, opened_source in opened.sources.items():
        survey(split, opened_source, config.model.input, findings, Console(quiet=True))
    for finding in findings:
        finding.message.encode()
        assert len(finding.message) <= LONGEST_MESSAGE
    examples = coco_examples(folder, source, heard, names)
    assert_same(coco_inputs_in_spite(dataset.files), coco_inputs_in_spite(spoilt), valid, examples)


def told_config(folder: Path, dataset: Dataset) -> ExperimentConfig:
    """Of the dataset to train on, and a whole one to measure on."""
    config = tiny.experiment()
    train, val = str(folder / dataset.source), str(folder / "val" / dataset.source)
    data = replace(
        config.data, kind="coco", train_annotations=train, train_images=str(folder), val_annotations=val, val_images=str(folder / "val")
    )
    return replace(config, data=data)


def coco_inputs_in_spite(files: Files) -> dict[str, Any]:
    """`coco_inputs` of rows that can be read."""
    document = json.loads(files["instances.json"])
    rows = {key: [row for row in document[key] if isinstance(row, dict)] for key in ("images", "annotations", "categories")}
    ids = [row.get("id") for row in rows["images"]]
    return {
        row["file_name"]: [
            row,
            [other for other in rows["annotations"] if other.get("image_id") == row.get("id")],
            document["categories"],
            files.get(row["file_name"]),
            ids.count(row.get("id")),
            _clashes(rows["annotations"], row.get("id")),
        ]
        for row in rows["images"]
        if isinstance(row.get("file_name"), str)
    }


def _clashes(rows: list[dict[str, Any]], image_id: Any) -> bool:
    """Whether an annotation of the image has the id of another."""
    ids = [row.get("id") for row in rows]
    return any(ids.count(row.get("id")) > 1 for row in rows if row.get("image_id") == image_id)


# -------------------------------------------------------------------------------------------------------------------- import


def view(dataset: ImportedDataset, document: dict[str, Any]) -> dict[str, Any]:
    """Size, and class, kind and mask of each object, of an image by its name, or its stem."""
    names = {row["id"]: row["name"] for row in document["categories"]}
    seen: dict[str, Any] = {}
    for row in document["images"]:
        size = (row["height"], row["width"])
        objects = [other for other in document["annotations"] if other["image_id"] == row["id"]]
        of_objects = [(names[o["category_id"]], o["iscrowd"], bitmap(o["segmentation"], *size).tobytes()) for o in objects]
        path = Path(row["file_name"])
        for name in {row["file_name"], path.stem.split("_")[0]}:
            seen[name] = (size, of_objects)
    return seen


def imported(format_: str, folder: Path, dataset: Dataset) -> tuple[ImportedDataset, dict[str, Any], list[str]]:
    read = read_format(format_, folder / dataset.source, **dataset.options)
    return read, *coco_document(read)


def check_import(format_: str, folder: Path, dataset: Dataset, spoilt: Files, valid: dict[str, Any]) -> None:
    """A reader, the writer, and `CocoSource` of what is written."""
    names = spoilt_names(dataset, spoilt)
    done = attempt([*names, str(folder)], imported, format_, folder, dataset)
    if done is None:
        return
    read, document, notes = done
    images, objects = dataset.count(spoilt)
    assert len(read.images) == len(document["images"]) == images, "an image is lost"
    found = [thing for image in read.images for thing in image.objects]
    assert len(found) + sum("left out" in note for note in read.notes) == objects, f"an object is lost: {read.notes}"
    gone = [thing for thing in found if any(note.startswith(f"{thing.source}: ") for note in notes)]
    kept = len(document["annotations"])
    assert len(found) - len(gone) <= kept <= len(found)
    assert len(found) - sum(_is_gone(note) for note in notes) == kept, f"an object is lost: {notes}"
    for note in (*read.notes, *notes):
        note.encode()
        assert len(note) <= LONGEST_MESSAGE
    inputs = dataset.inputs(dataset.files), dataset.inputs(spoilt)
    assert_same_views(*inputs, valid, view(read, document))
    target = folder / "written.json"
    try:
        write_coco(target, read)
        source = CocoSource(target, read.image_folder)
        assert len(source) == images
        for i in range(len(source)):
            attempt(names, read_example, source, i)
    finally:
        target.unlink(missing_ok=True)


def _is_gone(note: str) -> bool:
    parts = re.search(r"(\d+) of (\d+) polygons left out", note)
    return parts[1] == parts[2] if parts else "covers no pixel" in note


def assert_same_views(inputs: dict[str, Any], spoilt: dict[str, Any], valid: dict[str, Any], found: dict[str, Any]) -> None:
    for name in inputs:
        if spoilt.get(name) == inputs[name]:
            assert found.get(name) == valid[name], f"{name} has changed"


# ------------------------------------------------------------------------------------------------------------------ prepared


def check_prepared(folder: Path, valid: list[Any]) -> None:
    """What a folder of prepared data gives is what was put into it, or refused by the folder's name."""
    source = attempt([str(folder)], PreparedSource, folder)
    if source is None:
        return
    assert len(source) == len(valid), "an image is lost"
    for i, (example, rows) in enumerate(valid):
        found = attempt([str(folder)], read_example, source, i)
        if found is not None:
            assert all(np.array_equal(before, after) for before, after in zip(example, found, strict=True)), f"image {i} has changed"
            assert source.coco_document([i]) == rows


def prepared_examples(folder: Path) -> list[Any]:
    """Each example, with its rows."""
    source = PreparedSource(folder)
    return [(read_example(source, i), source.coco_document([i])) for i in range(len(source))]


# -------------------------------------------------------------------------------------------------------------------- images

_INPUTS = [
    InputConfig(channels=c, dtype=d, mean=(0.0,) * c, std=(1.0,) * c) for c, d in ((1, "uint8"), (4, "uint8"), (1, "uint16"), (3, "uint16"))
]


def check_images(folder: Path, spoilt: Files) -> None:
    """Everything that reads an image file, under each name that decides how."""
    for name, content in spoilt.items():
        path, size = folder / name, (HEIGHT, WIDTH)
        sized = attempt([path.name], read_image, path, size) if path.suffix != ".npy" else None
        assert sized is None or (sized.shape == (*size, 3) and sized.dtype == np.uint8)
        if path.suffix != ".npy":
            header = attempt([path.name], read_header, path)
            assert header is None or header.orientation in range(1, 9)
        for wanted in (None, size):
            told = attempt([path.name], read_size, path, wanted)
            assert told is None or wanted in (None, told)
        if pixels_of(content) < 2**22:  # the others are read, without a size to compare with
            whole = attempt([path.name], read_image, path) if path.suffix != ".npy" else None
            if whole is not None:
                assert whole.shape[:2] == read_size(path)
                assert whole.shape[:2] != size or sized is not None
            labels = attempt([path.name], read_labels, path, colours=True) if path.suffix != ".npy" else None
            assert labels is None or labels.min() >= 0
        for config in _INPUTS:
            array = attempt([path.name], read_channels, path, config, size)
            assert array is None or (array.shape == (*size, config.channels) and array.dtype == config.dtype)


# --------------------------------------------------------------------------------------------------------------- segmentations


def check_segmentations(content: bytes) -> None:
    """What `covers_pixels` passes can be drawn and measured, and is drawn as pycocotools draws it."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return
    for segmentation in found if isinstance(found, list) else [found]:
        try:
            covers = covers_pixels(segmentation, HEIGHT, WIDTH)
        except DataError as error:
            assert_helps(error)
            continue
        mask = bitmap(segmentation, HEIGHT, WIDTH)
        assert mask.shape == (HEIGHT, WIDTH)
        assert covers or not mask.any()
        packed = coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH) if _is_plain(segmentation) else segmentation
        drawn = coco_mask.merge(packed) if isinstance(packed, list) else packed
        assert np.array_equal(mask, coco_mask.decode(drawn))
        if mask.any():
            rows, columns = np.nonzero(mask)
            x, y = columns.min(), rows.min()
            expected = mask.sum(), [x, y, columns.max() + 1 - x, rows.max() + 1 - y]
            assert area_and_box(segmentation, HEIGHT, WIDTH) == expected


def _is_plain(segmentation: Any) -> bool:
    return isinstance(segmentation, list) or isinstance(segmentation["counts"], list)
