from dataclasses import replace

import cv2
import numpy as np
import pytest

from maskrcnn_jax.config import AugmentConfig, ConfigError, DataConfig, ExperimentConfig, InputConfig, ModelConfig
from maskrcnn_jax.data import ShapesSource, fit_boxes, flip_horizontal, resize, train_transform
from tests.data.painted import assert_masks_are_where_the_image_shows_them, assert_whole, drawn, of_masks, painted

CANVAS = (96, 128)
INPUT = InputConfig(min_side=72, max_side=128, canvases=(CANVAS,), mean=(0.0, 0.0, 0.0))
PLAIN = InputConfig(min_side=160, max_side=320, canvases=((160, 160),))
STILL = AugmentConfig(flip=0.0)

# Each is exact: what it does to the image, it does to the masks, once resampled at most.
ONE_BY_ONE = {
    "flips": AugmentConfig(flip=0.5, flip_vertical=0.5),
    "short sides": AugmentConfig(min_sides=(40, 72)),
    "large-scale jitter": AugmentConfig(scale=(0.1, 2.0)),
    "enlarging jitter": AugmentConfig(scale=(2.0, 4.0)),
    "crop": AugmentConfig(crop=0.3),
    "copy-paste": AugmentConfig(copy_paste=1.0),
    "mosaic": AugmentConfig(mosaic=1.0),
    "the paper's": AugmentConfig(scale=(0.1, 2.0), copy_paste=1.0),
    "all that cut": AugmentConfig(scale=(0.5, 2.0), crop=0.5, copy_paste=0.5, mosaic=0.5, flip_vertical=0.5),
}
COLOURS = AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, blur=2.0)


@pytest.fixture(scope="module")
def example():
    return ShapesSource(0, 3)[2]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def another(rng):
    """Of another shape, too large for the canvas as it is."""
    return painted(100 + int(rng.integers(20)), (150, 90))


def empty(size):
    """Black, without an object."""
    return of_masks(np.zeros((0, *size), np.uint8), [])


def none(rng):
    raise AssertionError("another image was drawn")


def transformed(seed, augment, inputs=INPUT, canvas=CANVAS, start=None):
    return train_transform(start or painted(seed, crowds=True), np.random.default_rng(seed), canvas, inputs, augment, another)


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_masks_are_those_of_the_transformed_image(name):
    seen = 0
    for seed in range(12):
        shown = transformed(seed, ONE_BY_ONE[name])
        assert_masks_are_where_the_image_shows_them(shown)
        assert all(side <= room for side, room in zip(shown.image.shape, CANVAS, strict=False))
        seen += len(shown.labels)
    assert seen > 12


@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_boxes_are_those_of_the_masks_and_no_object_is_without_a_pixel(name):
    for seed in range(12):
        shown = transformed(seed, ONE_BY_ONE[name])
        if name in ("flips", "short sides"):
            # The source's own boxes, scaled. The tip of a disc, a pixel thin, is lost where it becomes less than half of one.
            tight = fit_boxes(shown)
            assert np.abs(shown.boxes - tight.boxes).max() <= 1.5
            shown = tight
        assert_whole(shown)


@pytest.mark.parametrize("augment", [AugmentConfig(rotate=30.0), AugmentConfig(rotate=180.0, scale=(0.5, 2.0), mosaic=0.5, copy_paste=0.5)])
def test_rotated_and_then_resized_masks_differ_from_the_image_at_edges_alone(augment):
    """Image and mask are resampled twice, and the mask is cut at one half each time: a pixel either side of an edge may differ."""
    for seed in range(12):
        shown = transformed(seed, augment)
        assert_whole(shown)
        masks, seen = drawn(shown).astype(np.uint8), (shown.image >= 128).astype(np.uint8)
        ring = np.ones((3, 3), np.uint8)
        for mask, colour in zip(np.moveaxis(masks, -1, 0), np.moveaxis(seen, -1, 0), strict=True):
            assert not (colour & ~cv2.dilate(mask, ring) & 1).any()
            assert not (cv2.erode(mask, ring) & ~colour & 1).any()


@pytest.mark.parametrize("name", [*ONE_BY_ONE, "colours"])
def test_the_same_generator_gives_the_same_bytes_and_another_one_others(name):
    augment = (ONE_BY_ONE | {"colours": COLOURS})[name]
    runs = [[transformed(seed, augment, start=painted(1)) for seed in seeds] for seeds in ([1, 2, 3], [1, 2, 3], [4, 5, 6])]
    assert all(equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    assert not all(equal(a, b) for a, b in zip(runs[0], runs[2], strict=True))


def test_colours_leave_boxes_and_masks(example):
    config = replace(COLOURS, flip=0.0)
    for seed in range(5):
        shown = train_transform(example, np.random.default_rng(seed), (160, 160), PLAIN, config, none)
        assert equal(shown[1:], example[1:])
        assert not np.array_equal(shown.image, example.image)
        assert np.abs(shown.image.astype(int) - example.image).mean() < 100


def test_flips_as_often_as_asked(example):
    for seed in range(5):
        for flip, expected in ((0.0, example), (1.0, flip_horizontal(example))):
            rng = np.random.default_rng(seed)
            assert equal(train_transform(example, rng, (160, 160), PLAIN, AugmentConfig(flip=flip), none), expected)


def test_all_short_sides_are_drawn(example):
    config = AugmentConfig(min_sides=(64, 96))
    sides = {train_transform(example, np.random.default_rng(seed), (160, 160), PLAIN, config, none).image.shape[0] for seed in range(20)}
    assert sides == {64, 96}


def test_objects_that_vanish_are_left_out(example):
    dot = np.zeros_like(example.masks[:1])
    dot[0, 80, 80] = 1
    with_dot = example._replace(
        masks=np.concatenate([dot, example.masks]),
        boxes=np.concatenate([np.float32([[80, 80, 81, 81]]), example.boxes]),
        labels=np.concatenate([np.int32([1]), example.labels]),
        crowd=np.concatenate([[False], example.crowd]),
    )
    small = train_transform(with_dot, np.random.default_rng(0), (160, 160), PLAIN, AugmentConfig(min_sides=(40,)), none)
    assert small.labels.tolist() == example.labels.tolist()


def test_large_scale_jitter_fills_the_canvas_with_an_image_of_any_scale_in_the_range():
    """The mean colour begins where the image ends, at most at twice its size at inference."""
    inputs = replace(INPUT, mean=(10.0, 20.0, 30.0), channel_order="bgr")
    scales = []
    for seed in range(60):
        grey = painted(0)._replace(image=np.full((60, 80, 3), 200, np.uint8))
        shown = transformed(seed, replace(STILL, scale=(0.5, 1.5)), inputs, start=grey)
        assert shown.image.shape == (*CANVAS, 3)
        filled = (shown.image == [30, 20, 10]).all(axis=2)
        assert ((shown.image == 200).all(axis=2) | filled).all()
        scales.append((~filled[0]).sum() / 96)  # 60 x 80 is 72 x 96 at inference; the canvas has 128 columns
    assert min(scales) < 0.6
    assert max(scales) == pytest.approx(128 / 96, abs=0.02)
    assert sum(0.5 <= scale <= 4 / 3 for scale in scales) == 60


def test_an_image_larger_than_the_canvas_leaves_no_stripe_of_the_mean_colour():
    """At up to 10 times its size at inference, where a pixel becomes 12 of the canvas."""
    grey = painted(0)._replace(image=np.full((60, 80, 3), 200, np.uint8))
    for seed in range(40):
        shown = transformed(seed, replace(STILL, scale=(1.4, 10.0)), start=grey)
        assert shown.image.shape == (*CANVAS, 3)
        assert (shown.image == 200).all()


def test_an_enlarged_image_is_cropped_at_random_places():
    """Columns are counted in their colour, 2 a column: twice as large, 64 of 80 fit."""
    counted = painted(0)._replace(image=np.tile(np.arange(80, dtype=np.uint8)[None, :, None] * 2, (60, 1, 3)))
    firsts = set()
    for seed in range(40):
        row = transformed(seed, replace(STILL, scale=(5 / 3, 5 / 3)), start=counted).image[0, :, 0].astype(int)
        assert len(row) == 128
        assert row[-1] - row[0] == pytest.approx(2 * 63, abs=1)
        firsts.add(int(row[0]) // 2)
    assert min(firsts) <= 2
    assert max(firsts) >= 14


def test_a_crop_keeps_the_share_asked_for_and_the_size_of_objects():
    whole = transformed(0, STILL, start=painted(0)).image.shape
    assert whole == (72, 96, 3)
    shapes = np.array([transformed(seed, replace(STILL, crop=0.5), start=painted(0)).image.shape[:2] for seed in range(40)])
    assert (shapes >= [36, 48]).all()
    assert (shapes <= [72, 96]).all()
    assert (shapes.min(axis=0) <= [42, 56]).all()
    assert (shapes.max(axis=0) >= [66, 88]).all()


def test_nothing_else_is_read_unless_a_mosaic_or_copy_paste_asks_for_it():
    for augment in (STILL, COLOURS, AugmentConfig(scale=(0.1, 2.0), crop=0.5, rotate=10.0, flip_vertical=0.5)):
        train_transform(painted(1), np.random.default_rng(0), CANVAS, INPUT, augment, none)


def test_a_mosaic_shows_four_images_and_has_the_size_of_the_first():
    shown = [transformed(seed, replace(STILL, mosaic=1.0)) for seed in range(8)]
    assert {example.image.shape for example in shown} == {(72, 96, 3)}
    assert max(len(example.labels) for example in shown) > 5


def test_the_largest_part_of_the_corner_s_shape_fills_each_corner_of_a_mosaic():
    """Columns are counted in red and rows in green, 2 each, and blue says which image it is. One or the other is shown whole."""

    def counted(number):
        image = np.zeros((60, 80, 3), np.uint8)
        image[..., 0], image[..., 1], image[..., 2] = 2 * np.arange(80), 2 * np.arange(60)[:, None], 60 * number
        return empty((60, 80))._replace(image=image)

    places = []
    for seed in range(40):
        others = map(counted, (1, 2, 3))
        rng = np.random.default_rng(seed)
        shown = train_transform(counted(0), rng, CANVAS, INPUT, replace(STILL, mosaic=1.0), lambda _, others=others: next(others))
        for number in range(4):
            part = shown.image[shown.image[..., 2] == 60 * number].astype(int)
            (x, y), (right, bottom) = part[:, :2].min(axis=0), part[:, :2].max(axis=0)
            missing = np.array([x, 158 - right, y, 118 - bottom]) / 2  # pixels left out at each side
            # A window's sides are rounded to pixels, and a shrunk image shows the middle of its first and last ones.
            assert min(missing[:2].sum(), missing[2:].sum()) <= 3
            places += [tuple(missing[:2] > 3), tuple(missing[2:] > 3)]
    assert {(True, False), (False, True), (True, True)} <= set(places)  # at random places


def test_images_are_turned_by_angles_up_to_the_configured_one_either_way():
    """Columns are counted, 2 each: down the middle of an image that is turned by a, they change by 2 sin a a row."""
    image = np.repeat(np.tile(2 * np.arange(80, dtype=np.uint8), (60, 1))[..., None], 3, axis=2)
    start = empty((60, 80))._replace(image=image)
    inputs = replace(INPUT, min_side=60)
    angles = []
    for seed in range(40):
        middle = transformed(seed, replace(STILL, rotate=30.0), inputs, start=start).image[15:45, 40, 0].astype(float)
        angles.append(np.degrees(np.arcsin(np.polyfit(np.arange(30), middle, 1)[0] / 2)))
    assert -31 < min(angles) < -24  # a degree for what rounding to bytes does to the slope
    assert 24 < max(angles) < 31
    assert abs(np.mean(angles)) < 8  # uniform in -30 ... 30: three standard deviations of the mean of 40


def test_pasted_objects_come_last_and_are_no_crowds():
    def crowded(rng):
        return painted(7, crowds=True)

    plain, pasted = (
        train_transform(painted(3, crowds=True), np.random.default_rng(2), CANVAS, INPUT, replace(STILL, copy_paste=share), crowded)
        for share in (0.0, 1.0)
    )
    assert plain.crowd.tolist() == [True, False, False, False, False]
    assert len(pasted.labels) > 5
    assert pasted.crowd.tolist() == [True] + [False] * (len(pasted.labels) - 1)


def test_about_half_of_the_objects_are_pasted():
    counts = [len(transformed(seed, replace(STILL, copy_paste=1.0), start=empty((60, 80))).labels) for seed in range(40)]
    assert 0.38 < np.mean(counts) / 5 < 0.62  # of 5 each; three standard deviations of a share of 200 are 0.11
    assert len(set(counts)) > 3


def test_pasted_objects_lie_at_random_places_within_the_image_or_reach_all_its_edges():
    """The other image is higher and narrower; each of its many objects is all of it, and its rows are counted in green."""
    height, width = 90, 50  # of the other; the image is 50 x 67
    other = of_masks(np.ones((9, height, width), np.uint8), [1] * 9)
    other.image[..., 1] = 2 * np.arange(height)[:, None]
    tall = replace(INPUT, min_side=50)
    start = empty((50, 67))
    offsets = []
    for seed in range(40):
        shown = train_transform(start, np.random.default_rng(seed), CANVAS, tall, replace(STILL, copy_paste=1.0), lambda rng: other)
        x0, y0, x1, y1 = shown.boxes[0]  # one of nine is chosen but for once in 500 times
        assert (y0, y1, x1 - x0) == (0, 50, width)
        offsets.append((-int(shown.image[0, int(x0), 1]) // 2, int(x0)))
    (lowest, leftmost), (highest, rightmost) = np.min(offsets, axis=0), np.max(offsets, axis=0)
    # Of 41 rows and 18 columns that 40 draws pick from: all miss an outermost sixth once in 1,500 times.
    assert -40 <= lowest <= -34
    assert -6 <= highest <= 0
    assert 0 <= leftmost <= 2
    assert 15 <= rightmost <= 17


@pytest.mark.parametrize("kind", ["pillow", "float"])
def test_other_ways_of_resizing_keep_their_type_and_size(kind):
    inputs = replace(INPUT, resize=kind)
    augment = AugmentConfig(scale=(0.5, 2.0), crop=0.8, rotate=20.0, copy_paste=0.5, mosaic=0.5, brightness=0.2, hue=0.1, blur=1.0)
    for seed in range(6):
        shown = transformed(seed, augment, inputs)
        assert shown.image.dtype == (np.float32 if kind == "float" else np.uint8)
        assert shown.image.shape == (*CANVAS, 3)
        assert shown.image.min() >= 0
        assert shown.image.max() <= 255
        assert_whole(shown)


FIVE = (0, 1, 2, 0, 1)  # channels of RGB that stand in five
SPECTRA = replace(INPUT, channels=5, dtype="uint16", mean=(0.0,) * 5, std=(1.0,) * 5)
OF_ANY_CHANNELS = ONE_BY_ONE | {
    "rotation": AugmentConfig(rotate=30.0),
    "brightness": AugmentConfig(brightness=0.4),
    "blur": AugmentConfig(blur=2.0),
    "all": AugmentConfig(scale=(0.5, 2.0), crop=0.8, rotate=20.0, copy_paste=0.5, mosaic=0.5, brightness=0.4, blur=1.0),
}


def spectrum(example):
    """Its channels as five of 16 bits, white as white."""
    return example._replace(image=example.image[..., FIVE].astype(np.uint16) * 257)


@pytest.mark.parametrize("kind", ["uint8", "float"])
@pytest.mark.parametrize("name", OF_ANY_CHANNELS)
def test_five_channels_of_16_bits_change_as_rgb_bytes_do(name, kind):
    augment, rgb, five = OF_ANY_CHANNELS[name], replace(INPUT, resize=kind), replace(SPECTRA, resize=kind)
    for seed in range(4):
        shown = transformed(seed, augment, rgb)
        found = train_transform(
            spectrum(painted(seed, crowds=True)), np.random.default_rng(seed), CANVAS, five, augment, lambda rng: spectrum(another(rng))
        )
        assert found.image.dtype == (np.float32 if kind == "float" else np.uint16)
        # Bytes are rounded by each of at most four steps (turned, resized, recoloured, blurred), and OpenCV's weights of bytes are coarser.
        assert np.abs(found.image / 257 - shown.image[..., FIVE]).max() <= 3
        assert equal(found[1:], shown[1:])


def test_contrast_of_five_channels_of_16_bits_is_around_their_mean():
    example = spectrum(painted(0))
    shown = train_transform(example, np.random.default_rng(0), (60, 80), replace(SPECTRA, min_side=60), replace(STILL, contrast=0.2), none)
    changed = (shown.image.max() - shown.image.min()) / 65535
    assert 0.8 <= changed < 1  # of this seed
    assert shown.image.min() == pytest.approx((1 - changed) * example.image.mean(), abs=1)
    assert equal(shown[1:], example[1:])


def test_corners_of_five_channels_have_the_mean_of_each():
    inputs = replace(SPECTRA, mean=(1.0, 300.0, 65535.0, 70000.0, -5.0))
    shown = train_transform(spectrum(painted(0)), np.random.default_rng(1), CANVAS, inputs, replace(STILL, scale=(0.5, 0.5)), none)
    assert shown.image[-1, -1].tolist() == [1, 300, 65535, 65535, 0]


@pytest.mark.parametrize("name", ["saturation", "hue"])
def test_saturation_and_hue_are_refused_where_there_is_no_rgb(name):
    data = DataConfig(augment=AugmentConfig(**{name: 0.1}))
    with pytest.raises(
        ConfigError, match=rf"data\.augment\.{name} is of RGB, and model\.input\.channels is 5; leave data\.augment\.{name} at 0"
    ):
        ExperimentConfig(data=data, model=ModelConfig(input=SPECTRA))
    assert ExperimentConfig(data=data).data == data


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (300, 2)])
def test_the_thinnest_images_pass(size):
    bare = painted(0)._replace(
        image=np.zeros((*size, 3), np.uint8), masks=np.ones((1, *size), np.uint8), boxes=np.array([[0, 0, size[1], size[0]]], np.float32)
    )
    bare = bare._replace(labels=bare.labels[:1], crowd=bare.crowd[:1])
    for seed in range(4):
        augment = AugmentConfig(scale=(0.1, 2.0), crop=0.2, rotate=90.0, mosaic=0.5, copy_paste=0.5)
        assert transformed(seed, augment, start=bare).image.shape == (*CANVAS, 3)
        small = transformed(seed, replace(augment, scale=(1.0, 1.0)), start=bare)
        assert all(side <= room for side, room in zip(small.image.shape, CANVAS, strict=False))


def test_an_image_without_objects_stays_one():
    augment = AugmentConfig(scale=(0.1, 2.0), crop=0.5, rotate=30.0, flip_vertical=0.5, brightness=0.1, blur=1.0)
    shown = transformed(0, augment, start=empty((60, 80)))
    assert_whole(shown)
    assert len(shown.labels) == 0


def test_what_is_off_draws_nothing(example):
    """So that the same seed flips the same images whatever else a version adds."""
    rng = np.random.default_rng(5)
    side, flipped = int(rng.choice((64, 96))), rng.random() < 0.5
    shown = train_transform(example, np.random.default_rng(5), (160, 160), PLAIN, AugmentConfig(min_sides=(64, 96)), none)
    expected = resize(example, (side, side), "uint8")
    assert equal(shown, flip_horizontal(expected) if flipped else expected)
