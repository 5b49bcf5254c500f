"""Prepared copies of COCO datasets, of real and of made ones."""

import json

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data import CocoSource, PreparedSource
from tests.data.prepared.making import H, W, prepare, rectangle, ring


@pytest.fixture
def made(tmp_path):
    """The path of a COCO JSON beside its images, with all that is told of an object and an image in one way or the other."""
    rng = np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = {"grey.png": (H, W), "turned.jpg": (W, H, 3), "none.jpg": (H, W, 3), "alpha.png": (H, W, 4)}
    for name, shape in pixels.items():
        options = {"exif": exif} if name == "turned.jpg" else {}
        (tmp_path / "in" / "sub").mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / "in" / "sub" / name, **options)
    with (tmp_path / "in" / "sub" / "none.jpg").open("ab") as file:
        file.write(b"\0\0after the end\0\0")  # which decoders pass over, and a copy must not lose
    images = [
        {"id": id_, "file_name": f"sub/{name}", "height": H, "width": W, "license": 4, "coco_url": f"http://images/{name}"}
        for id_, name in zip((7, 2**40, 0, 5), pixels, strict=True)
    ]
    annotations = [
        {"segmentation": [rectangle(4, 5, 14, 15), rectangle(20.3, 1.1, 28.7, 9.9)], "bbox": [4.1, 5.3, 24.7, 9.9], "area": 187.1},
        {"segmentation": ring(), "category_id": 3, "note": {"by": "ä"}},
        {"segmentation": ring(), "iscrowd": 1, "bbox": [2, 3, 5, 6], "area": 18},
        {"segmentation": [[4.1, 5.1, 4.2, 5.1, 4.2, 5.2]], "bbox": [4.1, 5.1, 0.1, 0.1], "area": 0.005},
        {"segmentation": [[4, 5, 9, 5, 9, 5]], "category_id": 3, "area": 0},
        {"segmentation": {"size": [H, W], "counts": [H * W]}, "iscrowd": 1},
        {"segmentation": [rectangle(-5, -5, 5, 5)], "bbox": [-5, -5, 10, 10], "area": None},
        {"segmentation": [rectangle(0, 0, 30, 20)], "image_id": 2**40, "bbox": None},
        {"segmentation": [rectangle(3, 3, 8, 8)], "image_id": 5, "bbox": [30, 3, 0, 5], "score": 0.1},
    ]
    document = {
        "info": {"year": 2017},
        "licenses": [{"id": 4}],
        "images": images,
        "categories": [{"id": 7, "name": "kite", "frequency": "r"}, {"id": 3, "name": "boat", "frequency": "f", "synset": "boat.n.01"}],
        "annotations": [{"id": i * 3, "image_id": 7, "category_id": 7, **row} for i, row in enumerate(annotations)],
    }
    path = tmp_path / "in" / "instances.json"
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def both(made, tmp_path):
    """The made dataset read from its files, and prepared."""
    prepare(tmp_path / "out", made, made.parent)
    return CocoSource(made, made.parent), PreparedSource(tmp_path / "out")
