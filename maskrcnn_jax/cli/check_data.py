"""maskrcnn check-data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from maskrcnn_jax.cli.experiments import experiment_of, first_argument, parse
from maskrcnn_jax.config import ExperimentConfig, describe_experiment, load_experiment
from maskrcnn_jax.reports import check_data

USAGE = """usage: maskrcnn check-data CONFIG [--out DIR] [--no-step] [--FIELD VALUE ...]

CONFIG is the name of a packed config (shapes, nuclei, coco_r50_fpn_1x, ...) or the path of a Python file.
`maskrcnn check-data CONFIG --help` lists every field. Used most:

  --out DIR                          write report.json and report.html, which has pictures
  --no-step                          do not compile and time a training step
  --model.num-classes N --data.train-annotations JSON --data.train-images DIR
  --data.val-annotations JSON --data.val-images DIR

The exit status is 0 where training would be sound, 1 where it would not; warnings do not count."""


@dataclass(frozen=True, kw_only=True)
class CheckDataCommand(ExperimentConfig):
    """Read all training and validation data; tell what is wrong with them, how the config fits them, and what a step takes."""

    out: Path | None = None
    """Folder for report.json and report.html; made if missing. None: only the terminal."""
    step: bool = True
    """Compile and time a training step too, where the data have no error; a large model takes minutes."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    name, rest = first_argument(arguments, USAGE)
    command = parse(CheckDataCommand, load_experiment(name), rest, prog=f"maskrcnn check-data {name}", about=describe_experiment(name))
    if command.out is not None:
        command.out.mkdir(parents=True, exist_ok=True)  # what forbids it is told before the data are read
    report, pictures = check_data.check_data(experiment_of(command), step=command.step)
    Console().print(check_data.summary(report))
    if command.out is not None:
        check_data.write_report(command.out, report, pictures)
        print(f"report.json and report.html: {command.out}")
    if not report.sound:
        raise SystemExit(1)
