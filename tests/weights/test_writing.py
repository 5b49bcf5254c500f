"""Files for PyTorch; tests/parity/test_files.py has it read them."""

import numpy as np
import pytest

from maskrcnn_jax.weights import WeightsError, read_weights, write_weights


def test_what_is_written_is_read(tmp_path):
    arrays = {
        "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "a.bias": np.arange(6, dtype=np.float32)[::-2],  # a view
        "größe": np.float32(3).reshape(()),
        "none": np.zeros((0, 3), np.float32),
    }
    write_weights(tmp_path / "weights.pth", arrays)
    found = read_weights(tmp_path / "weights.pth")
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_the_same_arrays_are_the_same_bytes(tmp_path):
    for name in ("a.pth", "b.pth"):
        write_weights(tmp_path / name, {"x": np.ones(3, np.float32)})
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_no_file_is_overwritten(tmp_path):
    file = tmp_path / "weights.pth"
    file.write_text("mine")
    with pytest.raises(WeightsError) as error:
        write_weights(file, {"x": np.ones(3, np.float32)})
    assert str(error.value) == f"{file}: exists already and would be overwritten; give another name"
    assert file.read_text() == "mine"


@pytest.mark.parametrize("name", ["weights.safetensors", "weights"])
def test_another_kind_of_file_is_an_error(tmp_path, name):
    with pytest.raises(WeightsError) as error:
        write_weights(tmp_path / name, {"x": np.ones(3, np.float32)})
    assert str(error.value) == f"{tmp_path / name}: weights are written as PyTorch's files; give a name that ends with .pth"


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def fill_the_disk(*arguments, **options):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "ascontiguousarray", fill_the_disk)
    with pytest.raises(OSError, match="No space left"):
        write_weights(tmp_path / "weights.pth", {"x": np.ones(3, np.float32)})
    assert list(tmp_path.iterdir()) == []
