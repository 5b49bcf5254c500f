"""The training loop."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from maskrcnn_jax import evaluation, models, visualize
from maskrcnn_jax.checkpoint import CheckpointError, CheckpointWriter, latest_step, load_train
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import Source
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.models import Model
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.display import Display
from maskrcnn_jax.training.inputs import checked_sources, train_batches
from maskrcnn_jax.training.manifest import add_resumption, manifest, require_free, require_same_config, require_same_data, write_manifest
from maskrcnn_jax.training.metrics import MetricsLog
from maskrcnn_jax.training.start import initial_state, state_shapes
from maskrcnn_jax.training.step import StepMetrics, TrainState, to_devices
from maskrcnn_jax.training.validate import Evaluation, validate

COLUMNS = 2  # pairs of pictures in a row of the grid


class NonFiniteError(UserError, FloatingPointError):
    """A loss or gradient is not finite; the message names the step, the term and the images."""


class _Pending(NamedTuple):
    """A step whose metrics are still on the device."""

    step: int
    metrics: StepMetrics
    image_ids: np.ndarray


def train(
    config: ExperimentConfig,
    run_dir: str | Path,
    *,
    resume: bool = False,
    sources: tuple[Source, Source] | None = None,
    console: Console | None = None,
) -> Evaluation:
    """Train a model, evaluate it, and leave checkpoints, metrics and pictures in a run folder.

    Args:
      config: the experiment.
      run_dir: where everything is written; made if missing.
      resume: go on from the latest checkpoint in `run_dir`, or from the start where the run was stopped before its first.
      sources: training and validation data, for which the run records `data.kind` own; None opens what `config.data` names.
      console: where progress is shown; None is the terminal.

    Returns:
      The evaluation after the last step.

    Raises:
      CheckpointError: `run_dir` holds checkpoints and `resume` is not set, or it is set and they are not of this config and data.
      ConfigError: the data have another number of classes than the model.
      DataError: data that cannot be used, or `data.kind` own without `sources`.
      WeightsError: `config.train.weights` does not fit.
      NonFiniteError: a loss or gradient is not finite.
    """
    run = Path(run_dir)
    if sources is not None:
        config = replace(config, data=replace(config.data, kind="own"))
    start = _start_step(run, config, resume)  # before the data are opened: a resumed run may not have been made with these
    opened = checked_sources(config, sources)
    about = manifest(config, *opened)
    if resume:
        require_same_data(run, about)
    model = models.build(config.model)
    stream = train_batches(config, opened[0], start, config.train.steps)  # data without objects end it here, before all else
    with Display(console or Console(), config.train.steps, start) as display:
        state = _state_after(start, config, model, run, display)
        # Nothing is written before here: what cannot start leaves no run folder, and one to be resumed as it was.
        if resume:
            add_resumption(run, about, start)
        else:
            write_manifest(run, about)
        loop = _Loop(config, model, run, start, opened, stream, display)
        try:
            return loop.run(state)
        finally:
            loop.close()


class _Loop:
    """What the loop holds open while it runs."""

    def __init__(
        self,
        config: ExperimentConfig,
        model: Model,
        run: Path,
        start: int,
        sources: tuple[Source, Source],
        stream: Iterator[Batch],
        display: Display,
    ) -> None:
        self._config, self._model, self._dir, self._start, self._display = config, model, run, start, display
        (self._train_source, self._val_source), self._stream = sources, stream
        self._steps = CompiledSteps(model, config, lambda canvas: display.doing(f"compiling the step for {canvas[0]} x {canvas[1]}"))
        self._log = MetricsLog(run, start)
        self._writer = CheckpointWriter(run, config, tuple(sources[0].categories))
        self._clock = time.perf_counter()
        self._pending: _Pending | None = None

    def run(self, state: TrainState) -> Evaluation:
        """All steps that are left, and the evaluation of the last one."""
        config, total = self._config, self._config.train.steps
        result: Evaluation | None = None
        for step, batch in enumerate(self._stream, self._start + 1):
            state, metrics = self._steps(state, to_devices(batch, self._model.mesh))
            self._display.training()
            self._record()
            self._pending = _Pending(step, metrics, batch.image_ids)
            evaluates = step == total or (config.eval.every is not None and step % config.eval.every == 0)
            if evaluates or step % config.train.checkpoint_every == 0:
                self._record()
                try:
                    result = self._evaluate(step, state) if evaluates else None
                except Exception:  # an image that cannot be read, say: the training until here is not lost for it
                    self._save(step, state, None)
                    raise
                self._save(step, state, result)
                self._clock = time.perf_counter()
        if result is None:  # there was nothing left to do
            result = self._evaluate(self._start, state)
        self._write_pictures(state)
        return result

    def close(self) -> None:
        """Close what is open."""
        self._log.close()
        self._writer.close()

    def _record(self) -> None:
        """Read the metrics of the step before, now that the next one is on its way, and check and log them."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        values = {name: float(value) for name, value in jax.device_get(pending.metrics).items()}
        check_finite(values, pending.step, pending.image_ids)
        seconds, self._clock = time.perf_counter() - self._clock, time.perf_counter()
        values["images_per_second"] = self._config.train.batch_size / seconds
        due = pending.step % self._config.train.log_every == 0 or pending.step == self._config.train.steps
        logged = due or values["objects_cut"] > 0  # nothing is cut without a line that says so
        if logged:
            self._log.write(pending.step, values, group="train")
        self._display.step(pending.step, values if logged else None)

    def _evaluate(self, step: int, state: TrainState) -> Evaluation:
        self._display.doing("evaluating")
        result = validate(self._predictor(state), self._val_source, self._config, progress=self._display.evaluated)
        self._log.write(step, scalars(result), group="val")
        evaluation.write_results(self._dir / "detections.json", result.detections)
        return result

    def _predictor(self, state: TrainState) -> Predictor:
        return Predictor(self._model, _variables(state), self._train_source.categories, batch_size=self._config.eval.batch_size)

    def _save(self, step: int, state: TrainState, result: Evaluation | None) -> None:
        self._display.doing("writing a checkpoint")
        self._writer.save(step, _variables(state), _rest(state), None if result is None else result.metrics["segm"].stats["AP"])

    def _write_pictures(self, state: TrainState) -> None:
        count = min(self._config.eval.pictures, len(self._val_source))
        if count:
            visualize.save(self._dir / "pictures.png", picture_grid(self._predictor(state), self._val_source, count))


def check_finite(values: dict[str, float], step: int, image_ids: np.ndarray) -> None:
    """Raise NonFiniteError naming the terms of `values` that are not finite, the step and the images."""
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        raise NonFiniteError(
            f"step {step}: {', '.join(bad)} not finite on images {[int(i) for i in image_ids]}; "
            "look at these images, lower optimizer.learning_rate, or set optimizer.clip_norm"
        )


def scalars(result: Evaluation) -> dict[str, float]:
    """The numbers of an evaluation by name: `box_AP`, `mask_AP50`, ..., `candidates_cut`, and `loss_mask` and so on where measured."""
    names = {"bbox": "box", "segm": "mask"}
    numbers = {f"{names[kind]}_{name}": value for kind, metrics in result.metrics.items() for name, value in metrics.stats.items()}
    return numbers | {"candidates_cut": float(result.candidates_cut)} | {f"loss_{name}": value for name, value in result.losses.items()}


def picture_grid(predictor: Predictor, source: Source, count: int) -> np.ndarray:
    """Ground truth beside detections for the first `count` images, one RGB picture."""
    images, truths = [], []
    for i in range(count):
        example = source[i]  # drawn at once, because the masks of many examples are large
        images.append(example.image)
        truths.append(visualize.draw_example(example, source.categories))
    pairs = [
        visualize.compare(truth, visualize.draw(image, result, predictor.categories))
        for truth, image, result in zip(truths, images, predictor(images), strict=True)
    ]
    return visualize.grid(pairs, COLUMNS)


def _start_step(run: Path, config: ExperimentConfig, resume: bool) -> int:
    """Steps done so far; 0 also for a run that was stopped before its first checkpoint."""
    latest = latest_step(run)
    if resume:
        require_same_config(run, config)
    elif latest is not None:
        raise CheckpointError(f"{run}: already holds checkpoints up to step {latest}; add --resume to go on, or give another folder")
    else:
        require_free(run)
    return latest or 0


def _state_after(start: int, config: ExperimentConfig, model: Model, run: Path, display: Display) -> TrainState:
    """The state before the first step of this process."""
    if not start:
        display.doing("compiling the initialisation")
        return initial_state(model, config)
    shapes = state_shapes(model, config)
    variables, rest = load_train(run, start, _variables(shapes), _rest(shapes))
    return TrainState(params=variables["params"], batch_stats=variables["batch_stats"], **rest)


def _variables(state: TrainState) -> dict[str, Any]:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _rest(state: TrainState) -> dict[str, Any]:
    return {"step": state.step, "opt_state": state.opt_state, "key": state.key}
