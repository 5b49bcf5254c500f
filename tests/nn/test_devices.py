"""Batches that devices share."""

import pytest

from tests.conftest import run_on_devices


@pytest.mark.parametrize(
    ("form", "dtype"),
    [("tiles", "float32"), ("products", "float32"), ("products", "bfloat16"), ("parts", "float32"), ("parts", "bfloat16")],
)
def test_kernels_gradients_of_a_shared_batch_are_one_sum_of_float32(form, dtype):
    run_on_devices(8, "-m", "tests.nn.on_devices", form, dtype)
