"""The metrics of a run on disk: JSON lines and TensorBoard scalars, without gaps or doubles across restarts."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

LINES = "metrics.jsonl"


class MetricsLog:
    """Appends one line a logged step and group; lines after the step that training resumes from are taken back first."""

    def __init__(self, run_dir: Path, start_step: int) -> None:
        """Open the log of a run.

        Args:
          run_dir: the run folder.
          start_step: steps done so far; later lines are of steps that will be done again.
        """
        path = run_dir / LINES
        kept = [line for line in _whole_lines(path) if line["step"] <= start_step]
        self._held = {(line["step"], group) for line in kept for group in line}
        shortened = path.with_suffix(".new")
        shortened.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        shortened.replace(path)  # at once: a process killed here loses no line
        self._file = path.open("a", encoding="utf-8")
        from tensorboardX import SummaryWriter  # loads PyTorch where that is installed: not before it is needed

        board = run_dir / "tensorboard"
        shutil.rmtree(board, ignore_errors=True)  # a killed writer leaves the last two minutes out: made anew from the lines
        self._board = SummaryWriter(str(board))
        for line in kept:
            for group in line.keys() - {"step"}:
                self._draw(line["step"], group, line[group])

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
        self._file.write(json.dumps({"step": step, group: numbers}) + "\n")
        self._file.flush()
        self._draw(step, group, numbers)

    def _draw(self, step: int, group: str, numbers: dict[str, float | None]) -> None:
        for name, value in numbers.items():
            if value is not None:
                self._board.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        """Write out what is buffered."""
        self._file.close()
        self._board.close()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """Lines written so far; one that a killed process left half written can only be the last, and is dropped."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines[:-1]]
