"""One split in numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from maskrcnn_jax.data import source_name
from maskrcnn_jax.reports.check_data.findings import Finding, Place
from maskrcnn_jax.reports.check_data.survey import Survey

BARS = 24  # of a histogram of counts, at most


@dataclass(frozen=True, kw_only=True)
class CategoryCount:
    """A category and its objects that are no crowds."""

    id: int
    name: str
    objects: int


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts between edges, of which there is one more; what is on an edge counts above it, on the last edge below it."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Split:
    """A split in numbers.

    empty_images: without an object that is no crowd. objects: without crowds. most_objects: of an image, crowds among them.
    heights, widths: smallest and largest, pixels.
    """

    name: str
    source: str
    images: int
    empty_images: int
    objects: int
    crowds: int
    most_objects: int
    heights: tuple[int, int]
    widths: tuple[int, int]
    categories: tuple[CategoryCount, ...]


def summarise(survey: Survey) -> Split:
    """A split that was read, in numbers; objects that cover no pixel are not counted."""
    source, counts = survey.source, survey.objects_an_image(crowds=False)
    sides = [(int(side.min()), int(side.max())) if len(source) else (0, 0) for side in np.reshape(source.sizes, (-1, 2)).T]
    of_class = np.bincount(survey.labels[~survey.crowd], minlength=len(source.categories) + 1)
    return Split(
        name=survey.split,
        source=source_name(source),
        images=len(source),
        empty_images=int((counts == 0).sum()),
        objects=int(counts.sum()),
        crowds=int(survey.crowd.sum()),
        most_objects=int(survey.objects_an_image(crowds=True).max(initial=0)),
        heights=sides[0],
        widths=sides[1],
        categories=tuple(CategoryCount(id=c.id, name=c.name, objects=int(of_class[i + 1])) for i, c in enumerate(source.categories)),
    )


def unused_categories(split: Split) -> Iterator[Finding]:
    """Categories of a split without an object."""
    for category in split.categories:
        if not category.objects:
            message = f"{category.name}: no object in {split.name}; annotate some, or take the category out"
            yield Finding(kind="unused-category", message=message, places=(Place(split=split.name, category_id=category.id),))


def objects_an_image(survey: Survey) -> Histogram:
    """How many images have how many objects, crowds among them."""
    counts = survey.objects_an_image(crowds=True)
    width = max(1, -(-(int(counts.max(initial=0)) + 1) // BARS))
    return histogram(counts, tuple(float(edge) for edge in range(0, int(counts.max(initial=0)) + 1 + width, width)))


def histogram(values: np.ndarray, edges: Sequence[float]) -> Histogram:
    """Of `values`, which lie between the first and the last edge."""
    counts, _ = np.histogram(values, edges)
    return Histogram(edges=tuple(edges), counts=tuple(counts.tolist()))
