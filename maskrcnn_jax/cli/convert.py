"""maskrcnn convert."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax import convert
from maskrcnn_jax.cli.bar import bar
from maskrcnn_jax.cli.experiments import experiment_of, first_argument, parse
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.errors import UserError, first_few
from maskrcnn_jax.weights import PUBLISHED, System

USAGE = f"""usage: maskrcnn convert SOURCE --to DIR [--FIELD VALUE ...]
       maskrcnn convert SOURCE --to-torchvision FILE | --to-detectron2 FILE

SOURCE is a file of weights of a torchvision or Detectron2 Mask R-CNN (.pth, .pkl, .safetensors, .npz), its URL (with a digest,
if you have it, behind a #: https://.../model.pth#sha256:bf2d0c1e), or the name of published ones:

  {chr(10).join(f"  {name}" for name in PUBLISHED).strip()}

or a run folder or checkpoint of this package. Whose weights they are, and of which model, is told from the arrays.

  --to DIR                           write a checkpoint: evaluate it, predict and train with it as with any other
  --to-torchvision FILE.pth          write a state dict for torchvision
  --to-detectron2 FILE.pth           write weights for Detectron2
  --data.val-annotations JSON        COCO file whose categories the model knows; names the classes
  --model.FIELD VALUE                change what the arrays do not tell"""


@dataclass(frozen=True, kw_only=True)
class ConvertCommand(ExperimentConfig):
    """Convert a model between torchvision, Detectron2 and this package."""

    to: Path | None = None
    """Folder for a checkpoint of this package; new, or empty."""
    to_torchvision: Path | None = None
    """File for torchvision's state dict (.pth); new."""
    to_detectron2: Path | None = None
    """File for Detectron2's weights (.pth); new."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    source, rest = first_argument(arguments, USAGE)
    _require_targets(parse(ConvertCommand, ExperimentConfig(), rest, prog=f"maskrcnn convert {source}"))  # before anything is downloaded
    with bar("downloading") as show:
        found = convert.open_model(source, show)
    command = parse(ConvertCommand, found.config, rest, prog=f"maskrcnn convert {source}")
    exports: dict[System, Path | None] = {"torchvision": command.to_torchvision, "detectron2": command.to_detectron2}
    files = {system: file for system, file in exports.items() if file}
    model = convert.model_of(found, experiment_of(command))
    backbone = model.config.model.backbone
    whose = f"{found.held.system}'s" if isinstance(found.held, convert.Foreign) else "a checkpoint's"
    print(f"{source}: {whose} Mask R-CNN, {backbone.kind} {backbone.depth}, norm {backbone.norm}, epsilon {backbone.norm_epsilon:g}")
    differences = convert.write(model, command.to, files)
    if command.to:
        names = first_few([category.name for category in model.categories])
        print(f"{command.to}: a checkpoint of {len(model.categories)} classes ({names}); eval, predict and train --train.weights read it")
    for system, file in files.items():
        print(f"{file}: written for {system}")
        if differences[system]:
            print(f"{system} detects otherwise with these weights, because what they do not tell is not the same there:")
            print("\n".join(f"  {line}" for line in differences[system]))


def _require_targets(command: ConvertCommand) -> None:
    """Raise UserError unless the command names something to write, and nothing of it exists."""
    files = [file for file in (command.to_torchvision, command.to_detectron2) if file]
    if not command.to and not files:
        raise UserError("nowhere to write to; give --to DIR, --to-torchvision FILE.pth or --to-detectron2 FILE.pth")
    convert.require_free(command.to, files)
