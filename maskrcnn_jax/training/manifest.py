"""The manifest of a run folder: what made it, and what went on with it."""

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
from flax.traverse_util import flatten_dict

import maskrcnn_jax
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.config import ExperimentConfig, to_dict
from maskrcnn_jax.data import Source, fingerprint
from maskrcnn_jax.training.metrics import LINES, PICTURES
from maskrcnn_jax.training.nonfinite import FOLDER as DUMPS
from maskrcnn_jax.training.summary import FILES as SUMMARY

FILE = "manifest.json"
WRITTEN = (LINES, "tensorboard", "detections.json", PICTURES, *SUMMARY, DUMPS)  # over what has these names in the run folder
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pycocotools", "opencv-python-headless")


# Fields that a resumed run may change. Paths of data are free because the data themselves are compared.
FREE = (
    *("train.log_every", "train.checkpoint_every", "train.keep", "eval.every", "eval.batch_size", "eval.pictures"),
    *("train.devices", "train.sharding", "train.accumulate", "train.patience", "train.deterministic"),
    *("train.stall_seconds", "data.max_unreadable"),
    *("data.workers", "data.train_annotations", "data.train_images", "data.val_annotations", "data.val_images"),
    *("data.more_train_annotations", "data.more_train_images"),
)
FREE_UNDER_MULTI_STEP = ("train.steps",)  # a cosine ends at the last step: with another one all its rates were others


def manifest(config: ExperimentConfig, train_source: Source, val_source: Source) -> dict[str, Any]:
    """Versions, command, devices, config, git commit and data fingerprints, ready for JSON."""
    return {
        "command": sys.argv,
        "python": sys.version,
        "versions": {"maskrcnn-jax": maskrcnn_jax.__version__, **{name: metadata.version(name) for name in PACKAGES}},
        "devices": [str(device) for device in jax.devices()],
        "git_commit": git_commit(),
        "data": {"train": fingerprint(train_source), "val": fingerprint(val_source)},
        "config": to_dict(config),
    }


def require_writable(run_dir: Path) -> None:
    """Raise CheckpointError where a run folder cannot be made, or be written to; leaves nothing behind."""
    nearest = next(path for path in (run_dir.absolute(), *run_dir.absolute().parents) if path.exists())
    try:
        with TemporaryDirectory(dir=nearest):  # what permissions promise not every file system keeps
            pass
    except OSError as error:
        raise CheckpointError(
            f"{run_dir}: no run can be written there: {nearest} ({error.strerror}); give another folder by --run-dir"
        ) from error


def require_free(run_dir: Path) -> None:
    """Raise CheckpointError where a run in `run_dir` would write over files that no run has left there."""
    taken = [name for name in WRITTEN if (run_dir / name).exists()]
    if taken and not (run_dir / FILE).is_file():
        raise CheckpointError(
            f"{run_dir}: holds {', '.join(taken)}, which training writes anew, and is no run folder; give another one by --run-dir"
        )


def write_manifest(run_dir: Path, manifest: dict[str, Any]) -> None:
    """Make the folder of a run that starts and write its `manifest.json`; dumps of one that ended there without a checkpoint go."""
    run_dir.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(run_dir / DUMPS, ignore_errors=True)
    _write(run_dir, manifest | {"resumed": []})


def add_resumption(run_dir: Path, manifest: dict[str, Any], step: int) -> None:
    """Add to `manifest.json` that the run went on after `step` steps, and with what."""
    first = read_manifest(run_dir)
    _write(run_dir, first | {"resumed": [*first["resumed"], {"step": step} | manifest]})


def require_same_config(run_dir: Path, config: ExperimentConfig) -> None:
    """Check that a run can go on with this config as if it had never stopped.

    Raises:
      CheckpointError: `run_dir` has no manifest, its sources were given in Python and now are not, or its config differs in what
        training depends on.
    """
    if not (run_dir / FILE).is_file():
        raise CheckpointError(f"{run_dir}: no run to resume; leave out --resume, or give a run folder")
    ours, theirs = (flatten_dict(json.loads(json.dumps(values)), sep=".") for values in (to_dict(config), read_manifest(run_dir)["config"]))
    if theirs["data.kind"] == "own" and ours["data.kind"] != "own":
        raise CheckpointError(
            f"{run_dir}: this run's sources were given in Python; resume it there, with "
            f"maskrcnn_jax.train(config, {str(run_dir)!r}, sources=(train, val), resume=True)"
        )
    free = FREE + (FREE_UNDER_MULTI_STEP if config.optimizer.schedule == "multi_step" else ())
    _refuse(
        run_dir,
        [
            f"{name} is {ours.get(name)!r}, the run's is {theirs.get(name)!r}"
            for name in sorted(ours.keys() | theirs.keys())
            if name not in free and ours.get(name) != theirs.get(name)
        ],
    )


def require_same_data(run_dir: Path, manifest: dict[str, Any]) -> None:
    """Raise CheckpointError unless the data of `manifest` are those that the run in `run_dir` began with."""
    _refuse(
        run_dir,
        [f"the {split} data are others" for split, value in read_manifest(run_dir)["data"].items() if value != manifest["data"][split]],
    )


def _refuse(run_dir: Path, problems: list[str]) -> None:
    if problems:
        raise CheckpointError(
            f"{run_dir}: not the run that this command describes: {'; '.join(problems)}; "
            f"resume with the command in {FILE}, or start another run folder"
        )


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """What `write_manifest` and `add_resumption` wrote."""
    return json.loads((run_dir / FILE).read_text(encoding="utf-8"))


def _write(run_dir: Path, manifest: dict[str, Any]) -> None:
    whole = run_dir / (FILE + ".new")
    whole.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    whole.replace(run_dir / FILE)


def git_commit() -> str | None:
    """Commit of the clone this package runs from, with `+` where files differ from it; None outside a clone."""
    try:
        _git("ls-files", "--error-unmatch", __file__)  # an environment may lie in the clone of something else
        return _git("rev-parse", "HEAD") + ("+" if _git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()
