import ast
import dataclasses
import math
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

import maskrcnn_jax.config as config_room
from maskrcnn_jax.config import ConfigError

WIDTHS = "must be a positive number, with group_norm a multiple of 8, above 256 of 32; got "
BOTTLENECKS = "where there are no bottlenecks; ResNets of depth 50 and above have them; got "
ONE_A_CHANNEL = "must have a number for each of the 2 channels, in the units of the images' values"
GREY = {"channels": 1, "mean": (1.0,), "std": (1.0,)}
VGG = {"kind": "vgg", "depth": 16}

# (class, field, a value out of its range, what the error says after the field's name); one row a check, none twice.
WRONG = [
    ("InputConfig", "min_side", {"min_side": 0}, "must be positive and at most max_side; got 0"),
    ("InputConfig", "min_side", {"min_side": 65, "max_side": 64}, "must be positive and at most max_side; got 65"),
    ("InputConfig", "std", {"std": (1.0, 0.0, 1.0)}, "must be positive; got (1.0, 0.0, 1.0)"),
    ("InputConfig", "channels", {"channels": 0}, "must be at least 1; got 0"),
    ("InputConfig", "mean", {"channels": 2, "std": (1.0, 1.0)}, f"{ONE_A_CHANNEL}; got (123.675, 116.28, 103.53)"),
    ("InputConfig", "mean", {"channels": 2, "mean": (1.0,), "std": (1.0, 1.0)}, f"{ONE_A_CHANNEL}; got (1.0,)"),
    ("InputConfig", "std", {"channels": 2, "mean": (1.0, 1.0)}, f"{ONE_A_CHANNEL}; got (58.395, 57.12, 57.375)"),
    ("InputConfig", "channel_order", GREY | {"channel_order": "bgr"}, "is of images of 3 channels; leave it at rgb; got 'bgr'"),
    (
        "InputConfig",
        "std",
        {"dtype": "uint16"},
        "is of bytes; with dtype uint16 give mean and std in the units of its values; got (58.395, 57.12, 57.375)",
    ),
    (
        "InputConfig",
        "resize",
        GREY | {"dtype": "uint16", "resize": "pillow"},
        "must be uint8 or float with dtype uint16: Pillow resizes bytes; got 'pillow'",
    ),
    ("InputConfig", "multiple", {"multiple": 48}, "must be a positive multiple of 32; got 48"),
    ("InputConfig", "multiple", {"multiple": 0}, "must be a positive multiple of 32; got 0"),
    ("InputConfig", "canvases", {"canvases": ()}, "needs at least one (height, width); got ()"),
    ("InputConfig", "canvases", {"canvases": ((64, 96), (96, 65))}, "sides must be positive multiples of 32; got ((64, 96), (96, 65))"),
    ("InputConfig", "canvases", {"canvases": ((64, 0),)}, "sides must be positive multiples of 32; got ((64, 0),)"),
    ("BackboneConfig", "depth", {"kind": "vgg"}, "must be 16 with kind vgg, and with resnet 18, 34, 50, 101 or 152; got 50"),
    ("BackboneConfig", "depth", {"depth": 16}, "must be 16 with kind vgg, and with resnet 18, 34, 50, 101 or 152; got 16"),
    ("BackboneConfig", "norm", {"norm": "none"}, "must be frozen_bn, batch_norm or group_norm with kind resnet; got 'none'"),
    ("BackboneConfig", "width", {"width": 24}, "must be a positive multiple of 16; got 24"),
    ("BackboneConfig", "width", {"width": 0}, "must be a positive multiple of 16; got 0"),
    ("BackboneConfig", "groups", {"groups": 0}, "must be at least 1; got 0"),
    ("BackboneConfig", "groups", {"groups": 2, "depth": 34}, f"must be 1 {BOTTLENECKS}2"),
    ("BackboneConfig", "width_per_group", {"width_per_group": 0}, "times width / 64 must be a positive integer; got 0"),
    ("BackboneConfig", "width_per_group", {"width": 16, "width_per_group": 6}, "times width / 64 must be a positive integer; got 6"),
    ("BackboneConfig", "width_per_group", {"width_per_group": 128, "depth": 34}, f"must be 64 {BOTTLENECKS}128"),
    ("BackboneConfig", "groups", {"groups": 2} | VGG, f"must be 1 {BOTTLENECKS}2"),
    ("BackboneConfig", "width_per_group", {"width_per_group": 4} | VGG, f"must be 64 {BOTTLENECKS}4"),
    ("BackboneConfig", "stride_on", {"stride_on": "1x1"} | VGG, f"must be 3x3 {BOTTLENECKS}'1x1'"),
    ("BackboneConfig", "stride_on", {"stride_on": "1x1", "depth": 34}, f"must be 3x3 {BOTTLENECKS}'1x1'"),
    ("BackboneConfig", "width", {"width": 24} | VGG, "must be a positive multiple of 16; got 24"),
    (
        "BackboneConfig",
        "width_per_group",
        {"width_per_group": 5, "norm": "group_norm"},
        "times groups times width / 64 " + WIDTHS + "5",
    ),
    ("BackboneConfig", "width", {"width": 272, "norm": "group_norm"}, WIDTHS + "272"),
    ("BackboneConfig", "norm_epsilon", {"norm_epsilon": -1e-5}, "must not be negative; got -1e-05"),
    ("BackboneConfig", "frozen_stages", {"frozen_stages": 6}, "must be 0 ... 5; got 6"),
    ("BackboneConfig", "frozen_stages", {"frozen_stages": -1}, "must be 0 ... 5; got -1"),
    ("AnchorConfig", "sizes", {"sizes": (8.0, 16.0)}, "needs five values, one a level P2 ... P6; got (8.0, 16.0)"),
    ("AnchorConfig", "sizes", {"sizes": (0.0, 1.0, 2.0, 3.0, 4.0)}, "must be positive; got (0.0, 1.0, 2.0, 3.0, 4.0)"),
    ("AnchorConfig", "ratios", {"ratios": ()}, "needs positive values; got ()"),
    ("AnchorConfig", "ratios", {"ratios": (1.0, 0.0)}, "needs positive values; got (1.0, 0.0)"),
    ("RpnHeadConfig", "convs", {"convs": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "coder_weights", {"coder_weights": (1.0, 1.0, 0.0, 1.0)}, "must be positive; got (1.0, 1.0, 0.0, 1.0)"),
    ("ProposeConfig", "max_log_scale", {"max_log_scale": 0.0}, "must be positive; got 0.0"),
    ("ProposeConfig", "pre_nms_top_k_train", {"pre_nms_top_k_train": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "pre_nms_top_k_test", {"pre_nms_top_k_test": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "post_nms_top_k_train", {"post_nms_top_k_train": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "post_nms_top_k_test", {"post_nms_top_k_test": 0}, "must be at least 1; got 0"),
    ("ProposeConfig", "nms_threshold", {"nms_threshold": -0.1}, "must be in [0, 1]; got -0.1"),
    ("ProposeConfig", "nms_threshold", {"nms_threshold": 1.1}, "must be in [0, 1]; got 1.1"),
    ("ProposeConfig", "min_side", {"min_side": -1.0}, "must not be negative; got -1.0"),
    ("AssignConfig", "rpn_foreground_iou", {"rpn_foreground_iou": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AssignConfig", "rpn_foreground_iou", {"rpn_foreground_iou": 1.1}, "must be in (0, 1]; got 1.1"),
    ("AssignConfig", "roi_foreground_iou", {"roi_foreground_iou": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AssignConfig", "roi_foreground_iou", {"roi_foreground_iou": 1.1}, "must be in (0, 1]; got 1.1"),
    ("AssignConfig", "rpn_background_iou", {"rpn_background_iou": 0.8}, "must be in [0, rpn_foreground_iou]; got 0.8"),
    ("AssignConfig", "rpn_background_iou", {"rpn_background_iou": -0.1}, "must be in [0, rpn_foreground_iou]; got -0.1"),
    ("AssignConfig", "roi_background_iou", {"roi_background_iou": 0.8}, "must be in [0, roi_foreground_iou]; got 0.8"),
    ("AssignConfig", "roi_background_iou", {"roi_background_iou": -0.1}, "must be in [0, roi_foreground_iou]; got -0.1"),
    ("AssignConfig", "rpn_samples", {"rpn_samples": 1}, "times rpn_positive_fraction must be at least 1; got 1"),
    ("AssignConfig", "rpn_positive_fraction", {"rpn_positive_fraction": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AssignConfig", "rpn_positive_fraction", {"rpn_positive_fraction": 1.5}, "must be in (0, 1]; got 1.5"),
    ("AssignConfig", "roi_positive_fraction", {"roi_positive_fraction": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AssignConfig", "roi_positive_fraction", {"roi_positive_fraction": 1.5}, "must be in (0, 1]; got 1.5"),
    ("AssignConfig", "roi_samples", {"roi_samples": 3}, "times roi_positive_fraction must be at least 1; got 3"),
    ("AssignConfig", "crowd_ioa", {"crowd_ioa": 0.0}, "must be in (0, 1], or None; got 0.0"),
    ("AssignConfig", "crowd_ioa", {"crowd_ioa": 1.1}, "must be in (0, 1], or None; got 1.1"),
    ("PoolConfig", "box_size", {"box_size": 0}, "must be at least 1; got 0"),
    ("PoolConfig", "mask_size", {"mask_size": 0}, "must be at least 1; got 0"),
    ("PoolConfig", "samples", {"samples": 0}, "must be at least 1; got 0"),
    ("PoolConfig", "canonical_size", {"canonical_size": 0.0}, "must be positive; got 0.0"),
    ("PoolConfig", "canonical_level", {"canonical_level": 1}, "must be one of the levels P2 ... P5 that RoIs are read from; got 1"),
    ("PoolConfig", "canonical_level", {"canonical_level": 6}, "must be one of the levels P2 ... P5 that RoIs are read from; got 6"),
    ("PoolConfig", "level_epsilon", {"level_epsilon": -1e-8}, "must not be negative; got -1e-08"),
    ("BoxHeadConfig", "convs", {"convs": -1}, "must not be negative; got -1"),
    ("BoxHeadConfig", "fcs", {"convs": 4, "fcs": -1}, "must not be negative; got -1"),
    ("BoxHeadConfig", "fcs", {"fcs": 0}, "the head needs at least one layer; got 0"),
    ("BoxHeadConfig", "conv_channels", {"conv_channels": 4, "norm": "group_norm"}, WIDTHS + "4"),
    ("BoxHeadConfig", "conv_channels", {"conv_channels": 0}, WIDTHS + "0"),
    ("BoxHeadConfig", "norm_epsilon", {"norm_epsilon": -1e-5}, "must not be negative; got -1e-05"),
    ("BoxHeadConfig", "fc_width", {"fc_width": 0}, "must be at least 1; got 0"),
    ("FpnConfig", "channels", {"channels": 100, "norm": "group_norm"}, WIDTHS + "100"),
    ("FpnConfig", "channels", {"channels": 0}, WIDTHS + "0"),
    ("FpnConfig", "norm_epsilon", {"norm_epsilon": -1e-5}, "must not be negative; got -1e-05"),
    ("MaskHeadConfig", "convs", {"convs": -1}, "must not be negative; got -1"),
    ("MaskHeadConfig", "channels", {"channels": 264, "norm": "group_norm"}, WIDTHS + "264"),
    ("MaskHeadConfig", "channels", {"channels": 0}, WIDTHS + "0"),
    ("MaskHeadConfig", "norm_epsilon", {"norm_epsilon": -1e-5}, "must not be negative; got -1e-05"),
    ("DetectConfig", "coder_weights", {"coder_weights": (10.0, 10.0, 5.0, 0.0)}, "must be positive; got (10.0, 10.0, 5.0, 0.0)"),
    ("DetectConfig", "max_log_scale", {"max_log_scale": 0.0}, "must be positive; got 0.0"),
    ("DetectConfig", "score_threshold", {"score_threshold": -0.1}, "must be in [0, 1]; got -0.1"),
    ("DetectConfig", "score_threshold", {"score_threshold": 1.1}, "must be in [0, 1]; got 1.1"),
    ("DetectConfig", "nms_threshold", {"nms_threshold": -0.1}, "must be in [0, 1]; got -0.1"),
    ("DetectConfig", "nms_threshold", {"nms_threshold": 1.1}, "must be in [0, 1]; got 1.1"),
    ("DetectConfig", "max_candidates", {"max_candidates": 0}, "must be at least 1; got 0"),
    ("DetectConfig", "max_detections", {"max_detections": 0}, "must be at least 1; got 0"),
    ("DetectConfig", "min_side", {"min_side": -1.0}, "must not be negative; got -1.0"),
    ("LossConfig", "rpn_box_beta", {"rpn_box_beta": -0.1}, "must not be negative; got -0.1"),
    ("LossConfig", "roi_box_beta", {"roi_box_beta": -0.1}, "must not be negative; got -0.1"),
    ("LossConfig", "mask_target_samples", {"mask_target_samples": 0}, "must be at least 1; got 0"),
    ("PasteConfig", "threshold", {"threshold": 0.0}, "must be in (0, 1]; got 0.0"),
    ("PasteConfig", "threshold", {"threshold": 1.1}, "must be in (0, 1]; got 1.1"),
    ("ModelConfig", "num_classes", {"num_classes": 0}, "must be at least 1; got 0"),
    ("DataConfig", "train_size", {"train_size": 0}, "must be at least 1; got 0"),
    ("DataConfig", "val_size", {"val_size": 0}, "must be at least 1; got 0"),
    ("AugmentConfig", "flip", {"flip": 1.1}, "must be in [0, 1]; got 1.1"),
    ("AugmentConfig", "flip", {"flip": -0.1}, "must be in [0, 1]; got -0.1"),
    ("AugmentConfig", "flip_vertical", {"flip_vertical": 1.1}, "must be in [0, 1]; got 1.1"),
    ("AugmentConfig", "brightness", {"brightness": 1.1}, "must be in [0, 1]; got 1.1"),
    ("AugmentConfig", "contrast", {"contrast": -0.1}, "must be in [0, 1]; got -0.1"),
    ("AugmentConfig", "saturation", {"saturation": 1.1}, "must be in [0, 1]; got 1.1"),
    ("AugmentConfig", "copy_paste", {"copy_paste": 1.1}, "must be in [0, 1]; got 1.1"),
    ("AugmentConfig", "mosaic", {"mosaic": 1.1}, "must be in [0, 1]; got 1.1"),
    ("AugmentConfig", "min_sides", {"min_sides": (64, 0)}, "must be positive; got (64, 0)"),
    ("AugmentConfig", "scale", {"scale": (0.0, 1.0)}, "must be positive, ascend and be at most 10; got (0.0, 1.0)"),
    ("AugmentConfig", "scale", {"scale": (2.0, 0.5)}, "must be positive, ascend and be at most 10; got (2.0, 0.5)"),
    ("AugmentConfig", "crop", {"crop": 0.0}, "must be in (0, 1]; got 0.0"),
    ("AugmentConfig", "crop", {"crop": 1.1}, "must be in (0, 1]; got 1.1"),
    ("AugmentConfig", "rotate", {"rotate": 181.0}, "must be in [0, 180]; got 181.0"),
    ("AugmentConfig", "hue", {"hue": 0.6}, "must be in [0, 0.5]; got 0.6"),
    ("AugmentConfig", "blur", {"blur": -1.0}, "must be in [0, 100]; got -1.0"),
    ("DataConfig", "max_objects", {"max_objects": 0}, "must be at least 1; got 0"),
    ("DataConfig", "mask_crop", {"mask_crop": 0}, "must be at least 1, or None; got 0"),
    ("DataConfig", "workers", {"workers": -1}, "must not be negative; got -1"),
    ("DataConfig", "max_unreadable", {"max_unreadable": -1}, "must not be negative; got -1"),
    (
        "DataConfig",
        "more_train_images",
        {"more_train_annotations": ("a.json",)},
        "must be 1 folders, one for each of more_train_annotations; got ()",
    ),
    (
        "DataConfig",
        "more_train_images",
        {"kind": "prepared", "more_train_annotations": ("a",), "more_train_images": ("b",)},
        "must be empty; got ('b',)",
    ),
    (
        "DataConfig",
        "train_weights",
        {"train_weights": (1.0, 2.0)},
        "must be 1 numbers, one for each training dataset, or none; got (1.0, 2.0)",
    ),
    ("DataConfig", "train_weights", {"train_weights": (0.0,)}, "must be positive; got (0.0,)"),
    ("DataConfig", "repeat_threshold", {"repeat_threshold": 0.0}, "must be in (0, 1], or None; got 0.0"),
    ("DataConfig", "repeat_threshold", {"repeat_threshold": 1.1}, "must be in (0, 1], or None; got 1.1"),
    ("OptimizerConfig", "learning_rate", {"learning_rate": 0.0}, "must be positive; got 0.0"),
    ("OptimizerConfig", "reference_batch", {"reference_batch": 0}, "must be at least 1, or None; got 0"),
    ("OptimizerConfig", "layer_rates", {"layer_rates": ("fpn/*",)}, "must read like \"backbone/*=0.1\"; got ('fpn/*',)"),
    ("OptimizerConfig", "momentum", {"momentum": 1.0}, "must be in [0, 1); got 1.0"),
    ("OptimizerConfig", "momentum", {"momentum": -0.1}, "must be in [0, 1); got -0.1"),
    ("OptimizerConfig", "second_moment", {"second_moment": 1.0}, "must be in [0, 1); got 1.0"),
    ("OptimizerConfig", "second_moment", {"second_moment": -0.1}, "must be in [0, 1); got -0.1"),
    ("OptimizerConfig", "weight_decay", {"weight_decay": -1e-4}, "must not be negative; got -0.0001"),
    ("OptimizerConfig", "warmup_steps", {"warmup_steps": -1}, "must not be negative; got -1"),
    ("OptimizerConfig", "milestones", {"milestones": (20, 10)}, "must be positive and ascend; got (20, 10)"),
    ("OptimizerConfig", "milestones", {"milestones": (0, 10)}, "must be positive and ascend; got (0, 10)"),
    ("OptimizerConfig", "gamma", {"gamma": 0.0}, "must be in (0, 1]; got 0.0"),
    ("OptimizerConfig", "gamma", {"gamma": 1.1}, "must be in (0, 1]; got 1.1"),
    ("OptimizerConfig", "warmup_factor", {"warmup_factor": -0.1}, "must be in [0, 1]; got -0.1"),
    ("OptimizerConfig", "warmup_factor", {"warmup_factor": 1.1}, "must be in [0, 1]; got 1.1"),
    ("OptimizerConfig", "clip_norm", {"clip_norm": 0.0}, "must be positive, or None; got 0.0"),
    ("TrainConfig", "steps", {"steps": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "batch_size", {"batch_size": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "devices", {"devices": 0}, "must be at least 1, or None; got 0"),
    ("TrainConfig", "accumulate", {"accumulate": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "ema", {"ema": 1.0}, "must be in (0, 1), or None; got 1.0"),
    ("TrainConfig", "ema", {"ema": 0.0}, "must be in (0, 1), or None; got 0.0"),
    ("TrainConfig", "patience", {"patience": 0}, "must be at least 1, or None; got 0"),
    ("TrainConfig", "max_nonfinite", {"max_nonfinite": 0}, "must be at least 1; got 0"),
    ("TrainConfig", "stall_seconds", {"stall_seconds": 0.0}, "must be positive; got 0.0"),
    ("TrainConfig", "seed", {"seed": -1}, "must not be negative; got -1"),
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
    ("BackboneConfig", {"width": 16, "frozen_stages": 0, "norm_epsilon": 0.0}),
    ("BackboneConfig", {"width": 288, "norm": "group_norm"}),
    ("BackboneConfig", {"depth": 50, "stride_on": "1x1"}),
    ("BackboneConfig", {"width": 288, "norm": "group_norm"} | VGG),
    ("BackboneConfig", {"norm": "none", "width": 16} | VGG),
    ("ProposeConfig", {"pre_nms_top_k_train": 1, "pre_nms_top_k_test": 1, "post_nms_top_k_train": 1, "post_nms_top_k_test": 1}),
    ("ProposeConfig", {"nms_threshold": 0.0, "min_side": 0.0}),
    ("ProposeConfig", {"nms_threshold": 1.0}),
    ("BackboneConfig", {"frozen_stages": 5}),
    ("AssignConfig", {"rpn_background_iou": 0.7, "roi_positive_fraction": 1.0, "rpn_positive_fraction": 1.0}),
    ("AssignConfig", {"rpn_samples": 2, "roi_samples": 4}),
    ("AssignConfig", {"rpn_foreground_iou": 1.0, "roi_foreground_iou": 1.0, "rpn_background_iou": 0.0, "roi_background_iou": 0.0}),
    ("AssignConfig", {"crowd_ioa": 1.0}),
    ("AssignConfig", {"crowd_ioa": None}),
    ("PoolConfig", {"box_size": 1, "mask_size": 1, "samples": 1, "canonical_level": 2, "level_epsilon": 0.0}),
    ("PoolConfig", {"canonical_level": 5}),
    ("BoxHeadConfig", {"convs": 1, "fcs": 0, "conv_channels": 1, "fc_width": 1, "norm_epsilon": 0.0}),
    ("BoxHeadConfig", {"convs": 0, "fcs": 1}),
    ("FpnConfig", {"channels": 1, "norm_epsilon": 0.0}),
    ("FpnConfig", {"channels": 264, "norm": "none"}),
    ("MaskHeadConfig", {"channels": 8, "norm": "group_norm", "convs": 0, "norm_epsilon": 0.0}),
    ("MaskHeadConfig", {"channels": 288, "norm": "group_norm"}),
    ("DetectConfig", {"score_threshold": 0.0, "nms_threshold": 0.0, "max_candidates": 1, "max_detections": 1, "min_side": 0.0}),
    ("DetectConfig", {"score_threshold": 1.0, "nms_threshold": 1.0}),
    ("LossConfig", {"rpn_box_beta": 0.0, "roi_box_beta": 0.0, "mask_target_samples": 1}),
    ("PasteConfig", {"threshold": 1.0}),
    ("ModelConfig", {"num_classes": 1}),
    ("DataConfig", {"train_size": 1, "val_size": 1}),
    ("DataConfig", {"max_objects": 1, "mask_crop": 1, "workers": 0, "repeat_threshold": 1.0}),
    ("DataConfig", {"more_train_annotations": ("a", "b"), "more_train_images": ("c", "d"), "train_weights": (1.0, 0.1, 2.0)}),
    ("DataConfig", {"mask_crop": None}),
    ("AugmentConfig", {"flip": 0.0, "flip_vertical": 0.0, "crop": 1.0, "scale": (1.0, 1.0), "rotate": 0.0, "blur": 0.0}),
    ("AugmentConfig", {"flip": 1.0, "flip_vertical": 1.0, "crop": 0.01, "scale": (0.1, 10.0), "rotate": 180.0, "blur": 100.0}),
    ("AugmentConfig", {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5, "copy_paste": 1.0, "mosaic": 1.0}),
    ("OptimizerConfig", {"momentum": 0.0, "second_moment": 0.0, "weight_decay": 0.0, "warmup_steps": 0, "milestones": (1, 1)}),
    ("OptimizerConfig", {"gamma": 1.0, "warmup_factor": 0.0}),
    ("OptimizerConfig", {"warmup_factor": 1.0}),
    ("TrainConfig", {"seed": 0, "steps": 1, "batch_size": 1, "log_every": 1, "checkpoint_every": 1, "keep": 1}),
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
            for place in ast.walk(cls):
                names = ast.literal_eval(place.iter) if isinstance(place, ast.For) else ()
                for call in ast.walk(place):
                    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "require":
                        name = call.args[2]
                        fields = (name.value,) if isinstance(name, ast.Constant) else names
                        found |= {(cls.name, field) for field in fields}
    return found


def test_every_check_has_a_row_above():
    assert checked_fields() == {(cls, field) for cls, field, _, _ in WRONG}


# Numeric fields that may hold any number; those that have no upper bound.
FREE = {("InputConfig", "mean")}
UNBOUNDED = FREE | {
    ("InputConfig", "std"),
    ("BackboneConfig", "norm_epsilon"),
    ("FpnConfig", "norm_epsilon"),
    ("AnchorConfig", "sizes"),
    ("AnchorConfig", "ratios"),
    ("ProposeConfig", "coder_weights"),
    ("ProposeConfig", "max_log_scale"),
    ("ProposeConfig", "min_side"),
    ("PoolConfig", "canonical_size"),
    ("PoolConfig", "level_epsilon"),
    ("BoxHeadConfig", "norm_epsilon"),
    ("MaskHeadConfig", "norm_epsilon"),
    ("DetectConfig", "coder_weights"),
    ("DetectConfig", "max_log_scale"),
    ("DetectConfig", "min_side"),
    ("LossConfig", "rpn_box_beta"),
    ("LossConfig", "roi_box_beta"),
    ("OptimizerConfig", "learning_rate"),
    ("OptimizerConfig", "weight_decay"),
    ("OptimizerConfig", "clip_norm"),
    ("TrainConfig", "stall_seconds"),
    ("DataConfig", "train_weights"),
}
CLASSES = [value for value in vars(config_room).values() if dataclasses.is_dataclass(value)]


def numbers(hint: Any) -> set[type]:
    """int or float where a value of type `hint` holds such numbers: alone, optional, or in tuples."""
    if get_origin(hint) is Literal:
        return set()
    return {hint} & {int, float} | {number for arg in get_args(hint) for number in numbers(arg)}


def filled(hint: Any, default: Any, number: float) -> Any:
    """`default` with `number` for each of its numbers; one item where it is empty."""
    if get_origin(hint) is not tuple:
        return number
    item = get_args(hint)[0]
    return tuple(filled(item, value, number) for value in default or (None,))


def unchecked(cls: type, number: float, kinds: set[type]) -> set[tuple[str, str]]:
    """(class, field) of the fields of `kinds` that take `number`, or whose error does not name them."""
    hints = get_type_hints(cls)
    found = set()
    for field in dataclasses.fields(cls):
        if numbers(hints[field.name]) & kinds:
            try:
                cls(**{field.name: filled(hints[field.name], field.default, number)})
            except ConfigError as error:
                if field.name in str(error):
                    continue
            found.add((cls.__name__, field.name))
    return found


@pytest.mark.parametrize(("number", "kinds", "free"), [(-1, {int, float}, FREE), (math.nan, {float}, FREE), (1e9, {float}, UNBOUNDED)])
def test_no_number_goes_unchecked(number, kinds, free):
    assert set().union(*(unchecked(cls, number, kinds) for cls in CLASSES)) == free


def test_a_field_without_a_check_is_found():
    @dataclasses.dataclass
    class Loose:
        name: str = ""
        kind: Literal[1, 2] = 1
        flag: bool = False
        share: float | None = None
        sides: tuple[tuple[int, int], ...] = ()

    assert unchecked(Loose, -1, {int, float}) == {("Loose", "share"), ("Loose", "sides")}
