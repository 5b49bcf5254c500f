"""maskrcnn predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.progress import track

from maskrcnn_jax import evaluation, inference, visualize
from maskrcnn_jax.data import read_image
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.structs import Result

PREDICTIONS = "predictions.json"


@dataclass(frozen=True, kw_only=True)
class PredictCommand:
    """Detect objects in images; write a picture an image and one predictions.json."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder (its best checkpoint is taken) or folder of one checkpoint."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files."""
    out: Path
    """Folder for the pictures and predictions.json; made if missing."""
    score_threshold: float = 0.5
    """Detections below it are not drawn. predictions.json holds them too: all that the model returns."""
    batch_size: int = 1
    """Images in one call of the model."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(PredictCommand, prog="maskrcnn predict", args=list(arguments))
    if not 0 <= command.score_threshold <= 1:
        raise UserError(f"--score-threshold must lie between 0 and 1; got {command.score_threshold}")
    names = output_names(command.images, command.out)
    predictor = inference.load(command.checkpoint, batch_size=command.batch_size)
    command.out.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    try:
        for start in track(range(0, len(command.images), command.batch_size), "predicting"):
            paths = command.images[start : start + command.batch_size]
            pictures = [read_image(path) for path in paths]
            for path, image, result in zip(paths, pictures, predictor(pictures), strict=True):
                drawn = visualize.draw(image, result, predictor.categories, score_threshold=command.score_threshold)
                visualize.save(command.out / names[path], drawn)
                results.append(result)
    finally:  # an image that cannot be read ends the command, but not what was found before it
        if results:
            evaluation.write_predictions(command.out / PREDICTIONS, command.images[: len(results)], results, predictor.categories)
    print(f"{sum(len(result.scores) for result in results)} detections in {len(command.images)} images: {command.out}")


def output_names(images: Sequence[Path], out: Path) -> dict[Path, str]:
    """Image -> file name of its picture in the folder `out`.

    Raises:
      UserError: two images would write the same file, a file that would be written exists (an image itself, or earlier
        predictions), `out` is a file, an image is missing or is a folder, or there is none.
    """
    if not images:
        raise UserError("no images; name at least one image file after the checkpoint")
    names: dict[Path, str] = {}
    for path in images:
        name = f"{path.stem}.png"
        if name in names.values():
            raise UserError(f"{path}: its picture would overwrite that of another image called {path.stem}; predict them into two folders")
        names[path] = name
        if path.is_dir():
            raise UserError(f"{path}: is a folder; name the image files in it, for example {path}/*.png")
        if not path.exists():
            raise UserError(f"{path}: no such image file; correct the path")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder by --out")
    for name in (*names.values(), PREDICTIONS):
        if (out / name).exists():
            raise UserError(f"{out / name}: exists already and would be overwritten; give another folder by --out")
    return names
