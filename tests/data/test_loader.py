import dataclasses
import hashlib
import re

import jax
import numpy as np
import pytest

from maskrcnn_jax.config import AugmentConfig, DataConfig, InputConfig
from maskrcnn_jax.data import CocoSource, DataError, MixedSource, Plan, ShapesSource, batches, sampling_rates
from tests.data.painted import Painted

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
        assert batch.stand_ins.tolist() == [int(step == 1), 0, 0]
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


def test_an_image_that_cannot_be_augmented_is_named(monkeypatch):
    def fail(*_):
        raise MemoryError("Unable to allocate 9.00 GiB")

    monkeypatch.setattr("maskrcnn_jax.data.loader.train_transform", fail)
    first = PLAN(0)[1][0]
    with pytest.raises(
        DataError, match=rf"Torn: image id {first} cannot be .* \(MemoryError: Unable to allocate 9.00 GiB\); cut it into tiles"
    ):
        with_torn(max_unreadable=0)


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


EVERYTHING = AugmentConfig(
    flip=0.5,
    flip_vertical=0.5,
    min_sides=(48, 60),
    scale=(0.3, 2.0),
    crop=0.6,
    rotate=30.0,
    brightness=0.3,
    contrast=0.3,
    saturation=0.3,
    hue=0.1,
    blur=1.0,
    copy_paste=0.5,
    mosaic=0.5,
)
SMALL = InputConfig(min_side=60, max_side=80, canvases=((64, 96), (96, 64)))


def brighten(example, rng):
    return example._replace(image=np.maximum(example.image, np.uint8(rng.integers(100))))


def augmented(steps, *, workers=0, augment=EVERYTHING, source=None, max_unreadable=0, **options):
    source = source or MixedSource([Painted(7), Painted(3)], weights=(1, 2))
    config = DataConfig(max_objects=40, mask_crop=28, augment=augment, workers=workers, max_unreadable=max_unreadable)
    plan = Plan(source.sizes, SMALL, config, batch_size=2, seed=3, rates=sampling_rates(source, None, None))
    found = batches(source, plan, SMALL, config, start_step=steps[0], stop_step=steps[-1] + 1, seed=5, augment=brighten, **options)
    return list(found)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing_of_any_augmentation_or_rate(workers):
    steps = range(2, 22)
    alone, shared = augmented(steps), augmented(steps, workers=workers)
    assert len(alone) == 20
    for a, b in zip(alone, shared, strict=True):
        assert_equal(a, b)


ALONE = [field.name for field in dataclasses.fields(AugmentConfig)]


@pytest.mark.parametrize("name", ALONE)
def test_each_augmentation_alone_is_a_function_of_seed_step_and_position(name):
    """In one go, from the middle on, position by position, and by another seed."""
    one = dataclasses.replace(AugmentConfig(flip=0.0), **{name: getattr(EVERYTHING, name)})
    whole = augmented(range(8), augment=one)
    for a, b in zip(augmented(range(5, 8), augment=one), whole[5:], strict=True):
        assert_equal(a, b)
    for a, b in zip(augmented(range(3), augment=one, positions=[1]), whole, strict=False):
        assert np.array_equal(a.image[0], b.image[1])
        assert np.array_equal(a.instances.masks[0], b.instances.masks[1])
    for batch in whole:
        assert batch.instances.masks[batch.instances.valid].max(axis=(1, 2), initial=0).all()


class TornPainted(Painted):
    def __init__(self, count, *torn):
        super().__init__(count)
        self.torn = torn

    def __getitem__(self, i):
        if i in self.torn:
            raise OSError("torn")
        return super().__getitem__(i)


@pytest.mark.parametrize("augment", [AugmentConfig(copy_paste=1.0), AugmentConfig(mosaic=1.0)])
def test_another_image_is_drawn_in_place_of_one_to_be_added_that_cannot_be_read(augment):
    found = augmented(range(12), augment=augment, source=TornPainted(6, 2), max_unreadable=9)
    ids = np.concatenate([batch.image_ids for batch in augmented(range(12), augment=augment, source=Painted(6))])
    faults = np.concatenate([batch.faults for batch in found])
    added = faults[(np.concatenate([batch.image_ids for batch in found]) == ids) & (faults != "")]  # no other stood in for the image itself
    assert len(added)
    assert all("TornPainted: index 2 of the source cannot be read (OSError: torn)" in fault for fault in added)
    again = augmented(range(12), augment=augment, source=TornPainted(6, 2), max_unreadable=9)
    for a, b in zip(found, again, strict=True):
        assert_equal(a, b)
    with pytest.raises(DataError, match="index 2 of the source cannot be read"):
        augmented(range(12), augment=augment, source=TornPainted(6, 2))


def test_each_image_of_a_mosaic_that_another_stands_in_for_is_counted():
    found = augmented(range(12), augment=AugmentConfig(mosaic=1.0, copy_paste=1.0), source=TornPainted(6, 0, 1, 2), max_unreadable=99)
    counts = [int(count) for batch in found for count in batch.stand_ins]
    assert counts == [str(fault).count("(OSError: torn)") for batch in found for fault in batch.faults]
    assert {0, 1, 2, 3} <= set(counts)


def test_a_void_batch_has_the_shape_of_the_step_whatever_is_augmented():
    whole = augmented(range(4))
    torn = augmented(range(4), source=TornPainted(10, *range(10)), voids=True)
    for a, b in zip(whole, torn, strict=True):
        assert b.void.all()
        assert [x.shape for x in a.instances] == [x.shape for x in b.instances]


def test_the_default_s_bytes_never_change():
    """Flips alone, of pictures that never change: a run of an earlier version goes on with the same images."""
    digest = hashlib.sha256()
    for batch in load(0, 8):
        for array in (batch.image, *batch.instances):
            digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest() == "651d7696720b58d25376f757a46e0c49918680b88836836248767cc7bed796ed"


def test_canvases_made_for_each_batch_hold_what_is_augmented():
    """Canvas `multiple`: the canvas is made for the planned sizes, and large-scale jitter fills it."""
    inputs = InputConfig(min_side=60, max_side=80, canvas="multiple")
    source = Painted(8)
    for scale in ((0.5, 2.0), (1.0, 1.0)):
        config = DataConfig(max_objects=40, mask_crop=28, augment=dataclasses.replace(EVERYTHING, min_sides=(), scale=scale))
        plan = Plan(source.sizes, inputs, config, batch_size=2, seed=3)
        for step, batch in enumerate(batches(source, plan, inputs, config, start_step=0, stop_step=6, seed=5)):
            assert batch.image.shape[1:3] == plan(step)[0]
            assert (batch.sizes <= plan(step)[0]).all()
            assert scale == (1.0, 1.0) or (batch.sizes == plan(step)[0]).all()
