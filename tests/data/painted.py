"""Examples whose image tells where the objects are: each object is full in the channel of its label, 1, 2 or 3, and nothing else is."""

import cv2
import numpy as np

from maskrcnn_jax.data import tight_box
from maskrcnn_jax.structs import Category, Example

CATEGORIES = (Category(1, "red"), Category(2, "green"), Category(3, "blue"))


def painted(seed, size=(60, 80), count=5, crowds=False):
    """Discs and rectangles that do not touch each other or the image's edge; with `crowds` the first is one."""
    rng = np.random.default_rng(seed)
    taken, masks = np.ones(size, np.uint8), []
    taken[2:-2, 2:-2] = 0
    while len(masks) < count:
        mask = np.zeros(size, np.uint8)
        y, x = (int(rng.integers(side)) for side in size)
        side = int(rng.integers(4, 12))
        if rng.random() < 0.5:
            cv2.circle(mask, (x, y), side, 1, -1)
        else:
            mask[y : y + side, x : x + 2 * side] = 1
        if mask.any() and not (mask & taken).any():
            masks.append(mask)
            taken |= cv2.dilate(mask, np.ones((5, 5), np.uint8))
    return of_masks(np.array(masks), rng.integers(1, 4, count), seed, crowds)


def of_masks(masks, labels, image_id=0, crowds=False):
    image = np.zeros((*masks.shape[1:], 3), np.uint8)
    for mask, label in zip(masks, labels, strict=True):
        image[mask == 1, label - 1] = 255
    boxes = np.array([tight_box(mask) for mask in masks], np.float32).reshape(-1, 4)
    crowd = np.zeros(len(masks), np.bool_)
    crowd[:1] = crowds
    return Example(image, image_id, masks, boxes, np.array(labels, np.int32), crowd)


def drawn(example):
    """bool[h, w, 3]: where the masks of each label say its objects are."""
    return np.stack([(example.masks[example.labels == label] == 1).any(axis=0) for label in (1, 2, 3)], axis=-1)


def assert_whole(example):
    """Every field has the form that it should have, no object is without a pixel, and boxes are the masks' own."""
    n = len(example.labels)
    assert example.masks.shape == (n, *example.image.shape[:2])
    assert example.masks.dtype == np.uint8
    assert example.crowd.shape == (n,)
    assert example.boxes.dtype == np.float32
    assert example.masks.max(axis=(1, 2), initial=0).all()
    assert example.boxes.tolist() == [list(tight_box(mask)) for mask in example.masks]


def assert_masks_are_where_the_image_shows_them(example):
    """To the pixel: where at least half of the colour is an object's."""
    assert np.array_equal(drawn(example), example.image >= 128)


class Painted:
    """Examples of two shapes as a source; the image id is 100 and the index."""

    categories = CATEGORIES

    def __init__(self, count, sizes=((60, 80), (80, 60))):
        self.sizes = np.array([sizes[i % len(sizes)] for i in range(count)])

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, i):
        return painted(i, tuple(int(side) for side in self.sizes[i]), crowds=i % 3 == 0)._replace(image_id=100 + i)
