"""The whole report on a dataset: what is found, counted and suggested."""

from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
from rich.console import Console

from maskrcnn_jax import models
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import Source
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.reports.check_data.advice import Canvases, Rate, padding_of, suggested_canvases, suggested_rate
from maskrcnn_jax.reports.check_data.anchor_fit import Anchors, fit_anchors, resized_sizes
from maskrcnn_jax.reports.check_data.capacities import over_capacity
from maskrcnn_jax.reports.check_data.duplicates import across_splits, same_id, same_in_split
from maskrcnn_jax.reports.check_data.findings import Finding, Place, Severity, in_order
from maskrcnn_jax.reports.check_data.opening import SPLITS, extra_files, largest_side, misfits, open_splits
from maskrcnn_jax.reports.check_data.pictures import Pictures
from maskrcnn_jax.reports.check_data.summary import Histogram, Split, objects_an_image, summarise, unused_categories
from maskrcnn_jax.reports.check_data.survey import survey
from maskrcnn_jax.training.dry_run import StepCost, step_cost
from maskrcnn_jax.training.inputs import make_plan
from maskrcnn_jax.training.placement import train_mesh
from maskrcnn_jax.training.start import initial_state


@dataclass(frozen=True, kw_only=True)
class Report:
    """What is known of a dataset.

    anchors, objects_an_image: of the training split, None where it has no object or image. canvases, better_canvases: of the images of
    both splits; None without a training image. steps_per_epoch: None where there are errors. step: what a training step takes, or why
    that was not measured.
    """

    splits: tuple[Split, ...]
    findings: tuple[Finding, ...]
    anchors: Anchors | None
    canvases: Canvases | None
    better_canvases: Canvases | None
    objects_an_image: Histogram | None
    learning_rate: Rate
    steps_per_epoch: int | None
    step: StepCost | str

    @property
    def sound(self) -> bool:
        """Whether training would be: there is no error."""
        return not self.count("error")

    def count(self, severity: Severity) -> int:
        """Findings of this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def counts(self) -> dict[str, int]:
        """Findings of each kind that there are, in order."""
        return dict(Counter(finding.kind for finding in self.findings))

    def as_json(self) -> dict[str, Any]:
        """The whole as plain lists and dictionaries."""
        findings = [{"severity": finding.severity} | asdict(finding) for finding in self.findings]
        summary = {"sound": self.sound, "errors": self.count("error"), "warnings": self.count("warning"), "counts": self.counts()}
        return summary | asdict(self) | {"findings": findings}


def check_data(
    config: ExperimentConfig, *, sources: tuple[Source, Source] | None = None, step: bool = True, console: Console | None = None
) -> tuple[Report, Pictures]:
    """Check the training and validation data of an experiment, one image in memory at a time.

    Args:
      config: the experiment.
      sources: to train on and to measure on; None opens what `config.data` names.
      step: whether a training step is compiled and run too, where the data have no error: minutes for a large model.
      console: where progress is shown; None is the terminal's error output.

    Returns:
      The report, and what pictures of its findings are made from.
    """
    out = console or Console(stderr=True)
    findings: list[Finding] = []
    both = open_splits(config, sources, findings)
    opened = both.sources
    findings += misfits(config, opened)
    if len(opened) == len(SPLITS):  # or files of the one that cannot be opened would count as extra
        findings += extra_files(opened)
    surveys = {split: survey(split, source, config.model.input, findings, out) for split, source in opened.items()}
    splits = tuple(summarise(of) for of in surveys.values())
    for surveyed, split in zip(surveys.values(), splits, strict=True):
        findings += [*same_in_split(surveyed), *over_capacity(config, surveyed), *unused_categories(split)]
    if len(opened) == len(SPLITS):
        findings += across_splits(surveys["train"], surveys["val"])
    if "val" in surveys:
        findings += same_id(surveys["val"], config.eval.max_images)
    train = surveys.get("train") if len(opened.get("train", ())) else None
    anchors = fit_anchors(config, train, findings) if train else None
    sound = not any(finding.severity == "error" for finding in findings)
    cost = _measured(config, opened["train"], out) if step and sound else "not asked for" if sound else "not measured: there are errors"
    if isinstance(cost, StepCost) and cost.seconds is None:
        findings.append(_too_large(cost))
    sizes = [
        size for surveyed in surveys.values() for size in resized_sizes(surveyed, largest_side(config, surveyed.split), config.model.input)
    ]
    report = Report(
        splits=splits,
        findings=in_order(findings),
        anchors=anchors,
        canvases=padding_of(sizes, config.model.input) if train else None,
        better_canvases=suggested_canvases(sizes, config.model.input.multiple) if train else None,
        objects_an_image=objects_an_image(train) if train else None,
        learning_rate=suggested_rate(config),
        steps_per_epoch=make_plan(config, opened["train"]).steps_per_epoch if sound else None,
        step=cost,
    )
    return report, Pictures(both, {split: of.image_ids for split, of in surveys.items()})


def _measured(config: ExperimentConfig, source: Source, console: Console) -> StepCost | str:
    """What a step takes, from random weights, which cost the same; or why it cannot be told."""
    try:
        with console.status("compiling and timing a training step"):
            model = models.build(config.model, train_mesh(config.train))
            state = initial_state(model, replace(config, train=replace(config.train, weights=None)))
            return step_cost(model, state, config, source, lambda _: None)
    except UserError as error:
        return str(error)
    except jax.errors.JaxRuntimeError as error:  # as when memory runs out, which is told only to a part beforehand
        return next(iter(str(error).splitlines()), type(error).__name__)


def _too_large(cost: StepCost) -> Finding:
    needed, has = (round((size or 0) / 2**20) for size in (cost.memory, cost.limit))
    message = f"a step of {cost.canvas[0]} x {cost.canvas[1]} needs {needed:,} MiB, a device has {has:,}; lower train.batch_size"
    return Finding(kind="memory", message=message, places=(Place(split="train"),))
