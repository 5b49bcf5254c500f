"""Frozen, keyword-only configuration dataclasses, one sub-config a stage."""

from maskrcnn_jax.config.augment import AugmentConfig
from maskrcnn_jax.config.check import ConfigError
from maskrcnn_jax.config.codec import differing, from_dict, to_dict
from maskrcnn_jax.config.experiment import DataConfig, EvalConfig, ExperimentConfig, OptimizerConfig, TrainConfig
from maskrcnn_jax.config.model import (
    AnchorConfig,
    AssignConfig,
    BackboneConfig,
    BoxHeadConfig,
    DetectConfig,
    FpnConfig,
    InputConfig,
    LossConfig,
    MaskHeadConfig,
    ModelConfig,
    PasteConfig,
    PoolConfig,
    ProposeConfig,
    Resize,
    RpnHeadConfig,
)
from maskrcnn_jax.config.norm import Norm, norm_groups
from maskrcnn_jax.config.packed import describe_experiment, load_experiment

__all__ = [
    "AnchorConfig",
    "AssignConfig",
    "AugmentConfig",
    "BackboneConfig",
    "BoxHeadConfig",
    "ConfigError",
    "DataConfig",
    "DetectConfig",
    "EvalConfig",
    "ExperimentConfig",
    "FpnConfig",
    "InputConfig",
    "LossConfig",
    "MaskHeadConfig",
    "ModelConfig",
    "Norm",
    "OptimizerConfig",
    "PasteConfig",
    "PoolConfig",
    "ProposeConfig",
    "Resize",
    "RpnHeadConfig",
    "TrainConfig",
    "describe_experiment",
    "differing",
    "from_dict",
    "load_experiment",
    "norm_groups",
    "to_dict",
]
