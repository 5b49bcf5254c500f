import cv2
import numpy as np
import pytest
from pycocotools import mask as mask_utils

from maskrcnn_jax.visualize import outlines


def encoded(mask):
    return mask_utils.encode(np.asfortranarray(mask, np.uint8))


def filled(rings, size, factor):
    """The mask that outlines enclose by the even-odd rule, on an image enlarged by `factor`."""
    canvas = np.zeros((size[0] * factor, size[1] * factor), np.uint8)
    cv2.fillPoly(canvas, [np.round((ring * factor - 0.5) * 16).astype(np.int32) for ring in rings], 1, shift=4)
    return canvas


@pytest.mark.parametrize(("size", "factor"), [((60, 80), 8), ((700, 500), 1)])
def test_outlines_enclose_the_mask_with_its_holes(size, factor):
    y, x = np.mgrid[: size[0], : size[1]] / size[0]
    far = (x - 0.35) ** 2 + (y - 0.5) ** 2
    mask = ((far < 0.09) & (far > 0.02)) | ((x > 0.66) & (y > 0.9))
    rings = outlines(encoded(mask), factor)
    assert len(rings) == 3
    big = cv2.resize(mask.astype(np.uint8), None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
    drawn = filled(rings, size, factor)
    assert (drawn & big).sum() / (drawn | big).sum() > 0.97  # the rest are the corners of pixels, which enlarging rounds


def test_outlines_are_in_the_pixels_of_the_mask():
    mask = np.zeros((40, 50), np.uint8)
    mask[10:20, 30:45] = 1
    (ring,) = outlines(encoded(mask), 8)
    np.testing.assert_allclose(ring.min(axis=0), [30, 10], atol=0.2)
    np.testing.assert_allclose(ring.max(axis=0), [45, 20], atol=0.2)
    assert len(ring) < 30


def test_a_mask_at_the_image_s_edge_and_one_without_a_pixel():
    assert len(outlines(encoded(np.ones((10, 10))), 8)) == 1
    assert outlines(encoded(np.zeros((10, 10))), 8) == []
