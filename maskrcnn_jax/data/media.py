"""Files to look for objects in: images, videos, and folders of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from maskrcnn_jax.config import InputConfig
from maskrcnn_jax.data.channels import read_channels
from maskrcnn_jax.data.decode import image_files
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.data.video import is_video, read_video_header, video_frames
from maskrcnn_jax.errors import first_few


class Media(NamedTuple):
    """Files to predict, in order, and a line on what of each folder is not among them."""

    files: list[Path]
    notes: list[str]


class Frame(NamedTuple):
    """An image, or one frame of a video.

    path: the file. frame_index: of a frame, counted from 0; None of an image. image: uint8[h, w, 3], RGB, or as `InputConfig` says.
    """

    path: Path
    frame_index: int | None
    image: np.ndarray

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path) if self.frame_index is None else f"{self.path}, frame {self.frame_index}"


def media_files(paths: Sequence[Path]) -> Media:
    """The files `paths`, and in place of a folder the images and videos that lie in it, by name.

    Folders within a folder are left out, as what was written into one by an earlier call would be read by the next.

    Raises:
      DataError: there is no path, one does not exist, or a folder has no image and no video.
    """
    if not paths:
        raise DataError("no files; name at least one image, video or folder of them")
    media = Media([], [])
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file; correct the path")
        if not path.is_dir():
            media.files.append(path)
            continue
        entries = sorted(path.iterdir())
        chosen = {*(entry for entry in image_files(path)), *(entry for entry in entries if is_video(entry) and entry.is_file())}
        rest = [entry.name + "/" * entry.is_dir() for entry in entries if entry not in chosen]
        if not chosen:
            raise DataError(f"{path}: no image or video in this folder; name files, or the folder that holds them")
        media.files.extend(sorted(chosen))
        if rest:
            media.notes.append(f"{path}: left out, for it is neither image nor video: {first_few(rest)}; name what is wanted of it, too")
    return media


def frames_of(path: Path, input_config: InputConfig) -> Iterator[Frame]:
    """The image in a file, or the frames of a video, one at a time; where one channel of bytes is asked for, frames become grey.

    Raises:
      DataError: what `read_channels` and `video_frames` say of files that they cannot read.
    """
    if not is_video(path):
        yield Frame(path, None, read_channels(path, input_config))
        return
    grey = (input_config.channels, input_config.dtype) == (1, "uint8")
    for index, image in enumerate(video_frames(path)):
        yield Frame(path, index, cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] if grey else image)


def count_frames(path: Path) -> int | None:
    """How many frames `frames_of` gives: 1 of an image, of a video what it tells, 0 if it cannot be opened and None if it does not tell."""
    if not is_video(path):
        return 1
    try:
        return read_video_header(path).frames or None
    except DataError:
        return 0
