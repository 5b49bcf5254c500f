"""A small COCO dataset on disk, to be spoiled by each test of bad input."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data import CocoSource

HEIGHT, WIDTH = 20, 30


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


@pytest.fixture
def document() -> dict[str, Any]:
    """Two images; the first has a polygon of category 7, the second nothing. Category ids have gaps and are out of order."""
    return {
        "images": [
            {"id": 11, "file_name": "first.png", "height": HEIGHT, "width": WIDTH},
            {"id": 5, "file_name": "second.png", "height": HEIGHT, "width": WIDTH},
        ],
        "categories": [{"id": 7, "name": "kite"}, {"id": 3, "name": "boat"}],
        "annotations": [
            {
                "id": 0,
                "image_id": 11,
                "category_id": 7,
                "bbox": [4, 5, 10, 10],
                "segmentation": [square(4, 5, 10)],
                "iscrowd": 0,
                "area": 100,
            }
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The images of `document`."""
    rng = np.random.default_rng(0)
    for name in ("first.png", "second.png"):
        Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def open_coco(folder: Path) -> Callable[[Any], CocoSource]:
    """Write a document as JSON and open it."""

    def write_and_open(document: Any) -> CocoSource:
        path = folder / "instances.json"
        path.write_text(json.dumps(document))
        return CocoSource(path, folder)

    return write_and_open
