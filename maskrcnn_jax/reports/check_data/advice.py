"""Canvases and a learning rate for the data and the configuration."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from maskrcnn_jax.config import ExperimentConfig, InputConfig
from maskrcnn_jax.data import DataError, Size, canvas_for

MOST_CANVASES = 3
"""Canvases that are suggested at most: each is compiled once."""
WORTH = 0.05
"""Share of the canvases' pixels that another canvas must save to be suggested."""
SGD_RATE, SGD_IMAGES = 0.02, 16
"""Learning rate and images a step of Detectron's recipes."""


@dataclass(frozen=True, kw_only=True)
class Canvases:
    """Canvases, and the share of their pixels, over all images, that is padding; None where an image fits none of them."""

    canvases: tuple[Size, ...]
    padding: float | None


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A learning rate, that of the config and the one of a rule, None where there is none; `reason` is the rule, or why not."""

    configured: float
    suggested: float | None
    reason: str


def padding_of(sizes: Iterable[Size], config: InputConfig) -> Canvases:
    """The config's own canvases, for images resized to `sizes`."""
    counts = Counter(sizes)
    try:
        used = {size: canvas_for(size, config) for size in counts}
    except DataError:
        return Canvases(canvases=config.canvases, padding=None)
    canvases = config.canvases if config.canvas == "fixed" else tuple(sorted(set(used.values())))
    return Canvases(canvases=canvases, padding=_padding(counts, used))


def suggested_canvases(sizes: Iterable[Size], multiple: int) -> Canvases:
    """The fewest canvases, at most three, that pad little: a further one must save a twentieth of the pixels.

    Sizes that lie in one canvas are merged two by two, those first whose common canvas adds the fewest pixels.

    Args:
      sizes: of the resized images, at least one.
      multiple: of the canvases' sides.
    """
    counts = Counter(sizes)
    groups: dict[Size, int] = Counter()
    for (height, width), count in counts.items():
        groups[_round_up(height, multiple), _round_up(width, multiple)] += count
    steps = [Canvases(canvases=tuple(sorted(groups)), padding=_padding(counts, _smallest(counts, groups)))]
    while len(groups) > 1:
        groups = _merged(groups)
        steps.append(Canvases(canvases=tuple(sorted(groups)), padding=_padding(counts, _smallest(counts, groups))))
    best, *fewer = [step for step in steps if len(step.canvases) <= MOST_CANVASES]
    for step in fewer:
        if (step.padding or 0) <= (best.padding or 0) + WORTH:
            best = step
    return best


def suggested_rate(config: ExperimentConfig) -> Rate:
    """The linear rule of Goyal et al. 2017 from Detectron's 0.02 for 16 images; for AdamW there is no such rule."""
    optimizer, images = config.optimizer, config.train.batch_size
    configured = optimizer.learning_rate * (images / optimizer.reference_batch if optimizer.reference_batch else 1)
    if optimizer.kind != "sgd":
        return Rate(
            configured=configured, suggested=None, reason="no rule holds for AdamW across models; keep the rate of a recipe like yours"
        )
    reason = f"{SGD_RATE} for {SGD_IMAGES} images a step, in proportion (Goyal et al. 2017); for a start from trained weights"
    return Rate(configured=configured, suggested=SGD_RATE * images / SGD_IMAGES, reason=reason)


def _merged(groups: dict[Size, int]) -> dict[Size, int]:
    """One group fewer."""

    def added(pair: tuple[Size, Size]) -> int:
        common = _common(*pair)
        return sum((math.prod(common) - math.prod(canvas)) * groups[canvas] for canvas in pair)

    canvases = sorted(groups)
    a, b = min(((a, b) for i, a in enumerate(canvases) for b in canvases[i + 1 :]), key=added)
    common = _common(a, b)
    rest: dict[Size, int] = Counter({canvas: count for canvas, count in groups.items() if canvas not in (a, b)})
    rest[common] += groups[a] + groups[b]
    return rest


def _common(a: Size, b: Size) -> Size:
    return max(a[0], b[0]), max(a[1], b[1])


def _smallest(sizes: Iterable[Size], canvases: Iterable[Size]) -> dict[Size, Size]:
    chosen = sorted(canvases, key=math.prod)
    return {size: next(c for c in chosen if c[0] >= size[0] and c[1] >= size[1]) for size in sizes}


def _padding(counts: dict[Size, int], canvas: dict[Size, Size]) -> float:
    pixels = sum(math.prod(size) * count for size, count in counts.items())
    return 1 - pixels / sum(math.prod(canvas[size]) * count for size, count in counts.items())


def _round_up(side: int, multiple: int) -> int:
    return -(-side // multiple) * multiple
