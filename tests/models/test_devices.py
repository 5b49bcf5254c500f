import numpy as np
import pytest

from tests.conftest import run_on_four_devices


@pytest.mark.slow
def test_four_devices_compute_what_one_does(tmp_path):
    run_on_four_devices("-m", "tests.models.on_devices", str(tmp_path / "results.npz"))
    with np.load(tmp_path / "results.npz") as results:
        names = [name.removeprefix("1 ") for name in results.files if name.startswith("1 ")]
        assert len(names) > 60
        for name in names:
            one, four = results[f"1 {name}"], results[f"4 {name}"]
            if name.startswith("gradient backbone"):
                # Among 400,000 units one may stand at its ReLU's kink, and rounding decides; a forgotten sum is an error of 3/4.
                assert np.linalg.norm(four - one) <= 0.02 * np.linalg.norm(one), name
            else:
                np.testing.assert_allclose(four, one, rtol=1e-5, atol=1e-5 * np.abs(one).max(), err_msg=name)
