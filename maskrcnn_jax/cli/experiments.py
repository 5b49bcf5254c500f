"""Changing an experiment's fields from the command line."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from maskrcnn_jax import training
from maskrcnn_jax.config import ExperimentConfig

T = TypeVar("T", bound=ExperimentConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ManyProcesses(ExperimentConfig):
    """An experiment that several processes may share."""

    coordinator: str | None = None
    """HOST:PORT of the first of several processes, where neither SLURM, Open MPI nor a TPU pod tells it; with the next two."""
    processes: int | None = None
    """How many processes there are."""
    process_id: int | None = None
    """Which of them this is, from 0."""
    distributed: bool = False
    """There are several processes, and JAX finds out which: for TPU pods, whose VMs ask their cloud."""


def connect(arguments: Sequence[str]) -> None:
    """Join the other processes that `arguments`, or a launcher, tell of; before anything else, for reading a checkpoint starts JAX."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--process-id", "--process_id", type=int)
    parser.add_argument("--distributed", action="store_true")
    training.connect(**vars(parser.parse_known_args(arguments)[0]))


def parse(command: type[T], defaults: ExperimentConfig, arguments: Sequence[str], *, prog: str, about: str = "") -> T:
    """`command`, an ExperimentConfig with fields of its own that have defaults, from `arguments`; fields not named keep `defaults`.

    An unknown or ill-typed field ends the program with a message that names it.

    Args:
      command: the dataclass to fill.
      defaults: the experiment.
      arguments: of the command line, after the experiment's name.
      prog: what help calls the command.
      about: what help says of the experiment.
    """
    description = f"{command.__doc__}\n\n{about}"
    return tyro.cli(command, prog=prog, args=list(arguments), default=command(**_fields(defaults)), description=description)


def experiment_of(command: ExperimentConfig) -> ExperimentConfig:
    """The experiment within a command."""
    return ExperimentConfig(**_fields(command))


def first_argument(arguments: Sequence[str], usage: str) -> tuple[str, list[str]]:
    """The positional first argument and the rest; without one, print `usage` and end the program."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], list(arguments[1:])
    wants_help = bool(arguments) and arguments[0] in ("-h", "--help")
    print(usage, file=sys.stdout if wants_help else sys.stderr)
    raise SystemExit(0 if wants_help else 2)


def _fields(config: ExperimentConfig) -> dict[str, Any]:
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(ExperimentConfig)}
