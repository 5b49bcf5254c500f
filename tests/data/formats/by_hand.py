"""Masks by hand."""

import numpy as np

H, W = 20, 30


def box(x0, y0, x1, y1, shape=(H, W)):
    mask = np.zeros(shape, np.uint8)
    mask[y0:y1, x0:x1] = 1
    return mask


def disc(x, y, radius_x, radius_y, angle=0.0, shape=(H, W)):
    """Pixels whose centre lies in an ellipse, by its equation."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    return ((along / radius_x) ** 2 + (across / radius_y) ** 2 <= 1).astype(np.uint8)
