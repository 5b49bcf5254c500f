"""Images that are the same, and nearly the same: digests of pixels, and a perceptual hash."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from jaxtyping import UInt8, UInt64

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


def across_splits(train: Survey, val: Survey) -> Iterator[Finding]:
    """Pairs of a training and a validation image that are the same or nearly so: recoded, resized, brighter or darker."""
    same: dict[bytes, list[int]] = defaultdict(list)
    for i, (digest, _) in train.prints.items():
        same[digest].append(i)
    pairs = {(i, j): 0 for j, (digest, _) in val.prints.items() for i in same.get(digest, ())}
    pairs |= {pair: distance for pair, distance in _near(train, val) if pair not in pairs}
    for (i, j), distance in sorted(pairs.items()):
        equal = train.prints[i].digest == val.prints[j].digest
        message = "the same pixels" if equal else f"nearly the same picture ({distance} of 256 bits of its hash differ)"
        places = (train.place(i), val.place(j))
        yield Finding(kind="across-splits", message=f"{message} in training and validation; keep it in one of them", places=places)


def _near(train: Survey, val: Survey) -> Iterator[tuple[tuple[int, int], int]]:
    """Pairs of indices whose hashes and thumbnails are alike, and the distance of the hashes."""
    left, right = (list(s.prints) for s in (train, val))
    if not len(left) or not len(right):
        return
    thumbnails = [np.stack([p.thumbnail for p in s.prints.values()]) for s in (train, val)]
    hashes = [difference_hash(part) for part in thumbnails]
    step = max(1, _CHUNK // len(right))
    for start in range(0, len(left), step):
        distance = np.zeros((len(hashes[0][start : start + step]), len(right)), np.int32)
        for word in range(hashes[0].shape[1]):
            distance += np.bitwise_count(hashes[0][start : start + step, None, word] ^ hashes[1][None, :, word])
        for row, column in np.argwhere(distance <= NEAR):
            if _alike(thumbnails[0][start + row], thumbnails[1][column]):
                yield (left[start + row], right[column]), int(distance[row, column])


def _alike(a: UInt8[np.ndarray, "16 17"], b: UInt8[np.ndarray, "16 17"]) -> bool:
    return min(float(a.std()), float(b.std())) > FLAT and float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) >= ALIKE
