"""maskrcnn predict."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.progress import track

from maskrcnn_jax import evaluation, inference, visualize
from maskrcnn_jax.data import DataError, image_files, read_channels
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.structs import Result

PREDICTIONS = "predictions.json"


@dataclass(frozen=True, kw_only=True)
class PredictCommand:
    """Detect objects in images; write a picture an image and one predictions.json."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder (its best checkpoint is taken) or folder of one checkpoint."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files, or folders of them."""
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
    images = named_images(command.images)
    names = output_names(images, command.out)
    predictor = inference.load(command.checkpoint, batch_size=command.batch_size)
    command.out.mkdir(parents=True, exist_ok=True)
    results: dict[Path, Result] = {}
    faults: list[str] = []
    try:
        chunk = command.batch_size * inference.CALLS_AT_ONCE
        for start in track(range(0, len(images), chunk), "predicting"):
            pictures = _readable(images[start : start + chunk], predictor, faults)
            for (path, image), result in zip(pictures.items(), predictor(list(pictures.values())), strict=True):
                drawn = visualize.draw(image, result, predictor.categories, score_threshold=command.score_threshold)
                visualize.save(command.out / names[path], drawn)
                results[path] = result
    finally:  # whatever ends the command early, what was found before it is kept
        if results:
            evaluation.write_predictions(command.out / PREDICTIONS, list(results), list(results.values()), predictor.categories)
    scores = [score for result in results.values() for score in result.scores]
    print(
        f"{_count(len(scores), 'detection')} in {_count(len(results), 'image')}, "
        f"{sum(score >= command.score_threshold for score in scores)} drawn (score {command.score_threshold} and above): {command.out}"
    )
    if faults:
        raise UserError(
            f"{len(faults)} of {_count(len(images), 'image')} could not be predicted; all else is done. "
            "Predict these again once mended, into another folder by --out:\n  " + "\n  ".join(faults)
        )


def named_images(paths: Sequence[Path]) -> list[Path]:
    """The images to predict: `paths`, and in place of a folder the image files in it.

    Raises:
      UserError: a folder without an image file.
    """
    images: list[Path] = []
    for path in paths:
        files = image_files(path) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: no image file in this folder; name image files, or the folder that holds them")
        images += files
    return images


def _readable(paths: Sequence[Path], predictor: Predictor, faults: list[str]) -> dict[Path, np.ndarray]:
    """Those of the images that can be read and have a canvas; of the others `faults` gets a line each."""
    pictures = {}
    for path in paths:
        try:
            image = read_channels(path, predictor.model.config.input)
            predictor.place(image, str(path))
            pictures[path] = image
        except DataError as error:
            faults.append(str(error))
    return pictures


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def output_names(images: Sequence[Path], out: Path) -> dict[Path, str]:
    """Image -> file name of its picture in the folder `out`.

    Raises:
      UserError: two images would write the same file, a file that would be written exists (an image itself, or earlier
        predictions), `out` is a file, an image is missing, or there is none.
    """
    if not images:
        raise UserError("no images; name at least one image file after the checkpoint")
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in images:
        name = f"{path.stem}.png"
        if name in taken:
            raise UserError(f"{path}: its picture would overwrite that of another image called {path.stem}; predict them into two folders")
        names[path] = name
        taken.add(name)
        if not path.exists():
            raise UserError(f"{path}: no such image file; correct the path")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder by --out")
    for name in (*names.values(), PREDICTIONS):
        if (out / name).exists():
            raise UserError(f"{out / name}: exists already and would be overwritten; give another folder by --out")
    return names
