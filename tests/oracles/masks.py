"""Masks in frames with plain loops: area resampling, and the two ways to paste."""

import math

import numpy as np


def interpolate_or_zero(grid, y, x):
    """Bilinear value of grid[h, w] at (y, x) in cell indices, zeros all around."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]:
                total += float(grid[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def paste_continuous(mask, frame, height, width):
    """The value at each pixel's centre in a box that the grid's cells divide evenly (Detectron2)."""
    x0, y0, x1, y1 = map(float, frame)
    rows, columns = mask.shape
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = (i + 0.5 - y0) / (y1 - y0) * rows - 0.5
            x = (j + 0.5 - x0) / (x1 - x0) * columns - 0.5
            out[i, j] = interpolate_or_zero(mask, y, x)
    return out


def paste_expanded(mask, frame, height, width):
    """Pad by one cell, expand the box alike, truncate it to integers, resize to last - first + 1 pixels (torchvision)."""
    cells = mask.shape[0]
    padded = np.zeros((cells + 2, cells + 2))
    padded[1:-1, 1:-1] = mask
    scale = (cells + 2) / cells
    first, last = [], []
    for start, end in ((frame[1], frame[3]), (frame[0], frame[2])):
        centre, half = (float(start) + float(end)) / 2, (float(end) - float(start)) / 2 * scale
        first.append(math.trunc(centre - half))
        last.append(math.trunc(centre + half))
    out = np.zeros((height, width))
    for i in range(max(first[0], 0), min(last[0] + 1, height)):
        for j in range(max(first[1], 0), min(last[1] + 1, width)):
            out[i, j] = _resized(padded, (i - first[0], j - first[1]), (last[0] - first[0] + 1, last[1] - first[1] + 1))
    return out


def _resized(grid, pixel, shape):
    """Pixel of `grid` resized to `shape`, half-pixel centres, the border repeated."""
    index = []
    for axis in (0, 1):
        position = (pixel[axis] + 0.5) * grid.shape[axis] / shape[axis] - 0.5
        index.append(min(max(position, 0.0), grid.shape[axis] - 1))
    return interpolate_or_zero(grid, *index)


def resample_by_area(bitmap, cells):
    """uint8[cells, cells], 255 inside: the part of each cell that the bitmap covers."""
    rows, columns = (_shares(side, cells) for side in bitmap.shape)
    return np.round(255 * (rows @ bitmap.astype(np.float64) @ columns.T)).astype(np.uint8)


def _shares(pixels, cells):
    """float64[cells, pixels]: the part of each cell that each pixel covers; rows sum to 1."""
    shares = np.zeros((cells, pixels))
    for cell in range(cells):
        for pixel in range(pixels):
            overlap = min((cell + 1) * pixels / cells, pixel + 1) - max(cell * pixels / cells, pixel)
            shares[cell, pixel] = max(overlap, 0) * cells / pixels
    return shares
