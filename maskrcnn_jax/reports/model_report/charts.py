"""Precision against recall, and precision against score, as charts."""

import math
from collections.abc import Sequence

from maskrcnn_jax.evaluation import Calibration
from maskrcnn_jax.evaluation.curves import LEVELS
from maskrcnn_jax.reports.charts import WIDTH, Bar, Chart, Line, polyline
from maskrcnn_jax.reports.model_report.measured import KINDS, Measured, Shape

HEIGHT = 240
_STYLES = ("first", "second")  # classes of the style sheet: of each model, and of each level
_DASHES = ("solid", "dashed", "dotted")
_TICKS = tuple((WIDTH * i / 5, f"{i / 5:g}") for i in range(6))


def curve_chart(models: Sequence[Measured], kind: Shape) -> Chart:
    """A line a model and IoU, of the mean over classes; the page's script puts one class in its place."""
    lines = [
        Line(
            points=polyline(zip(model.curves[kind].recalls, model.curves[kind].mean[level], strict=True), HEIGHT),
            kind=f"curve {style} {dash}",
            name=f"{kind} {level} {m}",
        )
        for m, (style, model) in enumerate(zip(_STYLES, models, strict=False))
        for dash, level in zip(_DASHES, LEVELS, strict=True)
    ]
    levels = tuple((f"curve {dash}", f"IoU {level}") for dash, level in zip(_DASHES, LEVELS, strict=True))
    return _chart(f"Precision at recall, {KINDS[kind]}", "recall", lines=tuple(lines), legend=(*levels, *_names(models, ("curve",))))


def calibration_chart(models: Sequence[Measured], kind: Shape) -> Chart:
    """The share of right detections in each range of scores; on the line scores would be probabilities."""
    bars = [_bars(model.calibration[kind]) for model in models]
    return _chart(
        f"Precision at a score, {KINDS[kind]}",
        "score",
        bars=bars[0],
        outline=bars[1] if len(bars) > 1 else (),
        lines=(Line(points=polyline([(0, 0), (1, 1)], HEIGHT), kind="ideal"),),
        legend=_names(models, ("bar", "outline")),
    )


def _bars(of: Calibration) -> tuple[Bar, ...]:
    width = WIDTH / len(of.counts)
    rows = enumerate(zip(of.counts, of.score, of.precision, strict=True))
    return tuple(
        Bar(
            x=i * width,
            width=width,
            height=0.0 if math.isnan(precision) else round(HEIGHT * precision, 2),
            text=f"scores {i / len(of.counts):g} to {(i + 1) / len(of.counts):g}: {count:,} detections, mean score {score:.3f}, "
            f"{precision:.3f} of them right",
        )
        for i, (count, score, precision) in rows
        if count
    )


def _names(models: Sequence[Measured], styles: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The key of the models, where there are two."""
    if len(models) == 1:
        return ()
    kinds = styles if len(styles) > 1 else [f"{styles[0]} solid {style}" for style in _STYLES]
    return tuple((kind, model.name) for kind, model in zip(kinds, models, strict=True))


def _chart(
    title: str,
    axis: str,
    *,
    legend: tuple[tuple[str, str], ...],
    lines: tuple[Line, ...],
    bars: tuple[Bar, ...] = (),
    outline: tuple[Bar, ...] = (),
) -> Chart:
    return Chart(title=title, axis=axis, ticks=_TICKS, top=1, bars=bars, outline=outline, lines=lines, legend=legend, height=HEIGHT)
