"""COCO 2017, ResNet-50-FPN, 37 epochs.

Command: maskrcnn train coco_r50_fpn_3x --train.weights WEIGHTS; see coco_r50_fpn_1x for weights and data.
Hardware: 16 images a step over all devices, evaluation 8 on each; docs/clusters.md has the commands for one and for many.
Time and AP reached: not run yet; nobody here has had the hardware.
"""

from dataclasses import replace

from maskrcnn_jax.config import ExperimentConfig, load_experiment


def get_config() -> ExperimentConfig:
    """The 1x recipe, three times as long."""
    base = load_experiment("coco_r50_fpn_1x")
    return replace(
        base,
        optimizer=replace(base.optimizer, milestones=(210_000, 250_000)),
        train=replace(base.train, steps=270_000),
        eval=replace(base.eval, every=30_000),
    )
