"""Images that are the same, and nearly the same: ids, digests of pixels, and a perceptual hash."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, UInt8, UInt64

from maskrcnn_jax.reports.check_data.findings import Finding
from maskrcnn_jax.reports.check_data.prints import SIDE
from maskrcnn_jax.reports.check_data.survey import Survey

NEAR = 32
"""Bits of the hash, of 256, that two images may differ in. Two photographs differ in about 128."""
ALIKE = 0.95
"""Correlation of their thumbnails that they must then have: in dark images the bits are mostly zeros."""
FLAT = 1.0
"""Standard deviation of a thumbnail, grey levels, up to which there is nothing to compare."""
_CHUNK = 2**22  # pairs compared at once
_APART = 257  # a distance of hashes above all others


def difference_hash(thumbnails: UInt8[np.ndarray, "n 16 17"]) -> UInt64[np.ndarray, "n 4"]:
    """A bit for each of 256 pairs of neighbours in a row: whether the right one is brighter (dHash)."""
    bits = thumbnails[:, :, 1:] > thumbnails[:, :, :-1]
    return np.packbits(bits.reshape(len(thumbnails), SIDE * SIDE), axis=1).view(np.uint64)


def same_in_split(survey: Survey) -> Iterator[Finding]:
    """Images of one split with the same pixels, each with the first of them."""
    first: dict[bytes, int] = {}
    for i, (digest, _) in survey.prints.items():
        if digest in first:
            places = (survey.place(first[digest]), survey.place(i))
            yield Finding(
                kind="duplicate-image", message="the same pixels; remove one, and keep the annotations of both in mind", places=places
            )
        first.setdefault(digest, i)


def same_id(survey: Survey, measured: int | None) -> Iterator[Finding]:
    """Of the first `measured` images (None: all) of the validation split, those with an id that an earlier one has."""
    first: dict[int, int] = {}
    for i, id_ in survey.image_ids.items():
        if measured is not None and i >= measured:
            return
        if id_ in first:
            message = f"image id {id_} occurs twice; give every image an id of its own"
            yield Finding(kind="same-id", message=message, places=(survey.place(first[id_]), survey.place(i)))
        first.setdefault(id_, i)


def across_splits(train: Survey, val: Survey) -> Iterator[Finding]:
    """Validation images that are training images, or nearly so: recoded, resized, brighter or darker; each with the nearest of them."""
    same: dict[bytes, list[int]] = defaultdict(list)
    for i, (digest, _) in train.prints.items():
        same[digest].append(i)
    near = _nearest(train, val)
    for j, (digest, _) in val.prints.items():
        equal, (nearest, distance, count) = same.get(digest, []), near.get(j, (0, 0, 0))
        if not equal and not count:
            continue
        message = "the same pixels" if equal else f"nearly the same picture ({distance} of 256 bits of its hash differ)"
        others = max(count, len(equal)) - 1  # of images that are not flat, the same ones are near
        more = f"; more training images like it: {others}" if others else ""
        places = (train.place(equal[0] if equal else nearest), val.place(j))
        yield Finding(kind="across-splits", message=f"{message} in training and validation; keep it in one of them{more}", places=places)


def _nearest(train: Survey, val: Survey) -> dict[int, tuple[int, int, int]]:
    """Of validation images that training images are like: the index of the nearest, the distance of the hashes, and how many are.

    Hashes are compared first, and thumbnails of the images that any hash is near to.
    """
    left, right = (list(s.prints) for s in (train, val))
    if not left or not right:
        return {}
    hashes, thumbnails = zip(*(_prepared(s) for s in (train, val)), strict=True)
    nearest, counts = np.zeros(len(right), np.int64), np.zeros(len(right), np.int64)
    least = np.full(len(right), _APART)
    step = max(1, _CHUNK // len(right))
    for start in range(0, len(left), step):
        rows = slice(start, start + step)
        distance = np.zeros((len(hashes[0][rows]), len(right)), np.int32)
        for word in range(hashes[0].shape[1]):
            distance += np.bitwise_count(hashes[0][rows, None, word] ^ hashes[1][None, :, word])
        near = distance <= NEAR
        above, across = near.any(axis=1), near.any(axis=0)
        near[np.ix_(above, across)] &= thumbnails[0][rows][above] @ thumbnails[1][across].T >= ALIKE
        distance[~near] = _APART
        closer = distance.min(axis=0) < least
        nearest[closer] = start + distance.argmin(axis=0)[closer]
        least = np.minimum(least, distance.min(axis=0))
        counts += near.sum(axis=0)
    return {right[j]: (left[nearest[j]], int(least[j]), int(counts[j])) for j in np.flatnonzero(counts)}


def _prepared(survey: Survey) -> tuple[UInt64[np.ndarray, "n 4"], Float32[np.ndarray, "n 272"]]:
    """Hashes, and thumbnails whose products are their correlations; zeros where they are flat."""
    thumbnails = np.stack([p.thumbnail for p in survey.prints.values()])
    grey = thumbnails.reshape(len(thumbnails), -1).astype(np.float32)
    grey -= grey.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(grey, axis=1, keepdims=True)
    varied = norms > FLAT * np.sqrt(grey.shape[1])
    return difference_hash(thumbnails), np.divide(grey, norms, out=np.zeros_like(grey), where=varied)
