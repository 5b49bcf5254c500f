"""Proposals and detections of one image, one box at a time."""

import math

from tests.oracles.boxes import clip, decode
from tests.oracles.selection import greedy_nms


def propose(levels, rank, *, size, weights, max_log_scale, min_side, nms_threshold, pre_nms_top_k, post_nms_top_k):
    """(score, box) of each proposal, best first (Lin et al. 2017, section 4.1).

    levels: (logits, deltas, anchors, usable) each. rank: logit -> what proposals are ranked by in NMS and after it; anchors enter by logit.
    size: (height, width).
    """
    survivors = []
    for logits, deltas, anchors, usable in levels:
        scores = [float(rank(x)) for x in logits]
        candidates = [i for i in range(len(scores)) if usable[i]]
        best = sorted(candidates, key=lambda i, logits=logits: (-float(logits[i]), i))[:pre_nms_top_k]
        boxes = [clip(decode(deltas[i], anchors[i], weights, max_log_scale), *size) for i in best]
        kept = greedy_nms(boxes, [scores[i] for i in best], [_has_sides(box, min_side) for box in boxes], [0] * len(best), nms_threshold)
        survivors += [(scores[best[j]], boxes[j]) for j in kept]
    return sorted(survivors, key=lambda survivor: -survivor[0])[:post_nms_top_k]


def detect(
    logits,
    deltas,
    proposals,
    valid,
    *,
    size,
    weights,
    max_log_scale,
    min_side,
    score_threshold,
    nms_threshold,
    max_candidates,
    max_detections,
):
    """(score, label, box) of each detection, best first, and how many candidates were left out (Girshick 2015, section 3.2).

    deltas: a row a class, or one for all.
    """
    candidates = []
    for p, row in enumerate(logits):
        exponentials = [math.exp(float(x) - max(map(float, row))) for x in row]
        for label in range(1, len(row)):
            score = exponentials[label] / sum(exponentials)
            if valid[p] and score > score_threshold:
                delta = deltas[p][label if len(deltas[p]) > 1 else 0]
                candidates.append((score, label, clip(decode(delta, proposals[p], weights, max_log_scale), *size)))
    candidates.sort(key=lambda candidate: -candidate[0])
    cut = max(0, len(candidates) - max_candidates)
    candidates = [c for c in candidates[:max_candidates] if _has_sides(c[2], min_side)]
    scores, labels, boxes = ([c[i] for c in candidates] for i in range(3))
    kept = greedy_nms(boxes, scores, [True] * len(boxes), labels, nms_threshold)
    return [candidates[i] for i in kept[:max_detections]], cut


def _has_sides(box, min_side):
    sides = box[2] - box[0], box[3] - box[1]
    return min(sides) > 0 and min(sides) >= min_side
