"""Boxes, anchors and deltas, one at a time (Ren et al. 2015)."""

import math


def area(box):
    x0, y0, x1, y1 = map(float, box)
    return max(x1 - x0, 0.0) * max(y1 - y0, 0.0)


def clip(box, height, width):
    x0, y0, x1, y1 = map(float, box)
    return [min(max(x0, 0.0), width), min(max(y0, 0.0), height), min(max(x1, 0.0), width), min(max(y1, 0.0), height)]


def intersection(a, b):
    return area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])


def iou(a, b):
    common = intersection(a, b)
    union = area(a) + area(b) - common
    return common / union if union > 0 else 0.0


def ioa(a, b):
    return intersection(a, b) / area(a) if area(a) > 0 else 0.0


def encode(box, anchor, weights):
    """Equation 2: t_x = (x - x_a) / w_a, t_w = log(w / w_a)."""
    x, y, w, h = _centre_form(box)
    xa, ya, wa, ha = _centre_form(anchor)
    deltas = [(x - xa) / wa, (y - ya) / ha, math.log(w / wa), math.log(h / ha)]
    return [d * weight for d, weight in zip(deltas, weights, strict=True)]


def decode(delta, anchor, weights, max_log_scale):
    xa, ya, wa, ha = _centre_form(anchor)
    dx, dy, dw, dh = (float(d) / weight for d, weight in zip(delta, weights, strict=True))
    x, y = xa + dx * wa, ya + dy * ha
    w, h = wa * math.exp(min(dw, max_log_scale)), ha * math.exp(min(dh, max_log_scale))
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def base_anchors(size, ratios, round_corners):
    anchors = []
    for ratio in ratios:  # height / width, at constant area
        width = size / math.sqrt(ratio)
        height = width * ratio
        corners = [-width / 2, -height / 2, width / 2, height / 2]
        anchors.append([float(round(c)) for c in corners] if round_corners else corners)
    return anchors


def grid_anchors(base, rows, columns, stride_y, stride_x):
    anchors = []
    for row in range(rows):
        for column in range(columns):
            for x0, y0, x1, y1 in base:
                cx, cy = column * stride_x, row * stride_y
                anchors.append([x0 + cx, y0 + cy, x1 + cx, y1 + cy])
    return anchors


def _centre_form(box):
    x0, y0, x1, y1 = map(float, box)
    return (x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0
