"""The rule gives the weights and pictures of the golden runs, bit by bit, and both name maps lead there and back."""

import zlib

import numpy as np
import pytest

from maskrcnn_jax.weights import to_arrays
from tests.golden.reference import PRESETS, reference

pytestmark = pytest.mark.golden


@pytest.mark.parametrize("name", PRESETS)
def test_weights_are_those_of_the_run_and_come_back_bit_by_bit(name):
    ref = reference(name)
    crc = {leaf: zlib.crc32(array.tobytes()) for leaf, array in ref.weights.items()}
    assert crc == ref.about["crc32"]
    back = to_arrays(ref.system, ref.variables(""), ref.config(""))
    assert {leaf: zlib.crc32(array.tobytes()) for leaf, array in back.items()} == crc
    for i in (0, 1):
        assert zlib.crc32(ref.image(i).tobytes()) == np.ravel(ref.about["image_crc32"])[i]
