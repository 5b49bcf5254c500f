"""The Python of the README runs."""

import re
from dataclasses import replace
from pathlib import Path

from maskrcnn_jax import models, train
from maskrcnn_jax.data import ShapesSource, Source
from tests import tiny

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def defined_in(block):
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


def test_the_dataset_class_trains_and_is_measured(tmp_path, monkeypatch):
    (block,) = [block for block in BLOCKS if "\nclass " in block]
    (made,) = [value for value in defined_in(block).values() if isinstance(value, type) and value.__module__ == "builtins"]
    source = made()
    assert isinstance(source, Source)
    monkeypatch.setattr(models, "build", tiny.stand_in)
    config = tiny.experiment(model=replace(tiny.MODEL, num_classes=len(source.categories)), steps=1)
    result = train(config, tmp_path, sources=(source, source))
    assert len(result.ground_truth["annotations"]) >= len(source)
    assert result.metrics["bbox"].stats["AP"] == result.metrics["segm"].stats["AP"] == 1.0  # boxes and masks are where the image is bright
    assert (tmp_path / "pictures.png").is_file()


def test_the_function_that_predicts_gives_names_and_scores(trained):
    (block,) = [block for block in BLOCKS if "\ndef " in block and "load(" in block]
    (function,) = [value for name, value in defined_in(block).items() if callable(value) and name != "__builtins__"]
    found = function(trained, ShapesSource(5, 1)[0].image)
    assert found
    assert {name for name, _ in found} <= {"circle", "square", "triangle", "star"}
    assert all(0 < score <= 1 for _, score in found)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
