"""This package and torchvision side by side, in turn, on this machine: `make bench`.

Prints a table in Markdown and, if asked, writes JSON. Where the operators of torchvision's wheel are not compiled, as on a CPU, rows
that need them are scaled from its backbone+FPN of the same turns, and say so. Both use as many threads as the process may use cores:
`taskset -c 0,1 python scripts/benchmark.py` is the setting of docs/benchmarks.md.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # PyTorch wants memory of a GPU too

import jax
import tyro

from benchmarks import fresh, host, networks, operators, rows
from benchmarks.reference import Dtype, Reference
from benchmarks.scaling import scaling
from benchmarks.throughput import throughput

Part = Literal[
    "nms",
    "roi_align",
    "backbone_fpn",
    "inference",
    "training_step",
    "throughput",
    "input_pipeline",
    "evaluation",
    "compile",
    "memory",
    "scaling",
]
PARTS: tuple[Part, ...] = get_args(Part)
DATA: dict[Part, str] = {"input_pipeline": "coco_free", "evaluation": "coco_eval"}  # folders that parts read


@dataclass(frozen=True, kw_only=True)
class Command:
    """Measure this package beside torchvision."""

    parts: tuple[Part, ...] = PARTS
    """What to measure."""
    repeats: int = 5
    """Turns, one of ours and one of theirs each."""
    dtype: Dtype = "float32"
    """What networks and features are computed in; torchvision's under autocast, with channels last."""
    data: Path = Path(os.environ.get("MASKRCNN_DATA", "../shared/data"))
    """Folder with coco_free and coco_eval, for `input_pipeline` and `evaluation`."""
    json: Path | None = None
    """File that samples, machine and versions are written to."""


def measure(part: Part, command: Command, reference: Reference) -> Iterator[rows.Row]:
    """The rows of one part."""
    calls: dict[Part, Callable[[], Iterator[rows.Row]]] = {
        "nms": lambda: operators.nms(reference, command.repeats),
        "roi_align": lambda: operators.roi_align(reference, command.repeats),
        "backbone_fpn": lambda: networks.backbone_fpn(reference, command.repeats),
        "inference": lambda: networks.inference(reference, command.repeats),
        "training_step": lambda: networks.training_step(reference, command.repeats),
        "throughput": lambda: throughput(command.dtype, command.repeats),
        "input_pipeline": lambda: host.input_pipeline(reference, command.repeats, command.data),
        "evaluation": lambda: host.evaluate(command.repeats, command.data),
        "compile": lambda: fresh.compile_times(command.dtype),
        "memory": lambda: fresh.memory(command.dtype),
        "scaling": lambda: scaling(command.dtype),
    }
    return calls[part]()


def skipped(part: Part, command: Command) -> str:
    """Why a part cannot be measured here; empty if it can."""
    if part in DATA and not (command.data / DATA[part]).is_dir():
        return f"no data at {command.data / DATA[part]}; give --data or MASKRCNN_DATA"
    if part == "throughput" and jax.default_backend() == "cpu":
        return "needs a GPU"
    return ""


def main() -> None:
    """Print the rows as they come."""
    command = tyro.cli(Command)
    reference, found = Reference(command.dtype), list[rows.Row]()
    print(f"{rows.machine()}\n\n{rows.HEADER}", flush=True)
    try:
        for part in command.parts:
            if why := skipped(part, command):
                print(f"{part}: skipped, {why}", file=sys.stderr)
                continue
            for row in measure(part, command, reference):
                print(rows.line(row), flush=True)
                found.append(row)
    finally:  # a check that fails loses nothing of what was measured before
        if command.json is not None:
            command.json.write_text(json.dumps(rows.document(found, sys.argv), indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
