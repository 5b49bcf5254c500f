"""Where torchvision and Detectron2 keep each array of a model, and classifiers each of a trunk: the name maps."""

from typing import Literal

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.nn.vgg import CONVS
from maskrcnn_jax.weights.layouts import Entry, Kind

System = Literal["torchvision", "detectron2"]
NORM_LEAVES = {"scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
LEAVES = {"kernel": "weight", "bias": "bias"}

Path = tuple[str, ...]  # (module, layer, ..., leaf), without the collection


def entry(system: System, path: Path, config: ModelConfig) -> Entry:
    """Name, layout and order of classes that `system` has for the array at `path`, (module, layer, ..., leaf)."""
    module, layer, *_ = path
    name = (torchvision_name if system == "torchvision" else detectron2_name)(path, config)
    kind = _kind(path)
    if module == "box_head" and layer == "fc0" and kind == "linear":
        channels = config.box_head.conv_channels if config.box_head.convs else config.fpn.channels
        return Entry(name, kind, features=(config.pool.box_size, channels))
    if system == "detectron2" and (module, layer) == ("box_head", "classes"):
        return Entry(name, kind, rows="background_last")
    if system == "detectron2" and (module, layer) == ("box_head", "deltas") and not config.box_head.class_agnostic:
        return Entry(name, kind, rows="no_background", outputs=4)
    if system == "detectron2" and (module, layer) == ("mask_head", "masks") and not config.mask_head.class_agnostic:
        return Entry(name, kind, rows="no_background")
    return Entry(name, kind)


def _kind(path: Path) -> Kind:
    module, layer, *_ = path
    if path[-1] != "kernel":
        return "vector"
    if layer == "deconv":
        return "deconv"
    return "linear" if module == "box_head" and not layer.startswith("conv") else "conv"


def torchvision_name(path: Path, config: ModelConfig) -> str:
    """torchvision's name, in a detection model, of the array at `path`."""
    module, layer, *rest = path
    if module == "backbone":
        return f"backbone.body.{resnet_name(path[1:])}"
    if module == "fpn":
        blocks = "inner_blocks" if layer.startswith("lateral") else "layer_blocks"
        return f"backbone.fpn.{blocks}.{int(layer[-1]) - 2}.{_sequential(rest)}"
    if module == "rpn_head":
        if layer.startswith("conv"):
            return f"rpn.head.conv.{layer.removeprefix('conv')}.0.{LEAVES[rest[0]]}"
        return f"rpn.head.{'cls_logits' if layer == 'objectness' else 'bbox_pred'}.{LEAVES[rest[0]]}"
    if module == "box_head":
        if layer.startswith("conv"):
            return f"roi_heads.box_head.{layer.removeprefix('conv')}.{_sequential(rest)}"
        if layer.startswith("fc"):
            i, convs = int(layer.removeprefix("fc")), config.box_head.convs
            number = str(convs + 1 + 2 * i) if convs else f"fc{6 + i}"  # after the flattening, every second one a ReLU
            return f"roi_heads.box_head.{number}.{LEAVES[rest[0]]}"
        return f"roi_heads.box_predictor.{'cls_score' if layer == 'classes' else 'bbox_pred'}.{LEAVES[rest[0]]}"
    if layer.startswith("conv"):
        return f"roi_heads.mask_head.{layer.removeprefix('conv')}.{_sequential(rest)}"
    return f"roi_heads.mask_predictor.{'conv5_mask' if layer == 'deconv' else 'mask_fcn_logits'}.{LEAVES[rest[0]]}"


def resnet_name(path: Path) -> str:
    """torchvision's and timm's name, in a ResNet, of the array at (block, [convolution,] conv or norm, leaf)."""
    block, *middle, kind, leaf = path
    if block == "stem":
        prefix, layer = "", "1"
    else:
        stage, index = block.removeprefix("res").split("_")
        prefix, layer = f"layer{int(stage) - 1}.{index}.", middle[0].removeprefix("conv")
    if layer == "shortcut":
        module = "downsample.0" if kind == "conv" else "downsample.1"
    else:
        module = ("conv" if kind == "conv" else "bn") + layer
    return f"{prefix}{module}.{(LEAVES if kind == 'conv' else NORM_LEAVES)[leaf]}"


def vgg_name(path: Path, *, normed: bool) -> str:
    """torchvision's and timm's name, in a VGG-16 with or without norms, of the array at (layer, conv or norm, leaf)."""
    layer, kind, leaf = path
    block, i = (int(number) for number in layer.removeprefix("conv").split("_"))
    each = 3 if normed else 2  # the convolution, its norm, its ReLU
    number = each * (sum(CONVS[: block - 1]) + i - 1) + block - 1  # and a pool after each block
    return f"features.{number}.{LEAVES[leaf]}" if kind == "conv" else f"features.{number + 1}.{NORM_LEAVES[leaf]}"


def detectron2_name(path: Path, config: ModelConfig) -> str:
    """Detectron2's name of the array at `path`."""
    module, layer, *rest = path
    if module == "backbone":
        return f"backbone.bottom_up.{_detectron2_trunk_name(layer, rest)}"
    if module == "fpn":
        return f"backbone.fpn_{layer}.{_own_norm(rest)}"
    if module == "rpn_head":
        names = {"objectness": "objectness_logits", "deltas": "anchor_deltas"}
        convs = {"conv0": "conv"} if config.rpn_head.convs == 1 else {}
        return f"proposal_generator.rpn_head.{(names | convs).get(layer, f'conv.{layer}')}.{LEAVES[rest[0]]}"
    if module == "box_head":
        if layer in ("classes", "deltas"):
            return f"roi_heads.box_predictor.{'cls_score' if layer == 'classes' else 'bbox_pred'}.{LEAVES[rest[0]]}"
        kind = layer.rstrip("0123456789")
        return f"roi_heads.box_head.{kind}{int(layer.removeprefix(kind)) + 1}.{_own_norm(rest)}"
    if layer.startswith("conv"):
        return f"roi_heads.mask_head.mask_fcn{int(layer.removeprefix('conv')) + 1}.{_own_norm(rest)}"
    return f"roi_heads.mask_head.{'deconv' if layer == 'deconv' else 'predictor'}.{LEAVES[rest[0]]}"


def _detectron2_trunk_name(block: str, rest: list[str]) -> str:
    if block == "stem":
        return f"stem.conv1.{_own_norm(rest)}"
    stage, index = block.split("_")
    return f"{stage}.{index}.{rest[0]}.{_own_norm(rest[1:])}"


def _sequential(rest: list[str]) -> str:
    """The leaf of a convolution followed by its norm, as torchvision's numbers 0 and 1."""
    kind, leaf = rest
    return f"0.{LEAVES[leaf]}" if kind == "conv" else f"1.{NORM_LEAVES[leaf]}"


def _own_norm(rest: list[str]) -> str:
    """The leaf of a layer whose norm, if any, is part of it."""
    if len(rest) == 1 or rest[0] == "conv":
        return LEAVES[rest[-1]]
    return f"norm.{NORM_LEAVES[rest[1]]}"
