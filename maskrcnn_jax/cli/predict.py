"""maskrcnn predict."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from maskrcnn_jax import inference, reports
from maskrcnn_jax.cli.bar import IMAGES, bar
from maskrcnn_jax.data import media_files
from maskrcnn_jax.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PredictCommand:
    """Detect objects in images and videos; write pictures and videos of them, masks and one predictions.json."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder (its best checkpoint is taken) or folder of one checkpoint."""
    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image and video files, or folders of them; folders in these are left out."""
    out: Path
    """Folder for what is written; made if missing."""
    pictures: bool = True
    """Write a picture of each image and a video (.mp4) of each video, with what was found drawn."""
    masks: bool = False
    """Write masks/NAME.png of each image, and of each frame of a video masks/NAME/000000.png: pixels are labels, colours the classes'."""
    json: bool = True
    """Write predictions.json: all that the model returns, as a COCO dataset."""
    score_threshold: float = 0.5
    """Detections below it are neither drawn nor in the masks' files; predictions.json holds them too."""
    batch_size: int = 1
    """Images in one call of the model."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(PredictCommand, prog="maskrcnn predict", args=list(arguments))
    outputs = reports.Outputs(pictures=command.pictures, masks=command.masks, json=command.json, score_threshold=command.score_threshold)
    media = media_files(command.files)
    reports.target_paths(media.files, command.out, outputs)  # what forbids the work is told before the model is loaded
    for note in media.notes:
        print(note, file=sys.stderr)
    predictor = inference.load(command.checkpoint, batch_size=command.batch_size)
    with bar("predicting", IMAGES) as progress:
        predicted = reports.predict_files(predictor, media.files, command.out, outputs, progress=progress)
    looked_at = [
        _count(number, noun) for number, noun in ((predicted.images, "image"), (predicted.frames, "frame")) if number or noun == "image"
    ]
    print(
        f"{_count(predicted.detections, 'detection')} in {' and '.join(looked_at)}, "
        f"{predicted.shown} shown (score {command.score_threshold} and above): {command.out}"
    )
    if predicted.faults:
        raise UserError(
            f"{len(predicted.faults)} of {_count(len(media.files), 'file')} could not be predicted, or not to the end; all else is done. "
            "Predict these again once mended, into another folder by --out:\n  " + "\n  ".join(predicted.faults)
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
