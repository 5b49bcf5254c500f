"""The real datasets: masks equal pycocotools' own drawing of the same annotations."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from pycocotools.coco import COCO

from maskrcnn_jax.data import CocoSource, nonempty_indices


def open_both(shared_data, name, split):
    path = shared_data / name / f"instances_{split}.json"
    with contextlib.redirect_stdout(io.StringIO()):
        return CocoSource(path, shared_data / name / "images"), COCO(path)


@pytest.mark.parametrize(("name", "split", "count"), [("coco_free", "val", 66), ("nuclei", "val", 89)])
def test_masks_boxes_and_labels_equal_the_file_s(shared_data, name, split, count):
    source, reference = open_both(shared_data, name, split)
    assert len(source) == count
    for i in range(0, count, 3):
        example = source[i]
        rows = reference.loadAnns(reference.getAnnIds([example.image_id]))
        assert example.image.shape == (*source.sizes[i], 3)
        assert [source.categories[k - 1].id for k in example.labels] == [row["category_id"] for row in rows]
        assert example.crowd.tolist() == [bool(row["iscrowd"]) for row in rows]
        for row, mask, box in zip(rows, example.masks, example.boxes, strict=True):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools under NumPy 2
                assert np.array_equal(mask, reference.annToMask(row))
            x, y, width, height = row["bbox"]
            assert np.abs(box - [x, y, x + width, y + height]).max() < 0.01


def test_coco_free_has_gaps_crowds_grey_and_empty_images(shared_data):
    source, _ = open_both(shared_data, "coco_free", "train")
    assert len(source.categories) == 80
    assert source.categories[-1].id == 90
    assert 0 < len(nonempty_indices(source)) < len(source) == 92
