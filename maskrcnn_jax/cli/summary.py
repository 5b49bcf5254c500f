"""maskrcnn summary."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from maskrcnn_jax import reports
from maskrcnn_jax.cli.experiments import experiment_of, first_argument, parse
from maskrcnn_jax.config import ExperimentConfig, describe_experiment, load_experiment

USAGE = """usage: maskrcnn summary CONFIG [--canvas HEIGHT WIDTH] [--FIELD VALUE ...]

CONFIG is the name of a packed config (shapes, nuclei, coco_r50_fpn_1x, ...) or the path of a Python file. Nothing is compiled,
and neither weights nor data are read. `maskrcnn summary CONFIG --help` lists every field. Used most:

  --canvas HEIGHT WIDTH              pixels; by default the largest of model.input.canvases
  --model.backbone.depth N --model.num-classes N --model.compute-dtype bfloat16"""


@dataclass(frozen=True, kw_only=True)
class SummaryCommand(ExperimentConfig):
    """Print the model's modules: shapes of their outputs, parameters, FLOPs and memory."""

    canvas: tuple[int, int] | None = None
    """Height and width, pixels; by default the largest of model.input.canvases, or of canvas `multiple` an image of min-side x max-side."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    name, rest = first_argument(arguments, USAGE)
    command = parse(SummaryCommand, load_experiment(name), rest, prog=f"maskrcnn summary {name}", about=describe_experiment(name))
    Console(highlight=False).print(reports.summary_table(reports.summarise(experiment_of(command), command.canvas)))
