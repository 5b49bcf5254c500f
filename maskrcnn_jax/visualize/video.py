"""Pictures -> a video."""

from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

CODEC = "mp4v"  # MPEG-4 Part 2 in an MP4 file: FFmpeg's own encoder, which every opencv-python-headless has; H.264's it has not
VIDEO_ENDING = ".mp4"
MAX_RATE = 65535  # ticks a second that MPEG-4 can count, hence pictures, and hundredths or thousandths of lower rates


class VideoWriter:
    """An MP4 file (MPEG-4 Part 2) of pictures, which are written as they come.

    with VideoWriter("found.mp4", rate=25.0) as video:
        video.write(picture)

    The codec knows even sides alone: of an odd one the last row or column of pixels is repeated.
    """

    def __init__(self, path: str | Path, *, rate: float) -> None:
        """Make nothing yet: the file is begun with the first picture, which says its size.

        Args:
          path: the file, whose name ends in .mp4.
          rate: pictures a second; kept to thousandths, above 65 to hundredths, above 655 to tenths.

        Raises:
          ValueError: another ending, or a rate that is not positive, or above 65535.
        """
        if Path(path).suffix.lower() != VIDEO_ENDING or not 0 < rate <= MAX_RATE:
            raise ValueError(f"{path}: videos are written as {VIDEO_ENDING}, of up to {MAX_RATE} pictures a second; got {rate}")
        digits = next(digits for digits in (3, 2, 1, 0) if rate * 10**digits <= MAX_RATE)
        self.path, self.rate = Path(path), round(rate, digits)
        self._writer: Any = None  # a cv2.VideoWriter
        self._size = (0, 0)
        self._count = 0

    def write(self, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Add `picture`, RGB.

        Raises:
          ValueError: it has not the size of the first one.
          OSError: the file cannot be begun, or OpenCV lacks the codec.
        """
        height, width = picture.shape[:2]
        if self._writer is None:
            self._size = (height, width)
            self._writer = self._begun(width + width % 2, height + height % 2)
        if self._size != (height, width):
            raise ValueError(
                f"{self.path}: a picture is {height} x {width}, the first was {self._size[0]} x {self._size[1]}; give one size"
            )
        even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(cv2.cvtColor(even, cv2.COLOR_RGB2BGR))
        self._count += 1

    def __enter__(self) -> "VideoWriter":
        """The writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End the file.

        Raises:
          OSError: it does not hold all pictures; OpenCV tells of no error while it writes.
        """
        if self._writer is None:
            return
        self._writer.release()
        if kind is None and (held := self._held()) != self._count:
            raise OSError(f"{self.path}: holds {held} of {self._count} frames; check that there is space where it lies")

    def _begun(self, width: int, height: int) -> Any:
        try:
            str(self.path).encode()
        except UnicodeEncodeError:  # of which OpenCV dies
            raise OSError(f"{self.path}: OpenCV writes no video whose name is no Unicode text; rename the folder in UTF-8") from None
        writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), self.rate, (width, height))
        if not writer.isOpened():
            raise OSError(
                f"{self.path}: the video could not be begun; check that its folder exists, may be written to and has space, and that "
                "OpenCV has FFmpeg's MPEG-4 encoder, as the wheels of opencv-python-headless do"
            )
        return writer

    def _held(self) -> int:
        """Frames in the file, as it says itself."""
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        capture.release()
        return count
