"""PyTorch's layouts of one layer's arrays, and ours."""

from typing import Literal, NamedTuple

import numpy as np

Kind = Literal["vector", "conv", "deconv", "linear"]
Rows = Literal["same", "background_last", "no_background"]


class Entry(NamedTuple):
    """Where one of our arrays stands in another system's weights, and what differs.

    name: there. kind: of its layer there. features: side and channels (q, c) of the RoI features that a linear layer reads
    flattened; there channels come first, here last. rows: how the outputs are ordered by class there; here background is
    the first. outputs: rows of one class.
    """

    name: str
    kind: Kind
    features: tuple[int, int] | None = None
    rows: Rows = "same"
    outputs: int = 1


def to_ours(array: np.ndarray, entry: Entry, axes: int) -> np.ndarray:
    """`array`, of the shape that `their_shape` says, as ours: float32, for a leaf with so many axes.

    A background row that the other system does not have is zero.
    """
    array = array.astype(np.float32)
    if entry.rows == "background_last":
        array = np.concatenate([array[-entry.outputs :], array[: -entry.outputs]])
    elif entry.rows == "no_background":
        array = np.concatenate([np.zeros_like(array[: entry.outputs]), array])
    if entry.kind == "conv":
        array = array.transpose(2, 3, 1, 0)
        return array[0, 0] if axes == 2 else array  # a 1x1 convolution is a matrix product
    if entry.kind == "deconv":
        return array.transpose(0, 2, 3, 1)
    if entry.features is not None:
        side, channels = entry.features
        array = array.reshape(-1, channels, side, side).transpose(0, 2, 3, 1).reshape(array.shape)
    return array.T


def to_theirs(array: np.ndarray, entry: Entry) -> np.ndarray:
    """The inverse of `to_ours`; a background row that the other system does not have is left out."""
    if entry.kind == "conv":
        array = (array[None, None] if array.ndim == 2 else array).transpose(3, 2, 0, 1)
    elif entry.kind == "deconv":
        array = array.transpose(0, 3, 1, 2)
    else:
        array = array.T
    if entry.features is not None:
        side, channels = entry.features
        array = array.reshape(-1, side, side, channels).transpose(0, 3, 1, 2).reshape(array.shape)
    if entry.rows == "background_last":
        array = np.concatenate([array[entry.outputs :], array[: entry.outputs]])
    elif entry.rows == "no_background":
        array = array[entry.outputs :]
    return array


def their_shape(shape: tuple[int, ...], entry: Entry) -> tuple[int, ...]:
    """The shape there of an array whose shape here is `shape`."""
    return to_theirs(np.broadcast_to(np.float32(0), shape), entry).shape
