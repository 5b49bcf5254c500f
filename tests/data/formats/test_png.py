import numpy as np
import pytest
from PIL import Image

from tests.data.formats.by_hand import box
from tests.data.formats.written import write_palette_png, write_png

GREY = np.zeros((20, 30), np.uint8)


def image(path):
    return write_png(path, np.repeat(GREY[:, :, None], 3, axis=2))


def two_objects(first, second):
    values = np.zeros((20, 30), np.uint16)
    values[5:15, 4:14] = first
    values[1:3, 20:29] = second
    return values


@pytest.fixture
def folders(tmp_path):
    """images/ of a.png and b.png, and the paths of masks/."""
    image(tmp_path / "images" / "a.png")
    image(tmp_path / "images" / "b.png")
    write_png(tmp_path / "masks" / "a.png", two_objects(1, 2))
    write_png(tmp_path / "masks" / "b.png", GREY)
    return tmp_path


def colours():
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[5:15, 4:14] = [0, 0, 9]
    pixels[1:3, 20:29] = [0, 9, 0]
    return pixels


def with_alpha():
    return np.concatenate([colours(), np.full((20, 30, 1), 255, np.uint8)], axis=2)


@pytest.mark.parametrize(
    "pixels",
    [two_objects(1, 2).astype(np.uint8), two_objects(255, 254).astype(np.uint8), two_objects(256, 512), colours(), with_alpha()],
)
def test_each_colour_is_an_object(folders, read, pixels):
    write_png(folders / "masks" / "a.png", pixels)
    images, found, notes = read("png", folders, labels=("cell",))
    assert (images, notes, len(found)) == (["a.png", "b.png"], [], 2)
    assert {name for name, *_ in found} == {"a.png"}
    masks = sorted((mask for *_, mask in found), key=np.count_nonzero, reverse=True)
    assert np.array_equal(masks[0], box(4, 5, 14, 15))
    assert np.array_equal(masks[1], box(20, 1, 29, 3))


def test_of_a_palette_the_indices_count_of_which_0_must_be_black(folders, read, refuses):
    path = write_palette_png(folders / "masks" / "a.png", two_objects(1, 200))
    assert len(read("png", folders, labels=("cell",))[1]) == 2
    with Image.open(path) as opened:
        opened.putpalette([255, 255, 255, 0, 0, 0])
        opened.save(path)
    refuses(("a.png: colour 0 of the palette is not black", "save it as RGB with a black background"), "png", folders, labels=("cell",))


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_one_file_an_object_whatever_it_is_painted_with(folders, read, dtype):
    (folders / "masks" / "a.png").unlink()
    shades = box(4, 5, 14, 15) * np.arange(100, 130)[None]
    write_png(folders / "masks" / "a" / "2.png", (shades if dtype is np.uint8 else shades > 0).astype(dtype))
    write_png(folders / "masks" / "a" / "1.png", box(8, 9, 18, 19).astype(bool))
    (folders / "masks" / "a" / "notes.txt").touch()
    _, found, notes = read("png", folders, labels=("cell",))
    assert (notes, len(found)) == ([], 2)
    assert np.array_equal(found[0][3], box(8, 9, 18, 19))
    assert np.array_equal(found[1][3], box(4, 5, 14, 15))


def test_classes_are_folders(folders, read):
    for name in ("a.png", "b.png"):
        (folders / "masks" / name).unlink()
    write_png(folders / "masks" / "owl" / "a.png", two_objects(1, 2))
    write_png(folders / "masks" / "ape" / "a" / "x.png", box(4, 5, 14, 15))
    for options, names in (({}, ["ape", "owl", "owl"]), ({"labels": ("owl", "cow", "ape")}, ["ape", "owl", "owl"])):
        images, found, notes = read("png", folders, **options)
        assert (images, sorted(label for _, label, _, _ in found)) == (["a.png", "b.png"], names)
        assert notes == [f"{folders / 'images' / 'b.png'}: no masks: taken as an image without objects"]


def test_the_data_science_bowl_s_layout(tmp_path, read):
    for name in ("07", "0a"):
        image(tmp_path / name / "images" / f"{name}.png")
        (tmp_path / name / "masks").mkdir()
    write_png(tmp_path / "0a" / "masks" / "x.png", box(4, 5, 14, 15) * 255)
    write_png(tmp_path / "0a" / "masks" / "y.png", GREY)
    (tmp_path / "labels.csv").touch()
    images, found, notes = read("png", tmp_path, labels=("nucleus",))
    assert images == ["07/images/07.png", "0a/images/0a.png"]
    assert [(name, label) for name, label, _, _ in found] == [("0a/images/0a.png", "nucleus")]
    assert np.array_equal(found[0][3], box(4, 5, 14, 15))
    assert notes == [
        f"{tmp_path}/07/images/07.png: no masks: taken as an image without objects",
        f"{tmp_path}/0a/masks/y.png: left out: it covers no pixel",
    ]


def test_a_mask_may_be_of_the_image_as_turned_or_as_stored(folders, read):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours()).save(folders / "images" / "a.png", exif=exif)
    assert read("png", folders, labels=("cell",))[1][0][3].shape == (20, 30)
    write_png(folders / "masks" / "a.png", two_objects(1, 2).T)
    assert read("png", folders, labels=("cell",))[1][0][3].shape == (30, 20)


def test_arrays_are_images_too(folders, read):
    for name in ("a", "b"):
        (folders / "images" / f"{name}.png").unlink()
        np.save(folders / "images" / f"{name}.npy", np.zeros((20, 30, 5), np.uint16))
    images, found, _ = read("png", folders, labels=("cell",))
    assert (images, len(found)) == (["a.npy", "b.npy"], 2)


def test_bad_masks_are_errors_that_name_them(folders, refuses, monkeypatch):
    mask = folders / "masks" / "a.png"
    write_png(mask, GREY[:, :10])
    words = (f"{mask}: the mask is 20 x 10", "images/a.png 20 x 30", "export the mask as large as the image")
    refuses(words, "png", folders, labels=("cell",))
    Image.fromarray(np.zeros((20, 30), np.float32)).save(mask.with_suffix(".tiff"))
    mask.unlink()
    refuses(("a.tiff: pixels of Pillow mode F are no labels", "save it as PNG"), "png", folders, labels=("cell",))
    mask.with_suffix(".tiff").unlink()
    mask.write_bytes(b"no image")
    refuses((f"{mask}: corrupt, truncated or not an image", "replace the file"), "png", folders, labels=("cell",))
    write_png(mask, two_objects(1, 2))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 250)
    refuses(("too large for Pillow",), "png", folders, labels=("cell",))


def test_what_does_not_belong_together_is_an_error(folders, refuses):
    (folders / "images" / "a.png").unlink()
    words = (f"{folders / 'masks' / 'a.png'}: its image {folders / 'images' / 'a'} with", "is missing; restore it, or remove this file")
    refuses(words, "png", folders, labels=("cell",))
    image(folders / "images" / "a.png")
    (folders / "masks" / "a").mkdir()
    refuses(("masks/a: a.png beside it is of the same image", "keep the folder or the file"), "png", folders, labels=("cell",))
    (folders / "masks" / "a").rename(folders / "masks" / "c")
    refuses(("masks/c: its image", "is missing"), "png", folders, labels=("cell",))
    refuses(("masks/a.png: lies in no folder of a class", "name the one class by --labels"), "png", folders)


def test_folders_among_the_masks_of_an_image_are_an_error(folders, tmp_path, refuses):
    """They would be passed over, and their objects lost."""
    (folders / "masks" / "a.png").unlink()
    write_png(folders / "masks" / "a" / "0.png", box(4, 5, 14, 15))
    write_png(folders / "masks" / "a" / "more" / "1.png", box(8, 9, 18, 19))
    refuses((f"{folders}/masks/a/more: a folder among masks of one image; move its files up",), "png", folders, labels=("cell",))
    image(tmp_path / "bowl" / "0a" / "images" / "0a.png")
    write_png(tmp_path / "bowl" / "0a" / "masks" / "cell" / "0.png", box(4, 5, 14, 15))
    words = ("0a/masks/cell: a folder among masks of one image", "where it is a class, name several or none by --labels")
    refuses(words, "png", tmp_path / "bowl", labels=("cell",))


def test_folders_that_are_no_layout_are_errors(folders, tmp_path, refuses):
    refuses(("no images of the dataset found", "docs/data.md"), "png", folders / "images", labels=("cell",))
    (folders / "masks").rename(folders / "labels")
    refuses((f"{folders / 'masks'}: no such folder", "docs/data.md"), "png", folders, labels=("cell",))
    (folders / "images").rename(folders / "pictures")
    refuses((f"{folders / 'labels'}: 0 images in its folder images", "one an image folder is expected"), "png", folders, labels=("cell",))


def test_a_class_that_was_not_named_is_an_error(folders, refuses):
    for name in ("a.png", "b.png"):
        (folders / "masks" / name).unlink()
    write_png(folders / "masks" / "owl" / "a.png", two_objects(1, 2))
    refuses(("owl/a.png: value 1: class 'owl' is not one of ape, cow", "name it by --labels"), "png", folders, labels=("ape", "cow"))
