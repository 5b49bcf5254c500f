"""The manifest of a run folder: what made it."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

import maskrcnn_jax
from maskrcnn_jax.config import ExperimentConfig, to_dict
from maskrcnn_jax.data import Source, fingerprint

FILE = "manifest.json"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pycocotools", "opencv-python-headless")


def write_manifest(run_dir: Path, config: ExperimentConfig, train_source: Source, val_source: Source) -> None:
    """Write versions, command, devices, config, git commit and data fingerprints to `manifest.json` of the run folder."""
    manifest: dict[str, Any] = {
        "command": sys.argv,
        "python": sys.version,
        "versions": {"maskrcnn-jax": maskrcnn_jax.__version__, **{name: metadata.version(name) for name in PACKAGES}},
        "devices": [str(device) for device in jax.devices()],
        "git_commit": _git_commit(),
        "data": {"train": fingerprint(train_source), "val": fingerprint(val_source)},
        "config": to_dict(config),
    }
    (run_dir / FILE).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _git_commit() -> str | None:
    """Commit of the clone this package runs from, with `+` where files differ from it; None outside a clone."""
    folder = Path(__file__).parent
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed.strip() else "")
