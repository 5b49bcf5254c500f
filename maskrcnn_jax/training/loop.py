"""The training loop."""

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console

from maskrcnn_jax import evaluation, models
from maskrcnn_jax.checkpoint import CheckpointError, CheckpointWriter
from maskrcnn_jax.config import ExperimentConfig
from maskrcnn_jax.data import DataError, Source
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.models import Model
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.display import Display
from maskrcnn_jax.training.interruption import Interrupted, StopRequest
from maskrcnn_jax.training.manifest import add_resumption, read_manifest, write_manifest
from maskrcnn_jax.training.metrics import MetricsLog
from maskrcnn_jax.training.nonfinite import NonFiniteError, dump, first_bad
from maskrcnn_jax.training.pictures import picture_grid
from maskrcnn_jax.training.placement import local_mesh, on_this_process, to_devices
from maskrcnn_jax.training.prepare import prepared
from maskrcnn_jax.training.processes import ProcessError, gathered, in_all, is_main
from maskrcnn_jax.training.profile import Profile
from maskrcnn_jax.training.start import initial_state
from maskrcnn_jax.training.step import StepMetrics, TrainState, averaged_variables
from maskrcnn_jax.training.stored import load_state, save_state
from maskrcnn_jax.training.summary import write_summary
from maskrcnn_jax.training.validate import Evaluation, scalars, validate
from maskrcnn_jax.training.watchdog import Watchdog

logger = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)
LOUD = ("objects_cut", "images_unreadable", "nonfinite")  # a step that counts one of them is always logged: nothing is lost in silence


class _Pending(NamedTuple):
    """A step whose metrics are still on the device, and its batch on the host."""

    step: int
    metrics: StepMetrics
    batch: Batch


def train(
    config: ExperimentConfig,
    run_dir: str | Path,
    *,
    resume: bool = False,
    profile: bool = False,
    sources: tuple[Source, Source] | None = None,
    console: Console | None = None,
) -> Evaluation:
    """Train a model, evaluate it, and leave checkpoints, metrics and pictures in a run folder.

    On all devices of all processes that `jax.distributed` has joined; each must call it with the same arguments and see the same
    `run_dir`. SIGTERM ends it after the step that runs, with everything saved.

    Args:
      config: the experiment.
      run_dir: where everything is written; made if missing.
      resume: go on from the latest checkpoint in `run_dir`, or from the start where the run was stopped before its first.
      profile: write a trace of a few steps to the folder profile of `run_dir`, and print where their time goes.
      sources: training and validation data, for which the run records `data.kind` own; None opens what `config.data` names.
      console: where progress is shown; None is the terminal.

    Returns:
      The evaluation after the last step.

    Raises:
      CheckpointError: `run_dir` holds checkpoints and `resume` is not set, or it is set and they are not of this config and data.
      ConfigError: the data have another number of classes than the model.
      DataError: data that cannot be used, or `data.kind` own without `sources`.
      WeightsError: `config.train.weights` does not fit.
      NonFiniteError: losses or gradients of `train.max_nonfinite` steps in a row are not finite.
      Interrupted: SIGTERM, or a notice that the machine will be taken away; all is saved.
      ProcessError: another process of the run could not start, or not evaluate its images.
    """
    run = Path(run_dir)
    if sources is not None:
        config = replace(config, data=replace(config.data, kind="own"))
    with ExitStack() as opens:
        stop = opens.enter_context(StopRequest())  # first: who is told to stop before the first step stops after it
        watchdog = opens.enter_context(Watchdog(config.train.stall_seconds))
        watchdog.waits_for("the data to be opened, in all processes")
        start, opened, about, model, stream = prepared(config, run, resume, sources)
        opens.enter_context(closing(stream))
        console = console or Console(quiet=not is_main())
        display = opens.enter_context(Display(console, config.train.steps, start))
        watchdog.waits_for("the state to begin with")
        state = _state_after(start, config, model, run, display)
        opens.enter_context(_full_disk_is_told(run))
        # Nothing is written before here: what cannot start leaves no run folder, and one to be resumed as it was.
        in_all(lambda: _write_down(run, about, start if resume else None))
        # The writer before the log: it reads, and may find damage.
        writer = opens.enter_context(closing(CheckpointWriter(run, config, tuple(opened[0].categories))))
        log = opens.enter_context(closing(in_all(lambda: MetricsLog(run, start, writes=is_main()))))
        profiles = profile and is_main()
        measured = opens.enter_context(closing(Profile(run / "profile", watchdog, console))) if profiles else None
        held = _Open(stop, watchdog, stream, display, writer, log, measured)
        return _Loop(config, model, run, start, opened, held).run(state)


def _write_down(run: Path, about: dict[str, Any], resumed_at: int | None) -> None:
    """In the manifest, by one of the processes."""
    if not is_main():
        return
    if resumed_at is None:
        write_manifest(run, about)
    else:
        add_resumption(run, about, resumed_at)


@contextmanager
def _full_disk_is_told(run: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise CheckpointError(
            f"{run}: {error.strerror}; the checkpoints written before are whole: free some space, then go on with --resume"
        ) from error


class _Open(NamedTuple):
    """What a run holds open."""

    stop: StopRequest
    watchdog: Watchdog
    stream: Iterator[Batch]
    display: Display
    writer: CheckpointWriter
    log: MetricsLog
    profile: Profile | None


class _Loop:
    """Step by step, and what is due after each."""

    def __init__(self, config: ExperimentConfig, model: Model, run: Path, start: int, sources: tuple[Source, Source], held: _Open) -> None:
        self._config, self._model, self._dir = config, model, run
        self._train_source, self._val_source = sources
        self._stop, self._watchdog, self._stream, self._display, self._writer, self._log, self._profile = held
        self._local = model if jax.process_count() == 1 else models.build(config.model, local_mesh(config.train))
        self._steps = CompiledSteps(model, config, self._compiling)
        self._clock = 0.0
        self._pending: _Pending | None = None
        self._state: TrainState | None = None  # after the last step; what an error leaves to save
        self._done = self._saved = start
        self._unreadable = 0
        self._void = False  # whether a batch was; those after it are too, until the metrics tell all processes
        self._failure: DataError | None = None  # what ends the run once it is saved

    def run(self, state: TrainState) -> Evaluation:
        """All steps that are left, and the evaluation of the last one."""
        self._state = state
        result = self._made_up_for()
        self._clock = self._now()
        while self._done < self._config.train.steps and not self._out_of_patience():
            if self._profile is not None:
                self._profile.before_step()
            batch = self._next_batch()
            on_devices = to_devices(batch, self._model.mesh)
            program = self._steps.program(self._state, on_devices)
            self._watchdog.waits_for(f"step {self._done + 1} to begin", "step")
            self._state, metrics = program(self._state, on_devices)
            self._done += 1
            self._display.training()
            self._record()
            self._pending = _Pending(self._done, metrics, batch)
            result = self._after_step()
        if result is None:  # there was nothing left to do
            result = self._evaluate()
        if is_main():
            self._watchdog.waits_for("the summary to be written")
            write_summary(self._dir, read_manifest(self._dir), result)
        return result

    def _compiling(self, canvas: tuple[int, int]) -> None:
        self._display.doing(f"compiling the step for {canvas[0]} x {canvas[1]}")
        self._watchdog.waits_for(f"the step for {canvas[0]} x {canvas[1]} to be compiled", "compile")

    def _made_up_for(self) -> Evaluation | None:
        """The evaluation that was due after the last step but failed, before the run was resumed."""
        if not (self._done and self._evaluates(self._done)) or self._writer.is_measured(self._done):
            return None
        result = self._evaluate()
        self._watchdog.waits_for(f"the mask AP of checkpoint {self._done} to be written")
        self._writer.add_mask_ap(self._done, result.metrics["segm"].stats["AP"])
        return result

    def _evaluates(self, step: int) -> bool:
        """Whether an evaluation is due after `step`."""
        every = self._config.eval.every
        return step == self._config.train.steps or (every is not None and step % every == 0)

    def _next_batch(self) -> Batch:
        self._watchdog.waits_for(f"the images of step {self._done + 1} (of {max(self._config.data.workers, 1)} readers)", "input")
        try:
            batch = next(self._stream)
        except Exception:  # a worker process has died, say: the training until here is not lost for it
            if jax.process_count() == 1:  # the others know nothing of it, and all must save together
                self._record()
                self._save(None)
            raise
        self._void |= bool(batch.void.any())
        return batch._replace(void=np.full_like(batch.void, self._void))

    def _after_step(self) -> Evaluation | None:
        """What is due after the last step: evaluation, checkpoint, the end."""
        config, step = self._config, self._done
        stops = self._stop.reached(step) and step < config.train.steps
        if not (self._evaluates(step) or stops or self._failure or step % config.train.checkpoint_every == 0):
            return None
        self._record()
        try:
            result = self._evaluate() if self._evaluates(step) else None
        except Exception:  # an image that cannot be read, say: the training until here is not lost for it
            self._save(None)
            raise
        self._save(result)
        self._clock = self._now()
        if self._failure:
            raise self._failure
        if stops:
            raise Interrupted(f"told to stop after step {step}; all is saved: the same command with --resume goes on")
        return result

    def _record(self) -> None:
        """Read the metrics of the step before, now that the next one is on its way, and check and log them."""
        if self._pending is None:
            return
        pending, self._pending = self._pending, None
        self._watchdog.waits_for(f"the devices to end step {pending.step}", "step")
        values = {name: float(value) for name, value in jax.device_get(pending.metrics).items()}
        self._watchdog.waits_for(f"the metrics of step {pending.step} to be written")
        if values.pop("void"):
            self._end_before(pending)
        before, self._clock = self._clock, self._now()
        values["images_per_second"] = self._config.train.batch_size / (self._clock - before)
        due = pending.step % self._config.train.log_every == 0 or pending.step == self._config.train.steps
        logged = due or any(values[name] > 0 for name in LOUD)
        if logged:
            self._log.write(pending.step, values, group="train")
        self._display.step(pending.step, values if logged else None)
        self._check(pending, values)

    def _now(self) -> float:
        """Seconds on a clock that stands still while a step is compiled."""
        return time.perf_counter() - self._steps.seconds

    def _end_before(self, pending: _Pending) -> None:
        """A step whose images could not be read, in this process or another: it changed nothing, nor did one begun after it."""
        self._done = pending.step - 1
        self._save(None)
        faults = pending.batch.faults[pending.batch.void]
        if len(faults):
            raise DataError(str(faults[0]))
        raise ProcessError(
            f"another process, which says why, could not read its images of step {pending.step}; all before is saved: mend them, then go "
            "on with --resume"
        )

    def _check(self, pending: _Pending, values: dict[str, float]) -> None:
        """Tell what went wrong in a step; what ends the run is raised, or noted to be raised once it is saved."""
        train, data = self._config.train, self._config.data
        for fault in pending.batch.faults[pending.batch.stand_ins > 0]:
            logger.warning("step %d: %s; another image stands in for it", pending.step, fault)
        self._unreadable += int(values["images_unreadable"])
        if self._unreadable > data.max_unreadable and self._failure is None:
            self._failure = DataError(
                f"step {pending.step}: {self._unreadable} times an image could not be read since this command was started, "
                f"data.max_unreadable is {data.max_unreadable}; mend them (see the warnings above), or allow more"
            )
        if values["nonfinite"]:
            ids = [i for own in gathered(pending.batch.image_ids.tolist()) for i in own]
            what = f"step {pending.step}: {first_bad(values)} not finite on images {ids}"
            if values["nonfinite"] < train.max_nonfinite:
                logger.warning("%s; the step is skipped", what)
                return
            assert self._state is not None
            self._watchdog.waits_for(f"the dump of step {pending.step} to be written")
            folder = dump(self._dir, pending.step, self._state, pending.batch, self._config, tuple(self._train_source.categories))
            raise NonFiniteError(
                f"{what}, the last of {train.max_nonfinite} such steps in a row (train.max_nonfinite), which were all skipped; "
                f"`maskrcnn replay {folder}` computes it again. Look at these images, lower optimizer.learning_rate, or set "
                "optimizer.clip_norm"
            )

    def _out_of_patience(self) -> bool:
        """Whether the last `train.patience` evaluations found no better mask AP than one before them."""
        patience = self._config.train.patience
        if patience is None:
            return False
        scores = [-1.0 if score is None else score for score in self._log.history("val", "mask_AP")]
        return len(scores) > patience and max(scores[-patience:]) <= max(scores[:-patience])

    def _evaluate(self) -> Evaluation:
        self._display.doing("evaluating")
        self._watchdog.waits_for("the evaluation, in all processes")
        result = validate(self._predictor(), self._val_source, self._config, progress=self._evaluated)
        self._log.write(self._done, scalars(result), group="val")
        if is_main():
            self._watchdog.waits_for("the results of the evaluation to be written")
            evaluation.write_results(self._dir / "detections.json", result.detections)
            count = min(self._config.eval.pictures, len(result.ground_truth["images"]))
            if count:
                self._log.write_picture(self._done, picture_grid(self._val_source, result, count))
        return result

    def _evaluated(self, done: int, total: int) -> None:
        what = f"{done} of {total} images done" if done < total else "its losses, and the images of other processes"
        self._watchdog.waits_for(f"the evaluation, {what}")
        self._display.evaluated(done, total)

    def _predictor(self) -> Predictor:
        assert self._state is not None
        variables = on_this_process(averaged_variables(self._state))
        batch_size = self._config.eval.batch_size * self._local.mesh.size
        return Predictor(self._local, variables, self._train_source.categories, batch_size=batch_size)

    def _save(self, result: Evaluation | None) -> None:
        """Write the checkpoint of the last step, unless it is there."""
        assert self._state is not None
        if self._done == self._saved:
            return
        self._display.doing("writing a checkpoint")
        self._watchdog.waits_for(f"the checkpoint of step {self._done} to be written")
        save_state(self._writer, self._done, self._state, None if result is None else result.metrics["segm"].stats["AP"])
        self._saved = self._done


def _state_after(start: int, config: ExperimentConfig, model: Model, run: Path, display: Display) -> TrainState:
    """The state before the first step of this process."""
    if start:
        return load_state(run, start, model, config)
    display.doing("compiling the initialisation")
    return initial_state(model, config)
