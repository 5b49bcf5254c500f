"""Training around a model of nine numbers: everything but the model is real."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maskrcnn_jax import models
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.training import Evaluation, train
from tests import tiny

MODEL = replace(tiny.MODEL, num_classes=2)


@pytest.fixture
def stand_in(monkeypatch) -> None:
    monkeypatch.setattr(models, "build", tiny.stand_in)


@pytest.fixture
def run_training(stand_in) -> Callable[..., Evaluation]:
    """Train the stand-in on eight squares, validate on three."""

    def run(config: ExperimentConfig, folder: Path, **options: Any) -> Evaluation:
        return train(config, folder, **{"sources": (tiny.Squares(8), tiny.Squares(3))} | options)

    return run


@pytest.fixture
def read_lines() -> Callable[[Path], list[dict[str, Any]]]:
    """Lines of a run's metrics.jsonl without the one number that is the clock's."""

    def read(run: Path) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for line in lines:
            line.get("train", {}).pop("images_per_second", None)
        return lines

    return read
