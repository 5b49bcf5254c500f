"""What the `lvis` package says of the made set; writes lvis_numbers.json beside this file.

The package asks for opencv-python, which would replace opencv-python-headless, and for what NumPy 1.24 took away: it cannot be among the
tests' dependencies. So its numbers are made in an environment of its own, from the repository's root:

    python -m venv /tmp/lvis && . /tmp/lvis/bin/activate
    pip install numpy pycocotools opencv-python-headless matplotlib && pip install --no-deps lvis==0.5.3
    python -m tests.evaluation.lvis_numbers
"""

import hashlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from tests.evaluation.lvis_set import made

NUMBERS = Path(__file__).with_suffix(".json")


def fingerprint(made_set: Any) -> str:
    """Of a set that is all JSON."""
    return hashlib.sha256(json.dumps(made_set).encode()).hexdigest()


def numbers(kind: str) -> dict[str, Any]:
    """Results by name, and AP by class; -1 where there is nothing to measure."""
    from lvis import LVIS, LVISEval, LVISResults

    truth, detections = made()
    if kind == "segm":  # where a detection has a box, its area decides the size of the mask too: official numbers are of masks alone
        detections = [{key: value for key, value in entry.items() if key != "bbox"} for entry in detections]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(truth, file)
        file.flush()
        dataset = LVIS(file.name)
    run = LVISEval(dataset, LVISResults(dataset, detections), kind)
    run.run()
    precision = run.eval["precision"][..., 0]
    of_classes = {str(id_): _mean(precision[:, :, k]) for k, id_ in enumerate(run.params.cat_ids)}
    return {"results": {name: float(value) for name, value in run.get_results().items()}, "per_class": of_classes}


def _mean(values: np.ndarray) -> float:
    return float(values[values > -1].mean()) if (values > -1).any() else -1.0


if __name__ == "__main__":
    vars(np).setdefault("float", float)
    content = {"lvis": version("lvis"), "set": fingerprint(made()), "bbox": numbers("bbox"), "segm": numbers("segm")}
    NUMBERS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
