"""The Python of the README runs."""

import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from maskrcnn_jax import load_experiment, models
from maskrcnn_jax.checkpoint import latest_step
from maskrcnn_jax.cli import main as cli
from maskrcnn_jax.config import presets
from maskrcnn_jax.data import Plan, ShapesSource, Source
from maskrcnn_jax.weights import differences
from tests import tiny

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def defined_in(block):
    names = {}
    exec(compile(block, "README.md", "exec"), names)
    return names


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of the README in a folder of their own, as a user has them, but with a model that compiles in no time."""
    for block in BLOCKS:
        if block.startswith("# "):
            (tmp_path / block.split()[1]).write_text(block.replace("steps=100", "steps=2"))
    monkeypatch.setattr(models, "build", tiny.stand_in)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield {path.name for path in tmp_path.iterdir()}
    sys.modules.pop("squares", None)


def test_the_files_of_the_readme_train_on_its_class_measure_it_and_go_on(files, tmp_path, monkeypatch, capsys):
    assert files == {"photos.py", "squares.py", "my_config.py", "train_squares.py", "measure_squares.py", "finetune.py"}
    monkeypatch.setattr(sys, "argv", ["train_squares.py"])
    names = runpy.run_path("train_squares.py")
    assert isinstance(names["Squares"](), Source)
    result = names["result"]
    assert len(result.ground_truth["annotations"]) == 2
    assert result.metrics["bbox"].stats["AP"] == result.metrics["segm"].stats["AP"] == 1.0  # boxes and masks are where the image is bright
    assert "mask AP 1.000; checkpoints, metrics and pictures are in runs/squares" in capsys.readouterr().out
    assert (tmp_path / "runs" / "squares" / "pictures").is_dir()

    measured = runpy.run_path("measure_squares.py")["result"]
    assert measured.detections == result.detections
    assert capsys.readouterr().out == "mask AP of runs/squares on Squares: 1.000\n"

    monkeypatch.setattr(sys, "argv", ["train_squares.py", "--resume"])
    assert runpy.run_path("train_squares.py")["result"].detections == result.detections
    assert latest_step(tmp_path / "runs" / "squares") == 2


def test_the_config_of_the_readme_for_photographs_fits_any_of_them(files):
    config = load_experiment("photos.py")
    sizes = [(480, 640), (640, 480), (500, 500), (200, 2000), (2000, 200), (3024, 4032), (1, 1)]
    Plan(np.array(sizes), config.model.input, config.data, batch_size=1, seed=0)


def test_the_config_of_the_readme_for_photographs_trains_and_measures_on_coco(files, shared_data, tmp_path):
    """Three of COCO's images, with its 80 categories."""
    document = json.loads((shared_data / "coco_free" / "instances_val.json").read_text())
    document["images"] = document["images"][:3]
    ids = {image["id"] for image in document["images"]}
    document["annotations"] = [annotation for annotation in document["annotations"] if annotation["image_id"] in ids]
    for name in ("train.json", "val.json"):
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "images").symlink_to(shared_data / "coco_free" / "images")
    cli.main(["train", "photos.py", "--model.num-classes", "80", "--train.steps", "2"])
    lines = [json.loads(line) for line in (tmp_path / "runs" / "photos" / "metrics.jsonl").read_text().splitlines()]
    assert "mask_AP" in lines[-1]["val"]
    assert lines[0]["train"]["objects_cut"] == 0


def test_the_function_that_predicts_gives_names_and_scores(trained):
    (block,) = [block for block in BLOCKS if "\ndef " in block and "load(" in block]
    (function,) = [value for name, value in defined_in(block).items() if callable(value) and name != "__builtins__"]
    found = function(trained, ShapesSource(5, 1)[0].image)
    assert found
    assert {name for name, _ in found} <= {"circle", "square", "triangle", "star"}
    assert all(0 < score <= 1 for _, score in found)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)


def test_the_config_to_finetune_a_converted_model_is_of_its_system(files):
    config = load_experiment("finetune.py")
    assert differences(config.model, presets.detectron2()) == ["model.input.canvas is fixed here, multiple there"]
    assert config.model.num_classes == 3
