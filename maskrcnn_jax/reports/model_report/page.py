"""The report as files: JSON, and one HTML page that needs nothing else."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax.evaluation import ERROR_TYPES, Interval, Kind
from maskrcnn_jax.evaluation.curves import LEVELS
from maskrcnn_jax.reports import html
from maskrcnn_jax.reports.model_report.charts import calibration_chart, curve_chart
from maskrcnn_jax.reports.model_report.measured import KINDS, SHAPES, Measured
from maskrcnn_jax.reports.model_report.pictures import Pictures
from maskrcnn_jax.reports.model_report.report import SCORE, SCORES, ImageCounts, Report
from maskrcnn_jax.structs import Category

MATRIX_CLASSES = 80
"""Rows of the confusion matrix at most: of more classes, those with the most mistakes at first. report.json has all."""

ABOUT_METRICS = {
    "AP": "mean over IoU of 0.50, 0.55 ... 0.95 and over classes",
    "AP50": "at an IoU of 0.50",
    "AP75": "at an IoU of 0.75",
    "APs": "small objects, under 32 x 32 pixels",
    "APm": "medium objects, up to 96 x 96 pixels",
    "APl": "large objects",
    "AR1": "recall with the best detection of a class in an image",
    "AR10": "recall with the best 10",
    "ARs": "recall of small objects",
    "ARm": "recall of medium objects",
    "ARl": "recall of large objects",
}
ABOUT_ERRORS = {
    "classification": "on an object (IoU of 0.5 and more), but of another class",
    "localisation": "the right class, but an IoU of 0.1 to 0.5",
    "both": "another class, and an IoU of 0.1 to 0.5",
    "duplicate": "on an object that a better detection has",
    "background": "on no object (IoU under 0.1)",
    "missed": "objects that none of the above but for duplicates would find",
}


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """A class: AP of each kind, of each model and then the difference if there are two."""

    index: int
    category: Category
    objects: int
    ap: dict[Kind, tuple[Interval, ...]]


@dataclass(frozen=True, kw_only=True)
class ImageRow:
    """An image: what is counted for the first model, and its pictures as `src`, empty where it has none."""

    index: int
    name: str
    counts: ImageCounts
    pictures: tuple[tuple[str, str], ...]


def write_report(folder: Path, report: Report, pictures: Sequence[Pictures]) -> None:
    """Write report.json and report.html to `folder`, which is made if missing; what earlier reports left there is written over."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report.as_json(), allow_nan=False), encoding="utf-8")
    html.write(folder / "report.html", page_of(report, pictures))


def page_of(report: Report, pictures: Sequence[Pictures]) -> str:
    """The page, with its pictures and the data of its script in it."""
    models = report.models
    shown = _shown(report)
    return html.render(
        "model_report.html",
        report=report,
        settings=report.settings,
        kinds=KINDS,
        shapes=SHAPES,
        metrics={kind: _columns(report, kind) for kind in KINDS},
        about_metrics=ABOUT_METRICS | {f"AR{report.max_detections}": f"recall with the best {report.max_detections}"},
        classes=_classes(report),
        images=_images(report, pictures),
        about_errors=ABOUT_ERRORS,
        largest_cost={kind: max([0.0, *(of for model in models for of in model.errors[kind].cost.values())]) for kind in SHAPES},
        curves=[curve_chart(models, kind) for kind in SHAPES],
        calibrations=[calibration_chart(models, kind) for kind in SHAPES],
        matrix_classes=shown,
        score=SCORE,
        position=SCORES.index(SCORE),
        data=html.embedded(_data(report, shown)),
        number=_number,
    )


def _number(value: float, *, sign: bool = False) -> str:
    """Three digits, halves away from zero, as the page's script rounds."""
    if math.isnan(value):
        return "-"
    rounded = Decimal(value).quantize(Decimal("0.001"), ROUND_HALF_UP)
    return f"{rounded:+}" if sign else f"{rounded}"


def _columns(report: Report, kind: Kind) -> dict[str, tuple[Interval, ...]]:
    """Each metric of each model, and the difference."""
    columns = [report.intervals(model, kind) for model in report.models]
    if len(columns) > 1:
        columns.append(report.differences(kind))
    return {name: tuple(column[name] for column in columns) for name in columns[0]}


def _classes(report: Report) -> list[ClassRow]:
    columns = {kind: [report.class_intervals(model, kind) for model in report.models] for kind in KINDS}
    if len(report.models) > 1:
        for kind, of in columns.items():
            of.append(report.class_differences(kind))
    return [
        ClassRow(
            index=k,
            category=category,
            objects=report.objects[k],
            ap={kind: tuple(column[category.id] for column in of) for kind, of in columns.items()},
        )
        for k, category in enumerate(report.categories)
    ]


def _images(report: Report, pictures: Sequence[Pictures]) -> list[ImageRow]:
    """Worst first."""
    counts = report.image_counts(report.models[0])
    titles = ["ground truth", *(model.name for model in report.models)]
    drawn = {of.image: of for of in pictures}
    rows = []
    for i in report.worst_first():
        row = report.images[i]
        shown = (drawn[i].truth, *drawn[i].found) if i in drawn else ()
        rows.append(
            ImageRow(
                index=i,
                name=str(row.get("file_name", "")),
                counts=counts[i],
                pictures=tuple((title, html.picture_uri(picture)) for title, picture in zip(titles, shown, strict=False)),
            )
        )
    return rows


def _shown(report: Report) -> list[int]:
    """Classes of the confusion matrix: all, or those with the most mistakes of the first model."""
    cells = report.models[0].confusion.matrix(SCORE)
    mistakes = (cells.sum(axis=0) + cells.sum(axis=1) - 2 * np.diag(cells))[:-1]
    return sorted(np.argsort(-mistakes, kind="stable")[:MATRIX_CLASSES].tolist())


def _data(report: Report, shown: Sequence[int]) -> dict[str, Any]:
    """What the page's script counts and draws from. `position`: the last of `SCORES` that a detection reaches, -1 for none."""
    first = report.models[0].confusion
    return {
        "names": [category.name for category in report.categories],
        "images": len(report.images),
        "scores": SCORES,
        "shown": shown,
        "objects": {"image": first.object_images.tolist(), "label": first.objects.tolist()},
        "models": [_detections(model) for model in report.models],
        "curves": {
            f"{kind} {level} {m}": [_rounded(row) for row in (*model.curves[kind].per_class[level], model.curves[kind].mean[level])]
            for m, model in enumerate(report.models)
            for kind in SHAPES
            for level in LEVELS
        },
        "errors": [
            {kind: {name: model.errors[kind].counts[name].tolist() for name in ERROR_TYPES} for kind in SHAPES} for model in report.models
        ],
    }


def _detections(model: Measured) -> dict[str, list[int]]:
    of = model.confusion
    position = np.searchsorted(np.array(SCORES), of.scores, side="right") - 1
    return {"image": of.images.tolist(), "position": position.tolist(), "found": of.found.tolist(), "truth": of.truth.tolist()}


def _rounded(curve: np.ndarray) -> list[int] | None:
    """In thousandths, which a screen cannot tell from more."""
    return None if np.isnan(curve).any() else np.round(1000 * curve).astype(int).tolist()
