import zipfile

import numpy as np
import pytest

from maskrcnn_jax.weights import WeightsError, read_weights


def saved(folder, **arrays):
    path = folder / "weights.npz"
    np.savez(path, **arrays)
    return path


def test_plain_arrays_come_back(tmp_path, rng):
    arrays = {"conv1.weight": rng.random((2, 3, 7, 7), np.float32), "bn1.bias": rng.random(2, np.float32)}
    found = read_weights(saved(tmp_path, **arrays))
    assert found.keys() == arrays.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[name], value)


def test_product_quantised_layer_by_hand(tmp_path):
    codebook = np.asarray([[1, 2], [3, 4], [5, 6]], np.float16)
    path = saved(
        tmp_path,
        **{"fc.codes": np.asarray([[0, 2], [1, 1]], np.uint8), "fc.codebook": codebook, "fc.shape": np.asarray([2, 4], np.int32)},
    )
    found = read_weights(path)
    assert list(found) == ["fc.weight"]
    assert found["fc.weight"].dtype == np.float32
    assert found["fc.weight"].tolist() == [[1, 2, 5, 6], [3, 4, 3, 4]]


@pytest.mark.parametrize(
    ("convolution", "norm"), [("conv1", "bn1"), ("layer2.0.conv3", "layer2.0.bn3"), ("layer4.0.downsample.0", "layer4.0.downsample.1")]
)
def test_folded_norm_becomes_the_norm_of_its_convolution(tmp_path, convolution, norm):
    weight = np.zeros((2, 1, 1, 1), np.float32)
    affine = {f"{convolution}.scale": np.asarray([2, 3], np.float16), f"{convolution}.bias": np.asarray([4, 5], np.float16)}
    found = read_weights(saved(tmp_path, **{f"{convolution}.weight": weight}, **affine))
    expected = {"weight": [2, 3], "bias": [4, 5], "running_mean": [0, 0], "running_var": [1, 1]}
    assert {name: value.tolist() for name, value in found.items() if name != f"{convolution}.weight"} == {
        f"{norm}.{leaf}": value for leaf, value in expected.items()
    }
    assert all(value.dtype == np.float32 for value in found.values())


def test_missing_file(tmp_path):
    path = tmp_path / "nothing.npz"
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert str(error.value) == f"{path}: no such file; give a file of weights (.pth, .pkl, .safetensors or .npz), or a checkpoint folder"


def spoil(kind, path):
    """A file that is no complete .npz."""
    if kind == "text":
        path.write_text("these are no weights")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "one array":
        with path.open("wb") as file:
            np.save(file, np.zeros(3))
    elif kind == "objects":
        np.savez(path, x=np.asarray([{}], object))
    else:
        np.savez_compressed(path, **{"conv1.weight": np.random.default_rng(0).random(1000)})
        whole = path.read_bytes()
        path.write_bytes(whole[:-100] if kind == "cut short" else whole[:500] + bytes(100) + whole[600:])


@pytest.mark.parametrize("kind", ["text", "empty", "one array", "objects", "cut short", "bytes changed"])
def test_what_is_no_npz_file_is_named(tmp_path, kind):
    path = tmp_path / "weights.npz"
    spoil(kind, path)
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    expected = {
        "objects": "not a readable .npz file (Object arrays",
        "bytes changed": "not a readable .npz file (",
        "cut short": "not a whole zip file, or one of another kind (",
    }
    assert str(error.value).startswith(f"{path}: {expected.get(kind, 'not a file of weights (.pth, .pkl, .safetensors or .npz), or not')}")
    assert str(error.value).endswith(("; save the arrays with numpy.savez", "; get it anew", "; give another"))


@pytest.mark.parametrize(
    ("arrays", "missing"),
    [
        ({"a.codes": np.zeros((1, 1), np.uint8), "a.shape": np.asarray([1, 1])}, "a.codebook"),
        ({"a.codes": np.zeros((1, 1), np.uint8), "a.codebook": np.zeros((1, 1))}, "a.shape"),
        ({"conv1.weight": np.zeros((1, 1, 1, 1)), "conv1.scale": np.zeros(1)}, "conv1.bias"),
    ],
)
def test_half_a_layer_is_named(tmp_path, arrays, missing):
    path = saved(tmp_path, **arrays)
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert str(error.value) == f"{path}: {missing} is missing; save all arrays of a layer"


def test_a_zip_of_something_else_is_named(tmp_path):
    path = tmp_path / "weights.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.txt", "a model")
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert str(error.value) == f"{path}: holds what is no array of numbers: model.txt (bytes); save the weights alone"


@pytest.mark.parametrize("array", [np.array(["a", "bc"]), np.zeros(2, np.complex64), np.zeros(2, "M8[s]"), np.zeros(2, [("a", "f4")])])
def test_arrays_that_hold_no_numbers_are_named(tmp_path, array):
    path = saved(tmp_path, good=np.zeros(2), bad=array)
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert f"{path}: holds what is no array of numbers: bad ({array.dtype}); save" in str(error.value)


def test_a_file_without_arrays_is_named(tmp_path):
    with pytest.raises(WeightsError) as error:
        read_weights(saved(tmp_path))
    assert str(error.value).startswith(f"{tmp_path / 'weights.npz'}: holds no arrays by name; give")


@pytest.mark.parametrize(("at", "bits"), [(6, b"\x01"), (8, b"\x63")])
def test_zips_that_are_encrypted_or_packed_otherwise_are_named(tmp_path, at, bits):
    """Flag 1, encrypted, and method 99, unknown to Python: in the part's own header and in the list of parts, two bytes later there."""
    path = saved(tmp_path, x=np.zeros(3))
    content = bytearray(path.read_bytes())
    for start in (0, content.index(b"PK\x01\x02") + 2):
        content[start + at : start + at + 1] = bits
    path.write_bytes(content)
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert str(error.value).startswith(f"{path}: not a readable .npz file (")


def test_what_memory_does_not_hold_is_no_damage(tmp_path, monkeypatch):
    def fill_memory(*arguments, **options):
        raise MemoryError

    path = saved(tmp_path, x=np.zeros(3))
    monkeypatch.setattr(np.lib.npyio.NpzFile, "__getitem__", fill_memory)
    with pytest.raises(MemoryError):
        read_weights(path)
