"""maskrcnn predict."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.progress import track

from maskrcnn_jax import evaluation, inference, visualize
from maskrcnn_jax.data import read_image
from maskrcnn_jax.errors import UserError


@dataclass(frozen=True, kw_only=True)
class PredictCommand:
    """Detect objects in images; write a picture an image and one detections.json."""

    checkpoint: tyro.conf.Positional[Path]
    """Run folder (its best checkpoint is taken) or folder of one checkpoint."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Image files."""
    out: Path
    """Folder for the pictures and detections.json; made if missing."""
    score_threshold: float = 0.5
    """Detections below it are not drawn; detections.json holds all of them."""
    batch_size: int = 1
    """Images in one call of the model."""


def main(arguments: Sequence[str]) -> None:
    """Run the command."""
    command = tyro.cli(PredictCommand, prog="maskrcnn predict", args=list(arguments))
    names = output_names(command.images)
    predictor = inference.load(command.checkpoint, batch_size=command.batch_size)
    command.out.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": []}
    found["categories"] = [{"id": category.id, "name": category.name} for category in predictor.categories]
    starts = range(0, len(command.images), command.batch_size)
    for start in track(starts, "predicting"):
        paths = command.images[start : start + command.batch_size]
        pictures = [read_image(path) for path in paths]
        for i, (path, image, result) in enumerate(zip(paths, pictures, predictor(pictures), strict=True), start + 1):
            drawn = visualize.draw(image, result, predictor.categories, score_threshold=command.score_threshold)
            visualize.save(command.out / names[path], drawn)
            found["images"].append({"id": i, "file_name": str(path), "height": result.size[0], "width": result.size[1]})
            for entry in evaluation.to_coco(result, i, predictor.categories):
                found["annotations"].append({"id": len(found["annotations"]) + 1, "iscrowd": 0, **entry})
    (command.out / "detections.json").write_text(json.dumps(found), encoding="utf-8")
    print(f"{len(found['annotations'])} detections in {len(command.images)} images: {command.out}")


def output_names(images: Sequence[Path]) -> dict[Path, str]:
    """Image -> file name of its picture.

    Raises:
      UserError: two images would write the same file, or there is none.
    """
    if not images:
        raise UserError("no images; name at least one image file after the checkpoint")
    names: dict[Path, str] = {}
    for path in images:
        name = f"{path.stem}.png"
        if name in names.values():
            raise UserError(f"{path}: its picture would overwrite that of another image called {path.stem}; predict them into two folders")
        names[path] = name
    return names
