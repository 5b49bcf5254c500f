"""What the report says in words, on the page and in the terminal."""

from maskrcnn_jax.reports.check_data.advice import Canvases
from maskrcnn_jax.reports.check_data.anchors import AnchorFit
from maskrcnn_jax.reports.check_data.report import Report
from maskrcnn_jax.training.dry_run import StepCost


def verdict(report: Report) -> str:
    """Whether training would be sound."""
    counted = f"{_count(report.count('error'), 'error')}, {_count(report.count('warning'), 'warning')}"
    if not report.sound:
        return f"Training would not be sound: {counted}."
    return f"Training would be sound: {counted}." if report.findings else "Training would be sound: nothing was found."


def advice_lines(report: Report) -> list[tuple[str, str]]:
    """What each sentence is about, and the sentence."""
    lines = []
    if (fit := report.anchors) is not None:
        lines.append(("anchors", f"{_fit(fit.configured, fit.objects)}, images resized to {fit.short_side}."))
        better = f"{_fit(fit.better, fit.objects)}. {_flags(fit.better)}" if fit.better else "None found that miss fewer objects."
        lines.append(("better anchors", better))
    if report.canvases is not None and report.better_canvases is not None:
        lines.append(("canvases", f"{_canvases(report.canvases)}."))
        lines.append(("better canvases", f"{_canvases(report.better_canvases)}." if _saves(report) else "None found that pad less."))
    rate = report.learning_rate
    suggested = f"{rate.suggested:g} suggested" if rate.suggested is not None else "none suggested"
    lines.append(("learning rate", f"{rate.configured:g} configured, {suggested}: {rate.reason}."))
    if report.steps_per_epoch is not None:
        lines.append(("epoch", f"{_count(report.steps_per_epoch, 'step')}."))
    lines.append(("a training step", f"{_step(report.step)}."))
    return lines


def _saves(report: Report) -> bool:
    if report.canvases is None or report.better_canvases is None or report.better_canvases.padding is None:
        return False
    return report.canvases.padding is None or report.better_canvases.padding < report.canvases.padding - 0.005


def _fit(fit: AnchorFit, objects: int) -> str:
    sizes, ratios = (", ".join(f"{value:g}" for value in values) for values in (fit.sizes, fit.ratios))
    missed = f"{fit.under:,} of {objects:,} training objects ({fit.under / objects:.1%}) have a best IoU under 0.5"
    return f"Sizes {sizes}, ratios {ratios}: {missed}, the mean is {fit.mean_iou:.2f}"


def _flags(fit: AnchorFit) -> str:
    sizes, ratios = (" ".join(f"{value:g}" for value in values) for values in (fit.sizes, fit.ratios))
    return f"To take them: --model.anchors.sizes {sizes} --model.anchors.ratios {ratios}"


def _canvases(canvases: Canvases) -> str:
    sides = ", ".join(f"{height} x {width}" for height, width in canvases.canvases[:6])
    more = f" and {len(canvases.canvases) - 6} more" if len(canvases.canvases) > 6 else ""
    padding = "not every image fits" if canvases.padding is None else f"{canvases.padding:.1%} of their pixels are padding"
    return f"{sides}{more} (height x width): {padding}"


def _step(step: StepCost | str) -> str:
    if isinstance(step, str):
        return f"Not measured: {step}" if not step.startswith("not ") else step.capitalize()
    memory = f"{step.memory / 2**20:,.0f} MiB on {step.canvas[0]} x {step.canvas[1]}"
    if step.seconds is None:
        return f"{memory}, more than a device has, so it was not run"
    return f"{memory}, {step.seconds:.2f} s without reading data, {step.compile_seconds:.0f} s to compile, on this machine"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
