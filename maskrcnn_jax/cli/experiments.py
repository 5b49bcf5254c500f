"""Changing an experiment's fields from the command line."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

from maskrcnn_jax.config import ExperimentConfig

T = TypeVar("T", bound=ExperimentConfig)


def parse(command: type[T], defaults: ExperimentConfig, arguments: Sequence[str], *, prog: str) -> T:
    """`command`, an ExperimentConfig with fields of its own, from `arguments`; fields not named keep `defaults`.

    An unknown or ill-typed field ends the program with a message that names it.

    Args:
      command: the dataclass to fill.
      defaults: the experiment.
      arguments: of the command line, after the experiment's name.
      prog: what help calls the command.
    """
    values = {field.name: getattr(defaults, field.name) for field in dataclasses.fields(ExperimentConfig)}
    own: dict[str, Any] = {
        field.name: tyro.MISSING
        for field in dataclasses.fields(command)
        if field.name not in values and field.default is dataclasses.MISSING
    }
    return tyro.cli(command, prog=prog, args=list(arguments), default=command(**values, **own), description=command.__doc__)


def experiment_of(command: ExperimentConfig) -> ExperimentConfig:
    """The experiment within a command."""
    return ExperimentConfig(**{field.name: getattr(command, field.name) for field in dataclasses.fields(ExperimentConfig)})


def first_argument(arguments: Sequence[str], usage: str) -> tuple[str, list[str]]:
    """The positional first argument and the rest; without one, print `usage` and end the program."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], list(arguments[1:])
    wants_help = bool(arguments) and arguments[0] in ("-h", "--help")
    print(usage, file=sys.stdout if wants_help else sys.stderr)
    raise SystemExit(0 if wants_help else 2)
