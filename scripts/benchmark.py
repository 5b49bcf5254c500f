"""This package and torchvision side by side, in turn, on this machine: `make bench`.

Prints a table in Markdown and, if asked, writes JSON. Where the operators of torchvision's wheel are not compiled, as on a CPU, rows
that need them are scaled from its backbone+FPN of the same turns, and say so. Both use as many threads as the process may use cores:
`taskset -c 0,1 python scripts/benchmark.py` is the setting of docs/benchmarks.md. Where JAX finds a GPU, as after
`pip install -e '.[parity,cuda]'`, the same command measures that, in bfloat16.
"""

import json
import os
import sys
import traceback
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
    "throughput",
    "nms",
    "roi_align",
    "backbone_fpn",
    "inference",
    "training_step",
    "input_pipeline",
    "evaluation",
    "compile",
    "memory",
    "scaling",
]
PARTS: tuple[Part, ...] = get_args(Part)
GPU_PARTS: tuple[Part, ...] = ("throughput", "nms", "roi_align", "memory")  # throughput first: see there
DATA: dict[Part, str] = {"input_pipeline": "coco_free", "evaluation": "coco_eval"}  # folders that parts read


@dataclass(frozen=True, kw_only=True)
class Command:
    """Measure this package beside torchvision."""

    parts: tuple[Part, ...] = ()
    """What to measure, in this order; if none is named, all on a CPU, and throughput, nms, roi_align and memory on a GPU."""
    repeats: int = 5
    """Turns, one of ours and one of theirs each."""
    dtype: Dtype | None = None
    """What networks and features are computed in; torchvision's under autocast, channels last. None: bfloat16 on a GPU, else float32."""
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
        "throughput": lambda: throughput(reference.dtype, command.repeats),
        "input_pipeline": lambda: host.input_pipeline(reference, command.repeats, command.data),
        "evaluation": lambda: host.evaluate(command.repeats, command.data),
        "compile": lambda: fresh.compile_times(reference.dtype),
        "memory": lambda: fresh.memory(reference.dtype),
        "scaling": lambda: scaling(reference.dtype),
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
    command, on_cpu = tyro.cli(Command), jax.default_backend() == "cpu"
    reference = Reference(command.dtype or ("float32" if on_cpu else "bfloat16"))
    found, failed = list[rows.Row](), list[Part]()
    print(f"{rows.machine()}\n\n{rows.HEADER}", flush=True)
    try:
        for part in command.parts or (PARTS if on_cpu else GPU_PARTS):
            if why := skipped(part, command):
                print(f"{part}: skipped, {why}", file=sys.stderr)
                continue
            try:
                for row in measure(part, command, reference):
                    print(rows.line(row), flush=True)
                    found.append(row)
            except (Exception, SystemExit):  # also of a check that fails: the other parts are measured all the same
                traceback.print_exc()
                failed.append(part)
    finally:
        if command.json is not None:
            command.json.write_text(json.dumps(rows.document(found, sys.argv), indent=1), encoding="utf-8")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
