"""Nuclei in microscopy images: fine-tuning an ImageNet ResNet-18 on real images, on a CPU.

Data: 2018 Data Science Bowl, stage 1 training set (Broad Bioimage Benchmark Collection, BBBC038v1, public domain), images of
at most 320 x 256 in COCO format: a folder with images/, instances_train.json and instances_val.json. Its images and masks are at
bbbc.broadinstitute.org/BBBC038, and `maskrcnn import-data png FOLDER FILE.json --labels nucleus` brings them into COCO format. Give
the four paths --data.train-annotations, --data.train-images, --data.val-annotations and --data.val-images, or any other data of one
class.

Command, in a clone beside the data folder:
  maskrcnn train nuclei --train.weights ../shared/data/backbones/resnet18_ktb_small.npz

Without ImageNet weights: leave out --train.weights; frozen batch norm then only makes sense as the identity it starts as, so
add --model.backbone.norm group_norm --model.backbone.frozen-stages 0.
Hardware: two CPU cores, 44 to 88 minutes. Reached: mask AP 0.465 to 0.469 over three seeds, AP50 0.817 to 0.819 (docs/benchmarks.md).
"""

from maskrcnn_jax.config import (
    AnchorConfig,
    AssignConfig,
    BackboneConfig,
    DataConfig,
    DetectConfig,
    EvalConfig,
    ExperimentConfig,
    InputConfig,
    ModelConfig,
    OptimizerConfig,
    TrainConfig,
)

DATA = "../shared/data/nuclei"


def get_config() -> ExperimentConfig:
    """The experiment."""
    return ExperimentConfig(
        model=ModelConfig(
            num_classes=1,
            input=InputConfig(min_side=256, max_side=320, canvases=((256, 256), (256, 320), (320, 256))),
            backbone=BackboneConfig(depth=18, frozen_stages=2),
            anchors=AnchorConfig(sizes=(8.0, 16.0, 32.0, 64.0, 128.0)),
            assign=AssignConfig(roi_samples=128),
            detect=DetectConfig(max_detections=200),
        ),
        data=DataConfig(
            train_annotations=f"{DATA}/instances_train.json",
            train_images=f"{DATA}/images",
            val_annotations=f"{DATA}/instances_val.json",
            val_images=f"{DATA}/images",
            max_objects=160,
            mask_crop=56,
        ),
        optimizer=OptimizerConfig(learning_rate=0.005, decay="all", milestones=(300,), warmup_steps=100, clip_norm=5.0),
        train=TrainConfig(steps=400, batch_size=4, log_every=10, checkpoint_every=100),
        eval=EvalConfig(batch_size=4),
    )
