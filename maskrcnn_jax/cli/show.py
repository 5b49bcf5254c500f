"""An evaluation for people."""

from rich.console import Console

from maskrcnn_jax import evaluation
from maskrcnn_jax.training import Evaluation


def show(result: Evaluation) -> None:
    """Print the table of classes, COCO's numbers for boxes and masks, and the losses where they were measured."""
    console = Console()
    console.print(evaluation.class_table(result.ground_truth, result.metrics))
    for line in evaluation.summary_lines(result.metrics):
        console.print(line, highlight=False, soft_wrap=True)
    for loss, value in result.losses.items():
        console.print(f"loss {loss} {value:.4f}", highlight=False)
