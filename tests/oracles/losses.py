"""Losses of one item, and the network's input of one pixel."""

import math


def binary_cross_entropy(logit, target):
    probability = 1 / (1 + math.exp(-logit))
    return -target * math.log(probability) - (1 - target) * math.log(1 - probability)


def cross_entropy(logits, label):
    return math.log(sum(math.exp(float(x) - float(logits[label])) for x in logits))


def smooth_l1(prediction, target, beta):
    total = 0.0
    for p, t in zip(prediction, target, strict=True):
        d = abs(float(p) - float(t))
        total += 0.5 * d * d / beta if d < beta else d - 0.5 * beta
    return total


def normalise(pixel, mean, std, reverse_channels):
    values = [float(v) for v in (reversed(pixel) if reverse_channels else pixel)]
    return [(v - m) / s for v, m, s in zip(values, mean, std, strict=True)]
