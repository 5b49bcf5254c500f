import numpy as np
import pytest

from maskrcnn_jax.data import DataError, ShapesSource, crop_mask, make_batch, tight_box


@pytest.fixture(scope="module")
def examples():
    source = ShapesSource(0, 4)
    return [source[i] for i in range(4)]


def area_oracle(window, m):
    """Share of each of m x m equal cells that `window` covers, by overlap lengths."""

    def overlap(n):
        edges = np.arange(m + 1) * n / m
        pixels = np.arange(n)
        shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
        return np.clip(shared, 0, None) * m / n

    return overlap(window.shape[0]) @ window @ overlap(window.shape[1]).T


def test_tight_box_by_hand():
    mask = np.zeros((6, 9), np.uint8)
    assert tight_box(mask) == (0, 0, 0, 0)
    mask[2:4, 5:9] = 1
    assert tight_box(mask) == (5, 2, 9, 4)


@pytest.mark.parametrize("box", [(3, 4, 13, 12), (0, 0, 1, 1), (50, 50, 60, 60), (10, 20, 26, 36)])
def test_an_object_that_fits_is_copied_pixel_for_pixel(rng, box):
    mask = np.zeros((60, 60), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = rng.integers(0, 2, (box[3] - box[1], box[2] - box[0]))
    grid, frame = crop_mask(mask, box, 16)
    assert grid.dtype == np.uint8
    assert (frame[2:] - frame[:2]).tolist() == [16, 16]
    around = np.pad(mask, 16)
    x0, y0 = (int(v) + 16 for v in frame[:2])
    assert np.array_equal(grid, around[y0 : y0 + 16, x0 : x0 + 16] * 255)


@pytest.mark.parametrize("box", [(0, 0, 60, 60), (3, 5, 52, 38), (1, 2, 58, 12), (7, 3, 24, 59), (2, 2, 34, 34)])
def test_a_larger_object_is_resampled_by_exact_area(rng, box):
    mask = np.zeros((60, 60), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = rng.integers(0, 2, (box[3] - box[1], box[2] - box[0]))
    grid, frame = crop_mask(mask, box, 16)
    x0, y0, x1, y1 = (int(v) for v in frame)
    window = np.pad(mask, 16)[y0 + 16 : y1 + 16, x0 + 16 : x1 + 16].astype(float)
    assert np.abs(grid - 255 * area_oracle(window, 16)).max() <= 0.51
    cell = (x1 - x0) * (y1 - y0) / 16**2
    assert abs(grid.sum() / 255 * cell - mask.sum()) < 0.01 * mask.sum()


def test_each_axis_has_its_own_rule():
    mask = np.zeros((60, 60), np.uint8)
    mask[10:20, 0:60] = 1
    grid, frame = crop_mask(mask, (0, 10, 60, 20), 16)
    assert frame.tolist() == [0, 7, 60, 23]
    assert (grid[3:13] == 255).all()
    assert grid.sum() == 255 * 10 * 16


def test_a_batch_by_shape_type_and_padding(examples):
    batch = make_batch(examples, (192, 256), max_objects=10, mask_crop=28)
    assert batch.image.shape == (4, 192, 256, 3)
    assert batch.sizes.tolist() == [[160, 160]] * 4
    assert batch.image_ids.tolist() == [0, 1, 2, 3]
    assert batch.objects_cut.tolist() == [0, 0, 0, 0]
    instances = batch.instances
    assert [f.dtype for f in instances] == [np.float32, np.int32, np.bool_, np.uint8, np.float32, np.bool_]
    assert [f.shape for f in instances] == [(4, 10, 4), (4, 10), (4, 10), (4, 10, 28, 28), (4, 10, 4), (4, 10)]
    for i, example in enumerate(examples):
        n = len(example.labels)
        assert np.array_equal(batch.image[i, :160, :160], example.image)
        assert not batch.image[i, 160:].any()
        assert not batch.image[i, :, 160:].any()
        assert instances.valid[i].tolist() == [True] * n + [False] * (10 - n)
        assert np.array_equal(instances.boxes[i, :n], example.boxes)
        assert not instances.boxes[i, n:].any()
        assert not instances.labels[i, n:].any()
        assert not instances.masks[i, n:].any()
        assert (instances.mask_frames[i, n:] == [0, 0, 1, 1]).all()


def test_whole_canvases_are_the_bitmaps(examples):
    batch = make_batch(examples, (192, 256), max_objects=8, mask_crop=None)
    assert batch.instances.masks.shape == (4, 8, 192, 256)
    n = len(examples[1].labels)
    assert np.array_equal(batch.instances.masks[1, :n, :160, :160], examples[1].masks * 255)
    assert (batch.instances.mask_frames[1, :n] == [0, 0, 256, 192]).all()
    assert not batch.instances.masks[1, :, 160:].any()


def test_objects_beyond_the_capacity_are_cut_and_counted_crowds_first(examples):
    example = max(examples, key=lambda e: len(e.labels))
    n = len(example.labels)
    crowd = np.zeros(n, np.bool_)
    crowd[0] = True
    batch = make_batch([example._replace(crowd=crowd)], (160, 160), max_objects=n - 1, mask_crop=28)
    assert batch.objects_cut.tolist() == [1]
    assert np.array_equal(batch.instances.boxes[0], example.boxes[1:])
    assert not batch.instances.crowd.any()
    whole = make_batch([example._replace(crowd=crowd)], (160, 160), max_objects=n, mask_crop=28)
    assert whole.instances.crowd[0].tolist() == [False] * (n - 1) + [True]
    assert np.array_equal(whole.instances.boxes[0, -1], example.boxes[0])


def test_an_image_without_objects(examples):
    empty = examples[0]._replace(
        masks=np.zeros((0, 160, 160), np.uint8),
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int32),
        crowd=np.zeros(0, np.bool_),
    )
    batch = make_batch([empty], (160, 160), max_objects=3, mask_crop=28)
    assert not batch.instances.valid.any()
    assert np.isfinite(batch.instances.boxes).all()


def test_an_image_larger_than_its_canvas_is_an_error_with_the_remedy(examples):
    with pytest.raises(DataError) as error:
        make_batch(examples[2:3], (128, 160), max_objects=3, mask_crop=28)
    assert "image id 2 is 160 x 160" in str(error.value)
    assert "resize it first" in str(error.value)
