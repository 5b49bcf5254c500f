import pickle
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from maskrcnn_jax.config import AugmentConfig, DataConfig, InputConfig
from maskrcnn_jax.data import Albumentations, Augmented, DataError, Plan, Source, batches, check_source, flip_horizontal
from maskrcnn_jax.data.augmented import apply
from tests.data.painted import Painted, assert_masks_are_where_the_image_shows_them, assert_whole, drawn, painted

INPUT = InputConfig(min_side=60, max_side=80, canvases=((64, 96), (96, 64)), mean=(0.0, 0.0, 0.0))
DATA = DataConfig(max_objects=40, mask_crop=None, augment=AugmentConfig(flip=0.0))


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def mirror(example, rng):
    return flip_horizontal(example) if rng.random() < 0.5 else example


def made(augment, data=DATA, stop=6, source=None):
    source = source or Painted(8)
    plan = Plan(source.sizes, INPUT, data, batch_size=2, seed=0)
    return list(batches(source, plan, INPUT, data, start_step=0, stop_step=stop, seed=5, augment=augment))


def test_an_augmented_source_has_all_members_of_its_own():
    source = Painted(4)
    source.object_counts = np.array([1, 2, 3, 4])
    augmented = pickle.loads(pickle.dumps(Augmented(source, mirror)))
    assert isinstance(augmented, Source)
    check_source(augmented)
    assert augmented.object_counts.tolist() == [1, 2, 3, 4]
    assert equal(augmented[1], source[1])
    with pytest.raises(AttributeError, match="nothing"):
        _ = augmented.nothing


def test_the_function_changes_what_training_reads_now_and_then():
    flipped = [
        not np.array_equal(image[: len(own.image), : own.image.shape[1]], own.image)
        for batch in made(mirror)
        for image, number in zip(batch.image, batch.image_ids, strict=True)
        for own in [Painted(8)[int(number) - 100]]
    ]
    assert 2 < sum(flipped) < len(flipped) - 2


def test_what_it_leaves_out_is_left_out_and_what_grows_is_shrunk_until_it_fits():
    def grow(example, rng):
        """To a shape that fits no canvas, and without one of the masks."""
        wide = cv2.copyMakeBorder(example.image, 0, 0, 0, 60, cv2.BORDER_CONSTANT)
        masks = np.pad(example.masks, ((0, 0), (0, 0), (0, 60)))
        masks[0] = 0
        return example._replace(image=wide, masks=masks)

    for batch in made(grow):
        assert batch.instances.valid.sum(axis=1).tolist() == [4, 4]
        assert (batch.sizes <= batch.image.shape[1:3]).all()


def fail(example, rng):
    raise KeyError("sky")


def spoil(change, example, rng):
    return change(example)


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        (fail, "your own augmentation failed (KeyError: 'sky'); mend it, or train without it"),
        (partial(spoil, lambda example: None), "image id 10"),
        (partial(spoil, lambda e: e._replace(image=e.image / 255)), ": what your own augmentation returned cannot be used: image id 10"),
        (partial(spoil, lambda e: e._replace(masks=e.masks * np.uint8(255))), "masks hold 255; give 0 and 1 alone"),
        (partial(spoil, lambda e: e._replace(labels=e.labels + 3)), "of 3 categories"),
    ],
)
def test_a_function_that_fails_or_returns_no_example_is_told_with_the_image(augment, said):
    with pytest.raises(DataError) as error:
        made(augment)
    assert said in str(error.value)
    assert "image id 10" in str(error.value)


def test_a_function_may_not_change_what_the_model_reads():
    example = painted(3)
    five = example._replace(image=example.image[..., [0, 1, 2, 0, 1]].astype(np.uint16))
    input_config = InputConfig(channels=5, dtype="uint16", mean=(0.0,) * 5, std=(1.0,) * 5)
    rng = np.random.default_rng(0)
    assert equal(apply(lambda e, _: flip_horizontal(e), five, rng, "image id 3", 3, input_config), flip_horizontal(five))
    with pytest.raises(DataError, match=r"image id 3: what your own augmentation returned .*; give uint16\[height, width, 5\]"):
        apply(lambda e, _: e._replace(image=e.image[..., :3]), five, rng, "image id 3", 3, input_config)


class Pipeline:
    """What Albumentations' `Compose` is to the adapter: it mirrors top to bottom or not, by its own seeded generator."""

    def set_random_seed(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, image, masks=()):
        step = -1 if self.rng.random() < 0.5 else 1
        return {"image": image[::step].copy()} | ({"masks": [mask[::step].copy() for mask in masks]} if len(masks) else {})


def test_a_pipeline_is_seeded_from_the_generator_and_kept_as_it_was():
    pipeline = Pipeline()
    adapter, example = Albumentations(pipeline), painted(3)
    found = [adapter(example, np.random.default_rng(seed)) for seed in (*range(8), *range(8))]
    assert all(equal(a, b) for a, b in zip(found[:8], found[8:], strict=True))
    assert len({shown.image.tobytes() for shown in found}) == 2
    assert not hasattr(pipeline, "rng")
    for shown in found:
        assert_masks_are_where_the_image_shows_them(shown)
        assert_whole(shown)


def test_a_pipeline_gets_an_image_without_objects():
    empty = painted(0)._replace(
        masks=np.zeros((0, 60, 80), np.uint8), boxes=np.zeros((0, 4), np.float32), labels=np.zeros(0, np.int32), crowd=np.zeros(0, np.bool_)
    )
    assert_whole(Albumentations(Pipeline())(empty, np.random.default_rng(0)))


@pytest.fixture
def albumentations(monkeypatch):
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for its newest version
    return pytest.importorskip("albumentations")


def test_pipelines_of_albumentations_move_masks_with_the_image(albumentations):
    steps = [
        albumentations.HorizontalFlip(p=0.5),
        albumentations.RandomCrop(40, 50, p=1.0),
        albumentations.Affine(rotate=(-30, 30), scale=(0.8, 1.2), p=1.0),
    ]
    adapter = Albumentations(albumentations.Compose(steps, mask_interpolation=cv2.INTER_LINEAR))
    for seed in range(10):
        example = painted(seed, crowds=True)
        shown = adapter(example, np.random.default_rng(seed))
        assert shown.image.shape == (40, 50, 3)
        assert_masks_are_where_the_image_shows_them(shown)
        assert_whole(shown)
        assert equal(shown, adapter(example, np.random.default_rng(seed)))


def test_pixels_alone_may_change(albumentations):
    adapter = Albumentations(albumentations.Compose([albumentations.GaussNoise(p=1.0), albumentations.ToGray(p=1.0)]))
    example = painted(2)
    shown = adapter(example, np.random.default_rng(1))
    assert equal(shown[1:], example[1:])
    assert not np.array_equal(shown.image, example.image)
    assert np.array_equal(drawn(shown), drawn(example))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_pipeline_of_albumentations_gives_the_same_batches_each_time(albumentations, workers):
    steps = [albumentations.RandomBrightnessContrast(p=0.5), albumentations.ElasticTransform(p=0.5), albumentations.VerticalFlip(p=0.5)]
    adapter = Albumentations(albumentations.Compose(steps))
    for a, b in zip(made(adapter), made(adapter, replace(DATA, workers=workers)), strict=True):
        assert equal((a.image, *a.instances), (b.image, *b.instances))


@pytest.mark.parametrize(("channels", "dtype"), [(1, "uint8"), (5, "uint8"), (5, "uint16")])
def test_other_channels_go_through_a_pipeline_or_are_refused_with_the_image(albumentations, channels, dtype):
    example = painted(3)
    plane = example.image.max(axis=2, keepdims=True).astype(dtype)
    many = example._replace(image=np.repeat(plane, channels, axis=2))
    zeros, ones = (0.0,) * channels, (1.0,) * channels
    input_config = InputConfig(channels=channels, dtype=dtype, mean=zeros, std=ones)

    def applied(*steps):
        adapter = Albumentations(albumentations.Compose(steps))
        return apply(adapter, many, np.random.default_rng(0), "a.json: image id 3", 3, input_config)

    moved = applied(albumentations.HorizontalFlip(p=1.0), albumentations.RandomCrop(40, 50, p=1.0))
    assert moved.image.shape == (40, 50, channels)
    assert moved.image.dtype == dtype
    shown = moved.masks.max(axis=0) == 1
    assert all(np.array_equal(moved.image[..., i] > 0, shown) for i in range(channels))
    assert_whole(moved)
    if channels == 5:
        with pytest.raises(DataError, match=r"a\.json: image id 3: your own augmentation failed \(TypeError: HueSaturationValue"):
            applied(albumentations.HueSaturationValue(p=1.0))
    if dtype == "uint16":
        with pytest.raises(DataError, match=r"a\.json: image id 3: what your own augmentation returned cannot .* image is float64"):
            applied(albumentations.RandomGamma(p=1.0))
