"""maskrcnn inspect."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rich.console import Console

from maskrcnn_jax import checkpoint
from maskrcnn_jax.checkpoint import Checkpoint
from maskrcnn_jax.data import read_channels
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.reports import html, inspect
from maskrcnn_jax.structs import Example


@dataclass(frozen=True, kw_only=True)
class InspectCommand:
    """Write a page that shows every stage of a model on one image, with sliders over class NMS. A large model takes minutes on a CPU."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder (its best checkpoint is taken) or folder of one checkpoint."""
    image: tyro.conf.Positional[str]
    """Image file; or the id of an image of the run's own validation data, which come with their ground truth."""
    out: Path
    """The page, an HTML file that needs no network and no other file."""
    annotations: Path | None = None
    """COCO JSON that names the image file: then ground truth, what is right, wrong and missed, and a step of training are shown too."""
    score_threshold: float = 0.5
    """Detections at or below it are not drawn; the page's slider begins there and goes down to 0."""
    iou: float = 0.5
    """IoU of boxes from which a detection and an object are matched, to begin with."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(InspectCommand, prog="maskrcnn inspect", args=list(arguments))
    if not 0 <= command.score_threshold <= 1:
        raise UserError(f"--score-threshold must lie between 0 and 1; got {command.score_threshold}")
    if not 0 < command.iou <= 1:
        raise UserError(f"--iou must be above 0 and at most 1; got {command.iou}")
    if command.out.exists():
        raise UserError(f"{command.out}: exists already and would be overwritten; give another file by --out")
    stored = checkpoint.load(command.checkpoint)
    name, example, annotated = _opened(command, stored)
    command.out.parent.mkdir(parents=True, exist_ok=True)  # what forbids it is told before anything is computed
    with Console(stderr=True).status("compiling and running the model; a large one takes minutes on a CPU"):
        walk = inspect.walk(stored, example, name, annotated=annotated)
        page = inspect.page_of(walk, score_threshold=command.score_threshold, iou=command.iou)
    html.write(command.out, page)
    print(f"{name}: {command.out}, {command.out.stat().st_size / 2**20:.1f} MiB")


def _opened(command: InspectCommand, stored: Checkpoint) -> tuple[str, Example, bool]:
    """What the image is called, the image with its objects, and whether these are known."""
    path, config = Path(command.image), stored.config
    if command.annotations is not None:
        return path.name, inspect.annotated_image(path, command.annotations, stored.categories, config.model.input), True
    if command.image.isdecimal() and not path.exists():
        return f"image {command.image}", inspect.validation_image(config, int(command.image), stored.categories), True
    if not path.exists():
        raise UserError(f"{path}: no such image file; correct the path, or give the id of an image of the run's validation data")
    image = read_channels(path, config.model.input)
    height, width = image.shape[:2]
    nothing = np.zeros((0, height, width), np.uint8), np.zeros((0, 4), np.float32), np.zeros(0, np.int32), np.zeros(0, np.bool_)
    return path.name, Example(image, 0, *nothing), False
