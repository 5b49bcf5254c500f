"""The Python of docs/from_matterport.md runs."""

import re
import runpy
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax import models
from tests import tiny
from tests.matterport.tiny import shrink

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "from_matterport.md").read_text(encoding="utf-8")
BLOCKS = {block.split()[1]: block for block in re.findall(r"^```python\n(# .*?)^```", PAGE, re.DOTALL | re.MULTILINE)}


def draw_cells(folder):
    """Two pictures with a bright cell each, a third with two."""
    for name, cells in (("a", [(4, 8)]), ("b", [(30, 10)]), ("c", [(2, 2), (30, 30)])):
        image = np.full((50, 60, 3), 30, np.uint8)
        for n, (y, x) in enumerate(cells):
            mask = np.zeros((50, 60), np.uint8)
            mask[y : y + 12, x : x + 16] = 255
            image[mask > 0] = (240, 90, 90)
            (folder / "masks" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(folder / "masks" / name / f"{n}.png")
        (folder / "images").mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / "images" / f"{name}.png")


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """The files of the page and their data in a folder of their own, with a small model; gives the module `cells`."""
    for name, block in BLOCKS.items():
        (tmp_path / name).write_text(block.replace("epochs=20", "epochs=1").replace("epochs=40", "epochs=2"))
    for subset in ("train", "val"):
        draw_cells(tmp_path / "cells" / subset)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    module = __import__("cells")
    shrink(monkeypatch, module.CellsConfig)
    yield module
    sys.modules.pop("cells")


def test_the_files_train_and_detect(cells, tmp_path, monkeypatch, capsys):
    assert set(BLOCKS) == {"cells.py", "train_cells.py", "detect_cells.py", "steps.py", "wide.py"}
    monkeypatch.setattr(models, "build", tiny.stand_in)
    script = tmp_path / "train_cells.py"
    script.write_text(script.read_text().replace('model.load_weights("resnet101.pth")\n', ""))
    runpy.run_path("train_cells.py")
    assert "mask AP" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "logs").glob("cells*/*")) == ["epochs_0001_0001", "epochs_0002_0002"]
    names = runpy.run_path("detect_cells.py")
    assert names["found"]["rois"].tolist() == [[4, 8, 16, 24]]
    assert "rows 4 to 16 columns 8 to 24" in capsys.readouterr().out


def test_a_config_of_fields_without_a_name_there(cells):
    config = runpy.run_path("wide.py")["WideConfig"]().experiment()
    assert (config.data.workers, config.optimizer.warmup_steps, config.train.steps) == (8, 500, 2)


def test_the_steps_name_what_a_whole_network_computes(cells, tmp_path, monkeypatch, capsys):
    """Shapes alone: to compile the network takes longer than all else here."""
    monkeypatch.setattr(jax, "jit", lambda function: partial(jax.eval_shape, function))
    script = tmp_path / "steps.py"
    (values,) = re.findall(r"^print\(\{.*losses.*\n", script.read_text(), re.MULTILINE)
    script.write_text(script.read_text().replace(values, "").replace("model.init(", "jax.eval_shape(model.init, "))
    walk = runpy.run_path("steps.py")["walk"]
    assert set(walk.losses) == {"rpn_class", "rpn_box", "class", "box", "mask"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "image (50, 60, 3) objects 1",
        "P2 ... P6 [(2, 16, 16, 32), (2, 8, 8, 32), (2, 4, 4, 32), (2, 2, 2, 32), (2, 1, 1, 32)]",
        "proposals (2, 16, 4) RoIs (2, 8, 4) mask targets (2, 2, 8, 8)",
    ]
