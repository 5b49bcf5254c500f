import os

import cv2
import numpy as np
import pytest

from maskrcnn_jax.visualize import VideoWriter
from tests.data.videos import halves, read_video


@pytest.mark.parametrize("rate", [25.0, 30000 / 1001, 12.5, 64.128, 120.457, 1000.0])
def test_pictures_come_back_in_order_at_their_rate(tmp_path, rate):
    """The codec blurs: 8 of 255, as in tests/data/test_video.py. Rates are kept to four digits or more."""
    pictures = halves(9)
    with VideoWriter(tmp_path / "a.mp4", rate=rate) as video:
        for picture in pictures:
            video.write(picture)
    frames, kept = read_video(tmp_path / "a.mp4")
    assert kept == pytest.approx(rate, rel=1e-4)
    assert len(frames) == 9
    for frame, picture in zip(frames, pictures, strict=True):
        assert frame.shape == picture.shape
        for column in (10, 50):
            assert np.abs(frame[20, column].astype(int) - picture[20, column]).max() <= 8


def test_an_odd_side_repeats_its_last_pixels(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", rate=5.0) as video:
        video.write(np.full((47, 63, 3), 200, np.uint8))
    (frame,), _ = read_video(tmp_path / "a.mp4")
    assert frame.shape == (48, 64, 3)
    assert np.abs(frame[-1, -1].astype(int) - 200).max() <= 8


def test_a_picture_of_another_size_is_an_error(tmp_path):
    video = VideoWriter(tmp_path / "a.mp4", rate=5.0)
    video.write(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"a\.mp4: a picture is 10 x 8, the first was 8 x 8"), video:
        video.write(np.zeros((10, 8, 3), np.uint8))
    assert len(read_video(tmp_path / "a.mp4")[0]) == 1  # what was written before is kept


def test_no_picture_makes_no_file(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", rate=5.0):
        pass
    assert not (tmp_path / "a.mp4").exists()


@pytest.mark.parametrize(("name", "rate"), [("a.avi", 5.0), ("a.mp4", 0.0), ("a.mp4", float("nan")), ("a.mp4", 65536.0)])
def test_other_endings_and_rates_are_errors(tmp_path, name, rate):
    with pytest.raises(ValueError, match=r"videos are written as \.mp4, of up to 65535 pictures a second"):
        VideoWriter(tmp_path / name, rate=rate)


def test_a_file_that_cannot_be_begun_is_an_error_that_names_folder_and_codec(tmp_path):
    video = VideoWriter(tmp_path / "absent" / "a.mp4", rate=5.0)
    with pytest.raises(OSError, match=r"absent/a\.mp4: the video could not be begun; check that its folder exists.* MPEG-4 encoder"):
        video.write(np.zeros((8, 8, 3), np.uint8))


def test_a_folder_whose_name_is_no_text_is_an_error(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with pytest.raises(OSError, match="OpenCV writes no video whose name is no Unicode text; rename the folder in UTF-8"):
        VideoWriter(folder / "a.mp4", rate=5.0).write(np.zeros((8, 8, 3), np.uint8))


def test_a_file_that_lacks_pictures_is_an_error(tmp_path, monkeypatch):
    """As of a full disk, of which OpenCV says nothing."""

    class Lossy:
        def __init__(self, *_):
            pass

        def isOpened(self):
            return True

        def write(self, _):
            pass

        def release(self):
            pass

    Lossy.fourcc = cv2.VideoWriter.fourcc
    monkeypatch.setattr(cv2, "VideoWriter", Lossy)
    video = VideoWriter(tmp_path / "a.mp4", rate=5.0)
    video.write(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(OSError, match=r"a\.mp4: holds 0 of 1 frames; check that there is space"), video:
        pass
