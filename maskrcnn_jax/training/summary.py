"""A run on one page, for people: summary.md, and its curves as curves.png."""

import html
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskrcnn_jax import evaluation
from maskrcnn_jax.training.metrics import lines, pictures
from maskrcnn_jax.training.validate import Evaluation

FILES = PAGE, CURVES = "summary.md", "curves.png"
_LOSSES = ("loss", "rpn_class", "rpn_box", "class", "box", "mask")
_COUNTS = {
    "objects_cut": "objects left out of batches, for lack of data.max_objects",
    "images_unreadable": "images that others stood in for",
    "nonfinite": "steps that were skipped, because a loss or gradient was not finite",
    "candidates_cut": "candidates left out of class NMS, for lack of model.detect.max_candidates",
}
_SMOOTH = 20  # a running mean is that of so great a part of a curve


def write_summary(run_dir: Path, about: Mapping[str, Any], result: Evaluation) -> None:
    """Write summary.md and curves.png of a run that has ended to its folder.

    Args:
      run_dir: the run folder, whose metrics and pictures are read.
      about: the run's manifest.
      result: its last evaluation.
    """
    logged = lines(run_dir)
    _draw_curves(run_dir / CURVES, logged)
    parts = [
        f"# {run_dir.absolute().name}",
        _result(run_dir, logged, result),
        "## Classes\n\n" + _table([tuple(map(_text, row)) for row in evaluation.class_rows(result.ground_truth, result.metrics)]),
        f"## Curves\n\n![losses, rates and AP by step]({CURVES})",
        *_pictures(run_dir),
        "## To watch\n\n" + _counts(logged),
        "## What made it\n\n" + _table(_origin(about, logged)),
    ]
    (run_dir / PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _result(run_dir: Path, logged: Sequence[dict[str, Any]], result: Evaluation) -> str:
    measured = [(line["val"].get("mask_AP"), line["step"]) for line in logged if "val" in line]
    best = max(((score, step) for score, step in measured if score is not None), default=None)
    found = "No mask AP could be measured." if best is None else f"The best mask AP is {best[0]:.3f}, after step {best[1]:,}."
    model = shlex.quote(os.path.relpath(run_dir))
    text = "\n".join(evaluation.summary_lines(result.metrics))
    return (
        f"After step {logged[-1]['step']:,}:\n\n```\n{text}\n```\n\n{found} That checkpoint is the one that these take:\n\n"
        f"```\nmaskrcnn predict {model} IMAGES --out DIR\nmaskrcnn eval {model}\n```"
    )


def _pictures(run_dir: Path) -> list[str]:
    """The latest picture; none where `eval.pictures` is 0."""
    return [f"## Pictures\n\n![ground truth beside prediction]({path.relative_to(run_dir)})" for _, path in pictures(run_dir)[-1:]]


def _counts(logged: Sequence[dict[str, Any]]) -> str:
    """What should be nothing."""
    values = [numbers for line in logged for numbers in (line.get("train"), line.get("val")) if numbers]
    totals = {name: sum(numbers.get(name) or 0 for numbers in values) for name in _COUNTS}
    found = [f"- {total:,.0f} {_COUNTS[name]}" for name, total in totals.items() if total]
    return "\n".join(found) or "Nothing was cut, skipped or replaced."


def _origin(about: Mapping[str, Any], logged: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    rates = [rate for line in logged if (rate := line.get("train", {}).get("images_per_second"))]
    rows = [
        ("command", f"`{shlex.join([Path(about['command'][0]).name, *about['command'][1:]])}`"),
        ("commit", about["git_commit"] or "-"),
        ("devices", ", ".join(about["devices"])),
        ("images a second", f"{np.median(rates):.1f} (median of the logged steps)" if rates else "-"),
        *((name, version) for name, version in about["versions"].items()),
    ]
    return [("", ""), *rows]


def _text(name: str) -> str:
    """A name as Markdown shows it: one that looks like an element of HTML would be taken for one."""
    return html.escape(" ".join(name.split()), quote=False)


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown; the first row is its heading."""
    heading, *others = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([heading, "|" + " --- |" * len(rows[0]), *others])


def _draw_curves(path: Path, logged: Sequence[dict[str, Any]]) -> None:
    """Losses, gradient norm and learning rate, positive RoIs, and AP, by step."""
    from matplotlib.figure import Figure  # takes half a second, once a run

    figure = Figure(figsize=(12, 8), layout="constrained")
    (losses, scores), (gradients, rois) = figure.subplots(2, 2)
    rate = gradients.twinx()
    for name in _LOSSES:
        _plot(losses, logged, "train", name)
    for name in ("mask_AP", "mask_AP50", "box_AP", "box_AP50"):
        _plot(scores, logged, "val", name, marker="o")
    _plot(gradients, logged, "train", "grad_norm")
    _plot(rate, logged, "train", "learning_rate", smooth=False, color="tab:orange")
    for name in ("rois_sampled", "rois_positive"):
        _plot(rois, logged, "train", name)
    titles = {losses: "losses", scores: "validation", gradients: "norm of the gradient, learning rate", rois: "RoIs of a step"}
    each: list[Any] = figure.axes
    for axes in each:
        axes.set(title=titles.get(axes), xlabel="step", xlim=(0, logged[-1]["step"]))
        axes.set_ylim(bottom=0, top=1 if axes is scores else None)
        axes.legend(loc={gradients: "upper left", scores: "lower left"}.get(axes, "upper right"))
    figure.savefig(path, dpi=100)


def _plot(axes: Any, logged: Sequence[dict[str, Any]], group: str, name: str, *, smooth: bool = True, **style: Any) -> None:
    """A curve, with its running mean over it where it has many points and is to be smooth."""
    points = [(line["step"], line[group].get(name)) for line in logged if group in line]
    steps, values = (np.array(column, np.float64) for column in zip(*points, strict=True)) if points else (np.zeros(0), np.zeros(0))
    width = len(steps) // _SMOOTH
    if not smooth or width < 2:
        axes.plot(steps, values, label=name, **style)
        return
    (line,) = axes.plot(steps, values, alpha=0.25, linewidth=0.8, **style)
    ends = np.arange(width, len(steps) + 1)
    means = [np.nanmean(values[end - width : end]) if np.isfinite(values[end - width : end]).any() else np.nan for end in ends]
    axes.plot(steps[width - 1 :], means, label=name, color=line.get_color())
