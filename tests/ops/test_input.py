import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.ops import normalise
from tests.ops.checks import assert_close, assert_transforms_agree
from tests.oracles import losses as oracle

MEAN, STD = (103.53, 116.28, 123.675), (57.375, 0.5, 58.395)
# Values up to 300 in float32: one rounding of the difference, one of the quotient.
ATOL = 1e-4


@pytest.fixture
def image(rng):
    return rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("reverse_channels", [False, True])
def test_equals_the_oracle(image, reverse_channels):
    found = normalise(jnp.asarray(image), jnp.asarray([3, 6]), mean=MEAN, std=STD, reverse_channels=reverse_channels)
    expected = np.zeros((5, 7, 3))
    for row in range(3):
        for column in range(6):
            expected[row, column] = oracle.normalise(image[row, column].tolist(), MEAN, STD, reverse_channels)
    assert_close(found, expected, atol=ATOL)
    assert found.dtype == jnp.float32


def test_by_hand():
    image = jnp.asarray([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [100, 110, 120]]], jnp.uint8)
    run = functools.partial(normalise, image, jnp.asarray([2, 1]), mean=(10.0, 20.0, 40.0), std=(1.0, 2.0, 5.0))
    assert run(reverse_channels=False).tolist() == [[[0, 0, -2], [0, 0, 0]], [[60, 30, 10], [0, 0, 0]]]
    assert run(reverse_channels=True).tolist() == [[[20, 0, -6], [0, 0, 0]], [[80, 30, 6], [0, 0, 0]]]


def test_undoing_gives_the_image(image):
    values = normalise(jnp.asarray(image), jnp.asarray([5, 7]), mean=MEAN, std=STD, reverse_channels=False)
    assert_close(np.round(np.asarray(values) * STD + MEAN), image)


def test_the_padding_changes_nothing(image):
    run = functools.partial(normalise, size=jnp.asarray([3, 6]), mean=MEAN, std=STD, reverse_channels=True)
    spoiled = image.copy()
    spoiled[3:], spoiled[:, 6:] = 255, 255
    assert_close(run(jnp.asarray(spoiled)), run(jnp.asarray(image)))


def test_transforms_agree_and_x64(image):
    run = functools.partial(normalise, mean=MEAN, std=STD, reverse_channels=True)
    sizes = np.asarray([[3, 6], [5, 2]], np.int32)
    assert_transforms_agree(run, np.stack([image, image[::-1]]), sizes, atol=ATOL)
    with jax.enable_x64(True):
        assert run(jnp.asarray(image), jnp.asarray(sizes[0])).dtype == jnp.float32


def test_error_names_std():
    with pytest.raises(ValueError) as error:
        normalise(jnp.zeros((1, 1, 3), jnp.uint8), jnp.asarray([1, 1]), mean=MEAN, std=(1.0, 0.0, 1.0), reverse_channels=False)
    assert str(error.value) == "std must be positive; got (1.0, 0.0, 1.0)"


def test_any_number_of_channels_and_sixteen_bits(rng):
    image = rng.integers(0, 65536, (4, 5, 7), np.uint16)
    mean, std = tuple(1000.0 * i for i in range(7)), tuple(100.0 + i for i in range(7))
    found = normalise(jnp.asarray(image), jnp.asarray([4, 5]), mean=mean, std=std, reverse_channels=False)
    # Values up to 655: one rounding of the difference, one of the quotient.
    assert_close(found, (image - np.array(mean)) / np.array(std), atol=1e-4)


@pytest.mark.parametrize(("means", "stds"), [(1, 3), (3, 1), (4, 4)])
def test_a_mean_and_a_std_a_channel(means, stds):
    with pytest.raises(ValueError) as error:
        normalise(jnp.zeros((1, 1, 3), jnp.uint8), jnp.asarray([1, 1]), mean=(0.0,) * means, std=(1.0,) * stds, reverse_channels=False)
    assert str(error.value) == f"{means} means and {stds} standard deviations for 3 channels; give one a channel"
