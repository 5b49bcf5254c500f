"""The histograms of a report on data."""

import math
from collections.abc import Callable, Sequence

from maskrcnn_jax.reports.charts import HEIGHT, WIDTH, Bar, Chart
from maskrcnn_jax.reports.check_data.report import Report
from maskrcnn_jax.reports.check_data.summary import Histogram

_TICKS = 9  # labels below the bars at most


def charts_of(report: Report) -> list[Chart]:
    """The charts of a report: sizes of objects, their best anchors, objects an image."""
    charts = []
    if (fit := report.anchors) is not None:
        marks = [(size, f"{size:g}") for size in fit.configured.sizes]
        title = "Sizes of training objects, and the anchors' (lines)"
        axis = f"square root of the box's area, pixels, images resized to {fit.short_side}"
        charts.append(_chart(title, axis, fit.sizes, marks=marks, scale=math.log2))
        other = (fit.better_iou,) if fit.better_iou else ()
        legend = (("bar", "the configuration's anchors"), ("outline", "those found by k-means")) if other else ()
        charts.append(_chart("Best anchor of each training object", "IoU", fit.best_iou, *other, marks=[(0.5, "0.5")], legend=legend))
    if report.objects_an_image is not None:
        charts.append(_chart("Objects of a training image", "objects, crowds among them", report.objects_an_image))
    return charts


def _chart(
    title: str,
    axis: str,
    histogram: Histogram,
    *others: Histogram,
    marks: Sequence[tuple[float, str]] = (),
    legend: tuple[tuple[str, str], ...] = (),
    scale: Callable[[float], float] = float,
) -> Chart:
    first, last = scale(histogram.edges[0]), scale(histogram.edges[-1])

    def x(value: float) -> float:
        return round(WIDTH * (scale(value) - first) / (last - first), 2)

    top = max(1, *(count for of in (histogram, *others) for count in of.counts))
    every = -(-len(histogram.edges) // _TICKS)
    return Chart(
        title=title,
        axis=axis,
        bars=_bars(histogram, x, top),
        outline=tuple(bar for other in others for bar in _bars(other, x, top)),
        legend=legend,
        ticks=tuple((x(edge), _number(edge)) for edge in histogram.edges[::every]),
        marks=tuple((x(value), text) for value, text in marks if histogram.edges[0] <= value <= histogram.edges[-1]),
        top=top,
    )


def _bars(histogram: Histogram, x: Callable[[float], float], top: int) -> tuple[Bar, ...]:
    pairs = zip(histogram.edges[:-1], histogram.edges[1:], histogram.counts, strict=True)
    return tuple(
        Bar(x=x(low), width=round(x(high) - x(low), 2), height=round(HEIGHT * n / top, 2), text=f"{_number(low)} to {_number(high)}: {n:,}")
        for low, high, n in pairs
    )


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
