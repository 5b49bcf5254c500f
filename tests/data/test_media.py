import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data import DataError, count_frames, frames_of, media_files, read_channels
from maskrcnn_jax.data.video import VideoHeader
from tests.data.videos import halves, write_video

RGB = InputConfig()
GREY = InputConfig(channels=1, mean=(0.0,), std=(1.0,))


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.jpg"):
        Image.fromarray(np.full((4, 6, 3), 9, np.uint8)).save(tmp_path / name)
    write_video(tmp_path / "ab.avi", halves(3))
    return tmp_path


def test_a_folder_stands_for_its_images_and_videos_by_name(folder):
    media = media_files([folder / "b.png", folder])
    assert media.files == [folder / name for name in ("b.png", "a.jpg", "ab.avi", "b.png")]
    assert media.notes == []


def test_what_is_left_out_of_a_folder_is_told(folder):
    (folder / "notes.txt").write_text("neither")
    (folder / "more").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "more" / "c.png")
    (folder / "clips.mp4").mkdir()
    media = media_files([folder])
    assert [path.name for path in media.files] == ["a.jpg", "ab.avi", "b.png"]
    assert media.notes == [
        f"{folder}: left out, for it is neither image nor video: clips.mp4/, more/, notes.txt; name what is wanted of it, too"
    ]


def test_arrays_beside_images_are_told_and_alone_are_images(folder):
    np.save(folder / "a.npy", np.zeros((4, 4, 3), np.uint8))
    assert "neither image nor video: a.npy;" in media_files([folder]).notes[0]
    for name in ("b.png", "a.jpg"):
        (folder / name).unlink()
    assert [path.name for path in media_files([folder]).files] == ["a.npy", "ab.avi"]


def test_no_files_missing_ones_and_empty_folders_are_errors(tmp_path):
    with pytest.raises(DataError, match="no files; name at least one image, video or folder of them"):
        media_files([])
    with pytest.raises(DataError, match=r"gone\.png: no such file; correct the path"):
        media_files([tmp_path / "gone.png"])
    (tmp_path / "notes.txt").write_text("neither")
    with pytest.raises(DataError, match="no image or video in this folder; name files, or the folder that holds them"):
        media_files([tmp_path])


def test_an_image_is_one_frame(folder):
    (frame,) = frames_of(folder / "b.png", RGB)
    assert frame.name == str(folder / "b.png")
    assert frame.frame_index is None
    np.testing.assert_array_equal(frame.image, read_channels(folder / "b.png", RGB))
    assert count_frames(folder / "b.png") == 1


def test_a_videos_frames_have_numbers_from_0_and_names(folder):
    frames = list(frames_of(folder / "ab.avi", RGB))
    assert [frame.frame_index for frame in frames] == [0, 1, 2]
    assert frames[2].name == f"{folder / 'ab.avi'}, frame 2"
    assert frames[2].image.shape == (48, 64, 3)
    assert count_frames(folder / "ab.avi") == 3


def test_a_grey_models_frames_are_grey_as_its_images(folder):
    """Within the rounding of two libraries' ITU-R 601."""
    colour = list(frames_of(folder / "ab.avi", RGB))
    for frame, rgb in zip(frames_of(folder / "ab.avi", GREY), colour, strict=True):
        assert frame.image.shape == (48, 64, 1)
        expected = np.asarray(Image.fromarray(rgb.image).convert("L"), int)
        assert np.abs(frame.image[..., 0] - expected).max() <= 1


def test_frames_of_a_video_that_cannot_be_opened_are_none_and_of_one_that_does_not_tell_unknown(tmp_path, monkeypatch):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert count_frames(tmp_path / "a.mp4") == 0
    path = write_video(tmp_path / "b.avi", halves(2))
    monkeypatch.setattr("maskrcnn_jax.data.media.read_video_header", lambda _: VideoHeader(0, 25.0))
    assert count_frames(path) is None
