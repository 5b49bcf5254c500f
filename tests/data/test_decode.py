import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data import DataError, image_files, read_header, read_image

ORIENTATION = 0x0112


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (6, 10, 3), np.uint8)


def save(path, array, mode=None, **options):
    Image.fromarray(array, mode).save(path, **options) if mode else Image.fromarray(array).save(path, **options)
    return path


def with_orientation(path, array, orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return save(path, array, exif=exif)


def test_rgb_comes_as_it_is(tmp_path, rgb):
    assert np.array_equal(read_image(save(tmp_path / "a.png", rgb)), rgb)


def test_alpha_is_dropped_not_blended(tmp_path, rgb, rng):
    alpha = rng.integers(0, 256, (6, 10, 1), np.uint8)
    assert np.array_equal(read_image(save(tmp_path / "a.png", np.concatenate([rgb, alpha], axis=2))), rgb)


def test_grey_is_repeated(tmp_path, rgb):
    assert np.array_equal(read_image(save(tmp_path / "a.png", rgb[..., 0])), np.repeat(rgb[..., :1], 3, axis=2))


def test_grey_with_alpha_is_repeated(tmp_path, rgb):
    assert np.array_equal(read_image(save(tmp_path / "a.png", rgb[..., :2])), np.repeat(rgb[..., :1], 3, axis=2))


def test_a_palette_is_looked_up(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=1)
    assert (read_image(tmp_path / "a.png") == [10, 20, 30]).all()


def test_black_and_white_are_0_and_255(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png")[0, :, 0].tolist() == [255, 0]


def test_of_16_bits_the_high_byte_is_kept(tmp_path):
    grey = np.array([[0, 255, 256, 65535]], np.uint16)
    assert read_image(save(tmp_path / "a.png", grey))[0, :, 1].tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(("values", "kept"), [([0, 200, 255], [0, 200, 255]), ([0, 255, 256], [0, 0, 1])])
def test_of_32_bits_values_below_256_are_kept_and_else_the_high_byte_of_16(values, kept, tmp_path):
    assert read_image(save(tmp_path / "a.tiff", np.array([values], np.int32)))[0, :, 1].tolist() == kept


def test_cmyk_is_converted(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    red = read_image(tmp_path / "a.jpg")[0, 0].tolist()
    assert red[0] > 240
    assert max(red[1:]) < 15


def test_floating_point_pixels_are_an_error_with_the_remedy(tmp_path):
    path = save(tmp_path / "a.tiff", np.ones((2, 2), np.float32))
    with pytest.raises(DataError) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "convert the file to 8-bit" in str(error.value)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.transpose(1, 0, 2)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation_is_applied(tmp_path, rgb, orientation, turn):
    path = with_orientation(tmp_path / "a.png", rgb, orientation)
    expected = turn(rgb)
    assert np.array_equal(read_image(path), expected)
    assert np.array_equal(read_image(path, expected.shape[:2]), expected)


def test_exif_is_ignored_where_annotations_refer_to_stored_pixels(tmp_path, rgb):
    path = with_orientation(tmp_path / "a.png", rgb, 6)
    assert np.array_equal(read_image(path, (6, 10)), rgb)


def test_another_size_is_an_error_with_both_sizes_and_the_remedy(tmp_path, rgb):
    path = with_orientation(tmp_path / "a.png", rgb, 6)
    with pytest.raises(DataError) as error:
        read_image(path, (7, 10))
    assert str(path) in str(error.value)
    assert "10 x 6" in str(error.value)
    assert "7 x 10" in str(error.value)
    assert "correct height and width" in str(error.value)


def test_a_missing_file_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(DataError) as error:
        read_image(tmp_path / "gone.png")
    assert "gone.png: no such image file" in str(error.value)
    assert "restore it, or leave the image out" in str(error.value)


def test_a_file_without_permission_is_an_error_with_the_remedy(tmp_path, rgb, monkeypatch):
    path = save(tmp_path / "a.png", rgb)

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", denied)  # tests may run as root, whom no mode keeps out
    with pytest.raises(DataError) as error:
        read_image(path)
    assert str(error.value) == f"{path}: this user may not read it; change the file's permissions"


def test_an_image_beyond_pillow_s_limit_is_an_error_with_the_remedy(tmp_path, rgb, monkeypatch):
    path = save(tmp_path / "a.png", rgb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
    with pytest.raises(DataError) as error:
        read_image(path)
    assert f"{path}: too large for Pillow" in str(error.value)
    assert "cut the image into tiles" in str(error.value)
    assert "corrupt" not in str(error.value)


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tiff", "webp", "gif"])
def test_a_truncated_file_is_an_error_with_the_remedy(tmp_path, rng, suffix):
    path = save(tmp_path / f"a.{suffix}", rng.integers(0, 256, (64, 64, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError) as error:
        read_image(path)
    assert str(path) in str(error.value)
    assert "replace the file" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n" + b"\x00" * 40, b"\xff\xd8\xff\xe0" + b"\x00" * 40])
def test_a_corrupt_file_is_an_error_with_the_remedy(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError) as error:
        read_image(tmp_path / "a.png")
    assert "corrupt, truncated or not an image" in str(error.value)


def test_a_png_with_altered_bytes_is_an_error(tmp_path, rng):
    path = save(tmp_path / "a.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError) as error:
        read_image(path)
    assert "a.png" in str(error.value)


def test_unreadable_exif_turns_nothing(tmp_path, rgb):
    path = save(tmp_path / "a.png", rgb, exif=b"Exif\x00\x00garbage")
    assert np.array_equal(read_image(path), rgb)


def test_image_files_of_a_folder_are_those_that_pillow_reads_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "c.webp", "d.txt", "e.json", "f.pdf", "noending"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "g.png").touch()
    assert image_files(tmp_path) == [tmp_path / name for name in ("a.JPG", "b.png", "c.webp")]


@pytest.mark.parametrize(
    ("mode", "name"), [("RGB", "a.png"), ("L", "a.jpg"), ("P", "a.png"), ("RGBA", "a.png"), ("I;16", "a.png"), ("CMYK", "a.jpg")]
)
def test_a_header_says_mode_and_orientation(tmp_path, mode, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new(mode, (6, 4))
    picture.save(tmp_path / name)
    assert read_header(tmp_path / name) == (mode, 1)
    picture.save(tmp_path / name, exif=exif)
    assert read_header(tmp_path / name) == (mode, 6)


def test_an_orientation_that_exif_does_not_know_is_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 77
    Image.new("L", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg").orientation == 1
