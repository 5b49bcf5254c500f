import ast
import dataclasses
from pathlib import Path

import pytest

import maskrcnn_jax.config as config_room

CLASSES = [getattr(config_room, name) for name in config_room.__all__ if name.endswith("Config")]


def fields_without_help(source: str) -> list[str]:
    """`class.field` of every annotated field that no string follows."""
    missing = []
    for cls in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)):
        for node, following in zip(cls.body, [*cls.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign):
                documented = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant) and following.value.value
                if not documented:
                    missing.append(f"{cls.name}.{ast.unparse(node.target)}")
    return missing


def test_every_field_says_what_it_means():
    sources = Path(config_room.__file__).parent.glob("*.py")
    assert [name for path in sources for name in fields_without_help(path.read_text())] == []


def test_a_field_without_help_is_found():
    assert fields_without_help('class A:\n    x: int = 1\n    """Help."""\n    y: int = 2\n') == ["A.y"]


@pytest.mark.parametrize("cls", CLASSES)
def test_configurations_are_frozen_and_keyword_only(cls):
    assert cls.__dataclass_params__.frozen
    assert all(field.kw_only for field in dataclasses.fields(cls))


@pytest.mark.parametrize("cls", CLASSES)
def test_every_field_has_a_default_and_configurations_are_hashable(cls):
    assert hash(cls()) == hash(cls())


def test_positive_rois_are_the_rounded_down_share_of_the_sampled():
    assert config_room.AssignConfig(roi_samples=10, roi_positive_fraction=0.25).roi_max_positives == 2
