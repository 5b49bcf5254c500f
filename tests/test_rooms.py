"""Who may import whom: the table of docs/design.md, held by reading the imports."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "maskrcnn_jax"

MAY_IMPORT: dict[str, set[str]] = {"errors": set(), "download": {"errors"}, "config": {"errors"}, "structs": set(), "ops": {"structs"}}
MAY_IMPORT["nn"] = MAY_IMPORT["stages"] = {"ops", "structs", "config"}
MAY_IMPORT["models"] = MAY_IMPORT["nn"] | {"nn", "stages"}
MAY_IMPORT["checkpoint"] = MAY_IMPORT["evaluation"] = MAY_IMPORT["visualize"] = {"config", "structs", "errors"}
MAY_IMPORT["data"] = {"config", "structs", "errors", "download"}
MAY_IMPORT["weights"] = MAY_IMPORT["models"] | {"models", "errors", "download"}
MAY_IMPORT["inference"] = MAY_IMPORT["weights"] | {"checkpoint", "data"}
MAY_IMPORT["training"] = MAY_IMPORT["inference"] | {"inference", "evaluation", "visualize", "weights"}
MAY_IMPORT["reports"] = MAY_IMPORT["training"] | {"training"}
MAY_IMPORT["convert"] = MAY_IMPORT["matterport"] = MAY_IMPORT["reports"]
MAY_IMPORT["cli"] = MAY_IMPORT["reports"] | {"reports", "convert"}
MAY_IMPORT["__init__"] = MAY_IMPORT["reports"] | {"reports"}

NEVER = {"torch", "torchvision", "tensorflow"}
WITHOUT_JAX = {"data", "download", "config", "structs", "errors"}
THROUGH_BUILD = {"training", "cli", "matterport"}
# What rooms that reach a model through `models.build` may name: the function, the types it speaks of, its mesh, and how
# programs are compiled.
DOOR = {
    "build",
    "compile_ahead",
    "Model",
    "Variables",
    "Features",
    "Losses",
    "Trace",
    "TrainTrace",
    "DATA_AXIS",
    "make_mesh",
    "one_device_mesh",
}


def imported(node: ast.AST, path: Path) -> list[str]:
    """Dotted names that one import statement of the file `path`, relative to the repository, may bring in."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    above = list(path.parent.parts[: len(path.parent.parts) - node.level + 1]) if node.level else []
    base = above + (node.module.split(".") if node.module else [])
    return [".".join([*base, alias.name]) for alias in node.names]


def violations(source: str, path: Path) -> list[str]:
    """What the file `path` imports, or calls, against the table."""
    room = path.with_suffix("").parts[1]
    if room not in MAY_IMPORT:
        return [f"{path}: room {room} stands in no table; add it to docs/design.md and here"]
    found = []
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in imported(node, path):
            top, *below = name.split(".")
            forbidden = top in NEVER or (top in {"jax", "jaxlib", "flax", "optax"} and room in WITHOUT_JAX)
            if top == "maskrcnn_jax" and below:
                foreign = below[0] in MAY_IMPORT and below[0] not in MAY_IMPORT[room] | {room}
                past_the_door = room in THROUGH_BUILD and (
                    below[0] in {"nn", "stages"} or (below[0] == "models" and len(below) > 1 and below[1] not in DOOR)
                )
                forbidden = foreign or past_the_door
            if forbidden:
                found.append(f"{path}:{node.lineno}: {room} imports {name}")
        reached = ast.unparse(node.value) if isinstance(node, ast.Attribute) and node.attr not in DOOR else ""
        if room in THROUGH_BUILD and reached in {"models", "maskrcnn_jax.models"}:
            found.append(f"{path}:{node.lineno}: {room} uses {ast.unparse(node)}")
    return found


def test_rooms_import_only_what_the_plan_allows():
    files = sorted(PACKAGE.rglob("*.py"))
    assert files
    assert [line for file in files for line in violations(file.read_text(), file.relative_to(PACKAGE.parent))] == []


@pytest.mark.parametrize(
    ("file", "source", "name"),
    [
        ("ops/boxes.py", "import maskrcnn_jax.config", "maskrcnn_jax.config"),
        ("ops/boxes.py", "import numpy, maskrcnn_jax.nn.fpn as fpn", "maskrcnn_jax.nn.fpn"),
        ("ops/boxes.py", "from maskrcnn_jax import config", "maskrcnn_jax.config"),
        ("ops/boxes.py", "from maskrcnn_jax.config import ModelConfig", "maskrcnn_jax.config.ModelConfig"),
        ("ops/boxes.py", "from .. import stages", "maskrcnn_jax.stages"),
        ("ops/boxes.py", "from ..stages import propose", "maskrcnn_jax.stages.propose"),
        ("ops/__init__.py", "from ..stages.propose import propose", "maskrcnn_jax.stages.propose.propose"),
        ("structs.py", "from . import ops", "maskrcnn_jax.ops"),
        ("stages/assign.py", "def f():\n    from maskrcnn_jax.nn import fpn", "maskrcnn_jax.nn.fpn"),
        ("nn/fpn.py", "import maskrcnn_jax.stages", "maskrcnn_jax.stages"),
        ("evaluation/coco.py", "from maskrcnn_jax.data import sources", "maskrcnn_jax.data.sources"),
        ("inference/predictor.py", "from maskrcnn_jax.training import loop", "maskrcnn_jax.training.loop"),
        ("training/loop.py", "from maskrcnn_jax.cli import main", "maskrcnn_jax.cli.main"),
        ("training/loop.py", "from maskrcnn_jax.models.mask_rcnn import init", "maskrcnn_jax.models.mask_rcnn.init"),
        ("training/loop.py", "import maskrcnn_jax.models.mask_rcnn", "maskrcnn_jax.models.mask_rcnn"),
        ("cli/train.py", "from maskrcnn_jax.nn import resnet", "maskrcnn_jax.nn.resnet"),
        ("data/coco.py", "from maskrcnn_jax import matterport", "maskrcnn_jax.matterport"),
        ("matterport/model.py", "from maskrcnn_jax.models.mask_rcnn import init", "maskrcnn_jax.models.mask_rcnn.init"),
        ("__init__.py", "from maskrcnn_jax.cli import main", "maskrcnn_jax.cli.main"),
        ("weights/torch.py", "import torch", "torch"),
        ("weights/torch.py", "from torchvision.models import detection", "torchvision.models.detection"),
        ("data/tfds.py", "import tensorflow as tf", "tensorflow"),
        ("data/plan.py", "import jax.numpy as jnp", "jax.numpy"),
        ("data/plan.py", "from jax import numpy", "jax.numpy"),
    ],
)
def test_a_planted_import_is_found(tmp_path, file, source, name):
    planted = tmp_path / "maskrcnn_jax" / file
    planted.parent.mkdir(parents=True)
    planted.write_text(source)
    (line,) = violations(planted.read_text(), planted.relative_to(tmp_path))
    assert line.endswith(f" imports {name}")


@pytest.mark.parametrize(
    "source", ["from maskrcnn_jax import models\nmodels.mask_rcnn", "import maskrcnn_jax.models\nmaskrcnn_jax.models.trace"]
)
def test_a_model_reached_past_build_is_found(source):
    (line,) = violations(source, Path("maskrcnn_jax/cli/train.py"))
    assert " uses " in line


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("training/loop.py", "from maskrcnn_jax.models import Model, build"),
        ("training/loop.py", "from maskrcnn_jax import models\nmodels.build(config)"),
        ("models/mask_rcnn.py", "from maskrcnn_jax.models.parts import x\nfrom . import parts\nimport maskrcnn_jax"),
        ("data/plan.py", "from jaxtyping import Int\nfrom maskrcnn_jax.structs import Batch"),
        ("cli/train.py", "from maskrcnn_jax import __version__"),
    ],
)
def test_an_allowed_import_is_not(file, source):
    assert violations(source, Path("maskrcnn_jax") / file) == []


def test_a_new_room_needs_a_row():
    assert "stands in no table" in violations("", Path("maskrcnn_jax/utils.py"))[0]


def third_party(source: str) -> set[str]:
    """Top-level names of what a file of the package imports, but for the standard library and the package."""
    names = {name.split(".")[0] for node in ast.walk(ast.parse(source)) for name in imported(node, Path("maskrcnn_jax/file.py"))}
    return names - sys.stdlib_module_names - {"maskrcnn_jax"}


def undeclared(names: set[str], dependencies: list[str]) -> set[str]:
    """Import names that none of `dependencies`, as pyproject.toml writes them, brings in."""

    def normal(distribution: str) -> str:
        return re.sub(r"[-_.]+", "-", distribution).lower()

    declared = {normal(re.split(r"[^\w.-]", line)[0]) for line in dependencies}
    distributions = packages_distributions()
    return {name for name in names if not declared & {normal(found) for found in distributions.get(name, ())}}


def test_what_the_package_imports_is_declared():
    """A dependency of a dependency may leave with that one's next version."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = set().union(*(third_party(path.read_text()) for path in PACKAGE.rglob("*.py")))
    assert names >= {"jax", "cv2", "PIL", "absl"}
    assert undeclared(names, project["dependencies"]) == set()


def test_an_undeclared_import_is_found():
    names = third_party("import os, absl.flags\nfrom PIL import Image\nfrom . import ops\nimport yaml\ndef f():\n    import nowhere")
    assert names == {"absl", "PIL", "yaml", "nowhere"}
    assert undeclared(names, ["pillow>=11.0", "Absl_py >=2.1"]) == {"yaml", "nowhere"}
