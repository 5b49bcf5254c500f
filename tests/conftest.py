"""Fixtures of all tests; shapes and types of the package are checked at every call."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent

# Before JAX is imported, and inherited by the processes that tests start. The cache is keyed by the program, its options and
# the compiler's version, so an old entry is never taken for a new program.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPO / ".cache" / "jax"))
# Most of a test is the compilation of a program that runs a few times: with these options it takes less than half of the time.
# Newer compilers have but the first. What runs for long is compiled with those of `OPTIMISED`.
_OLDER = tuple(int(part) for part in version("jaxlib").split(".")[:2]) < (0, 11)
OPTIMISED = {"xla_backend_optimization_level": 3} | ({"xla_cpu_use_fusion_emitters": True} if _OLDER else {})
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0" + (" --xla_cpu_use_fusion_emitters=false" if _OLDER else ""))

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

from tests.browser import browser  # noqa: F401 (a fixture)

# Before the package is imported. The numeric tower: an int where a float is asked for is right Python.
install_import_hook("maskrcnn_jax", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process is left alone with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def run_on_devices(count: int, *arguments: str, **environment: str) -> None:
    """Run Python with `arguments` from the repository's root, in a process whose CPU counts as `count` devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=REPO,
        env={**os.environ, "XLA_FLAGS": flags, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the images that the larger tests read: $MASKRCNN_DATA, or ../shared/data beside the repository."""
    folder = Path(os.environ.get("MASKRCNN_DATA", REPO.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no test data at {folder}; set MASKRCNN_DATA to the folder that holds coco_free, coco_eval, nuclei and backbones")
    return folder


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> Path:
    """The config file of `tests.tiny.experiment`."""
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    path.write_text("from tests.tiny import experiment as get_config\n")
    return path


@pytest.fixture(scope="session")
def trained(tiny_config, tmp_path_factory) -> Path:
    """Run folder of a tiny, but whole, model that the command line has trained for two steps."""
    from maskrcnn_jax.cli.main import main

    run = tmp_path_factory.mktemp("trained") / "run"
    main(["train", str(tiny_config), "--run-dir", str(run), "--train.steps", "2", "--eval.pictures", "2"])
    return run
