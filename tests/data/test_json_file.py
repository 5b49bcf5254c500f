import pytest

from maskrcnn_jax.data import DataError
from maskrcnn_jax.data.json_file import read_json


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-le"])
def test_every_encoding_of_json_is_read(tmp_path, encoding):
    path = tmp_path / "a.json"
    path.write_text('{"name": "\U0001f6f6", "names": ["\\ud83d\\udef6"]}', encoding=encoding)
    assert read_json(path) == {"name": "\U0001f6f6", "names": ["\U0001f6f6"]}


def test_a_key_that_occurs_twice_loses_nothing_in_silence(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"images": [{"id": 1, "name": "a", "id": 2}]}')
    with pytest.raises(DataError) as error:
        read_json(path)
    assert str(error.value) == f"{path}: not JSON (an object has a key twice, of id, id, name); export or download it again"


def test_half_a_surrogate_pair_is_no_text(tmp_path):
    """It could be neither printed nor written."""
    path = tmp_path / "a.json"
    path.write_text('{"name": "caf\\u00e9 \\udcff"}')
    with pytest.raises(DataError) as error:
        read_json(path)
    assert f"{path}: text that is no Unicode, after " in str(error.value)
    assert "café" in str(error.value)
    assert "write names, also those of files, in UTF-8" in str(error.value)
    path.write_bytes(b'{"name": "\xed\xa0\x80"}')  # the same as bytes, which Python's json takes
    with pytest.raises(DataError) as error:
        read_json(path)
    assert f"{path}: not JSON ('utf-8' codec can't decode" in str(error.value)
