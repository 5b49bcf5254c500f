import os
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrcnn_jax.data import DataError, is_video, read_video_header, video_frames
from tests.data.videos import halves, write_video


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("b.mp4", "mp4v"), ("c.mkv", "mp4v"), ("d.MOV", "mp4v"), ("e.wmv", "WMV2")])
def test_frames_come_in_order_as_rgb(tmp_path, name, codec):
    """Codecs blur: 8 of 255 is more than they err on flat halves, and less than the step from frame to frame."""
    path = write_video(tmp_path / name, halves(12), rate=12.5, codec=codec)
    assert is_video(path)
    assert read_video_header(path) == (12, 12.5)
    frames = list(video_frames(path))
    assert len(frames) == 12
    for i, frame in enumerate(frames):
        assert frame.shape == (48, 64, 3)
        assert frame.dtype == np.uint8
        assert np.abs(frame[20, 10].astype(int) - (255, 0, 0)).max() <= 8
        assert np.abs(frame[20, 50].astype(int) - 10 * i).max() <= 8


def test_frames_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    path, decoded = write_video(tmp_path / "a.avi", halves(12)), []
    read = cv2.cvtColor
    monkeypatch.setattr("maskrcnn_jax.data.video.cv2.cvtColor", lambda *arguments: decoded.append(1) or read(*arguments))
    list(islice(video_frames(path), 3))
    assert len(decoded) == 3


@pytest.mark.parametrize(("name", "expected"), [("a.mp4", True), ("a.MKV", True), ("a.png", False), ("mp4", False), ("a.mp4.txt", False)])
def test_a_video_is_told_by_its_ending(name, expected):
    assert is_video(Path(name)) is expected


def test_a_video_that_was_cut_short_gives_its_frames_and_then_an_error(tmp_path):
    path = write_video(tmp_path / "a.avi", halves(20))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 9 // 10])
    frames = []
    with pytest.raises(DataError) as error:
        frames.extend(video_frames(path))  # an iterable that breaks off leaves what it gave
    assert 10 < len(frames) < 20
    assert f"a.avi: ends after {len(frames)} frames, its header tells of 20: " in str(error.value)
    assert str(error.value).endswith("restore the file")


class Fake:
    """A capture of frames of these sizes, whose header tells of `told`, and that ends at `seconds`."""

    def __init__(self, sizes, told, seconds=0.0, rate=10.0):
        self.frames = [np.zeros((*size, 3), np.uint8) for size in sizes]
        self.says = {cv2.CAP_PROP_FRAME_COUNT: told, cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_POS_MSEC: 1000 * seconds}

    def isOpened(self):
        return True

    def read(self):
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def get(self, what):
        return float(self.says[what])

    def release(self):
        self.released = True


@pytest.fixture
def fake(monkeypatch, tmp_path):
    """A file, and a way to have it read as a `Fake`."""

    def put(*arguments, **options):
        capture = Fake(*arguments, **options)
        monkeypatch.setattr(cv2, "VideoCapture", lambda *_: capture)
        return capture

    (tmp_path / "a.mkv").write_bytes(b"any")
    return tmp_path / "a.mkv", put


@pytest.mark.parametrize(
    ("told", "seconds", "rate", "early"),
    [
        (10, 0.45, 10, True),  # of 1 s, frames end at 0.45 + 0.1
        (10, 0.85, 10, False),  # all but 0.05 s are there: the number was an estimate
        (3, 0.0, 10, False),  # as many as told
        (2, 0.0, 10, False),  # more than told
        (10, 0.0, 0, False),  # without a rate the number means nothing
        (10, 0.0, float("nan"), False),
    ],
)
def test_a_video_ends_early_where_time_is_missing(fake, told, seconds, rate, early):
    path, put = fake
    capture = put([(4, 6)] * 3, told, seconds, rate)
    stream = video_frames(path)
    assert [next(stream).shape for _ in range(3)] == [(4, 6, 3)] * 3
    with pytest.raises(DataError if early else StopIteration):
        next(stream)
    assert capture.released


def test_a_frame_of_another_size_is_an_error_that_names_it(fake):
    path, put = fake
    put([(4, 6), (4, 6), (8, 6)], 3)
    stream = video_frames(path)
    next(stream)
    next(stream)
    with pytest.raises(DataError, match=r"a\.mkv: frame 2 is 8 x 6 \(height x width\), those before 4 x 6; cut the video"):
        next(stream)


def test_a_video_without_frames_is_an_error(fake):
    path, put = fake
    put([], 3)
    with pytest.raises(DataError, match=r"a\.mkv: no frame of this video can be decoded; convert it"):
        next(video_frames(path))


def test_a_header_that_tells_no_numbers_has_zeros(fake):
    path, put = fake
    put([], -9e18, rate=float("nan"))
    assert read_video_header(path) == (0, 0.0)


@pytest.mark.parametrize("read", [read_video_header, lambda path: next(video_frames(path))])
def test_what_cannot_be_opened_is_an_error_that_says_why(tmp_path, read):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"a\.mp4: OpenCV cannot open this as a video; restore the file, convert it"):
        read(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"gone\.mp4: no such image file"):
        read(tmp_path / "gone.mp4")
    latin = write_video(tmp_path / "a.avi", halves(2)).rename(tmp_path / os.fsdecode(b"caf\xe9.avi"))
    with pytest.raises(DataError, match="OpenCV opens no video whose name is no Unicode text; rename the file or its folder in UTF-8"):
        read(latin)
