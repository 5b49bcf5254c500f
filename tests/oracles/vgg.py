"""The convolutions and pools of VGG-16 as they stand in Simonyan and Zisserman 2015, table 1, column D."""

import numpy as np

WIDTH = 64
COLUMN_D = [64, 64, "maxpool", 128, 128, "maxpool", 256, 256, 256, "maxpool", 512, 512, 512, "maxpool", 512, 512, 512, "maxpool"]


def conv3x3(x, kernel, bias):
    """x[h, w, c] convolved with kernel[3, 3, c, d], zeros around it."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((*x.shape[:2], kernel.shape[-1]))
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            out[row, column] = np.tensordot(padded[row : row + 3, column : column + 3], kernel, 3) + bias
    return out


def maxpool(x):
    """2x2 windows, side by side; a last odd row or column belongs to none."""
    out = np.zeros((x.shape[0] // 2, x.shape[1] // 2, x.shape[2]))
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            out[row, column] = x[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].max(axis=(0, 1))
    return out


def levels(x, layers):
    """What each pool reads from the third on, and what the last returns; `layers` are (kernel, bias) from the input up."""
    x, layers, read = np.asarray(x, np.float64), iter(layers), []
    for entry in COLUMN_D:
        if entry == "maxpool":
            read.append(x)
            x = maxpool(x)
        else:
            x = np.maximum(conv3x3(x, *next(layers)), 0)
    return [*read[2:], x]
