"""The trunk that a config asks for: the one place that knows the families."""

from maskrcnn_jax.config import BackboneConfig
from maskrcnn_jax.nn.resnet import ResNet
from maskrcnn_jax.nn.vgg import Vgg


def build_trunk(config: BackboneConfig, *, remat: bool = False) -> ResNet | Vgg:
    """The module, from images to C2 ... C5; `channels` are theirs, `stage(layer)` is 0 ... 4 for stem, C2 ... C5.

    With `remat` gradients keep what goes into a block, and compute again what is inside.
    """
    return Vgg(config, remat) if config.kind == "vgg" else ResNet(config, remat)
