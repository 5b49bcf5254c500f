"""Thousands of spoilt datasets, images and masks of every format: none may end in a traceback, a hang or a silent loss.

A slice of each kind runs with all tests. `make fuzz` runs 10,000 in five minutes; `make fuzz COUNT=100000 SEED=7` others. What fails
is shrunk to the fewest and simplest edits, which the message has, with the seed that finds them again.
"""

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from maskrcnn_jax.data import CocoSource, prepared
from tests.fuzz import contract, datasets
from tests.fuzz.datasets import PICTURES, Dataset
from tests.fuzz.edits import Edit, Files, Instead, apply, changed_bytes, nodes, words

COUNT, SEED = int(os.environ.get("FUZZ_COUNT", "10000")), int(os.environ.get("FUZZ_SEED", "0"))
SLICE = 25  # of each kind, with all tests

FORMATS = {
    "coco": datasets.coco,
    "lvis": datasets.lvis,
    "pascal_voc": datasets.pascal_voc,
    "cityscapes": datasets.cityscapes,
    "via": datasets.via,
    "labelme": datasets.labelme,
    "png": datasets.png,
    "png of a folder an image": datasets.bowl,
    "yolo": datasets.yolo,
}
# Kinds with their shares of the cases.
SHARES = {"source": 5, "check-data": 3, "images": 4, "segmentations": 2, "prepared": 1} | {f"import {name}": 1 for name in FORMATS}
ANNOTATIONS = (".json", ".txt", ".yaml", ".xml")


def an_edit(dataset: Dataset, file: int) -> st.SearchStrategy[Edit]:
    name = list(dataset.files)[file]
    if name.endswith(".json"):
        return st.one_of(nodes(file), nodes(file), changed_bytes(file))
    if name.endswith(ANNOTATIONS):
        return st.one_of(words(file), changed_bytes(file))
    return st.one_of(instead(file), changed_bytes(file))


def instead(file: int) -> st.SearchStrategy[Edit]:
    return st.builds(Instead, st.just(file), st.sampled_from(sorted(PICTURES)))


def some_edits(dataset: Dataset) -> st.SearchStrategy[list[Edit]]:
    """One to three, more of annotations than of images; of what is nothing but images, of any of `PICTURES`."""
    names = list(dataset.files)
    annotations = [file for file, name in enumerate(names) if name.endswith(ANNOTATIONS)]
    edits = st.lists(st.one_of([an_edit(dataset, file) for file in [*range(len(names)), *annotations * 4]]), min_size=1, max_size=3)
    pictures = st.one_of([instead(file) for file in range(len(names))])
    return edits if annotations else st.builds(lambda picture, more: [picture, *more], pictures, edits)


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def fuzz(dataset: Dataset, folder: Path, check: Callable[[Files], None], count: int, number: int) -> None:
    """Run `check` on the dataset in `folder`, spoilt `count` times."""

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(edits=some_edits(dataset))
    def it_works_or_says_why(edits: list[Edit]) -> None:
        spoilt = apply(dataset.files, edits, PICTURES)
        changed = [name for name in spoilt if spoilt[name] != dataset.files[name]]
        write(folder, {name: spoilt[name] for name in changed})
        try:
            check(spoilt)
        finally:
            write(folder, {name: dataset.files[name] for name in changed})

    try:
        it_works_or_says_why()
    except BaseException as error:
        error.add_note(f"FUZZ_SEED={number}, {count} cases; tests.fuzz.edits.apply makes the files of these edits again")
        raise


def of_source(folder: Path, check: Callable[..., None]) -> tuple[Dataset, Callable[[Files], None]]:
    dataset = datasets.coco()
    write(folder, dataset.files)
    write(folder / "val", dataset.files)
    with contract.limits() as heard:
        valid = contract.coco_examples(folder, CocoSource(folder / dataset.source, folder), heard, [])
    return dataset, lambda spoilt: check(folder, dataset, spoilt, heard, valid)


def of_import(folder: Path, name: str) -> tuple[Dataset, Callable[[Files], None]]:
    format_, dataset = name.split()[0], FORMATS[name]()
    write(folder, dataset.files)
    read, document, _ = contract.imported(format_, folder, dataset)
    valid = contract.view(read, document)
    return dataset, lambda spoilt: contract.check_import(format_, folder, dataset, spoilt, valid)


def of_prepared(folder: Path) -> tuple[Dataset, Callable[[Files], None]]:
    original, target = datasets.coco(), folder / "prepared"
    write(folder / "files", original.files)
    with prepared.open_dataset("coco", folder / "files" / original.source, lambda name: nullcontext(lambda done, total: None)) as dataset:
        prepared.prepare(dataset, target)
    valid = contract.prepared_examples(target)
    files = {f"prepared/{path.name}": path.read_bytes() for path in sorted(target.iterdir())}
    return Dataset(files), lambda spoilt: contract.check_prepared(target, valid)


def of_images(folder: Path) -> tuple[Dataset, Callable[[Files], None]]:
    dataset = Dataset({"a.img": PICTURES["a.PNG"], "b.npy": PICTURES["array.npy"]})
    write(folder, dataset.files)
    return dataset, lambda spoilt: contract.check_images(folder, spoilt)


def of_segmentations(folder: Path) -> tuple[Dataset, Callable[[Files], None]]:
    dataset = Dataset({"masks.json": json.dumps(datasets.segmentations()).encode()})
    return dataset, lambda spoilt: contract.check_segmentations(spoilt["masks.json"])


OTHERS = {"images": of_images, "segmentations": of_segmentations, "prepared": of_prepared}


def checked(kind: str, folder: Path) -> tuple[Dataset, Callable[[Files], Any]]:
    """The dataset of a kind, in the folder, and the check of what has become of it."""
    if kind.startswith("import "):
        dataset, check = of_import(folder, kind.removeprefix("import "))
    elif kind in ("source", "check-data"):
        dataset, check = of_source(folder, contract.check_coco if kind == "source" else contract.check_told)
    else:
        dataset, check = OTHERS[kind](folder)

    def limited(spoilt: Files) -> None:
        with contract.limits():
            check(spoilt)

    return dataset, limited


@pytest.mark.parametrize("kind", SHARES)
def test_a_slice(kind, tmp_path):
    dataset, check = checked(kind, tmp_path)
    check(dataset.files)
    fuzz(dataset, tmp_path, check, SLICE, 0)


@pytest.mark.soak
@pytest.mark.parametrize("kind", SHARES)
def test_ten_thousand(kind, tmp_path):
    dataset, check = checked(kind, tmp_path)
    fuzz(dataset, tmp_path, check, COUNT * SHARES[kind] // sum(SHARES.values()), SEED)
