"""maskrcnn show-data."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskrcnn_jax import visualize
from maskrcnn_jax.cli.experiments import experiment_of, first_argument, parse
from maskrcnn_jax.config import ExperimentConfig, describe_experiment, load_experiment
from maskrcnn_jax.data import open_source
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.reports import training_images

USAGE = """usage: maskrcnn show-data CONFIG [--out DIR] [--count N] [--FIELD VALUE ...]

Draws the first images that `maskrcnn train CONFIG` with the same fields would train on, augmented and resized, with the masks,
boxes and names that training is told. Used most:

  --out DIR                          folder of the pictures, which must be empty or new; by default shown
  --count N                          how many; by default 16
  --data.augment.scale 0.1 2.0 --data.augment.copy-paste 0.5
                                     what an augmentation looks like; `maskrcnn show-data CONFIG --help` lists all"""


@dataclass(frozen=True, kw_only=True)
class ShowDataCommand(ExperimentConfig):
    """Draw what training sees."""

    out: Path = Path("shown")
    """Folder of the pictures; must be empty or new."""
    count: int = 16
    """Pictures."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    name, rest = first_argument(arguments, USAGE)
    command = parse(ShowDataCommand, load_experiment(name), rest, prog=f"maskrcnn show-data {name}", about=describe_experiment(name))
    if command.count < 1:
        raise UserError(f"--count must be at least 1; got {command.count}")
    if command.out.exists() and not (command.out.is_dir() and not any(command.out.iterdir())):
        raise UserError(f"{command.out}: holds files already, or is one; give an empty or a new folder by --out")
    config = experiment_of(command)
    objects = cut = 0
    for shown in training_images(config, open_source(config.data, "train", config.model.input), command.count):
        command.out.mkdir(parents=True, exist_ok=True)
        visualize.save(command.out / f"step{shown.step:06d}_{shown.position:02d}_image{shown.image_id}.png", shown.picture)
        objects, cut = objects + shown.objects, cut + shown.cut
        if shown.fault:
            print(f"maskrcnn show-data: {shown.fault}; another image stands in for it", file=sys.stderr)
    print(f"{command.count} pictures, {objects} objects, {cut} cut by data.max_objects {config.data.max_objects}: {command.out}")
