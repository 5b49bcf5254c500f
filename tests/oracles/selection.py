"""Greedy NMS, matching and sampling: what is kept, one box at a time."""

from tests.oracles.boxes import iou


def greedy_nms(boxes, scores, valid, groups, threshold):
    """Indices kept, best first; equal scores in order of index."""
    kept = []
    for i in sorted((i for i in range(len(boxes)) if valid[i]), key=lambda i: (-float(scores[i]), i)):
        if all(groups[i] != groups[j] or iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


def match(overlaps, gt_valid, foreground, background, low_quality):
    """For each row: the best ground truth (None without any), and 'positive', 'negative' or 'ignored' (Ren et al. 2015, 3.1.2)."""
    existing = [g for g, ok in enumerate(gt_valid) if ok]
    best_of_gt = {g: max(float(row[g]) for row in overlaps) for g in existing}
    result = []
    for row in overlaps:
        best = max(existing, key=lambda g, row=row: (float(row[g]), -g), default=None)
        overlap = -1.0 if best is None else float(row[best])
        is_best = any(row[g] == best_of_gt[g] and row[g] > 0 for g in existing)
        if overlap >= foreground or (low_quality and is_best):
            kind = "positive"
        else:
            kind = "negative" if overlap < background else "ignored"
        result.append((best, kind))
    return result


def sample(positive, negative, priority, size, max_positives):
    """Indices of the sampled positives, and of the negatives that fill up."""
    order = sorted(range(len(priority)), key=lambda i: (-float(priority[i]), i))
    positives = [i for i in order if positive[i]][:max_positives]
    negatives = [i for i in order if negative[i]][: size - len(positives)]
    return positives, negatives
