"""maskrcnn compare."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from maskrcnn_jax import checkpoint, reports


@dataclass(frozen=True, kw_only=True)
class CompareCommand:
    """Print, stage by stage, how far a model is from a reference on the same picture. Two large models take minutes on a CPU."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder (its best checkpoint is taken) or folder of one checkpoint."""
    reference: tyro.conf.Positional[Path]
    """Another one, or a golden file (.npz) of torchvision's or Detectron2's outputs."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(CompareCommand, prog="maskrcnn compare", args=list(arguments))
    console, stored = Console(), checkpoint.load(command.checkpoint)
    Console(stderr=True).print("compiling and running; two large models take minutes on a CPU", highlight=False)
    if command.reference.suffix != ".npz":
        reference = checkpoint.load(command.reference)
        rows = reports.compare_checkpoints(stored, reference)
        for line in reports.config_differences(stored.config.model, reference.config.model):
            console.print(line, highlight=False)
        console.print(reports.difference_table(rows))
        return
    golden = reports.Golden(command.reference, stored.config.model)
    if not golden.groups():
        epsilon = stored.config.model.backbone.norm_epsilon
        raise reports.GoldenError(f"{command.reference}: has no outputs with epsilon {epsilon:g} in the norms, which the checkpoint has")
    for group in golden.groups():
        console.print(f"group {group or '(none)'}")
        console.print(reports.difference_table(reports.compare_golden(golden, group, stored.variables)))
