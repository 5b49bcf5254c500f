"""What a run measures, on disk: JSON lines and TensorBoard's scalars and pictures, without gaps or doubles across restarts."""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from maskrcnn_jax import visualize

LINES, PICTURES = "metrics.jsonl", "pictures"


class MetricsLog:
    """Appends one line a logged step and group, and a picture an evaluation; those after the step that training resumes from go first."""

    def __init__(self, run_dir: Path, start_step: int, *, writes: bool = True) -> None:
        """Open the log of a run.

        Args:
          run_dir: the run folder.
          start_step: steps done so far; later lines are of steps that will be done again.
          writes: False for the processes of a run that only read and remember: one of them writes.
        """
        path = run_dir / LINES
        kept = [line for line in lines(run_dir) if line["step"] <= start_step]
        self._lines, self._writes = list(kept), writes
        self._held = {(line["step"], group) for line in kept for group in line}
        if not writes:
            return
        shortened = path.with_suffix(".new")
        shortened.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        shortened.replace(path)  # at once: a process killed here loses no line
        self._file = path.open("a", encoding="utf-8")
        from tensorboardX.event_file_writer import EventsWriter  # loads PyTorch where that is installed: not before it is needed

        board = run_dir / "tensorboard"
        shutil.rmtree(board, ignore_errors=True)  # a killed writer may leave half an event: made anew from the lines
        board.mkdir(exist_ok=True)  # on NFS what another process still has open stays
        # Not its SummaryWriter: that one's thread dies of a full disk, and who writes on waits for it for ever.
        self._board = EventsWriter(str(board / "events"))
        for line in kept:
            for group in line.keys() - {"step"}:
                self._draw(line["step"], group, line[group])
        self._pictures = run_dir / PICTURES
        for step, path in pictures(run_dir):
            if step > start_step:
                path.unlink()
            else:
                self._show(step, path)
        self._board.flush()

    def write(self, step: int, values: dict[str, float], *, group: str) -> None:
        """Write the values of one step; the line is with the operating system on return.

        A line that was kept from before is not written again: an evaluation repeated after a restart found the same.
        What is not finite becomes null in the JSON and is left out of TensorBoard.

        Args:
          step: steps done.
          values: numbers by name.
          group: "train" or "val", the key of the line and the prefix in TensorBoard.
        """
        if (step, group) in self._held:
            return
        numbers: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in values.items()}
        line = {"step": step, group: numbers}
        self._lines.append(line)
        if self._writes:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()
            self._draw(step, group, numbers)
            self._board.flush()

    def write_picture(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Write the picture of an evaluation, RGB, after `step` steps; one that was kept from before is not written again."""
        path = self._pictures / f"{step}.jpg"
        if path.exists():
            return
        self._pictures.mkdir(exist_ok=True)
        part = path.with_name(f"part.{path.name}")
        visualize.save(part, picture)
        part.replace(path)
        self._show(step, path)
        self._board.flush()

    def history(self, group: str, name: str) -> list[float | None]:
        """The values of one number so far, in the order of their steps; None where it was not finite."""
        return [line[group][name] for line in self._lines if group in line]

    def _draw(self, step: int, group: str, numbers: dict[str, float | None]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in numbers.items():
            if value is not None:
                self._board.write_event(Event(wall_time=time.time(), step=step, summary=scalar(f"{group}/{name}", value)))

    def _show(self, step: int, path: Path) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        with Image.open(path) as picture:
            width, height = picture.size
        image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=path.read_bytes())
        summary = Summary(value=[Summary.Value(tag="val/pictures", image=image)])
        self._board.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Write out what is buffered."""
        if not self._writes:
            return
        self._file.close()
        self._board.close()


def lines(run_dir: Path) -> list[dict[str, Any]]:
    """The lines of a run so far: {"step": ..., and "train" or "val": numbers by name}.

    One that a killed process left half written can only be the last, and is dropped.
    """
    path = run_dir / LINES
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def pictures(run_dir: Path) -> list[tuple[int, Path]]:
    """The pictures of a run's evaluations so far, by step."""
    return sorted((int(path.stem), path) for path in (run_dir / PICTURES).glob("*.jpg") if path.stem.isdecimal())
