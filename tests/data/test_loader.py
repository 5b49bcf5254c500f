import dataclasses

import jax
import numpy as np
import pytest

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import CocoSource, DataError, Plan, ShapesSource, batches

INPUT = InputConfig(min_side=160, max_side=160, canvases=((160, 160),))
DATA = DataConfig(kind="shapes", max_objects=8, mask_crop=28)
SOURCE = ShapesSource(0, 12)
PLAN = Plan(SOURCE.sizes, INPUT, DATA, batch_size=3, seed=0)


def load(start, stop, *, workers=0, seed=5):
    config = dataclasses.replace(DATA, workers=workers)
    return list(batches(SOURCE, PLAN, INPUT, config, start_step=start, stop_step=stop, seed=seed))


def assert_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_batches_follow_the_plan():
    for step, batch in zip(range(2, 9), load(2, 9), strict=True):
        assert batch.image_ids.tolist() == PLAN(step)[1].tolist()


def test_starting_at_a_step_gives_the_rest():
    assert_equal(load(0, 8)[5:], load(5, 8))


def test_another_seed_flips_others():
    one, other = load(0, 4), load(0, 4, seed=6)
    assert any(not np.array_equal(a.image, b.image) for a, b in zip(one, other, strict=True))


def test_images_and_masks_are_flipped_together():
    for batch in load(0, 4):
        for image, boxes, valid, number in zip(batch.image, batch.instances.boxes, batch.instances.valid, batch.image_ids, strict=True):
            example = SOURCE[int(number)]
            mirrored = not np.array_equal(image, example.image)
            expected = example.boxes if not mirrored else np.stack([160 - example.boxes[:, 2], 160 - example.boxes[:, 0]], axis=1)
            assert np.array_equal(boxes[valid][:, [0, 2]] if mirrored else boxes[valid], expected)


def test_a_bad_image_ends_the_iterator_with_its_own_error(open_coco, document, folder):
    (folder / "second.png").write_bytes(b"no image")
    source = open_coco(document)
    plan = Plan(source.sizes, INPUT, DATA, batch_size=2, seed=0)
    with pytest.raises(DataError) as error:
        list(batches(source, plan, INPUT, DATA, start_step=0, stop_step=2, seed=0))
    assert "image id 5" in str(error.value)
    assert "second.png" in str(error.value)
    assert "replace the file" in str(error.value)


@pytest.mark.slow
def test_workers_change_nothing():
    assert_equal(load(1, 6), load(1, 6, workers=2))


@pytest.mark.slow
def test_a_bad_image_in_a_worker_ends_the_iterator_with_its_own_error(open_coco, document, folder):
    source: CocoSource = open_coco(document)
    (folder / "first.png").unlink()
    plan = Plan(source.sizes, INPUT, DATA, batch_size=2, seed=0)
    with pytest.raises(DataError) as error:
        list(batches(source, plan, INPUT, dataclasses.replace(DATA, workers=1), start_step=0, stop_step=2, seed=0))
    assert "image id 11" in str(error.value)
    assert "restore it" in str(error.value)
