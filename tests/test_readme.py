"""The Python of the README runs."""

import re
import runpy
import sys
from pathlib import Path

from maskrcnn_jax import models
from maskrcnn_jax.data import ShapesSource, Source
from tests import tiny

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def defined_in(block):
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_the_files_of_the_readme_train_on_its_class_and_measure_it(tmp_path, monkeypatch):
    """In a folder of their own, as a user has them, but with a model that compiles in no time and two steps."""
    for block in BLOCKS:
        if block.startswith("# "):
            (tmp_path / block.split()[1]).write_text(block.replace("steps=100", "steps=2"))
    assert {path.name for path in tmp_path.iterdir()} == {"squares.py", "my_config.py", "train_squares.py"}
    monkeypatch.setattr(models, "build", tiny.stand_in)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path("train_squares.py")
    del sys.modules["squares"]
    assert isinstance(names["Squares"](), Source)
    result = names["result"]
    assert len(result.ground_truth["annotations"]) == 2
    assert result.metrics["bbox"].stats["AP"] == result.metrics["segm"].stats["AP"] == 1.0  # boxes and masks are where the image is bright
    assert (tmp_path / "runs" / "squares" / "pictures.png").is_file()


def test_the_function_that_predicts_gives_names_and_scores(trained):
    (block,) = [block for block in BLOCKS if "\ndef " in block and "load(" in block]
    (function,) = [value for name, value in defined_in(block).items() if callable(value) and name != "__builtins__"]
    found = function(trained, ShapesSource(5, 1)[0].image)
    assert found
    assert {name for name, _ in found} <= {"circle", "square", "triangle", "star"}
    assert all(0 < score <= 1 for _, score in found)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
