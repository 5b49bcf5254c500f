"""The model of the config `nuclei`, exported to torchvision, finds the same there."""

import os
from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint, convert, models
from maskrcnn_jax.config import load_experiment
from maskrcnn_jax.data import canvas_for, open_source, resize_image, resized_size
from maskrcnn_jax.reports.golden import picture
from maskrcnn_jax.structs import Category
from maskrcnn_jax.weights import from_arrays
from tests.golden.bounds import BOX_PX, MASK, SCORE
from tests.golden.matching import one_to_one
from tests.parity import exported, live

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")]

FILLED = {"pre_nms_top_k_test": 300, "post_nms_top_k_test": 100}  # torchvision's RoIAlign in Python is slow
TRAINED = "MASKRCNN_NUCLEI"  # run folder that `make bench-nuclei` has left
IMAGES = 20  # of the trained model


def compare(torch, torchvision, model, file, pictures):
    """Largest differences (px, scores, masks), and detections in all; every one has its partner."""
    convert.write(model, None, {"torchvision": file})
    config = model.config.model
    theirs, trace = exported.build(torch, torchvision, config, file), jax.jit(models.build(config).trace)
    worst, count = np.zeros(3), 0
    for image in pictures:
        size = resized_size(image.shape[:2], config.input.min_side, config.input.max_side, config.input.resize)
        resized, canvas = resize_image(image, size, config.input.resize), canvas_for(size, config.input)
        padded = np.zeros((1, *canvas, 3), np.uint8)
        padded[0, : size[0], : size[1]] = resized
        found = jax.device_get(trace(model.variables, padded, np.array([size], np.int32))).detections
        expected = exported.detections(torch, theirs, resized)
        valid = found.valid[0]
        rows = one_to_one(expected["boxes"], expected["labels"], found.boxes[0][valid], found.labels[0][valid])
        ours = {"boxes": found.boxes[0], "scores": found.scores[0], "masks": found.masks[0][:, None]}
        worst = np.maximum(worst, [np.abs(ours[name][valid][rows] - expected[name]).max(initial=0) for name in ours])
        count += len(rows)
    return worst, count


def on_exact_padding(config):
    """As torchvision pads, so that canvases play no part."""
    return replace(
        config,
        input=replace(config.input, canvas="multiple"),
        anchors=replace(config.anchors, in_padding="keep"),
    )


@pytest.mark.slow
def test_weights_by_rule(torch, torchvision, tmp_path):
    config = on_exact_padding(load_experiment("nuclei").model)
    config = replace(config, num_classes=4, propose=replace(config.propose, **FILLED), detect=replace(config.detect, max_detections=25))
    variant = live.Variant(1, "resnet18", 4, 256, 320, ((256, 320),))
    theirs = live.filled(torch, torchvision, variant, 0)
    variables = from_arrays("torchvision", live.arrays(theirs), config)
    categories = tuple(Category(i, str(i)) for i in range(4))
    model = convert.Converted(replace(load_experiment("nuclei"), model=config), variables, categories)
    worst, count = compare(torch, torchvision, model, tmp_path / "x.pth", [picture(256, 320, 5), picture(300, 230, 6)])
    assert count >= 10
    assert (worst <= [BOX_PX, SCORE, MASK]).all(), worst


@pytest.mark.slow
def test_trained(torch, torchvision, tmp_path):
    run = os.environ.get(TRAINED)
    if run is None:
        pytest.skip(f"give {TRAINED}, a run folder of the config nuclei, such as make bench-nuclei leaves")
    stored = checkpoint.load(run)
    source = open_source(stored.config.data, "val")
    config = replace(stored.config, model=on_exact_padding(stored.config.model))
    model = convert.Converted(config, stored.variables, stored.categories)
    worst, count = compare(torch, torchvision, model, tmp_path / "x.pth", [source[i].image for i in range(IMAGES)])
    print(
        f"{count} detections in {IMAGES} images; largest differences {worst[0]:.1e} px, {worst[1]:.1e} of scores, {worst[2]:.1e} of masks"
    )
    assert count >= IMAGES
    assert (worst <= [BOX_PX, SCORE, MASK]).all(), worst
