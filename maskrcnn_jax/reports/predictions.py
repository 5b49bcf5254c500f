"""Files in, what was found in them out: pictures, videos, label maps and one COCO JSON."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax import visualize
from maskrcnn_jax.data import DataError, Frame, count_frames, frames_of, is_video, read_video_header
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.evaluation import PredictionsFile
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.structs import Result

PREDICTIONS = "predictions.json"
MASKS = "masks"


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """Which files are written.

    pictures: of each image NAME.png, of each video NAME.mp4, with what was found drawn on it. masks: label maps, of each image
    masks/NAME.png, of a video masks/NAME/000000.png and so on. json: one predictions.json. score_threshold: what is below it is neither
    drawn nor in label maps; predictions.json holds all that the model returns.
    """

    pictures: bool = True
    masks: bool = False
    json: bool = True
    score_threshold: float = 0.5


class Target(NamedTuple):
    """What is written of one file: its picture, or video; its label map, or the folder of a video's. None where not asked for."""

    picture: Path | None
    masks: Path | None


@dataclass
class Predicted:
    """What was done.

    images, frames: how many images, and frames of videos. detections: in all of them. shown: those of them that reach the threshold.
    faults: of each file that could not be read, to its end, or fits no canvas, a line that says so and what to do.
    """

    images: int = 0
    frames: int = 0
    detections: int = 0
    shown: int = 0
    faults: list[str] = field(default_factory=list)


def target_paths(files: Sequence[Path], out: Path, outputs: Outputs) -> dict[Path, Target]:
    """What is written of each of `files` to the folder `out`; to be asked before anything is done.

    Raises:
      UserError: nothing is asked for, two files would be written to the same one, a file that would be written exists (an input itself, or
        earlier predictions), `out` is a file, or the threshold is no probability.
    """
    if not (outputs.pictures or outputs.masks or outputs.json):
        raise UserError("neither pictures nor masks nor JSON are to be written; leave out --no-pictures or --no-json, or add --masks")
    if not 0 <= outputs.score_threshold <= 1:
        raise UserError(f"--score-threshold must lie between 0 and 1; got {outputs.score_threshold}")
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; give a folder by --out")
    targets: dict[Path, Target] = {}
    taken: dict[Path, Path] = {}
    for path in files:
        video = is_video(path)
        picture = out / f"{path.stem}{visualize.VIDEO_ENDING if video else '.png'}"
        masks = out / MASKS / (path.stem if video else f"{path.stem}.png")
        targets[path] = Target(picture if outputs.pictures else None, masks if outputs.masks else None)
        for written in filter(None, targets[path]):
            if written in taken:
                raise UserError(f"{path}: {written} would be written of it and of {taken[written]} too; predict them into two folders")
            taken[written] = path
    for written in (*taken, *([out / PREDICTIONS] if outputs.json else [])):
        if written.exists():
            raise UserError(f"{written}: exists already and would be overwritten; give another folder by --out")
    return targets


def predict_files(
    predictor: Predictor,
    files: Sequence[Path],
    out: Path,
    outputs: Outputs,
    *,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Predicted:
    """Look for objects in images and videos, and write what was found to the folder `out`, which is made if missing.

    Files that cannot be used are left out, and told of in the result; of a video that breaks off, what came before is kept. So is all
    that was written before an error or an interruption. A few images or frames are in memory at a time, however long a video is.

    Args:
      predictor: the model.
      files: images and videos, see `data.media_files`.
      out: the folder.
      outputs: what is written.
      progress: called with images and frames done and, where all videos tell it, how many there are.

    Raises:
      UserError: what `target_paths` says, or label maps of more classes than a palette has colours.
      OSError: a file cannot be written, or OpenCV lacks the codec of videos.
    """
    targets, classes = target_paths(files, out, outputs), len(predictor.categories)
    if outputs.masks and classes > visualize.MAX_LABEL:
        raise UserError(
            f"--masks: the model has {classes} classes, a palette {visualize.MAX_LABEL} colours; predictions.json has their masks"
        )
    out.mkdir(parents=True, exist_ok=True)
    counts = [count_frames(path) for path in files]
    known = [count for count in counts if count is not None]
    total = sum(known) if len(known) == len(counts) else None
    predicted = Predicted()
    with ExitStack() as stack:
        predictions = stack.enter_context(PredictionsFile(out / PREDICTIONS, predictor.categories)) if outputs.json else None
        for path, found in groupby(predictor.stream(_frames(predictor, files, outputs, predicted.faults)), key=lambda of: of[0].path):
            for frame, result in _drawn(path, found, predictor, targets[path], outputs):
                if predictions:
                    predictions.add(path, result, frame.frame_index)
                predicted.images += frame.frame_index is None
                predicted.frames += frame.frame_index is not None
                predicted.detections += len(result.scores)
                predicted.shown += int((result.scores >= outputs.score_threshold).sum())
                progress(predicted.images + predicted.frames, total)
    return predicted


def _frames(predictor: Predictor, files: Sequence[Path], outputs: Outputs, faults: list[str]) -> Iterator[tuple[Frame, Any]]:
    """The images and frames that can be read and have a canvas; of a file of which they end before its end `faults` gets a line."""
    for path in files:
        try:
            if outputs.pictures and is_video(path) and not 0 < (rate := read_video_header(path).rate) <= visualize.MAX_RATE:
                raise DataError(
                    f"{path}: tells of {rate:g} frames a second, at which none can be written; convert it, or add --no-pictures"
                )
            for frame in frames_of(path, predictor.model.config.input):
                predictor.place(frame.image, frame.name)
                yield frame, frame.image
        except DataError as error:
            faults.append(str(error))


def _drawn(
    path: Path, found: Iterator[tuple[Frame, Any, Result]], predictor: Predictor, target: Target, outputs: Outputs
) -> Iterator[tuple[Frame, Result]]:
    """What was found in the file `path`, once its pictures and label maps are written."""
    with ExitStack() as stack:
        video = None
        if target.picture and is_video(path):
            video = stack.enter_context(visualize.VideoWriter(target.picture, rate=read_video_header(path).rate))
        for frame, image, result in found:
            if target.picture:
                picture = visualize.draw(
                    image, result, predictor.categories, score_threshold=outputs.score_threshold, enlarge=video is None
                )
                if video:
                    video.write(picture)
                else:
                    visualize.save(target.picture, picture)
            if target.masks:
                file = target.masks if frame.frame_index is None else target.masks / f"{frame.frame_index:06d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                visualize.save_labels(file, visualize.label_map(result, score_threshold=outputs.score_threshold))
            yield frame, result
