import dataclasses
import re

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


class Torn:
    """Of twelve pictures some cannot be read."""

    categories = SOURCE.categories
    sizes = SOURCE.sizes
    fault: type[Exception] = DataError

    def __init__(self, *torn):
        self.torn = torn

    def __len__(self):
        return len(SOURCE)

    def __getitem__(self, i):
        if i in self.torn:
            raise self.fault(f"image id {i}: torn")
        return SOURCE[i]


def with_torn(*torn, max_unreadable=1, **options):
    config = dataclasses.replace(DATA, max_unreadable=max_unreadable)
    return list(batches(Torn(*torn), PLAN, INPUT, config, start_step=0, stop_step=4, seed=5, **options))


def test_another_image_stands_in_for_one_that_cannot_be_read():
    first, *_ = PLAN(1)[1]
    for step, (batch, whole) in enumerate(zip(with_torn(first), load(0, 4), strict=True)):
        assert batch.stand_ins.tolist() == [step == 1, False, False]
        assert batch.faults.tolist() == [f"image id {first}: torn" if step == 1 else "", "", ""]
        for row in range(3):
            assert (batch.image_ids[row] == whole.image_ids[row]) == (not batch.stand_ins[row])
    assert_equal(with_torn(first), with_torn(first))


@pytest.mark.parametrize("fault", [OSError, KeyError])
def test_whatever_a_source_raises_is_told_with_its_image_and_another_stands_in(fault, monkeypatch):
    monkeypatch.setattr(Torn, "fault", fault)
    first, *_ = PLAN(1)[1]
    told = f"Torn: index {first} of the source cannot be read ({fault.__name__}: "
    assert with_torn(first)[1].faults[0].startswith(told)
    with pytest.raises(DataError, match=re.escape(told)):
        with_torn(first, max_unreadable=0)


def test_a_step_that_cannot_be_made_is_void_and_says_why(monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("maskrcnn_jax.data.loader.read_example", fail)
    for step, batch in enumerate(with_torn(voids=True)):
        assert batch.void.all()
        assert batch.faults[0] == f"the images of step {step + 1} cannot be prepared (ZeroDivisionError: division by zero)"


def test_without_leave_the_image_ends_it():
    with pytest.raises(DataError, match="image id 3: torn"):
        with_torn(3, max_unreadable=0)


def test_where_no_other_can_be_read_the_image_ends_it():
    first, *_ = PLAN(0)[1]
    with pytest.raises(DataError, match=f"image id {first}: torn"):
        with_torn(*range(12))


def test_a_stand_in_fits_the_canvas_and_comes_from_the_same_group():
    sizes = np.array([[100, 160], [160, 160], [90, 160], [160, 90], [95, 160]])
    plan = Plan(sizes, INPUT, DATA, batch_size=1, seed=0)
    assert plan.stand_ins(2, (100, 160), 8) == [4, 0]
    assert plan.stand_ins(2, (160, 160), 2) == [3, 4]


def test_a_process_makes_its_positions_of_the_global_batch():
    whole = load(0, 3)
    parts = [list(batches(SOURCE, PLAN, INPUT, DATA, start_step=0, stop_step=3, seed=5, positions=own)) for own in ([0], [1, 2])]
    for step, batch in enumerate(whole):
        assert batch.positions.tolist() == [0, 1, 2]
        joined = jax.tree.map(lambda *rows: np.concatenate(rows), parts[0][step], parts[1][step])
        assert_equal(joined, batch)
