"""A first layer that was trained on RGB, for images of other channels."""

import logging

import numpy as np

from maskrcnn_jax.config import BackboneConfig
from maskrcnn_jax.weights.files import WRAPPERS, Arrays

logger = logging.getLogger(__name__)


def inflate(kernel: np.ndarray, channels: int, *, axis: int, reverse: bool = False) -> np.ndarray:
    """The kernel of a first layer that reads R, G, B as one that reads so many channels; any other kernel as it is.

    For one channel the three are summed, so that grey is seen as the same grey in RGB was. For n channels they are taken in turn
    (R, G, B, R, ...) and scaled by 3 / n, so that what comes out keeps its size: channels that repeat R, G, B whole times are seen
    as RGB was. It is logged.

    Args:
      kernel: with its input channels along `axis`.
      channels: of the images to come.
      axis: 1 in PyTorch's layout, 2 in ours.
      reverse: the kernel reads B, G, R.

    Source: the sum and the turns are those of timm's `adapt_input_conv`.
    """
    if kernel.ndim != 4 or kernel.shape[axis] != 3 or channels == 3:
        return kernel
    rgb = np.asarray(kernel, np.float32)
    rgb = np.flip(rgb, axis) if reverse else rgb
    if channels == 1:
        logger.info("the first layer's kernels of R, G and B are summed for the one channel of the images")
        return np.sum(rgb, axis=axis, keepdims=True)
    logger.info("the first layer's kernels of R, G and B serve the images' %d channels in turn, times 3 / %d", channels, channels)
    return np.take(rgb, np.arange(channels) % 3, axis=axis) * np.float32(3 / channels)


def is_bgr(arrays: Arrays) -> bool:
    """Whether weights of Detectron2 read B, G, R: so its models do, but for a mean in the file that says otherwise."""
    means = [array.ravel() for name, array in arrays.items() if WRAPPERS.sub("", name) == "pixel_mean" and array.size == 3]
    return not any(mean[0] > mean[2] for mean in means)  # of pictures red is the brightest on average, blue the darkest


def stem_path(config: BackboneConfig) -> tuple[str, ...]:
    """(module, layer, ..., leaf) of the first layer's kernel."""
    return ("backbone", "conv1_1" if config.kind == "vgg" else "stem", "conv", "kernel")
