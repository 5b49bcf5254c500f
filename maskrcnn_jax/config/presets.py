"""Whole models of other systems, number by number; tests/models/test_golden.py holds them to the real ones' outputs."""

from dataclasses import replace
from typing import Literal

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
    RpnHeadConfig,
)


def torchvision_v1(num_classes: int = 90) -> ModelConfig:
    """torchvision's `maskrcnn_resnet50_fpn`.

    Its weights COCO_V1, and they alone, were trained with epsilon 0 in the backbone's norms: replace
    `backbone.norm_epsilon` for them, as torchvision does when it loads them.

    Args:
      num_classes: without background; torchvision's 91 are COCO's ids up to 90 with their gaps, and background.
    """
    return ModelConfig(
        num_classes=num_classes,
        input=InputConfig(resize="float", canvas="multiple"),
        anchors=AnchorConfig(round_base=True, stride="canvas", in_padding="keep"),
        propose=ProposeConfig(post_nms_top_k_train=2000, rank_by="sigmoid", min_side=1e-3),
        assign=AssignConfig(crowd_ioa=None),
        pool=PoolConfig(aligned=False, level_epsilon=1e-6, level_epsilon_at="log"),
        detect=DetectConfig(min_side=1e-2),
        loss=LossConfig(mask_target_aligned=False, mask_target_sampling="adaptive"),
        paste=PasteConfig(kind="expanded"),
    )


def torchvision_v2(num_classes: int = 90) -> ModelConfig:
    """torchvision's `maskrcnn_resnet50_fpn_v2`: batch norm everywhere, deeper heads, all layers trained.

    Args:
      num_classes: as in `torchvision_v1`.
    """
    return replace(
        torchvision_v1(num_classes),
        backbone=BackboneConfig(norm="batch_norm", frozen_stages=0),
        fpn=FpnConfig(norm="batch_norm"),
        rpn_head=RpnHeadConfig(convs=2),
        box_head=BoxHeadConfig(convs=4, norm="batch_norm", fcs=1),
        mask_head=MaskHeadConfig(norm="batch_norm"),
    )


def detectron2(depth: Literal[50, 101] = 50, num_classes: int = 80) -> ModelConfig:
    """Detectron2's `mask_rcnn_R_50_FPN` and `mask_rcnn_R_101_FPN`, 1x and 3x.

    Args:
      depth: layers of the ResNet.
      num_classes: without background.
    """
    return ModelConfig(
        num_classes=num_classes,
        input=InputConfig(channel_order="bgr", mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0), resize="pillow", canvas="multiple"),
        backbone=BackboneConfig(depth=depth, stride_on="1x1"),
        anchors=AnchorConfig(in_padding="keep"),
        assign=AssignConfig(crowd_ioa=None),
        pool=PoolConfig(sampling="adaptive"),
        loss=LossConfig(
            rpn_denominator="capacity", rpn_box_beta=0.0, roi_box_beta=0.0, mask_target="binary", mask_target_sampling="adaptive"
        ),
    )


def detectron2_lsj(num_classes: int = 80) -> ModelConfig:
    """Detectron2's `new_baselines/mask_rcnn_R_50_FPN_*ep_LSJ`: batch norm everywhere, deeper heads, all layers trained.

    Its training canvas is 1024 x 1024 (large-scale jitter); it is tested at 800 / 1333 as `detectron2` is.

    Args:
      num_classes: without background.
    """
    base = detectron2(num_classes=num_classes)
    return replace(
        base,
        backbone=replace(base.backbone, norm="batch_norm", frozen_stages=0),
        fpn=FpnConfig(norm="batch_norm"),
        rpn_head=RpnHeadConfig(convs=2),
        box_head=BoxHeadConfig(convs=4, norm="batch_norm", fcs=1),
        mask_head=MaskHeadConfig(norm="batch_norm"),
    )
