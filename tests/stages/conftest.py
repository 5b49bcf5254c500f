"""As for the operators: strict dtypes, explicit broadcasting."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def strict_numerics() -> Iterator[None]:
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
