import pytest

from maskrcnn_jax.data.image_folder import leaves_folder, missing_files


@pytest.mark.parametrize("name", ["..", "../a.png", "a/../../b.png", "/a.png", "//a.png", "./../a.png"])
def test_a_name_that_leaves_its_folder(name):
    assert leaves_folder(name)


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "a/../b.png", "./a.png", "..a.png", "a/..b/c.png", "..."])
def test_a_name_that_stays(name):
    assert not leaves_folder(name)


def test_files_that_are_missing(tmp_path):
    (tmp_path / "below").mkdir()
    for name in ("a.png", "below/b.png"):
        (tmp_path / name).touch()
    names = ["a.png", "b.png", "below/b.png", "below/a.png", "gone/a.png", "below/../a.png"]
    assert missing_files(tmp_path, names) == [1, 3, 4]
    assert missing_files(tmp_path / "gone", ["a.png"]) == [0]


@pytest.mark.parametrize("name", ["a\0.png", "a\0/b.png", "\ud800.png", "\ud800/b.png", "a" * 300, "a" * 300 + "/b.png"])
def test_a_name_that_no_file_can_have_is_missing(tmp_path, name):
    assert missing_files(tmp_path, [name]) == [0]
