import runpy
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data import DataError, image_files, read_channels, read_header, read_image
from maskrcnn_jax.data.decode import read_labels, read_size

ORIENTATION = 0x0112
MEAN = (1.0,) * 4


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


def test_a_palette_with_an_alpha_for_each_colour_is_looked_up_without_a_warning(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=bytes([7, 9]))
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


def test_whatever_pillow_raises_of_bad_bytes_is_an_error_with_the_remedy(tmp_path, rgb):
    path = save(tmp_path / "a.dds", rgb)
    content = bytearray(path.read_bytes())
    content[80:84] = (0x4000).to_bytes(4, "little")  # flags of the pixels' format
    path.write_bytes(bytes(content))
    with pytest.raises(NotImplementedError):
        Image.open(path)
    with pytest.raises(DataError) as error:
        read_image(path)
    assert "a.dds: corrupt, truncated or not an image (Unknown pixel format flags 16384); replace the file" in str(error.value)


def test_a_png_with_altered_bytes_is_an_error(tmp_path, rng):
    path = save(tmp_path / "a.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(DataError) as error:
        read_image(path)
    assert "a.png" in str(error.value)


def test_a_picture_of_another_size_is_not_decoded(tmp_path):
    """A bomb is a small file of a huge picture: this one has a header alone, which decoding would call truncated."""
    header = struct.pack(">IIBBBBB", 13_000, 12_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")]
    packed = [struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    for read in (
        read_image,
        read_size,
        read_labels,
        lambda path, size: read_channels(path, InputConfig(channels=4, mean=MEAN, std=MEAN), size),
    ):
        with pytest.raises(DataError) as error:
            read(tmp_path / "a.png", (20, 30))
        assert "a.png: the file is 12000 x 13000 (height x width), the annotations say 20 x 30" in str(error.value)


def test_pillow_s_warnings_name_no_file_and_are_not_shown(tmp_path, rgb, monkeypatch):
    path = save(tmp_path / "a.jpg", rgb, exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # of 60
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filterwarnings("ignore", message=".*found in sys.modules", category=RuntimeWarning)
        for category in (UserWarning, Image.DecompressionBombWarning):
            warnings.simplefilter("error", category)
        with pytest.raises(UserWarning, match="Corrupt EXIF data"):
            Image.open(path)
        read = runpy.run_module("maskrcnn_jax.data.decode")["read_image"]
        assert read(path).shape == (6, 10, 3)


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
    exif[ORIENTATION] = 6
    picture = Image.new(mode, (6, 4))
    picture.save(tmp_path / name)
    assert read_header(tmp_path / name) == (mode, 1, 1)
    picture.save(tmp_path / name, exif=exif)
    assert read_header(tmp_path / name) == (mode, 6, 1)


def test_a_header_needs_a_file_that_is_an_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError) as error:
        read_header(tmp_path / "a.png")
    assert "a.png: corrupt, truncated or not an image" in str(error.value)


def test_an_orientation_that_exif_does_not_know_is_upright(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 77
    Image.new("L", (6, 4)).save(tmp_path / "a.jpg", exif=exif)
    assert read_header(tmp_path / "a.jpg").orientation == 1


@pytest.mark.parametrize(("name", "pages"), [("a.tiff", 3), ("a.gif", 3), ("a.webp", 3), ("a.mpo", 1)])
def test_a_header_counts_pages_and_frames_but_not_previews_and_the_first_is_read(tmp_path, rng, name, pages):
    first, *others = (Image.fromarray(rng.integers(0, 256, (6, 10), np.uint8)).convert("RGB") for _ in range(3))
    first.save(tmp_path / name, save_all=True, append_images=others, **({"lossless": True} if name == "a.webp" else {}))
    assert read_header(tmp_path / name).pages == pages
    if name != "a.mpo":  # which is a JPEG
        assert np.array_equal(read_image(tmp_path / name), np.asarray(first))


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_told_by_the_header_and_are_no_labels(tmp_path, rng, channels):
    """Pillow calls them RGB and RGBA, and keeps the high bytes."""
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), rng.integers(0, 65536, (6, 10, channels), np.uint16))
    assert read_header(path).mode == {3: "RGB;16", 4: "RGBA;16"}[channels]
    with pytest.raises(DataError) as error:
        read_labels(path, colours=True)
    assert "a.png: 16-bit colours" in str(error.value)
    assert "save it as PNG of grey values or of 8-bit colours" in str(error.value)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_size_is_that_of_the_decoded_image(tmp_path, rgb, suffix, orientation):
    path = with_orientation(tmp_path / f"a.{suffix}", rgb, orientation)
    turned = (10, 6) if orientation > 4 else (6, 10)
    for size in {None, turned, turned if suffix == "tiff" else (6, 10)}:  # of a TIFF Pillow tells nothing but the image as turned
        assert read_size(path, size) == read_image(path, size).shape[:2]
    with pytest.raises(DataError) as error:
        read_size(path, (6, 6))
    assert "a." in str(error.value)
    assert "the annotations say 6 x 6" in str(error.value)


def test_a_size_needs_a_file_that_is_an_image(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    for name, words in (("a.png", "corrupt, truncated or not an image"), ("b.png", "no such image file")):
        with pytest.raises(DataError) as error:
            read_size(tmp_path / name)
        assert f"{name}: {words}" in str(error.value)


@pytest.mark.parametrize("read", [read_size, read_labels])
def test_sizes_and_labels_of_too_many_pixels_are_not_read(tmp_path, rgb, monkeypatch, read):
    path = save(tmp_path / "a.png", rgb[..., 0])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 29)
    with pytest.raises(DataError) as error:
        read(path)
    assert "a.png: too large for Pillow" in str(error.value)
    assert "cut the image into tiles" in str(error.value)


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        ([[0, 1, 255]], np.uint8),
        ([[0, 256, 65535]], np.uint16),
        ([[False, True, True]], bool),
        ([[0, 70000, 2**31 - 1]], np.int32),
    ],
)
def test_labels_are_the_values_as_stored(tmp_path, array, mode):
    path = tmp_path / ("a.tiff" if mode is np.int32 else "a.png")
    assert read_labels(save(path, np.array(array, mode))).tolist() == array


def test_labels_of_a_palette_are_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([0, 0, 0, 9, 9, 9, 9, 9, 9])
    image.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 1, 2]]
    image.putpalette([1, 0, 0])
    image.save(tmp_path / "a.png")
    with pytest.raises(DataError) as error:
        read_labels(tmp_path / "a.png")
    assert "a.png: colour 0 of the palette is not black" in str(error.value)
    assert "save it as RGB" in str(error.value)


@pytest.mark.parametrize("alpha", [[], [7]])
def test_colours_are_labels_where_they_may_be(tmp_path, alpha):
    path = save(tmp_path / "a.png", np.array([[[0, 0, 0, *alpha], [1, 2, 3, *alpha]]], np.uint8))
    assert read_labels(path, colours=True).tolist() == [[0, 0x010203]]
    with pytest.raises(DataError) as error:
        read_labels(path)
    assert "a.png: pixels of Pillow mode RGB" in str(error.value)
    assert "grey values or with a palette" in str(error.value)


@pytest.mark.parametrize("array", [[[0, -1]], [[0.0, 1.0]]])
def test_negative_numbers_and_fractions_are_no_labels(tmp_path, array):
    path = save(tmp_path / "a.tiff", np.array(array, np.int32 if array[0][1] < 0 else np.float32))
    with pytest.raises(DataError) as error:
        read_labels(path)
    assert "a.tiff: pixels of Pillow mode" in str(error.value)
    assert "are no labels, 0 and above; save it as PNG" in str(error.value)


def test_labels_with_alpha_are_the_grey_and_none_where_it_is_clear(tmp_path):
    assert read_labels(save(tmp_path / "a.png", np.array([[[5, 0], [0, 9], [7, 1]]], np.uint8))).tolist() == [[0, 0, 7]]


def test_colours_are_none_where_they_are_clear(tmp_path):
    path = save(tmp_path / "a.png", np.array([[[255, 255, 255, 0], [1, 2, 3, 1], [0, 0, 0, 255]]], np.uint8))
    assert read_labels(path, colours=True).tolist() == [[0, 0x010203, 0]]


@pytest.mark.parametrize("name", ["a.jpg", "a.mpo", "a.png"])
def test_labels_in_a_jpeg_are_refused_whatever_it_is_called(tmp_path, rgb, name):
    path = tmp_path / name
    several = {"save_all": True, "append_images": [Image.fromarray(rgb)]} if name == "a.mpo" else {}
    Image.fromarray(rgb[..., 0]).convert("RGB").save(path, "MPO" if several else "JPEG", **several)
    for content in (None, path.read_bytes()):
        with pytest.raises(DataError) as error:
            read_labels(path, colours=True, content=content)
        assert f"{path}: a JPEG, which blurs labels into others; export the masks anew as PNG" in str(error.value)


def test_labels_of_several_pages_are_refused(tmp_path):
    first, *others = (Image.fromarray(np.full((6, 10), label, np.uint8)) for label in (1, 2, 3))
    first.save(tmp_path / "a.tiff", save_all=True, append_images=others)
    with pytest.raises(DataError) as error:
        read_labels(tmp_path / "a.tiff")
    assert "a.tiff: 3 pages or frames, of which one alone would be read; save each as a file of its own" in str(error.value)


def test_labels_are_not_turned_and_have_the_size_that_is_wanted(tmp_path, rgb):
    path = with_orientation(tmp_path / "a.png", rgb[..., 0], 6)
    assert np.array_equal(read_labels(path, (6, 10)), rgb[..., 0])
    with pytest.raises(DataError) as error:
        read_labels(path, (10, 6))
    assert "a.png: the file is 6 x 10 (height x width), the annotations say 10 x 6" in str(error.value)


def test_labels_within_another_file(tmp_path, rgb):
    content = save(tmp_path / "a.png", rgb[..., 0]).read_bytes()
    assert np.array_equal(read_labels(tmp_path / "b.json", content=content), rgb[..., 0])
    with pytest.raises(DataError) as error:
        read_labels(tmp_path / "b.json", content=content[:60])
    assert "b.json: corrupt, truncated or not an image" in str(error.value)


def test_more_memory_than_there_is_is_an_error_that_names_the_file(tmp_path, monkeypatch):
    """As of a PNG whose chunk claims gigabytes, for which Pillow makes a buffer before it reads."""

    def open_(*_):
        raise MemoryError

    monkeypatch.setattr(Image, "open", open_)
    with pytest.raises(DataError, match=r"a\.png: needs more memory than there is; replace"):
        read_image(tmp_path / "a.png")
