import pytest

from maskrcnn_jax.training.dry_run import duration


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.3, "0.3 s"),
        (59.9, "59.9 s"),
        (60, "1.0 min"),
        (3599, "1.0 h"),
        (3594, "59.9 min"),
        (9000, "2.5 h"),
        (172_800, "2.0 days"),
        (360_000, "4.2 days"),
    ],
)
def test_a_duration_is_in_the_unit_that_suits(seconds, shown):
    assert duration(seconds) == shown
