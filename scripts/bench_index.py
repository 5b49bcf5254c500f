"""Start-up time and memory of a large dataset's index, on made-up annotations: `make bench-index`.

A COCO file of a million images is written, of three objects each with a polygon of 16 corners. Read as it is (`CocoSource`), and as the
index that `maskrcnn prepare-data` leaves beside its records (`PreparedSource` reads no more at its start); each in a process of its own.
No image is read: their files are empty, and a thousand names serve all images.
"""

import argparse
import json
import math
import pickle
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from maskrcnn_jax.data import CocoSource
from maskrcnn_jax.data.coco_json import check_document, read_document
from maskrcnn_jax.data.faults import refusing
from maskrcnn_jax.data.prepared.index import FILE, make_index, read_index, write_index

OBJECTS, CORNERS, CLASSES, FILES = 3, 16, 80, 1000
ANNOTATIONS, PREPARED = "annotations.json", f"prepared/{FILE}"
KIB = 1024 / 1e6  # MB, as Linux counts memory


def main() -> None:
    """Write the dataset, read it both ways, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--read", choices=(ANNOTATIONS, PREPARED), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        print(json.dumps(_measured(arguments.folder, arguments.read)))
        if arguments.read == ANNOTATIONS:
            _write_index(arguments.folder)
        return
    table = Table("what is read", "MB", "s", "peak MB", "MB kept", "MB sent to a worker")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder, arguments.images)
        for source in (ANNOTATIONS, PREPARED):
            command = [sys.executable, __file__, "--read", source, "--folder", str(folder)]
            found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            length = (folder / source).stat().st_size / 1e6
            table.add_row(source, f"{length:,.0f}", f"{found[0]:,.1f}", *(f"{value:,.0f}" for value in found[1:]))
    Console().print(table)


def _write(folder: Path, images: int) -> None:
    (folder / "images").mkdir()
    for i in range(min(images, FILES)):
        (folder / "images" / f"{i}.jpg").touch()
    with (folder / ANNOTATIONS).open("w", encoding="utf-8") as file:
        file.write(f'{{"categories": {json.dumps([{"id": k, "name": f"class {k}"} for k in range(1, CLASSES + 1)])},\n"images": [\n')
        file.writelines(_rows({"id": i, "file_name": f"{i % FILES}.jpg", "height": 480, "width": 640} for i in range(images)))
        file.write('],\n"annotations": [\n')
        file.writelines(_rows(_objects(images)))
        file.write("]}\n")


def _write_index(folder: Path) -> None:
    """As `maskrcnn prepare-data` does."""
    (folder / PREPARED).parent.mkdir()
    document = read_document(folder / ANNOTATIONS, refusing([]))
    write_index((folder / PREPARED).parent, make_index(document, check_document(folder / ANNOTATIONS, document, refusing([]))))


def _rows(rows: Iterator[dict]) -> Iterator[str]:
    for i, row in enumerate(rows):
        yield f"{',' if i else ''}{json.dumps(row)}\n"


def _objects(images: int) -> Iterator[dict]:
    rng = random.Random(0)
    turns = [2 * math.pi * k / CORNERS for k in range(CORNERS)]
    for i in range(images * OBJECTS):
        x, y, a, b = rng.uniform(70, 570), rng.uniform(60, 420), rng.uniform(10, 65), rng.uniform(10, 55)
        polygon = [round(side, 2) for turn in turns for side in (x + a * math.cos(turn), y + b * math.sin(turn))]
        box = [round(side, 2) for side in (x - a, y - b, 2 * a, 2 * b)]
        yield {
            "id": i,
            "image_id": i // OBJECTS,
            "category_id": rng.randint(1, CLASSES),
            "bbox": box,
            "area": round(math.pi * a * b, 2),
            "iscrowd": 0,
            "segmentation": [polygon],
        }


def _measured(folder: Path, name: str) -> list[float]:
    """Seconds, and MB: the peak while it is read, what stays, and what a worker is sent."""
    before, start = _memory(), time.perf_counter()
    source: object = CocoSource(folder / name, folder / "images") if name == ANNOTATIONS else read_index((folder / name).parent)
    seconds, stays = time.perf_counter() - start, _memory() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB - before
    return [seconds, peak, stays, len(pickle.dumps(source)) / 1e6]


def _memory() -> float:
    """MB that this process has."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * KIB


if __name__ == "__main__":
    main()
