"""Files of weights: every serialisation, without running what they name."""

import argparse
import json
import pickle
import zipfile
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.weights import WeightsError, read_weights
from tests.weights.torch_files import Stored, Tensor, as_stream, as_zip, state_dict

FLOATS = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ARRAYS = {
    "conv.weight": FLOATS,
    "half": FLOATS.astype(np.float16),
    "brain": FLOATS.astype(jnp.bfloat16),
    "bn.num_batches_tracked": np.array(7),
    "empty": np.zeros((0, 3), np.float32),
}
WRITERS = [as_zip, as_stream]


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name].astype(np.float64), array.astype(np.float64))


@pytest.mark.parametrize("write", WRITERS)
def test_state_dicts(tmp_path, write):
    assert_equal(read_weights(write(tmp_path / "weights", state_dict(**ARRAYS))), ARRAYS)


@pytest.mark.parametrize("write", WRITERS)
def test_views_of_one_storage(tmp_path, write):
    storage = Stored("0", FLOATS.ravel())
    tree = {
        "transposed": Tensor(storage, 0, (4, 6), (1, 4)),
        "tail": Tensor(storage, 20, (4,), (1,)),
        "expanded": Tensor(storage, 5, (3,), (0,)),
    }
    expected = {"transposed": FLOATS.reshape(6, 4).T, "tail": FLOATS.ravel()[20:], "expanded": np.full(3, 5, np.float32)}
    assert_equal(read_weights(write(tmp_path / "weights", tree)), expected)


@pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict"])
def test_the_weights_of_a_training_scripts_file(tmp_path, key):
    tree = {key: state_dict(w=FLOATS), "optimizer": {"lr": 0.1}, "epoch": 3}
    assert_equal(read_weights(as_zip(tmp_path / "weights", tree)), {"w": FLOATS})


@pytest.mark.parametrize("write", WRITERS)
def test_settings_and_schedules_beside_the_weights_are_passed_over(tmp_path, write):
    """As torchvision's own training script saves them."""
    tree = {"model": state_dict(w=FLOATS), "args": argparse.Namespace(lr=0.1, data="x"), "lr_scheduler": {"milestones": Counter([3, 4])}}
    assert_equal(read_weights(write(tmp_path / "weights", tree)), {"w": FLOATS})


@pytest.mark.parametrize("numpy_core", [b"numpy.core", b"numpy._core"])
@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_of_numpy_arrays(tmp_path, protocol, numpy_core):
    data = pickle.dumps({"model": {"w": FLOATS, "scalar": np.float32(2)}, "__author__": "somebody"}, protocol)
    if protocol == 2:
        data = data.replace(b"numpy._core", numpy_core).replace(b"numpy.core", numpy_core)
    (tmp_path / "weights.pkl").write_bytes(data)
    assert_equal(read_weights(tmp_path / "weights.pkl"), {"w": FLOATS})


def test_pickles_of_python_2(tmp_path):
    """Text there is bytes, the arrays' data among it."""
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02tcnumpy\ndtype\n(U\x02f4K\x00K\x01tR"
    array += b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08" + np.array([1.5, -2e30], "<f4").tobytes() + b"tb"
    (tmp_path / "weights.pkl").write_bytes(b"\x80\x02}U\x01w" + array + b"s.")
    assert_equal(read_weights(tmp_path / "weights.pkl"), {"w": np.array([1.5, -2e30], np.float32)})


class Payload:
    """Would write a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("write", [*WRITERS, lambda path, tree: path.write_bytes(pickle.dumps(tree, 2)) and path])
def test_a_foreign_class_is_named_and_never_called(tmp_path, write):
    path = write(tmp_path / "weights", {"w": Payload(tmp_path / "harm")})
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert not (tmp_path / "harm").exists()
    for word in (str(path), "io.open", "was not loaded", "state_dict()"):
        assert word in str(error.value)


@pytest.mark.parametrize("name", ["builtins\neval", "os\nsystem", "torch.jit\n_load", "numpy.core.multiarray\nfrombuffer"])
def test_other_globals_are_refused(tmp_path, name):
    (tmp_path / "weights").write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    with pytest.raises(WeightsError) as error:
        read_weights(tmp_path / "weights")
    assert name.replace("\n", ".") in str(error.value)


@pytest.mark.parametrize("write", WRITERS)
def test_a_file_cut_anywhere_is_an_error_that_names_it(tmp_path, write):
    whole = write(tmp_path / "whole", state_dict(**ARRAYS)).read_bytes()
    for length in [*range(0, len(whole), 37), len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(WeightsError) as error:
            read_weights(tmp_path / "cut")
        assert str(tmp_path / "cut") in str(error.value)


HARM = {
    "a dtype with objects": b"cnumpy\ndtype\n(U\x02O8K\x00K\x01tR",
    "a structured dtype": b"cnumpy\ndtype\n((lp0\ntK\x00K\x01tR",
    "a function changed": b"ctorch._utils\n_rebuild_tensor\n(N}U\x0c__defaults__K\x01stb",
    "an array without content": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR",
    "an array that a pickle fills": b"cnumpy\nndarray\n(K\x05tR",
    "complex numbers": b"cnumpy\ndtype\n(U\x02c8K\x00K\x01tR",
    "text": b"cnumpy\ndtype\n(U\x02U3K\x00K\x01tR",
    "records": b"cnumpy\ndtype\n(U\x02V4K\x00K\x01tR",
    "an array as the dtype of another": b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    b"(K\x01(K\x01tcnumpy\nndarray\n)R\x89U\x04abcdtb",
    "an array as the dtype of a number": b"cnumpy.core.multiarray\nscalar\n(cnumpy\nndarray\n)RU\x04abcdtR",
    "an array as the dtype of a buffer": b"cnumpy.core.numeric\n_frombuffer\n(U\x04abcdcnumpy\nndarray\n)R(K\x01tU\x01CtR",
    "an unknown encoding": b"c_codecs\nencode\n(U\x01aU\x05rot13tR",
}


@pytest.mark.parametrize("kind", HARM)
def test_what_could_do_harm_is_refused(tmp_path, kind):
    (tmp_path / "weights.pkl").write_bytes(b"\x80\x02}U\x01w" + HARM[kind] + b"s.")
    with pytest.raises(WeightsError) as error:
        read_weights(tmp_path / "weights.pkl")
    assert str(tmp_path / "weights.pkl") in str(error.value)


@pytest.mark.parametrize("kind", ["complex numbers", "text", "records"])
def test_dtypes_that_are_refused_are_named(tmp_path, kind):
    (tmp_path / "weights.pkl").write_bytes(b"\x80\x02}U\x01w" + HARM[kind] + b"s.")
    code = {"complex numbers": "c8", "text": "U3", "records": "V4"}[kind]
    with pytest.raises(WeightsError, match=f"an array of dtype '{code}', which holds no plain numbers"):
        read_weights(tmp_path / "weights.pkl")


def test_what_is_no_dtype_is_named(tmp_path):
    for kind in HARM:
        if kind.startswith("an array as the dtype"):
            (tmp_path / "weights.pkl").write_bytes(b"\x80\x02}U\x01w" + HARM[kind] + b"s.")
            with pytest.raises(WeightsError, match="an array's dtype is a _Array, which is none"):
                read_weights(tmp_path / "weights.pkl")


class Transposed:
    """Pickled as NumPy pickles the transpose of a contiguous array since 2.4: its memory, and which axis is which."""

    def __reduce__(self):
        buffer = np._core.numeric._frombuffer
        return buffer, (pickle.PickleBuffer(FLOATS), FLOATS.dtype, FLOATS.shape, "K", (2, 0, 1))


def test_transposed_arrays_of_protocol_5(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"w": Transposed(), "f": np.asfortranarray(FLOATS)}, 5))
    assert_equal(read_weights(tmp_path / "weights.pkl"), {"w": FLOATS.transpose(2, 0, 1), "f": FLOATS})


def test_what_memory_does_not_hold_is_no_damage(tmp_path, monkeypatch):
    def fill_memory(*arguments, **options):
        raise MemoryError

    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"w": FLOATS}, 2))
    monkeypatch.setattr(np, "frombuffer", fill_memory)
    with pytest.raises(MemoryError):
        read_weights(tmp_path / "weights.pkl")


def test_containers_held_many_times_are_resolved_once(tmp_path):
    nested = []
    for _ in range(60):
        nested = [nested, nested]
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({"model": {"w": FLOATS, "nested": nested}}, 2))
    assert_equal(read_weights(tmp_path / "weights.pkl"), {"w": FLOATS})


def test_a_compressed_archive_is_refused(tmp_path):
    whole = zipfile.ZipFile(as_zip(tmp_path / "whole", state_dict(w=FLOATS)))
    with zipfile.ZipFile(tmp_path / "weights", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in whole.namelist():
            archive.writestr(name, whole.read(name))
    whole.close()
    with pytest.raises(WeightsError, match="compressed"):
        read_weights(tmp_path / "weights")


def test_a_tensor_beyond_its_storage(tmp_path):
    path = as_zip(tmp_path / "weights", {"w": Tensor(Stored("0", FLOATS.ravel()), 0, (5, 6), (6, 1))})
    with pytest.raises(WeightsError, match="reaches beyond its 24 stored values"):
        read_weights(path)


def test_another_byte_order(tmp_path):
    with pytest.raises(WeightsError, match="big-endian"):
        read_weights(as_zip(tmp_path / "weights", state_dict(w=FLOATS), byteorder="big"))


@pytest.mark.parametrize("tree", [[1, 2], {"a": 1}, "text"])
def test_no_weights(tmp_path, tree):
    (tmp_path / "weights").write_bytes(pickle.dumps(tree, 2))
    with pytest.raises(WeightsError) as error:
        read_weights(tmp_path / "weights")
    assert str(tmp_path / "weights") in str(error.value)
    assert "state_dict()" in str(error.value)


def safetensors(path, arrays, **header):
    """The format of https://huggingface.co/docs/safetensors, little-endian."""
    names = {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "int64": "I64"}
    about, data = {"__metadata__": {"format": "pt"}}, b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        about[name] = {"dtype": names[str(array.dtype)], "shape": array.shape, "data_offsets": [len(data), end]}
        data += array.tobytes()
    text = json.dumps(about | header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_safetensors(tmp_path):
    assert_equal(read_weights(safetensors(tmp_path / "weights", ARRAYS)), ARRAYS)


def test_safetensors_whose_length_reads_as_a_zip_s_magic(tmp_path):
    padding = "x" * (int.from_bytes(b"PK", "little") - 113)
    path = safetensors(tmp_path / "weights", {"w": FLOATS}, __metadata__={"format": padding})
    if path.read_bytes()[:2] != b"PK":  # the header's other parts are as long as they are
        missing = int.from_bytes(b"PK", "little") - int.from_bytes(path.read_bytes()[:8], "little")
        path = safetensors(tmp_path / "weights", {"w": FLOATS}, __metadata__={"format": padding + "x" * missing})
    assert path.read_bytes()[:2] == b"PK"
    assert_equal(read_weights(path), {"w": FLOATS})


def test_safetensors_cut_short(tmp_path):
    whole = safetensors(tmp_path / "whole", {"w": FLOATS}).read_bytes()
    for length in (0, 5, 9, 40, len(whole) - 1):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(WeightsError) as error:
            read_weights(tmp_path / "cut")
        assert str(tmp_path / "cut") in str(error.value)


@pytest.mark.parametrize(
    "about", [{"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}, 3]
)
def test_safetensors_with_a_broken_header(tmp_path, about):
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        read_weights(safetensors(tmp_path / "weights", {"v": FLOATS}, w=about))


def test_safetensors_without_arrays(tmp_path):
    with pytest.raises(WeightsError) as error:
        read_weights(safetensors(tmp_path / "weights", {}))
    assert str(error.value).startswith(f"{tmp_path / 'weights'}: holds no arrays by name")


def test_safetensors_of_a_type_not_known_here(tmp_path):
    path = safetensors(tmp_path / "weights", {"v": FLOATS}, w={"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]})
    with pytest.raises(WeightsError) as error:
        read_weights(path)
    assert f"{path}: w has dtype F8_E4M3; convert it to one of F64, F32" in str(error.value)
