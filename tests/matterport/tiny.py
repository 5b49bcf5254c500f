"""Values of a matterport Config with which its whole model is small."""

VALUES = {
    "IMAGES_PER_GPU": 2,
    "IMAGE_MIN_DIM": 64,
    "IMAGE_MAX_DIM": 64,
    "BACKBONE": "resnet18",
    "TOP_DOWN_PYRAMID_SIZE": 32,
    "FPN_CLASSIF_FC_LAYERS_SIZE": 32,
    "RPN_ANCHOR_SCALES": (8, 16, 24, 32, 48),
    "RPN_TRAIN_ANCHORS_PER_IMAGE": 16,
    "PRE_NMS_LIMIT": 100,
    "POST_NMS_ROIS_TRAINING": 16,
    "POST_NMS_ROIS_INFERENCE": 8,
    "TRAIN_ROIS_PER_IMAGE": 8,
    "POOL_SIZE": 3,
    "MASK_POOL_SIZE": 4,
    "MASK_SHAPE": (8, 8),
    "MAX_GT_INSTANCES": 8,
    "DETECTION_MAX_INSTANCES": 4,
    "DETECTION_MIN_CONFIDENCE": 0.0,
    "STEPS_PER_EPOCH": 2,
    "VALIDATION_STEPS": 1,
}


def shrink(monkeypatch, config):
    """Give the class `config` these values."""
    for name, value in VALUES.items():
        monkeypatch.setattr(config, name, value)
    return config
