"""How often training reads an image, beside the others: repeat factors of rare classes, weights of mixed datasets."""

import numpy as np
from jaxtyping import Bool, Float64, Int

from maskrcnn_jax.data.source import DataError, Source, source_name


def sampling_rates(source: Source, indices: Int[np.ndarray, "u"] | None, repeat_threshold: float | None) -> Float64[np.ndarray, "n"] | None:
    """Times an epoch reads each image of `source` on average; None where that is once each.

    Args:
      source: with `labels_present` where there is a threshold; with `weights` and `parts` where datasets are mixed by weight.
      indices: the usable images; the others have the rate 0. None: all.
      repeat_threshold: of `repeat_factors`; None: every image counts once. Weights are shares of what is read, after repeats.

    Raises:
      DataError: a threshold, and the source does not tell which classes are in an image; a mixed dataset without usable image.
    """
    weights = getattr(source, "weights", None)
    if repeat_threshold is None and weights is None:
        return None
    usable = np.zeros(len(source), np.bool_)
    usable[slice(None) if indices is None else indices] = True
    rates = usable.astype(np.float64)
    if repeat_threshold is not None:
        present = getattr(source, "labels_present", None)
        if present is None:
            raise DataError(
                f"{source_name(source)}: it has no `labels_present`, which data.repeat_threshold needs: int[m, 2], an image's index and "
                "the label of a class in it; add it, or leave the threshold out"
            )
        rates *= repeat_factors(np.asarray(present), usable, repeat_threshold)
    return rates if weights is None else _weighed(rates, np.asarray(source.parts), weights, source)  # type: ignore[attr-defined]


def repeat_factors(present: Int[np.ndarray, "m 2"], usable: Bool[np.ndarray, "n"], threshold: float) -> Float64[np.ndarray, "n"]:
    """Repeat factor of each image: the largest of its classes' max(1, sqrt(threshold / f)), f the share of images with the class.

    Args:
      present: (index of an image, label of a class that it has an object of), each pair once.
      usable: bool[n], the images that count; other rows of `present` are passed over.
      threshold: share of images below which a class is read more often; 0.001 for LVIS.

    Returns:
      At least 1; 1 for images without objects.

    Source: Gupta et al. 2019, LVIS, section on repeat factor sampling.
    """
    rows = present[usable[present[:, 0]]]
    shares = np.bincount(rows[:, 1], minlength=1) / usable.sum()
    factors = np.ones(len(usable))
    np.maximum.at(factors, rows[:, 0], np.sqrt(threshold / shares[rows[:, 1]]))
    return factors


def _weighed(rates: Float64[np.ndarray, "n"], parts: Int[np.ndarray, "n"], weights: tuple[float, ...], source: Source) -> np.ndarray:
    """Rates whose sums over the parts are as `weights`, with the same sum over all."""
    sums = np.bincount(parts, rates, minlength=len(weights))
    if not sums.all():
        raise DataError(
            f"{source_name(source)}: its part {int(np.argmin(sums)) + 1} of {len(weights)} has no usable image; leave it out, or set "
            "data.drop_empty to False"
        )
    return rates * (np.asarray(weights) / sum(weights) * sums.sum() / sums)[parts]
