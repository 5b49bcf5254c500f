"""RoIAlign with plain loops (He et al. 2017, section 3; Lin et al. 2017, equation 1)."""

import math

import numpy as np


def level(box, levels, finest, canonical_size, canonical_level, epsilon, epsilon_at):
    size = math.sqrt(max(float(box[2] - box[0]), 0) * max(float(box[3] - box[1]), 0)) / canonical_size
    inside, outside = (epsilon, 0) if epsilon_at == "ratio" else (0, epsilon)
    if size + inside == 0:
        return 0
    wanted = math.floor(canonical_level + math.log2(size + inside) + outside)
    return min(max(wanted - finest, 0), levels - 1)


def bilinear(cells, y, x):
    """Value of the map cells[h, w, c] at (y, x) in cell indices; its border holds for one cell around it, zero farther out."""
    height, width = cells.shape[:2]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(cells.shape[2:])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = math.floor(y), math.floor(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    fy, fx = y - y0, x - x0
    upper = (1 - fx) * cells[y0, x0] + fx * cells[y0, x1]
    lower = (1 - fx) * cells[y1, x0] + fx * cells[y1, x1]
    return (1 - fy) * upper + fy * lower


def roi_align(cells, box, stride, size, samples, aligned):
    """One RoI, one map: float64[size, size, c]; `samples` points a bin side, None for one a cell of the bin's side, rounded up."""
    cells = np.asarray(cells, np.float64)
    x0, y0, x1, y1 = (float(v) / stride for v in box)
    width, height = x1 - x0, y1 - y0
    if aligned:
        x0, y0 = x0 - 0.5, y0 - 0.5
    else:
        width, height = max(width, 1.0), max(height, 1.0)
    down, across = (samples or max(math.ceil(side / size), 0) for side in (height, width))
    out = np.zeros((size, size, *cells.shape[2:]))
    for row in range(size):
        for column in range(size):
            for i in range(down):
                for j in range(across):
                    y = y0 + height / size * (row + (i + 0.5) / down)
                    x = x0 + width / size * (column + (j + 0.5) / across)
                    out[row, column] += bilinear(cells, y, x)
    return out / max(down * across, 1)
