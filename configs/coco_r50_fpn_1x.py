"""COCO 2017, ResNet-50-FPN, 12 epochs.

Command: maskrcnn train coco_r50_fpn_1x --train.weights WEIGHTS, WEIGHTS being ImageNet weights under torchvision's or timm's names,
with COCO under data/coco (annotations/, train2017/, val2017/), or wherever --data.* says.
Hardware: 16 images a step over all devices, evaluation 8 on each; docs/clusters.md has the commands for one and for many.
Time and AP reached: not run yet; nobody here has had the hardware.
"""

from maskrcnn_jax.config import AugmentConfig, DataConfig, EvalConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TrainConfig

COCO = "data/coco"


def get_config() -> ExperimentConfig:
    """The experiment: 90,000 steps of 16 images, short sides 640 ... 800."""
    return ExperimentConfig(
        model=ModelConfig(num_classes=80),
        data=DataConfig(
            train_annotations=f"{COCO}/annotations/instances_train2017.json",
            train_images=f"{COCO}/train2017",
            val_annotations=f"{COCO}/annotations/instances_val2017.json",
            val_images=f"{COCO}/val2017",
            augment=AugmentConfig(min_sides=(640, 672, 704, 736, 768, 800)),
            workers=8,
        ),
        optimizer=OptimizerConfig(learning_rate=0.02, milestones=(60_000, 80_000), warmup_steps=1000),
        train=TrainConfig(steps=90_000, batch_size=16, checkpoint_every=5000),
        eval=EvalConfig(every=15_000, batch_size=8),
    )
