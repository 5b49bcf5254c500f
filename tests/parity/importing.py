"""torchvision, also where its wheel lacks the compiled operators (the CPU build of PyTorch): Python and NumPy serve instead."""

import importlib.util
import os
import warnings
from pathlib import Path

from tests.parity import kernels

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # before torch is imported: compiling a fallback takes minutes


def import_torch():
    """PyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of imports that are not ours
        import torch
    return torch


def import_torchvision(torch):
    """torchvision, with what stands in for operators that it lacks; and whether it has them."""
    compiled = _has_kernels(torch)
    if not compiled:  # torchvision's import asks for these operators' names
        for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", "qnms(Tensor dets, Tensor scores) -> Tensor"):
            torch.library.define(f"torchvision::{schema.split('(')[0]}", "(" + schema.split("(", 1)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchvision.models.detection
        import torchvision.ops
    if not compiled:
        _serve_kernels(torch, torchvision)
    return torchvision, compiled


def _has_kernels(torch):
    """Whether torchvision's library of operators is there and loads: one built for CUDA does not without it."""
    found = importlib.util.find_spec("torchvision")
    if found is None:
        raise ModuleNotFoundError("torchvision")
    for library in Path(found.origin).parent.glob("_C.*"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return True
    return False


def _serve_kernels(torch, torchvision):
    """Give torchvision the operators that whole models need.

    The RoIAlign of features has a fallback in torchvision itself. It lacks the zeros that C++ gives points farther than a cell
    outside the map; boxes are clipped to the image, so there are none.
    """

    def nms(boxes, scores, iou_threshold):
        return torch.from_numpy(kernels.nms(boxes.numpy(), scores.numpy(), iou_threshold))

    def roi_align_of_masks(masks, rois, output_size, spatial_scale):  # called by project_masks_on_boxes alone
        assert spatial_scale == 1
        return torch.from_numpy(kernels.adaptive_roi_align(masks.numpy(), rois.numpy(), output_size[0]))

    torch.library.impl("torchvision::nms", "CPU")(nms)
    torchvision.models.detection.roi_heads.roi_align = roi_align_of_masks
    for module in (torchvision.extension, torchvision.ops.boxes):
        module._assert_has_ops = lambda: None
