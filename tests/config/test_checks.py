import ast
from pathlib import Path

import pytest

import maskrcnn_jax.config as config_room
from maskrcnn_jax.config import ConfigError

GROUPS = "must be a multiple of 8 with group_norm, above 256 of 32; got "

# (class, field, a value out of its range, what the error says after the field's name); one row a check, none twice.
WRONG = [
    ("InputConfig", "min_side", {"min_side": 0}, "must be positive and at most max_side; got 0"),
    ("InputConfig", "min_side", {"min_side": 65, "max_side": 64}, "must be positive and at most max_side; got 65"),
    ("InputConfig", "std", {"std": (1.0, 0.0, 1.0)}, "must be positive; got (1.0, 0.0, 1.0)"),
    ("InputConfig", "multiple", {"multiple": 48}, "must be a positive multiple of 32; got 48"),
    ("InputConfig", "multiple", {"multiple": 0}, "must be a positive multiple of 32; got 0"),
    ("InputConfig", "canvases", {"canvases": ()}, "needs at least one (height, width); got ()"),
    ("InputConfig", "canvases", {"canvases": ((64, 96), (96, 65))}, "sides must be positive multiples of 32; got ((64, 96), (96, 65))"),
    ("InputConfig", "canvases", {"canvases": ((64, 0),)}, "sides must be positive multiples of 32; got ((64, 0),)"),
    ("BackboneConfig", "norm", {"norm": "none"}, "the trunk needs frozen_bn or group_norm; got 'none'"),
    ("BackboneConfig", "width", {"width": 24}, "must be a multiple of 16 (so that group_norm divides every layer); got 24"),
    ("BackboneConfig", "frozen_stages", {"frozen_stages": 6}, "must be 0 ... 5; got 6"),
    ("BackboneConfig", "frozen_stages", {"frozen_stages": -1}, "must be 0 ... 5; got -1"),
    ("AnchorConfig", "sizes", {"sizes": (8.0, 16.0)}, "needs five values, one a level P2 ... P6; got (8.0, 16.0)"),
    ("AnchorConfig", "sizes", {"sizes": (0.0, 1.0, 2.0, 3.0, 4.0)}, "must be positive; got (0.0, 1.0, 2.0, 3.0, 4.0)"),
    ("AnchorConfig", "ratios", {"ratios": ()}, "needs positive values; got ()"),
    ("AnchorConfig", "ratios", {"ratios": (1.0, 0.0)}, "needs positive values; got (1.0, 0.0)"),
    ("RpnHeadConfig", "convs", {"convs": 0}, "must be at least 1; got 0"),
    ("AssignConfig", "rpn_background_iou", {"rpn_background_iou": 0.8}, "must be at most rpn_foreground_iou; got 0.8"),
    ("AssignConfig", "roi_background_iou", {"roi_background_iou": 0.8}, "must be at most roi_foreground_iou; got 0.8"),
    ("AssignConfig", "rpn_positive_fraction", {"rpn_positive_fraction": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AssignConfig", "rpn_positive_fraction", {"rpn_positive_fraction": 1.5}, "must be in (0, 1]; got 1.5"),
    ("AssignConfig", "roi_positive_fraction", {"roi_positive_fraction": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AssignConfig", "roi_positive_fraction", {"roi_positive_fraction": 1.5}, "must be in (0, 1]; got 1.5"),
    ("AssignConfig", "roi_samples", {"roi_samples": 3}, "times roi_positive_fraction must be at least 1; got 3"),
    ("BoxHeadConfig", "fcs", {"fcs": 0}, "the head needs at least one layer; got 0"),
    ("FpnConfig", "channels", {"channels": 100, "norm": "group_norm"}, GROUPS + "100"),
    (
        "BoxHeadConfig",
        "conv_channels",
        {"conv_channels": 4, "norm": "group_norm"},
        GROUPS + "4",
    ),
    (
        "MaskHeadConfig",
        "channels",
        {"channels": 264, "norm": "group_norm"},
        GROUPS + "264",
    ),
    ("AssignConfig", "rpn_samples", {"rpn_samples": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "coder_weights", {"coder_weights": (1.0, 1.0, 0.0, 1.0)}, "must be positive; got (1.0, 1.0, 0.0, 1.0)"),
    ("ProposeConfig", "pre_nms_top_k_train", {"pre_nms_top_k_train": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "pre_nms_top_k_test", {"pre_nms_top_k_test": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "post_nms_top_k_train", {"post_nms_top_k_train": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "post_nms_top_k_test", {"post_nms_top_k_test": 0}, "must be at least 1; got 0"),
    ("PoolConfig", "box_size", {"box_size": 0}, "must be at least 1; got 0"),
    ("PoolConfig", "mask_size", {"mask_size": 0}, "must be at least 1; got 0"),
    ("PoolConfig", "samples", {"samples": 0}, "must be at least 1; got 0"),
    ("DetectConfig", "coder_weights", {"coder_weights": (1.0, 1.0, 0.0, 1.0)}, "must be positive; got (1.0, 1.0, 0.0, 1.0)"),
    ("DetectConfig", "max_candidates", {"max_candidates": 0}, "must be at least 1; got 0"),
    ("DetectConfig", "max_detections", {"max_detections": 0}, "must be at least 1; got 0"),
    ("LossConfig", "rpn_box_beta", {"rpn_box_beta": -0.1}, "must not be negative; got -0.1"),
    ("LossConfig", "roi_box_beta", {"roi_box_beta": -0.1}, "must not be negative; got -0.1"),
    ("ModelConfig", "num_classes", {"num_classes": 0}, "must be at least 1; got 0"),
    ("DataConfig", "flip", {"flip": 1.1}, "must be in [0, 1]; got 1.1"),
    ("DataConfig", "flip", {"flip": -0.1}, "must be in [0, 1]; got -0.1"),
    ("DataConfig", "max_objects", {"max_objects": 0}, "must be at least 1; got 0"),
    ("DataConfig", "mask_crop", {"mask_crop": 0}, "must be at least 1, or None; got 0"),
    ("DataConfig", "workers", {"workers": -1}, "must not be negative; got -1"),
    ("DataConfig", "train_min_sides", {"train_min_sides": (64, 0)}, "must be positive; got (64, 0)"),
    ("OptimizerConfig", "learning_rate", {"learning_rate": 0.0}, "must be positive; got 0.0"),
    ("OptimizerConfig", "momentum", {"momentum": 1.0}, "must be in [0, 1); got 1.0"),
    ("OptimizerConfig", "momentum", {"momentum": -0.1}, "must be in [0, 1); got -0.1"),
    ("OptimizerConfig", "weight_decay", {"weight_decay": -1e-4}, "must not be negative; got -0.0001"),
    ("OptimizerConfig", "warmup_steps", {"warmup_steps": -1}, "must not be negative; got -1"),
    ("OptimizerConfig", "milestones", {"milestones": (20, 10)}, "must ascend; got (20, 10)"),
    ("OptimizerConfig", "clip_norm", {"clip_norm": 0.0}, "must be positive, or None; got 0.0"),
    ("TrainConfig", "steps", {"steps": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "batch_size", {"batch_size": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "log_every", {"log_every": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "checkpoint_every", {"checkpoint_every": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "keep", {"keep": 0}, "must be at least 1; got 0"),
    ("EvalConfig", "every", {"every": 0}, "must be at least 1, or None; got 0"),
    ("EvalConfig", "batch_size", {"batch_size": 0}, "must be at least 1; got 0"),
    ("EvalConfig", "max_images", {"max_images": 0}, "must be at least 1, or None; got 0"),
    ("EvalConfig", "max_detections", {"max_detections": 10}, "must be above 10; got 10"),
    ("EvalConfig", "pictures", {"pictures": -1}, "must not be negative; got -1"),
]

# The nearest values that are allowed: a check that is too strict fails here.
RIGHT = [
    ("InputConfig", {"min_side": 64, "max_side": 64}),
    ("InputConfig", {"multiple": 64, "canvases": ((64, 64),)}),
    ("BackboneConfig", {"width": 32, "frozen_stages": 0}),
    ("BackboneConfig", {"frozen_stages": 5}),
    ("AssignConfig", {"rpn_background_iou": 0.7, "roi_positive_fraction": 1.0, "rpn_positive_fraction": 1.0}),
    ("AssignConfig", {"roi_samples": 4}),
    ("BoxHeadConfig", {"convs": 1, "fcs": 0}),
    ("FpnConfig", {"channels": 100}),
    ("FpnConfig", {"channels": 264, "norm": "none"}),
    ("MaskHeadConfig", {"channels": 8, "norm": "group_norm"}),
    ("AssignConfig", {"rpn_samples": 1}),
    ("ProposeConfig", {"pre_nms_top_k_train": 1, "pre_nms_top_k_test": 1, "post_nms_top_k_train": 1, "post_nms_top_k_test": 1}),
    ("PoolConfig", {"box_size": 1, "mask_size": 1, "samples": 1}),
    ("DetectConfig", {"max_candidates": 1, "max_detections": 1}),
    ("LossConfig", {"rpn_box_beta": 0.0, "roi_box_beta": 0.0}),
    ("ModelConfig", {"num_classes": 1}),
    ("DataConfig", {"flip": 0.0, "max_objects": 1, "mask_crop": 1, "workers": 0}),
    ("DataConfig", {"flip": 1.0, "mask_crop": None}),
    ("OptimizerConfig", {"momentum": 0.0, "weight_decay": 0.0, "warmup_steps": 0, "milestones": (10, 10)}),
    ("TrainConfig", {"steps": 1, "batch_size": 1, "log_every": 1, "checkpoint_every": 1, "keep": 1}),
    ("EvalConfig", {"every": 1, "batch_size": 1, "max_images": 1, "max_detections": 11, "pictures": 0}),
]


@pytest.mark.parametrize(("cls", "field", "values", "message"), WRONG)
def test_a_value_out_of_range_is_named(cls, field, values, message):
    with pytest.raises(ConfigError) as error:
        getattr(config_room, cls)(**values)
    assert str(error.value) == f"{cls}.{field} {message}"


@pytest.mark.parametrize(("cls", "values"), RIGHT)
def test_values_at_the_edge_of_their_range_are_taken(cls, values):
    config = getattr(config_room, cls)(**values)
    assert {name: getattr(config, name) for name in values} == values


def checked_fields() -> set[tuple[str, str]]:
    """(class, field) of every `require` in a `__post_init__`; a loop over literal names counts each."""
    found = set()
    for path in Path(config_room.__file__).parent.glob("*.py"):
        for cls in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)):
            names = {
                loop.target.id: ast.literal_eval(loop.iter)
                for loop in ast.walk(cls)
                if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name)
            }
            for call in ast.walk(cls):
                if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "require":
                    name = call.args[2]
                    fields = names[name.id] if isinstance(name, ast.Name) else (ast.literal_eval(name),)
                    found |= {(cls.name, field) for field in fields}
    return found


def test_every_check_has_a_row_above():
    assert checked_fields() == {(cls, field) for cls, field, _, _ in WRONG}
