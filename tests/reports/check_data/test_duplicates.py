import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.reports.check_data import duplicates
from maskrcnn_jax.reports.check_data.duplicates import across_splits, difference_hash
from maskrcnn_jax.reports.check_data.prints import make_print
from maskrcnn_jax.reports.check_data.survey import Survey
from tests import tiny
from tests.reports.check_data.planted import texture


def hash_by_loops(image):
    """256 bits, most significant first, of whether the mean of a cell is below that of the next in its row."""
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float64)
    height, width = grey.shape[0] // 16, grey.shape[1] // 17
    means = [[grey[r * height : (r + 1) * height, c * width : (c + 1) * width].mean() for c in range(17)] for r in range(16)]
    return [means[r][c + 1] > means[r][c] for r in range(16) for c in range(16)]


def bits(image):
    return np.unpackbits(difference_hash(make_print(image).thumbnail[None]).view(np.uint8)).astype(bool)


def test_the_hash_is_that_of_cell_means():
    image = texture(3, 16 * 5, 17 * 6)
    differing = int((bits(image) != hash_by_loops(image)).sum())
    assert differing <= 5  # neighbours whose means round to the same byte


def test_the_hash_of_a_ramp_by_hand():
    ramp = np.repeat(np.linspace(0, 240, 170).astype(np.uint8)[None, :, None], 160, axis=0).repeat(3, axis=2)
    assert bits(ramp).all()
    assert not bits(ramp[:, ::-1].copy()).any()


def test_digests_are_of_pixels_and_shape():
    image = texture(1)
    assert make_print(image).digest == make_print(image.copy()).digest
    assert make_print(image).digest != make_print(image[::-1].copy()).digest
    flat = np.zeros((4, 9, 3), np.uint8)
    assert make_print(flat).digest != make_print(flat.reshape(9, 4, 3)).digest


def survey_of(split, images):
    none = np.zeros(0, np.int64)
    return Survey(
        split=split,
        source=tiny.Squares(len(images)),
        image_ids=dict(enumerate(range(len(images)))),
        boxes=np.zeros((0, 4), np.float32),
        images=none,
        labels=none,
        crowd=none.astype(bool),
        annotation_ids=[],
        prints={i: make_print(image) for i, image in enumerate(images)},
    )


def alike_by_loops(a, b):
    """Bits that differ where two images are alike, otherwise None."""
    distance = int((bits(a) != bits(b)).sum())
    one, other = (make_print(image).thumbnail.ravel().astype(np.float64) for image in (a, b))
    if min(one.std(), other.std()) <= 1 or distance > 32 or np.corrcoef(one, other)[0, 1] < 0.95:
        return None
    return distance


@pytest.mark.parametrize("chunk", [2**22, 20])
def test_a_validation_image_is_told_once_with_the_nearest_training_image_and_how_many_more(chunk, monkeypatch, rng):
    """Three cameras that stand still, images unlike all others, flat ones, and dark ones whose bits are mostly zeros."""
    monkeypatch.setattr(duplicates, "_CHUNK", chunk)  # of several chunks
    pairs = []

    def shots(count):
        steady = [texture(camera) + rng.normal(0, 12, (64, 96, 3)) for camera in range(3) for _ in range(count)]
        lone = [texture(1000 * count + k) for k in range(4)]
        flat = [np.full((64, 96, 3), 9 + count + k) for k in range(2)]
        dark = [np.where(np.arange(96)[:, None] == 20 + 30 * k, 60, 0) * np.ones((64, 96, 3)) for k in range(2)]
        return [np.clip(image, 0, 255).astype(np.uint8) for image in (*steady, *lone, *flat, *dark)]

    train, val = shots(7), shots(3)
    val.append(train[5].copy())
    val.append(train[-3].copy())  # flat, and the same pixels
    for j, image in enumerate(val):
        distances = {i: d for i, other in enumerate(train) if (d := alike_by_loops(other, image)) is not None}
        equal = [i for i, other in enumerate(train) if np.array_equal(other, image)]
        if distances or equal:
            nearest = equal[0] if equal else min(distances, key=lambda i: (distances[i], i))
            pairs.append((nearest, j, len(distances.keys() | set(equal)) - 1, distances.get(nearest), bool(equal)))
    found = list(across_splits(survey_of("train", train), survey_of("val", val)))
    assert [tuple(place.image_id for place in finding.places) for finding in found] == [pair[:2] for pair in pairs]
    for finding, (_, _, others, distance, equal) in zip(found, pairs, strict=True):
        assert finding.message.startswith("the same pixels" if equal else f"nearly the same picture ({distance} of 256 bits")
        assert finding.message.endswith(f"; more training images like it: {others}" if others else "in one of them")
    assert len(found) == 9 + 2 + 2
    assert sum(pair[2] >= 6 for pair in pairs) == 10
