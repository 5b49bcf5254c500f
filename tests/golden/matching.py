"""Which of our boxes is which of the reference's."""

import numpy as np

from tests.golden.bounds import BOX_PX


def strangers(boxes, others):
    """How many of `boxes` have none of `others` within BOX_PX."""
    return np.sum(~(_distances(boxes, others) <= BOX_PX).any(axis=1))  # nan is near nothing


def one_to_one(boxes, labels, found_boxes, found_labels):
    """The found row of each expected detection, the nearest of its label; every row is some detection's."""
    assert len(found_boxes) == len(boxes)
    distance = np.where(labels[:, None] == found_labels[None], _distances(boxes, found_boxes), np.inf)
    rows = distance.argmin(axis=1)
    assert sorted(rows) == list(range(len(boxes)))
    assert (found_labels[rows] == labels).all()
    return rows


def _distances(boxes, others):
    return np.abs(boxes[:, None] - others[None]).max(axis=2)
