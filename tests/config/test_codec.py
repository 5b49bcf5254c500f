import dataclasses
import json
from dataclasses import dataclass, replace

import pytest

from maskrcnn_jax.config import (
    AugmentConfig,
    BackboneConfig,
    ConfigError,
    DataConfig,
    ExperimentConfig,
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    from_dict,
    to_dict,
)

UNUSUAL = ExperimentConfig(
    model=ModelConfig(
        num_classes=3,
        input=InputConfig(canvases=((64, 96), (96, 64), (96, 96)), min_side=64, max_side=96),
        backbone=BackboneConfig(depth=18, norm="group_norm"),
    ),
    data=DataConfig(kind="shapes", augment=AugmentConfig(min_sides=(48, 64)), mask_crop=None),
    optimizer=OptimizerConfig(clip_norm=10.0, milestones=(10, 20)),
)

FOUR = "tuple[float, float, float, float]"


@pytest.mark.parametrize("config", [ExperimentConfig(), UNUSUAL])
def test_a_configuration_survives_json(config):
    assert from_dict(ExperimentConfig, json.loads(json.dumps(to_dict(config)))) == config


def test_plain_data_is_nested_dicts_lists_and_scalars():
    data = to_dict(UNUSUAL)
    assert data["model"]["input"]["canvases"] == [[64, 96], [96, 64], [96, 96]]
    assert data["data"]["mask_crop"] is None
    assert data["optimizer"]["clip_norm"] == 10.0


def test_missing_fields_take_their_defaults():
    assert from_dict(ExperimentConfig, {}) == ExperimentConfig()
    partly = from_dict(ExperimentConfig, {"optimizer": {"momentum": 0.5}})
    assert partly == replace(ExperimentConfig(), optimizer=OptimizerConfig(momentum=0.5))


def test_whole_numbers_are_floats_where_a_float_is_asked_for():
    rate = from_dict(OptimizerConfig, {"learning_rate": 1}).learning_rate
    assert rate == 1.0
    assert type(rate) is float


def test_tuples_come_back_as_tuples_of_their_types():
    anchors = from_dict(ModelConfig, {"anchors": {"sizes": [8, 16, 32, 64, 128]}}).anchors
    assert anchors.sizes == (8.0, 16.0, 32.0, 64.0, 128.0)
    assert all(type(size) is float for size in anchors.sizes)


def test_dataclasses_may_stand_for_themselves():
    assert from_dict(ExperimentConfig, {"data": to_dict(DataConfig(max_objects=25))}).data.max_objects == 25


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rate": 0.1}, "ExperimentConfig has no field learning_rate; its fields are model, data, optimizer, train, eval"),
        ({"optimizer": {"lr": 0.1}}, "OptimizerConfig has no field optimizer.lr; its fields are kind, learning_rate"),
        ({"model": {"input": {"max": 1}}}, "InputConfig has no field model.input.max; its fields are channels, dtype"),
        ({"optimizer": {"b": 0, "a": 0}}, "OptimizerConfig has no field optimizer.a; its"),
    ],
)
def test_an_unknown_field_is_named_with_the_known_ones(values, message):
    with pytest.raises(ConfigError) as error:
        from_dict(ExperimentConfig, values)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": {"learning_rate": "0.1"}}, "optimizer.learning_rate must be float; got '0.1'"),
        ({"optimizer": {"learning_rate": True}}, "optimizer.learning_rate must be float; got True"),
        ({"optimizer": {"learning_rate": None}}, "optimizer.learning_rate must be float; got None"),
        ({"optimizer": {"clip_norm": "big"}}, "optimizer.clip_norm must be float; got 'big'"),
        ({"optimizer": {"decay": "none"}}, "optimizer.decay must be Literal['all', 'not_norms', 'kernels']; got 'none'"),
        ({"optimizer": {"milestones": 5}}, "optimizer.milestones must be tuple[int, ...]; got 5"),
        ({"optimizer": {"milestones": [5, 6.5]}}, "optimizer.milestones must be int; got 6.5"),
        ({"optimizer": 3}, "optimizer must be OptimizerConfig; got 3"),
        ({"train": {"steps": 1.5}}, "train.steps must be int; got 1.5"),
        ({"train": {"steps": True}}, "train.steps must be int; got True"),
        ({"train": {"new_classes": 1}}, "train.new_classes must be bool; got 1"),
        ({"train": {"weights": 1}}, "train.weights must be str; got 1"),
        ({"model": {"backbone": {"depth": 51}}}, "model.backbone.depth must be Literal[16, 18, 34, 50, 101, 152]; got 51"),
        ({"model": {"backbone": {"depth": 50.0}}}, "model.backbone.depth must be Literal[16, 18, 34, 50, 101, 152]; got 50.0"),
        ({"model": {"propose": {"coder_weights": [1.0, 2.0]}}}, f"model.propose.coder_weights must be {FOUR}; got [1.0, 2.0]"),
        ({"model": {"input": {"canvases": [[64]]}}}, "model.input.canvases must be tuple[int, int]; got [64]"),
        ({"model": {"input": {"canvases": "64"}}}, "model.input.canvases must be tuple[tuple[int, int], ...]; got '64'"),
    ],
)
def test_an_ill_typed_value_is_named_with_the_type_it_needs(values, message):
    with pytest.raises(ConfigError) as error:
        from_dict(ExperimentConfig, values)
    assert str(error.value) == message


def test_an_optional_configuration_and_a_bare_call_name_the_field_alone():
    @dataclass(frozen=True)
    class Box:
        side: int | None = 3

    assert from_dict(Box, {"side": None}) == Box(side=None)
    with pytest.raises(ConfigError, match=r"^side must be int; got 'x'$"):
        from_dict(Box, {"side": "x"})


def test_the_written_fields_are_the_declared_fields():
    assert list(to_dict(ExperimentConfig())) == [f.name for f in dataclasses.fields(ExperimentConfig)]
