"""torchvision, also where its wheel lacks the compiled operators (the CPU build of PyTorch): Python and NumPy serve instead."""

import importlib.util
import os
import warnings
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.parity import kernels

os.environ["TORCHDYNAMO_DISABLE"] = "1"  # before torch is imported: compiling a fallback takes minutes

WORST = pytest.StashKey[dict]()


def _fail_without(package):
    pytest.fail(f"tests marked `parity` need {package}, which is not installed: pip install 'maskrcnn_jax[parity]'", pytrace=False)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of imports that are not ours
        try:
            import torch
        except ModuleNotFoundError:
            _fail_without("PyTorch")
    return torch


@pytest.fixture(scope="session")
def torchvision(torch) -> ModuleType:
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
    return torchvision


def _has_kernels(torch):
    """Whether torchvision's library of operators is there and loads: one built for CUDA does not without it."""
    if (found := importlib.util.find_spec("torchvision")) is None:
        _fail_without("torchvision")
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


@pytest.fixture(scope="session")
def record(request):
    """record(model, seed, stage, difference): the largest of a model's seeds is printed in the end."""
    worst = request.config.stash.setdefault(WORST, defaultdict(dict))

    def record(model, seed, stage, difference):
        seeds, row = worst[model].setdefault("seeds", set()), worst[model]
        seeds.add(seed)
        row[stage] = float(np.maximum(row.get(stage, 0), difference))  # which keeps a nan

    return record


def pytest_terminal_summary(terminalreporter, config):
    """The largest difference at each stage, in Markdown."""
    worst = config.stash.get(WORST, {})
    if not worst:
        return
    stages = list(dict.fromkeys(stage for row in worst.values() for stage in row if stage != "seeds"))
    terminalreporter.section("largest differences from torchvision")
    terminalreporter.line(f"\n| model | seeds | {' | '.join(stages)} |")
    terminalreporter.line(f"| --- | ---: |{' ---: |' * len(stages)}")
    for model, row in worst.items():
        cells = (("0" if row[stage] == 0 else f"{row[stage]:.0e}") if stage in row else "" for stage in stages)
        terminalreporter.line(f"| {model} | {len(row['seeds'])} | {' | '.join(cells)} |")
