"""The wheel, installed in an empty environment: what a user of the package gets."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import maskrcnn_jax

REPO = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    # Neither the clone nor its import path may stand in for what the wheel lacks.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, REPO, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel, tmp_path_factory) -> Path:
    """`maskrcnn` in a new environment that sees the dependencies of this one, but not its editable install of the package."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # a .pth file in a folder named by one is not read
    scripts = folder / "bin"
    run(sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--no-deps", "--no-index", wheel, cwd=folder)
    return scripts / "maskrcnn"


def test_configs_and_type_marker_are_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "maskrcnn_jax/py.typed" in names
    templates = ("check_data.html", "inspect.html", "inspect.js", "model_report.html", "model_report.js")
    assert {f"maskrcnn_jax/reports/templates/{name}" for name in templates} <= names
    assert {f"maskrcnn_jax/configs/{path.name}" for path in (REPO / "configs").glob("*.py")} <= names
    assert "maskrcnn_jax/configs/shapes.py" in names


def test_nothing_else_is_inside(wheel):
    roots = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert roots == {"maskrcnn_jax", f"maskrcnn_jax-{maskrcnn_jax.__version__}.dist-info"}


def test_the_installed_package_is_the_wheels(command, tmp_path):
    where = run(command.parent / "python", "-c", "import maskrcnn_jax; print(maskrcnn_jax.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(command.parent.parent)


def test_version(command, tmp_path):
    assert maskrcnn_jax.__version__ in run(command, "--version", cwd=tmp_path)


def test_dry_run_of_a_packed_config(command, tmp_path):
    assert run(command, "train", "shapes", "--dry-run", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []  # a dry run writes nothing
