"""For code written for matterport's Mask_RCNN: its Config, Dataset and MaskRCNN on this package; docs/from_matterport.md."""

from maskrcnn_jax.matterport.config import Config
from maskrcnn_jax.matterport.dataset import Dataset
from maskrcnn_jax.matterport.model import MaskRCNN

__all__ = ["Config", "Dataset", "MaskRCNN"]
