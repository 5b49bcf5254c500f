"""What is kept of every image, to compare it with the others."""

import hashlib
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.visualize.rendering import AnyImage, as_rgb

SIDE = 16


class Print(NamedTuple):
    """What is kept of an image: a digest of its pixels, and 16 x 17 grey means."""

    digest: bytes
    thumbnail: UInt8[np.ndarray, "16 17"]


def make_print(image: AnyImage) -> Print:
    """Of an image's pixels; the means are of its rendering, see `as_rgb`."""
    digest = hashlib.blake2b(str(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    grey = cv2.cvtColor(as_rgb(image), cv2.COLOR_RGB2GRAY)
    return Print(digest.digest(), cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA))
