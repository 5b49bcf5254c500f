import ast
from pathlib import Path

import pytest

from maskrcnn_jax.config import from_dict, load_experiment, to_dict

FILES = sorted((Path(__file__).resolve().parent.parent.parent / "configs").glob("*.py"))


def test_the_configs_of_the_house_are_there():
    assert {path.stem for path in FILES} >= {"shapes", "nuclei", "coco_r50_fpn_1x", "coco_r50_fpn_3x", "coco_r101_fpn_3x"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_config_loads_by_name_and_by_path_and_survives_json(path):
    config = load_experiment(path.stem)
    assert load_experiment(str(path)) == config
    assert from_dict(type(config), to_dict(config)) == config


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_config_says_how_to_run_it_and_what_comes_out(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert "Command" in text
    assert f"maskrcnn train {path.stem}" in text


def test_the_recipes_of_coco_differ_in_what_their_names_say():
    short, long, deep = (load_experiment(name) for name in ("coco_r50_fpn_1x", "coco_r50_fpn_3x", "coco_r101_fpn_3x"))
    assert (short.model.backbone.depth, long.model.backbone.depth, deep.model.backbone.depth) == (50, 50, 101)
    assert long.train.steps == deep.train.steps == 3 * short.train.steps == 270_000
    assert short.optimizer.milestones == (60_000, 80_000)
    assert long.optimizer.milestones == (210_000, 250_000)
