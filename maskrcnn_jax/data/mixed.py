"""Several datasets as one."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.data.source import DataError, Source, source_name
from maskrcnn_jax.errors import first_few
from maskrcnn_jax.structs import Category, Example


class MixedSource:
    """The images of several sources of the same categories, one source after the other.

    Attributes:
      sources: the parts.
      weights: of each part, how much of what training reads is of it; None: every image counts the same.
      categories: those of every part.
      sizes: (height, width) of each image, pixels.
      parts: which part each image is of.
      object_counts, labels_present, image_ids: as the parts have them; only where all do.
      federated: whether any part is.
    """

    def __init__(self, sources: Sequence[Source], weights: Sequence[float] | None = None) -> None:
        """Put `sources` together.

        Raises:
          DataError: no source; sources whose categories differ in ids, names or order, or with augmentations of their own; not one
            positive weight a source.
        """
        if not sources:
            raise DataError("a mixed dataset has no source; give at least one")
        for other in sources[1:]:
            _require_same_categories(sources[0], other)
        for source in sources:
            if hasattr(source, "augment"):
                raise DataError(f"{source_name(source)}: it has augmentations of its own; mix the sources first, and augment the mixture")
        if weights is not None and not (len(weights) == len(sources) and all(weight > 0 for weight in weights)):
            raise DataError(f"weights {tuple(weights)} for {len(sources)} sources; give one for each, all positive")
        self.sources = tuple(sources)
        self.weights = None if weights is None else tuple(float(weight) for weight in weights)
        self.categories: tuple[Category, ...] = tuple(sources[0].categories)
        self.sizes: Int[np.ndarray, "n 2"] = np.concatenate([np.reshape(source.sizes, (-1, 2)) for source in sources])
        self.parts: Int[np.ndarray, "n"] = np.repeat(np.arange(len(sources)), [len(source) for source in sources])
        self.federated = any(getattr(source, "federated", False) for source in sources)
        self._starts = np.cumsum([0, *(len(source) for source in sources)])
        for name in ("object_counts", "image_ids"):
            if all(hasattr(source, name) for source in sources):
                setattr(self, name, np.concatenate([np.asarray(getattr(source, name)) for source in sources]))
        if all(hasattr(source, "labels_present") for source in sources):
            tables = [np.asarray(source.labels_present) for source in sources]  # type: ignore[attr-defined]
            moved = [table + np.array([start, 0]) for table, start in zip(tables, self._starts, strict=False)]
            self.labels_present: Int[np.ndarray, "m 2"] = np.concatenate(moved)

    def __len__(self) -> int:
        return len(self.parts)

    def __getitem__(self, i: int) -> Example:
        """Image `i`, as its source gives it."""
        source, index = self.locate(i)
        return source[index]

    def locate(self, i: int) -> tuple[Source, int]:
        """The source that image `i` is of, and its index there."""
        if not 0 <= i < len(self):
            raise IndexError(f"index {i} of {len(self)} images")
        part = self.parts[i]
        return self.sources[part], int(i - self._starts[part])


def _require_same_categories(first: Source, other: Source) -> None:
    ours, theirs = ([f"{c.id} {c.name}" for c in source.categories] for source in (first, other))
    if ours == theirs:
        return
    odd = [name for name in theirs if name not in ours] + [name for name in ours if name not in theirs]
    differ = f"differ in {first_few(odd)}" if odd else "are in another order"
    raise DataError(
        f"{source_name(other)}: its categories and those of {source_name(first)}, with which it is mixed, {differ}; "
        "give all datasets the same `categories`, ids and names"
    )
