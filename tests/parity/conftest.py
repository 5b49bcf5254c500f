"""torchvision, also where its wheel lacks the compiled operators (the CPU build of PyTorch): its Python fallbacks serve."""

import os
import warnings
from types import ModuleType

import pytest

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # before torch is imported: compiling a fallback takes minutes


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of imports that are not ours
        import torch
    return torch


@pytest.fixture(scope="session")
def torchvision(torch) -> ModuleType:
    try:
        torch._C._dispatch_has_kernel_for_dispatch_key("torchvision::nms", "CPU")
    except RuntimeError:
        for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor", "qnms(Tensor dets, Tensor scores) -> Tensor"):
            torch.library.define(f"torchvision::{schema.split('(')[0]}", "(" + schema.split("(", 1)[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchvision.models.detection
        import torchvision.ops
    return torchvision
