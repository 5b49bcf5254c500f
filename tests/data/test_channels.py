"""Image files of other channels than RGB, and of 16 bits."""

import json
import pickle
import re
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import tyro
from PIL import Image

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import CocoSource, DataError, ImageSizeError, image_files, open_source, read_channels, read_image
from maskrcnn_jax.data.decode import read_size


def asks(channels, dtype="uint8"):
    return InputConfig(channels=channels, dtype=dtype, mean=(0.0,) * channels, std=(1.0,) * channels)


@pytest.fixture
def values(rng):
    """uint16[4, 6, 5], whose low bytes matter."""
    return rng.integers(0, 65536, (4, 6, 5), np.uint16)


def tiff(path, pages):
    """A TIFF of several pages, one an array [h, w]."""
    first, *others = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=others)
    return path


def interleaved_tiff(path, values):
    """A TIFF of one page of grey with extra samples, written down by the format's rules: Pillow cannot write it."""
    h, w, c = values.shape
    shorts = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in ((256, w), (257, h), (258, 8), (259, 1), (262, 1))]
    start = 8 + 2 + 10 * 12 + 4
    longs = [struct.pack("<HHII", 273, 4, 1, start), struct.pack("<HHIHH", 277, 3, 1, c, 0), struct.pack("<HHIHH", 278, 3, 1, h, 0)]
    longs += [struct.pack("<HHII", 279, 4, 1, h * w * c), struct.pack("<HHIHH", 338, 3, 1, 0, 0)]
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, 10) + b"".join(shorts + longs) + struct.pack("<I", 0) + values.tobytes())
    return path


def saved(path, array):
    np.save(path, array)
    return path


def equals(found, expected):
    return found.dtype == expected.dtype and found.dtype.isnative and found.flags.c_contiguous and np.array_equal(found, expected)


@pytest.mark.parametrize("kind", ["npy", "npy of the other byte order", "npy in Fortran's order", "pages"])
def test_all_sixteen_bits_of_five_channels_are_kept(kind, values, tmp_path):
    if kind == "pages":
        path = tiff(tmp_path / "a.tiff", np.moveaxis(values, 2, 0))
    else:
        stored = values.astype(">u2") if "byte" in kind else np.asfortranarray(values) if "Fortran" in kind else values
        path = saved(tmp_path / "a.NPY" if kind == "npy" else tmp_path / "a.npy", stored)
        path = path if path.exists() else tmp_path / "a.NPY.npy"
    assert equals(read_channels(path, asks(5, "uint16"), (4, 6)), values)


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_grey_keeps_its_bits(ending, values, tmp_path):
    Image.fromarray(values[..., 0]).save(tmp_path / f"a.{ending}")
    assert equals(read_channels(tmp_path / f"a.{ending}", asks(1, "uint16")), values[..., :1])


def test_an_array_of_one_channel_may_lack_the_axis(values, tmp_path):
    assert equals(read_channels(saved(tmp_path / "a.npy", values[..., 0]), asks(1, "uint16")), values[..., :1])


@pytest.mark.parametrize("ending", ["png", "tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_sixteen_bits_are_kept_in_their_order(channels, ending, values, tmp_path):
    order = [2, 1, 0, 3][:channels]
    cv2.imwrite(str(tmp_path / f"a.{ending}"), np.ascontiguousarray(values[..., order]))  # OpenCV's order is B, G, R
    assert equals(read_channels(tmp_path / f"a.{ending}", asks(channels, "uint16")), values[..., :channels])


@pytest.mark.parametrize("channels", [2, 4])
def test_bytes_of_two_and_four_channels_are_all_kept(channels, values, tmp_path):
    stored = values[..., :channels].astype(np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png")
    assert equals(read_channels(tmp_path / "a.png", asks(channels)), stored)


def test_colours_of_bytes_become_grey_where_one_channel_is_wanted(tmp_path):
    Image.new("RGBA", (2, 1), (200, 100, 50, 7)).save(tmp_path / "a.png")
    grey = round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)  # ITU-R 601-2
    assert equals(read_channels(tmp_path / "a.png", asks(1)), np.full((1, 2, 1), grey, np.uint8))
    Image.fromarray(np.array([[3, 250]], np.uint8)).save(tmp_path / "b.png")
    assert read_channels(tmp_path / "b.png", asks(1)).tolist() == [[[3], [250]]]


def test_three_channels_of_bytes_are_read_image_s(values, tmp_path):
    Image.fromarray(values[..., 0]).save(tmp_path / "a.png")
    assert equals(read_channels(tmp_path / "a.png", InputConfig()), read_image(tmp_path / "a.png"))
    rgb = values[..., :3].astype(np.uint8)
    assert equals(read_channels(saved(tmp_path / "a.npy", rgb), InputConfig()), rgb)


@pytest.mark.parametrize("values_of", [np.uint8, np.uint16])
def test_exif_orientation_is_applied_where_the_size_allows_it(values_of, values, tmp_path):
    grey, exif = values[..., 0].astype(values_of), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(grey).save(tmp_path / "a.png", exif=exif)
    config = asks(1, np.dtype(values_of).name)
    turned = np.ascontiguousarray(np.rot90(grey, -1))[..., None]
    assert equals(read_channels(tmp_path / "a.png", config), turned)
    assert equals(read_channels(tmp_path / "a.png", config, (6, 4)), turned)
    assert equals(read_channels(tmp_path / "a.png", config, (4, 6)), grey[..., None])


def test_another_size_is_told(values, tmp_path):
    with pytest.raises(DataError, match=r"a\.npy: the file is 4 x 6 \(height x width\), the annotations say 6 x 4; correct height"):
        read_channels(saved(tmp_path / "a.npy", values), asks(5, "uint16"), (6, 4))


REMEDY = "set model.input.channels and model.input.dtype to what the files hold (with mean and std in these units), or convert the file"


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((4, 6, 4), np.uint16), "4 channels of uint16, [4, 6, 4]"),
        (np.zeros((4, 6, 5), np.uint8), "5 channels of uint8, [4, 6, 5]"),
        (np.zeros((4, 6, 5), np.float32), "5 channels of float32, [4, 6, 5]"),
        (np.zeros((4, 6), np.uint16), "1 channels of uint16, [4, 6, 1]"),
    ],
)
def test_other_channels_or_values_are_told(array, found, tmp_path):
    path = saved(tmp_path / "a.npy", array)
    with pytest.raises(DataError) as error:
        read_channels(path, asks(5, "uint16"))
    assert str(error.value) == f"{path}: the file holds {found}, and model.input asks for 5 channels of uint16; {REMEDY}"


@pytest.mark.parametrize("shape", [(4,), (1, 4, 6, 5), (0, 6, 5)])
def test_what_is_no_array_of_an_image_is_told(shape, tmp_path):
    path = saved(tmp_path / "a.npy", np.zeros(shape, np.uint16))
    said = f"{path}: the file holds an array of uint16, {list(shape)}; an image is [height, width, channels], or [height, width] of one "
    for read in (lambda: read_channels(path, asks(5, "uint16")), lambda: read_size(path)):
        with pytest.raises(DataError) as error:
            read()
        assert str(error.value) == f"{said}channel"


@pytest.mark.parametrize("channels", [(), (5,)])
def test_the_size_of_an_array_is_told(channels, tmp_path):
    path = saved(tmp_path / "a.npy", np.zeros((60, 80, *channels), np.uint16))
    assert read_size(path) == read_size(path, (60, 80)) == (60, 80)
    with pytest.raises(ImageSizeError, match=r"a\.npy: the file is 60 x 80 \(height x width\), the annotations say 80 x 60"):
        read_size(path, (80, 60))


def test_sixteen_bits_are_not_cut_where_bytes_are_wanted(values, tmp_path):
    Image.fromarray(values[..., 0]).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"holds 1 channels of uint16, .* asks for 1 channels of uint8; set model\.input"):
        read_channels(tmp_path / "grey.png", asks(1))
    cv2.imwrite(str(tmp_path / "colour.png"), values[..., :4])
    with pytest.raises(DataError, match=r"holds 4 channels of uint16, .* asks for 4 channels of uint8; set model\.input"):
        read_channels(tmp_path / "colour.png", asks(4))


def test_pages_that_differ_are_told(values, tmp_path):
    for other in (values[:2, :, 1], values[..., 1].astype(np.uint8)):
        path = tiff(tmp_path / "a.tiff", [values[..., 0], other])
        with pytest.raises(DataError, match=r"a\.tiff: its 2 pages, which are its channels, differ in size or type; save its"):
            read_channels(path, asks(2, "uint16"))


def test_samples_that_pillow_would_drop_are_told(values, tmp_path):
    path = interleaved_tiff(tmp_path / "a.tiff", values[..., :2].astype(np.uint8))
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), values[..., 0].astype(np.uint8))  # Pillow drops the second
    with pytest.raises(DataError, match=r"a\.tiff: of the 2 samples of a pixel Pillow reads 1; save its channels as a NumPy array"):
        read_channels(path, asks(1))


@pytest.mark.parametrize("bands", [2, 3])
def test_what_the_two_libraries_read_differently_is_told(bands, values, tmp_path, monkeypatch):
    cv2.imwrite(str(tmp_path / "a.png"), values[..., :3])
    monkeypatch.setattr(cv2, "imdecode", lambda *_: values[..., 1 : 1 + bands])
    with pytest.raises(DataError, match=r"a\.png: its 16-bit colours can be read by neither Pillow nor OpenCV; save its channels"):
        read_channels(tmp_path / "a.png", asks(3, "uint16"))


def test_what_opencv_refuses_is_told(values, tmp_path, monkeypatch):
    """A side over 2^20, for example."""

    def refuse(*_):
        raise cv2.error("CV_IO_MAX_IMAGE_WIDTH")

    cv2.imwrite(str(tmp_path / "a.png"), values[..., :3])
    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(DataError, match=r"a\.png: its 16-bit colours can be read by neither Pillow nor OpenCV; save its channels"):
        read_channels(tmp_path / "a.png", asks(3, "uint16"))


@pytest.mark.parametrize("name", ["a.npy", "a.tiff", "a.png"])
def test_missing_files_are_told(name, tmp_path):
    with pytest.raises(DataError, match=rf"{re.escape(name)}: no such image file; restore it"):
        read_channels(tmp_path / name, asks(5, "uint16"))


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, besides, of the TIFF
def test_truncated_files_are_told(rng, tmp_path):
    values = rng.integers(0, 65536, (40, 60, 3), np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    for path in (saved(tmp_path / "a.npy", values), tmp_path / "a.png"):
        with pytest.raises(DataError, match=r"corrupt, truncated or not an image .*; replace the file, or leave the image out"):
            read_channels(cut_in_half(path), asks(3, "uint16"))
    # Half of the second of three pages is gone, and with it where the third is.
    with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path / 'a.tiff'))}: corrupt, truncated"):
        read_channels(cut_in_half(tiff(tmp_path / "a.tiff", np.moveaxis(values, 2, 0))), asks(3, "uint16"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': ((((((", pickle.dumps({"a": 1}), b"\x93NUMPY\x01\x00\x02\x00\xff\xff"],
)
def test_what_is_no_array_is_told(content, tmp_path):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.npy: corrupt, truncated or not an image .*; replace the file, or leave the image out"):
        read_channels(tmp_path / "a.npy", asks(5, "uint16"))


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (tmp_path / "harm").touch, ()

    np.save(tmp_path / "a.npy", np.array([Harmful()], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy: corrupt"):
        read_channels(tmp_path / "a.npy", asks(5, "uint16"))
    assert not (tmp_path / "harm").exists()


def test_a_header_that_asks_for_more_than_the_file_holds_is_told(values, tmp_path):
    path = saved(tmp_path / "a.npy", values)
    path.write_bytes(path.read_bytes().replace(b"(4, 6, 5)", b"(9999999999999, 6, 5)").replace(b" " * 12 + b"\n", b"\n"))
    with pytest.raises(DataError, match=r"a\.npy: corrupt, truncated"):
        read_channels(path, asks(5, "uint16"))


def test_a_folder_without_images_stands_for_its_arrays(values, tmp_path):
    for name in ("b.npy", "a.NPY"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in image_files(tmp_path)] == ["a.NPY", "b.npy"]
    (tmp_path / "c.tiff").write_bytes(b"")
    assert [path.name for path in image_files(tmp_path)] == ["c.tiff"]


def test_a_coco_source_reads_them(document, values, tmp_path):
    for image in document["images"]:
        image["file_name"] = image["file_name"].replace("png", "npy")
        np.save(tmp_path / image["file_name"], np.resize(values, (20, 30, 5)))
    (tmp_path / "a.json").write_text(json.dumps(document))
    source = CocoSource(tmp_path / "a.json", tmp_path, input_config=asks(5, "uint16"))
    assert equals(source[0].image, np.resize(values, (20, 30, 5)))
    paths = {"val_annotations": str(tmp_path / "a.json"), "val_images": str(tmp_path)}
    assert equals(open_source(DataConfig(**paths), "val", asks(5, "uint16"))[1].image, source[1].image)
    with pytest.raises(DataError, match=r"a\.json: image id 11: .*first\.npy: the file holds 5 channels of uint16, .* asks for 3 channels"):
        CocoSource(tmp_path / "a.json", tmp_path)[0]


def test_the_procedural_pictures_are_rgb_bytes():
    with pytest.raises(DataError, match=r"data\.kind is `shapes`, .* asks for 5 channels of uint16; set --model\.input\.channels 3"):
        open_source(DataConfig(kind="shapes"), "train", asks(5, "uint16"))


def test_the_page_on_data_prints_mean_and_std(values, tmp_path, monkeypatch, capsys):
    page = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    (block,) = (found for found in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "read_channels" in found)
    (tmp_path / "images").mkdir()
    pixels = np.tile(values.reshape(-1, 5), (100, 1)).reshape(20, -1, 5)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / "images" / name, pixels)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "data.md", "exec"), {})
    flags = capsys.readouterr().out
    config = tyro.cli(InputConfig, args=flags.replace("model.input.", "").split())
    every_hundredth = pixels.reshape(-1, 5)[::100].astype(float)
    assert (config.channels, config.dtype) == (5, "uint16")
    np.testing.assert_allclose(config.mean, every_hundredth.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(config.std, every_hundredth.std(axis=0), rtol=1e-12)
