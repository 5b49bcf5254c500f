"""Checkpoints: what a model is, and what training needs to go on, through Orbax."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers as policies

from maskrcnn_jax.config import ConfigError, ExperimentConfig, from_dict, to_dict
from maskrcnn_jax.errors import UserError, first_few, misfits
from maskrcnn_jax.structs import Category

FOLDER = "checkpoints"  # in a run folder
MODEL, ABOUT, TRAIN = "model", "about", "train"  # the items of one checkpoint
METRICS = Path("metrics", "metrics")  # Orbax's file of what was measured, in the folder of one checkpoint
NOT_MEASURED = -1.0  # mask AP of a checkpoint without evaluation: below any


class CheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read or does not fit; the message names the folder and says what to do."""


class Checkpoint(NamedTuple):
    """A model at rest.

    step: training steps done. config: of the experiment it comes from, the model's among it.
    variables: NumPy arrays, {"params": ..., "batch_stats": ...}. categories: label k is categories[k - 1].
    """

    step: int
    config: ExperimentConfig
    variables: dict[str, Any]
    categories: tuple[Category, ...]


class CheckpointWriter:
    """Writes the checkpoints of one run: the latest `keep`, and the best by mask AP."""

    def __init__(self, run_dir: Path, config: ExperimentConfig, categories: tuple[Category, ...]) -> None:
        """Open, or make, the checkpoint folder of a run.

        Args:
          run_dir: the run folder.
          config: stored with every checkpoint.
          categories: stored with every checkpoint.

        Raises:
          CheckpointError: what a checkpoint of before says of its evaluation cannot be read.
        """
        for step in _steps(run_dir / FOLDER):
            _mask_ap(run_dir / FOLDER / str(step))
        best = policies.BestN(get_metric_fn=_mask_ap_of, n=1, keep_checkpoints_without_metrics=False)
        self._manager = ocp.CheckpointManager(
            (run_dir / FOLDER).absolute(),
            options=ocp.CheckpointManagerOptions(
                best_fn=_mask_ap_of,  # without it metrics are not written, and a resumed run forgets which was the best
                preservation_policy=policies.AnyPreservationPolicy([policies.LatestN(config.train.keep), best]),
                save_decision_policy=policies.FixedIntervalPolicy(1),
                enable_async_checkpointing=False,
                cleanup_tmp_directories=True,
            ),
        )
        self._about = {"config": to_dict(config), "categories": [list(category) for category in categories]}

    def save(self, step: int, variables: dict[str, Any], train: Any | None, mask_ap: float | None) -> None:
        """Write the checkpoint of `step`, of which there is none yet, and return once it is whole on disk.

        Args:
          step: training steps done.
          variables: of the model.
          train: optimizer state, key: what only going on needs; None for a model that no run here has trained.
          mask_ap: of an evaluation at this step, if there was one.

        Raises:
          CheckpointError: it could not be written; those before it are as they were.
        """
        items: dict[str, Any] = {MODEL: ocp.args.StandardSave(variables), ABOUT: ocp.args.JsonSave(self._about)}
        if train is not None:
            items[TRAIN] = ocp.args.StandardSave(train)
        with self._failure_is_told(step):
            self._manager.save(step, args=ocp.args.Composite(**items), metrics=_measured(mask_ap), force=True)
            self._manager.wait_until_finished()

    def add_mask_ap(self, step: int, mask_ap: float) -> None:
        """Note what was measured only after the checkpoint of `step` was written; its other files are not touched.

        Every process of a run must call it.

        Raises:
          CheckpointError: it could not be written; the checkpoint is whole, as before.
        """
        file = Path(self._manager.directory, str(step), METRICS)
        with self._failure_is_told(step):
            if jax.process_index() == 0:
                new = file.with_suffix(".new")
                new.write_text(json.dumps(_measured(mask_ap)), encoding="utf-8")
                new.replace(file)  # at once: a process killed here leaves the one or the other
        multihost_utils.sync_global_devices("a mask AP was added")
        self._manager.reload()

    def is_measured(self, step: int) -> bool:
        """Whether the checkpoint of `step` has a mask AP; one that is not a number, of data without objects, is none."""
        return _mask_ap(Path(self._manager.directory, str(step))) != NOT_MEASURED

    @contextmanager
    def _failure_is_told(self, step: int) -> Iterator[None]:
        log = logging.getLogger("absl")
        log.addFilter(_is_no_thread_s)
        try:
            yield
        except Exception as error:  # whatever Orbax and what it is made of raise where a disk is full
            raise CheckpointError(
                f"{self._manager.directory}: the checkpoint of step {step} could not be written ({_first_line(error)}); those before it "
                "are whole: see that the disk can be written and has space, then go on with --resume"
            ) from error
        finally:
            log.removeFilter(_is_no_thread_s)

    def close(self) -> None:
        """Release the folder."""
        self._manager.close()


def _is_no_thread_s(record: logging.LogRecord) -> bool:
    """False for what a thread of Orbax logs, with its traceback, before the same is raised."""
    return "_SignalingThread" not in record.getMessage()


def latest_step(run_dir: Path) -> int | None:
    """Step of the newest whole checkpoint of a run; None where there is none."""
    steps = _steps(run_dir / FOLDER)
    return max(steps) if steps else None


def best_step(run_dir: Path) -> int:
    """Step of the checkpoint with the highest mask AP, or of the newest where none was evaluated.

    Raises:
      CheckpointError: there is no checkpoint.
    """
    steps = _steps(run_dir / FOLDER)
    if not steps:
        raise CheckpointError(f"{run_dir}: no checkpoint in this folder; give a run folder, or a checkpoint's own folder")
    scores = {step: _mask_ap(run_dir / FOLDER / str(step)) for step in steps}
    return max(steps, key=lambda step: (scores[step], step))


def load(path: str | Path) -> Checkpoint:
    """Read a checkpoint: model, config and categories.

    Args:
      path: a run folder (its best checkpoint by mask AP is taken), or the folder of one checkpoint.

    Raises:
      CheckpointError: not a checkpoint, or one this version cannot read.
    """
    folder = Path(path).absolute()
    if folder.is_file():
        raise CheckpointError(f"{folder}: a file, not a checkpoint; make one of it with `maskrcnn convert {folder} --to DIR`")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such folder; give a run folder, or the folder of one checkpoint")
    if not (folder / ABOUT).is_dir():
        folder = folder / FOLDER / str(best_step(folder))
    try:
        about = ocp.Checkpointer(ocp.JsonCheckpointHandler()).restore(folder / ABOUT)
        variables = ocp.Checkpointer(ocp.StandardCheckpointHandler()).restore(folder / MODEL, args=_on_one_device())
        config = from_dict(ExperimentConfig, about["config"])
        categories = tuple(Category(*category) for category in about["categories"])
    except ConfigError as error:
        raise CheckpointError(f"{folder}: its config is of another version of this package ({error}); train or convert it anew") from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise CheckpointError(f"{folder}: not a whole checkpoint of this package ({error}); give another one") from error
    arrays = jax.tree.map(np.asarray, variables)
    return Checkpoint(int(folder.name) if folder.name.isdigit() else 0, config, arrays, categories)


def load_train(run_dir: Path, step: int, variables: dict[str, Any], train: Any) -> tuple[dict[str, Any], Any]:
    """Variables and training state of one checkpoint, in the shapes and shardings of those given.

    Raises:
      CheckpointError: the checkpoint has other shapes, or is not whole.
    """
    folder = (run_dir / FOLDER / str(step)).absolute()
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, (variables, train))
    try:
        stored = _shapes(ocp.StandardCheckpointHandler().metadata(folder / MODEL).tree)
        if problems := misfits(stored, _shapes(abstract[0])):  # before any array is read
            raise CheckpointError(
                f"{folder}: does not fit this config ({first_few(problems, '; ')}); resume with the config of the run's manifest.json, or "
                "start another run folder"
            )
        with ocp.StandardCheckpointer() as reader:
            return reader.restore(folder / MODEL, abstract[0]), reader.restore(folder / TRAIN, abstract[1])
    except CheckpointError:
        raise
    except Exception as error:  # whatever Orbax and what it is made of raise on bad bytes
        raise CheckpointError(
            f"{folder}: cannot be read ({_first_line(error)}); try again, or where it is damaged, or of another version of this package, "
            "move this folder aside to go on from the checkpoint before it"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _on_one_device() -> Any:
    """How to restore arrays here that were on other devices, or on more of them."""
    return ocp.args.StandardRestore(fallback_sharding=jax.sharding.SingleDeviceSharding(jax.local_devices()[0]))


def _measured(mask_ap: float | None) -> dict[str, float]:
    return {"mask_ap": NOT_MEASURED if mask_ap is None or np.isnan(mask_ap) else mask_ap}


def _mask_ap_of(metrics: dict[str, float]) -> float:
    return metrics["mask_ap"]


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}


def _steps(folder: Path) -> list[int]:
    return [int(entry.name) for entry in folder.iterdir() if entry.name.isdigit()] if folder.is_dir() else []


def _mask_ap(folder: Path) -> float:
    file = folder / METRICS
    if not file.is_file():
        return NOT_MEASURED
    try:
        return _mask_ap_of(json.loads(file.read_text()))
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file}: not readable ({error}); delete {folder}, or give the folder of one checkpoint") from error
