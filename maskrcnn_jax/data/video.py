"""Video files to RGB frames, one at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.decode import readable
from maskrcnn_jax.data.source import DataError

VIDEO_ENDINGS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"})
_TOLERANCE = 0.1  # seconds: of some formats the number of frames is an estimate from their length, in which sound may be longer


class VideoHeader(NamedTuple):
    """What a video says before its frames: how many there are, of some formats an estimate, and how many a second; 0 where it does not."""

    frames: int
    rate: float


def is_video(path: Path) -> bool:
    """Whether the name's ending is a video's, in small or capital letters."""
    return path.suffix.lower() in VIDEO_ENDINGS


def read_video_header(path: Path) -> VideoHeader:
    """What the file says of its frames.

    Raises:
      DataError: it cannot be opened.
    """
    with _opened(path) as capture:
        return _header(capture)


def video_frames(path: Path) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """The frames of a video, RGB bytes, in the order of their display, upright as the file says; one is decoded at a time.

    OpenCV's FFmpeg decodes them; of pixels of more than 8 bits it keeps the high ones. A frame whose bytes were altered may come unnoticed.

    Raises:
      DataError: the file cannot be opened or holds no frame; after its last frame, it ends earlier than its header says; after some, the
        next one has another size.
    """
    with _opened(path) as capture:
        told, count, seconds = _header(capture), 0, 0.0
        size: tuple[int, ...] = ()
        while (read := capture.read())[0]:
            frame = read[1]
            size = size or frame.shape[:2]
            if frame.shape[:2] != size:
                raise DataError(
                    f"{path}: frame {count} is {frame.shape[0]} x {frame.shape[1]} (height x width), those before {size[0]} x {size[1]}; "
                    "cut the video into files of one size each"
                )
            count, seconds = count + 1, capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
    if not count:
        raise DataError(f"{path}: no frame of this video can be decoded; convert it (ffmpeg -i FILE NEW.mp4), or leave it out")
    if count < told.frames and told.rate and (told.frames - 1) / told.rate - seconds > _TOLERANCE:
        raise DataError(
            f"{path}: ends after {count} frames, its header tells of {told.frames}: it was cut short, or is damaged there; restore the file"
        )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A `cv2.VideoCapture`."""
    with readable(path):
        path.open("rb").close()  # OpenCV does not tell why it cannot open a file
    try:
        str(path).encode()
    except UnicodeEncodeError:  # of which OpenCV dies
        raise DataError(f"{path}: OpenCV opens no video whose name is no Unicode text; rename the file or its folder in UTF-8") from None
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        if not capture.isOpened():
            raise DataError(
                f"{path}: OpenCV cannot open this as a video; restore the file, convert it (ffmpeg -i FILE NEW.mp4), or leave it out"
            )
        yield capture
    finally:
        capture.release()


def _header(capture: Any) -> VideoHeader:
    frames, rate = capture.get(cv2.CAP_PROP_FRAME_COUNT), capture.get(cv2.CAP_PROP_FPS)
    return VideoHeader(max(0, int(frames)), rate if math.isfinite(rate) and rate > 0 else 0.0)
