"""maskrcnn train."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax import training
from maskrcnn_jax.cli.experiments import ManyProcesses, connect, experiment_of, first_argument, parse
from maskrcnn_jax.cli.show import show
from maskrcnn_jax.config import describe_experiment, load_experiment
from maskrcnn_jax.errors import UserError

USAGE = """usage: maskrcnn train CONFIG [--run-dir DIR] [--resume] [--dry-run] [--profile] [--FIELD VALUE ...]

CONFIG is the name of a packed config (shapes, nuclei, coco_r50_fpn_1x, ...) or the path of a Python file.
`maskrcnn train CONFIG --help` says what data it needs and lists every field. Used most:

  --run-dir DIR                      where everything is written; by default runs/ and the config's name
  --resume                           go on from the latest checkpoint in the run folder
  --dry-run                          print parameters, memory and time; write nothing
  --profile                          trace a few steps, print where their time goes
  --coordinator HOST:PORT --processes N --process-id I
                                     join other processes (SLURM and Open MPI are recognised without)
  --distributed                      join those that JAX finds: TPU pods
  --train.weights FILE_OR_RUN        start from ImageNet weights (.pth, .npz) or another run
  --train.steps N --train.batch-size N --optimizer.learning-rate RATE
  --model.num-classes N --data.train-annotations JSON --data.train-images DIR
  --data.val-annotations JSON --data.val-images DIR"""


@dataclass(frozen=True, kw_only=True)
class TrainCommand(ManyProcesses):
    """Train a model, evaluate it, and leave checkpoints, metrics and pictures in a run folder."""

    run_dir: Path | None = None
    """Run folder; by default runs/ and the config's name."""
    resume: bool = False
    """Go on from the latest checkpoint in the run folder."""
    dry_run: bool = False
    """Print parameters, compile, print memory and time; write nothing."""
    profile: bool = False
    """Write a trace of a few steps, for TensorBoard and Perfetto, to the run folder's profile/, and print where their time goes; of several
    processes the first does."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    name, rest = first_argument(arguments, USAGE)
    connect(rest)
    command = training.in_all(lambda: _parsed(name, rest))
    if command.dry_run and command.resume:
        raise UserError("--dry-run begins no run and resumes none; leave out --resume to see what the whole run takes")
    if command.dry_run and command.profile:
        raise UserError("--dry-run writes nothing; leave out one of --dry-run and --profile")
    if command.dry_run:
        training.dry_run(experiment_of(command))
    else:
        _train(command, command.run_dir or Path("runs") / Path(name).stem)


def _parsed(name: str, arguments: Sequence[str]) -> TrainCommand:
    return parse(TrainCommand, load_experiment(name), arguments, prog=f"maskrcnn train {name}", about=describe_experiment(name))


def _train(command: TrainCommand, run_dir: Path) -> None:
    try:
        result = training.train(experiment_of(command), run_dir, resume=command.resume, profile=command.profile)
    except training.Interrupted as reason:
        print(f"maskrcnn train: {reason}", file=sys.stderr)
        raise SystemExit(training.EXIT_STATUS) from None
    if training.is_main():
        show(result)
        print(f"checkpoints, metrics and pictures: {run_dir}")
