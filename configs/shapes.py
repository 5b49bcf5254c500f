"""The demo: a tiny Mask R-CNN on procedural pictures, trained from random weights.

Command: maskrcnn train shapes
Hardware: two shared CPU cores without AVX-512, 6 to 8 minutes. Reached: mask AP 0.556, AP50 0.855 (docs/benchmarks.md).
"""

from maskrcnn_jax.config import (
    AnchorConfig,
    AssignConfig,
    BackboneConfig,
    BoxHeadConfig,
    DataConfig,
    DetectConfig,
    EvalConfig,
    ExperimentConfig,
    FpnConfig,
    InputConfig,
    LossConfig,
    MaskHeadConfig,
    ModelConfig,
    OptimizerConfig,
    PoolConfig,
    ProposeConfig,
    TrainConfig,
)


def get_config() -> ExperimentConfig:
    """The experiment."""
    return ExperimentConfig(
        model=ModelConfig(
            num_classes=4,
            input=InputConfig(min_side=160, max_side=160, canvases=((160, 160),)),
            backbone=BackboneConfig(depth=18, width=16, norm="group_norm", frozen_stages=0),
            fpn=FpnConfig(channels=48, norm="group_norm"),
            anchors=AnchorConfig(sizes=(16.0, 32.0, 64.0, 96.0, 128.0), ratios=(1.0,)),
            propose=ProposeConfig(pre_nms_top_k_train=200, pre_nms_top_k_test=200, post_nms_top_k_train=100, post_nms_top_k_test=100),
            assign=AssignConfig(rpn_samples=64, roi_samples=32, roi_positive_fraction=0.5, roi_background_iou=0.4),
            pool=PoolConfig(mask_size=12, samples=1),
            box_head=BoxHeadConfig(fcs=1, fc_width=256),
            mask_head=MaskHeadConfig(convs=1, channels=32, norm="group_norm"),
            detect=DetectConfig(score_threshold=0.02, nms_threshold=0.45, max_candidates=400, max_detections=20),
            loss=LossConfig(mask_target_samples=1),
        ),
        data=DataConfig(kind="shapes", train_size=10_000, val_size=200, max_objects=8, mask_crop=96),
        optimizer=OptimizerConfig(
            kind="adamw",
            learning_rate=1.5e-3,
            second_moment=0.99,
            weight_decay=0.05,
            schedule="cosine",
            warmup_steps=100,
            clip_norm=5.0,
        ),
        train=TrainConfig(steps=1600, batch_size=4, log_every=10, checkpoint_every=500),
        eval=EvalConfig(batch_size=8),
    )
