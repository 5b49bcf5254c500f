import numpy as np
from PIL import Image

from maskrcnn_jax.reports.check_data.duplicates import difference_hash
from maskrcnn_jax.reports.check_data.prints import make_print
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
