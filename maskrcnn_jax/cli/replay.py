"""maskrcnn replay."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from maskrcnn_jax import training


@dataclass(frozen=True, kw_only=True)
class ReplayCommand:
    """Compute a step again whose loss or gradient was not finite, from what training wrote of it."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Folder nonfinite/step_N of a run folder."""
    accumulate: int | None = None
    """Parts to compute the batch in on this one device, where it is too large for it; by default the run's train.accumulate."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(ReplayCommand, prog="maskrcnn replay", args=list(arguments))
    dumped = training.read_dump(command.folder)
    found = training.replay(dumped, command.accumulate)
    table = Table("term", title=f"step {found.step}, images {found.image_ids}")
    table.add_column("value", justify="right")
    for name, value in found.metrics.items():
        table.add_row(name, f"{value:.6g}")
    Console().print(table)
    print(f"first term that is not finite: {found.term or 'none, all are finite here'}")
    print(f"first array of the model's walk that is not: {training.first_bad_array(dumped) or 'none'}")
