"""Small video files."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np


def write_video(path: Path, frames: Sequence[np.ndarray], *, rate: float = 25.0, codec: str = "MJPG") -> Path:
    """A video of RGB `frames` at `path`, by OpenCV alone."""
    height, width = frames[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    """All RGB frames of a video, and how many there are a second, by OpenCV alone."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    rate, frames = capture.get(cv2.CAP_PROP_FPS), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return frames, rate


def halves(count: int, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    """Frames whose left half is red and whose right half gets brighter, ten a frame."""
    frames = []
    for i in range(count):
        frame = np.full((*size, 3), 10 * i, np.uint8)
        frame[:, : size[1] // 2] = (255, 0, 0)
        frames.append(frame)
    return frames
