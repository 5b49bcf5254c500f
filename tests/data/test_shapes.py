import hashlib

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data import ShapesSource, shapes


@pytest.fixture(scope="module")
def examples():
    source = ShapesSource(0, 100)
    return [source[i] for i in range(100)]


def sha256(examples):
    digest = hashlib.sha256()
    for example in examples:
        for array in (example.image, example.masks, example.labels, example.boxes):
            digest.update(array.tobytes())
    return digest.hexdigest()


def test_the_first_hundred_pictures_never_change(examples):
    assert sha256(examples) == "a2daeeade23df557a2a37de1d5d11bf701b459e8f9f805c80dd9f2b592d7893e"


def test_a_picture_depends_on_its_number_alone(examples):
    moved = ShapesSource(40, 2)[1]
    assert moved.image_id == 41
    assert all(np.array_equal(a, b) for a, b in zip(moved, examples[41], strict=True))


def test_shapes_and_types(examples):
    for example in examples:
        n = len(example.labels)
        assert example.image.shape == (160, 160, 3)
        assert example.masks.shape == (n, 160, 160)
        assert [a.dtype for a in example if isinstance(a, np.ndarray)] == [np.uint8, np.uint8, np.float32, np.int32, np.bool_]
        assert set(np.unique(example.masks)) <= {0, 1}
        assert not example.crowd.any()


def test_one_to_eight_objects_of_four_classes(examples):
    counts = {len(example.labels) for example in examples}
    assert counts == set(range(1, 9))
    labels = np.concatenate([example.labels for example in examples])
    assert len(ShapesSource.categories) == 4
    assert np.bincount(labels, minlength=5)[1:].min() > 0.15 * len(labels)


def test_sizes_before_occlusion_are_12_to_96_pixels(monkeypatch):
    drawn = []
    place = shapes._place
    monkeypatch.setattr(shapes, "_place", lambda *args: drawn.append(place(*args)) or drawn[-1])
    for number in range(100):
        shapes.draw(number)
    boxes = shapes._tight_boxes(np.stack([mask for _, mask in drawn]))
    long_sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    assert long_sides.min() >= 11
    assert long_sides.max() <= 97
    assert np.percentile(long_sides, 5) < 30
    assert np.percentile(long_sides, 95) > 64
    assert (boxes > 0).all() and (boxes < 160).all()  # noqa: PT018


def test_masks_are_visible_pixels_and_boxes_are_tight(examples):
    for example in examples:
        assert example.masks.sum(axis=0).max() <= 1
        for mask, box in zip(example.masks, example.boxes, strict=True):
            x, y, width, height = cv2.boundingRect(mask)
            assert box.tolist() == [x, y, x + width, y + height]


def test_overlaps_are_common_and_at_most_60_percent(monkeypatch):
    pictures = []
    objects = shapes._objects
    acceptable = shapes._acceptable
    kept = []

    def record(mask, full, uncovered):
        good = acceptable(mask, full, uncovered)
        if good:
            kept.append(mask)
        return good

    def collect(*args):
        kept.clear()
        labels, visible = objects(*args)
        pictures.append((np.stack(kept), visible))
        return labels, visible

    monkeypatch.setattr(shapes, "_acceptable", record)
    monkeypatch.setattr(shapes, "_objects", collect)
    for number in range(60):
        shapes.draw(number)
    largest = []
    for full, visible in pictures:
        areas = full.sum(axis=(1, 2))
        assert (visible.sum(axis=(1, 2)) >= 0.4 * areas).all()
        flat = full.reshape(len(full), -1).astype(np.int64)
        shared = flat @ flat.T / np.minimum(areas[:, None], areas)
        largest.append(shared[~np.eye(len(full), dtype=bool)].max(initial=0))
    assert max(largest) <= 0.6
    assert max(largest) > 0.5
    assert np.mean(np.array(largest) > 0.1) > 0.4


def test_noise_and_distractors(monkeypatch):
    calls, clean = [], []
    distractor, objects = shapes._distractor, shapes._objects
    monkeypatch.setattr(shapes, "_distractor", lambda *args: calls.append(1) or distractor(*args))

    def keep_clean(rng, image, colour):
        found = objects(rng, image, colour)
        clean.append(image.copy())
        return found

    monkeypatch.setattr(shapes, "_objects", keep_clean)
    for number in range(30):
        calls.clear()
        noisy = shapes.draw(number).image
        assert 5 <= len(calls) <= 10
        inside = (clean[-1] > 60) & (clean[-1] < 195)  # where the range does not cut the noise off
        deviation = (noisy.astype(float) - clean[-1])[inside].std() / 255
        assert 0.049 < deviation < 0.081


def test_a_distractor_changes_the_picture():
    for seed in range(20):
        image = np.zeros((160, 160, 3), np.uint8)
        shapes._distractor(np.random.default_rng(seed), image, (255.0, 255.0, 255.0))
        assert image.any()


def test_the_ground_has_texture():
    for seed in range(10):
        ground = shapes._ground(np.random.default_rng(seed), np.array([120.0, 120, 120]))
        assert ground.std(axis=(0, 1)).min() > 2


def test_an_index_outside_is_an_index_error():
    with pytest.raises(IndexError) as error:
        ShapesSource(0, 3)[3]
    assert "index 3 of 3" in str(error.value)
