"""maskrcnn report."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from maskrcnn_jax import checkpoint, training
from maskrcnn_jax.checkpoint import Checkpoint
from maskrcnn_jax.cli.experiments import experiment_of, first_argument, parse
from maskrcnn_jax.cli.measuring import measured, predictor_of, validation_source
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import DataError, Source, source_name
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.reports import model_report

USAGE = """usage: maskrcnn report CHECKPOINT --out DIR [--other CHECKPOINT] [--images N] [--FIELD VALUE ...]

CHECKPOINT is a run folder (its best checkpoint is taken) or the folder of one checkpoint. The data are the validation data of its config,
as in `maskrcnn eval`. `maskrcnn report CHECKPOINT --help` lists every field. Used most:

  --out DIR                          report.json and report.html, one file that needs no network
  --other CHECKPOINT                 a second model on the same data, side by side
  --images N                         pictures of the N worst images; 24 by default
  --data.val-annotations JSON --data.val-images DIR
  --eval.batch-size N --eval.max-images N"""


@dataclass(frozen=True, kw_only=True)
class ReportCommand(ExperimentConfig):
    """Write a page about what a model does on the validation data: metrics, classes, confusions, kinds of errors, the worst images."""

    out: Path = Path("report")
    """Folder for report.json and report.html; made if missing."""
    other: Path | None = None
    """Run folder or folder of a second checkpoint, measured with its own model on the same data."""
    images: int = 24
    """Pictures of so many of the worst images."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    name, rest = first_argument(arguments, USAGE)
    stored = checkpoint.load(name)
    command = parse(ReportCommand, stored.config, rest, prog=f"maskrcnn report {name}")
    if command.images < 0:
        raise UserError(f"--images must not be negative; got {command.images}")
    config = experiment_of(command)
    checkpoints = {name: stored._replace(config=config)}
    if command.other is not None:
        checkpoints |= _other(str(command.other), name, config)
    source = validation_source(name, config)
    if getattr(source, "federated", False):
        raise UserError(f"{source_name(source)}: {model_report.FEDERATED}")
    ready = {each: _ready(each, model) for each, model in checkpoints.items()}
    command.out.mkdir(parents=True, exist_ok=True)  # what forbids it is told before anything is measured
    results = {each: measured(*of, f"evaluating {each}") for each, of in ready.items()}
    found = dict(zip(_told_apart(list(results)), (result.detections for result in results.values()), strict=True))
    limit = config.eval.max_detections
    report = model_report.model_report(source_name(source), results[name].ground_truth, found, max_detections=limit)
    pictures = model_report.worst_images(report, source, config.model.input, list(found.values()), command.images)
    model_report.write_report(command.out, report, pictures)
    print(f"report.json and report.html: {command.out}")


def _told_apart(paths: list[str]) -> list[str]:
    """What the page calls checkpoints: one by its path, two from where the folders that they lie in differ."""
    if len(paths) == 1:
        return paths
    whole = [os.path.abspath(path) for path in paths]
    shared = os.path.commonpath([os.path.dirname(path) for path in whole])
    return [os.path.relpath(path, shared) for path in whole]


def _other(other: str, name: str, config: ExperimentConfig) -> dict[str, Checkpoint]:
    """The second checkpoint, as its own config describes the model, on the data of the first."""
    if os.path.abspath(other) == os.path.abspath(name):
        raise UserError(f"--other {other} is the checkpoint that is measured already; give another, or leave it out")
    stored = checkpoint.load(other)
    return {other: stored._replace(config=replace(config, model=stored.config.model))}


def _ready(name: str, model: Checkpoint) -> tuple[Predictor, Source, ExperimentConfig]:
    """What measuring takes, once it is known that this model can be measured on these data, for the one before may take hours."""
    source = validation_source(name, model.config)
    try:
        training.check_measurable(model.categories, source, model.config)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
    return predictor_of(name, model), source, model.config
