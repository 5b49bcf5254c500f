"""A folder of two images, 20 x 30 (height x width), that formats by hand speak of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data import DataError
from maskrcnn_jax.data.coco_masks import bitmap
from maskrcnn_jax.data.formats import coco_document, read_format

HEIGHT, WIDTH = 20, 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def read():
    """What a reader makes of a source: image names, (image, class, crowd, mask) of each object, and all notes."""

    def read_all(*arguments, **options):
        dataset = read_format(*arguments, **options)
        document, notes = coco_document(dataset)
        images = {row["id"]: row for row in document["images"]}
        names = {row["id"]: row["name"] for row in document["categories"]}
        objects = [
            (
                images[row["image_id"]]["file_name"],
                names[row["category_id"]],
                bool(row["iscrowd"]),
                bitmap(row["segmentation"], images[row["image_id"]]["height"], images[row["image_id"]]["width"]),
            )
            for row in document["annotations"]
        ]
        return [row["file_name"] for row in document["images"]], objects, [*dataset.notes, *notes]

    return read_all


@pytest.fixture
def refuses(read):
    """Assert that reading is a DataError whose message has all of `words`."""

    def check(words, *arguments, **options):
        with pytest.raises(DataError) as error:
            read(*arguments, **options)
        for word in words:
            assert word in str(error.value)

    return check
