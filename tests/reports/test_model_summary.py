from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from maskrcnn_jax.config import BackboneConfig, ConfigError, ExperimentConfig, InputConfig, OptimizerConfig, presets
from maskrcnn_jax.reports import summarise, summary_table
from maskrcnn_jax.reports.model_summary import summary_canvas
from tests import tiny

NAMES = [f"backbone {stage}" for stage in ("stem", "C2", "C3", "C4", "C5")] + [f"fpn P{level}" for level in range(2, 7)]
NAMES += ["rpn_head", "box RoIAlign", "box_head", "mask RoIAlign", "mask_head"]


def total(modules, column, without=()):
    return sum(getattr(module, column) for module in modules if module.name not in without)


@pytest.mark.parametrize(
    ("config", "parameters", "giga", "without"),
    [(presets.torchvision_v1(), 44_401_393, 134.38, ("mask_head",)), (presets.torchvision_v2(), 46_359_409, 333.577, ())],
)
def test_torchvision_publishes_the_same_numbers(config, parameters, giga, without):
    """`num_params` and `_ops` of its weights' meta data, billions of multiply-adds of an image of 800 x 800 (random noise: v1 found nothing
    in it, so that its mask head had nothing to do, v2 100 objects). The tolerance is the rounding of what it prints."""
    summary = summarise(ExperimentConfig(model=config), (800, 800))
    assert total(summary.modules, "trained") + total(summary.modules, "frozen") == parameters
    assert total(summary.modules, "multiply_adds", without) / 1e9 == pytest.approx(giga, abs=0.001)


@pytest.fixture(scope="module")
def summary():
    return summarise(tiny.experiment(), (64, 96))


def test_shapes_along_the_way(summary):
    """Of tests/tiny.py's model: ResNet-18 of width 32, pyramid of 32 channels, 3 anchors a cell, 8 proposals, 4 detections, 4 classes."""
    assert [module.name for module in summary.modules] == NAMES
    grids = [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3), (1, 2)]
    anchors = 3 * sum(h * w for h, w in grids[1:])
    assert [module.outputs for module in summary.modules] == [
        *(((*grid, 32),) for grid in grids[:2]),
        *(((*grid, 32 * 2**i),) for i, grid in enumerate(grids[2:5], 1)),
        *(((*grid, 32),) for grid in grids[1:]),
        ((anchors,), (anchors, 4)),
        ((8, 3, 3, 32),),
        ((8, 5), (8, 5, 4)),
        ((4, 4, 4, 32),),
        ((4, 8, 8, 5),),
    ]


def test_counts_of_the_small_heads_by_hand(summary):
    modules = {module.name: module for module in summary.modules}
    assert modules["box_head"].trained == (9 * 32 * 32 + 32) + (32 * 5 + 5) + (32 * 20 + 20)
    assert modules["box_head"].multiply_adds == 8 * (9 * 32 * 32 + 32 * 5 + 32 * 20)
    assert modules["box_head"].activations == 4 * 8 * (32 + 5 + 20)
    assert modules["mask_head"].trained == (9 * 32 * 32 + 32) + (4 * 32 * 32 + 32) + (32 * 5 + 5)
    assert modules["mask_head"].multiply_adds == 4 * (16 * 9 * 32 * 32 + 16 * 32 * 4 * 32 + 64 * 32 * 5)
    assert modules["backbone stem"].multiply_adds == 32 * 48 * 32 * 49 * 3
    assert (modules["backbone stem"].trained, modules["backbone stem"].frozen) == (0, 49 * 3 * 32 + 2 * 32)
    assert modules["fpn P3"].trained == (64 * 32 + 32) + (9 * 32 * 32 + 32)
    assert modules["fpn P3"].multiply_adds == 8 * 12 * (64 * 32 + 9 * 32 * 32)
    assert modules["fpn P6"][2:] == (0, 0, 0, 0)
    assert modules["box RoIAlign"][2:] == (0, 0, 0, 4 * 8 * 9 * 32)


def test_memory_of_training(summary):
    """Of float32: SGD remembers a number a trained parameter and its count of steps; AdamW two."""
    trained, frozen = (total(summary.modules, column) for column in ("trained", "frozen"))
    memory = summary.memory
    assert memory["parameters"] == 4 * (trained + frozen)
    assert memory["gradients"] == 4 * trained
    assert 0 <= memory["optimizer"] - 4 * trained < 100
    assert memory["moving average"] == memory["statistics"] == 0
    other = summarise(tiny.experiment(optimizer=OptimizerConfig(kind="adamw", learning_rate=0.001), ema=0.9)).memory
    assert 0 <= other["optimizer"] - 8 * trained < 100
    assert other["moving average"] == 4 * trained


@pytest.mark.parametrize(
    "model",
    [
        replace(tiny.MODEL, backbone=BackboneConfig(kind="vgg", depth=16, width=16, norm="none", frozen_stages=1)),
        replace(
            tiny.MODEL,
            remat="blocks",
            compute_dtype="bfloat16",
            pool=replace(tiny.MODEL.pool, sampling="adaptive"),
            backbone=replace(tiny.MODEL.backbone, norm="batch_norm"),
        ),
    ],
)
def test_other_models_have_the_same_rows(model, summary):
    """Every product belongs to one; in bfloat16 all but logits and deltas take half."""
    other = summarise(tiny.experiment(model=model), (64, 96))
    assert [module.name for module in other.modules] == NAMES
    assert all(module.multiply_adds > 0 for module in other.modules if module.name not in ("backbone C5", "fpn P6", *NAMES[11:14:2]))
    if model.compute_dtype == "bfloat16":
        assert [module.multiply_adds for module in other.modules] == [module.multiply_adds for module in summary.modules]
        assert other.modules[0].activations == summary.modules[0].activations / 2


@pytest.mark.parametrize(
    ("options", "asked", "canvas"),
    [
        ({"max_side": 96, "canvases": ((64, 64), (64, 96), (96, 64))}, None, (64, 96)),
        ({"max_side": 90, "canvas": "multiple"}, None, (64, 96)),
        ({"max_side": 90, "canvas": "multiple"}, (32, 160), (32, 160)),
        ({"max_side": 64, "canvases": ((64, 64),)}, (96, 32), (96, 32)),
    ],
)
def test_the_canvas_is_the_largest_of_the_configs_or_what_is_given(options, asked, canvas):
    assert summary_canvas(InputConfig(min_side=64, **options), asked) == canvas


@pytest.mark.parametrize("sides", [(64, 100), (0, 64), (-32, 64)])
def test_a_canvas_that_the_pyramid_cannot_halve_is_refused(sides):
    with pytest.raises(ConfigError, match=f"a canvas of {sides[0]} x {sides[1]}: sides must be positive multiples of 32"):
        summarise(tiny.experiment(), sides)


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ConfigError, match=r"train\.freeze"):
        summarise(tiny.experiment(freeze=("nowhere/*",)))


def test_the_table_has_a_row_a_module_and_says_what_is_counted(summary):
    console = Console(width=160)
    with console.capture() as captured:
        console.print(summary_table(summary))
    lines = captured.get().splitlines()
    rows = {cells[0]: cells[1:] for line in lines if (cells := [cell.strip() for cell in line.split("│")[1:-1]])}
    assert list(rows) == [*NAMES, "all"]
    assert rows["fpn P3"] == ["8x12x32", "11,328", "0", "0.00", "0.0"]
    assert rows["box_head"][0] == "8x5, 8x5x4"
    assert rows["all"][1] == f"{total(summary.modules, 'trained'):,}"
    assert any("two a multiply-add" in line for line in lines)
    assert any("memory of training besides these, MiB: parameters " in line and "moving" not in line for line in lines)
    assert np.isclose(float(rows["all"][4]), total(summary.modules, "activations") / 2**20, atol=0.05)
