"""Golden files as `maskrcnn compare` reads them."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.config import presets
from maskrcnn_jax.reports import Golden, GoldenError, compare_golden
from tests.golden.reference import FOLDER, PRESETS, reference


@pytest.mark.parametrize("name", PRESETS)
def test_groups_and_pictures(name):
    golden = reference(name)
    assert golden.classes == golden.model.num_classes
    several = ["batch2/"] if name in ("tv_maskrcnn_resnet50_fpn", "d2_mask_rcnn_R_50_FPN_1x") else []
    assert golden.groups() == ["", "portrait/", *several, "train/", "train_last/"]
    assert golden.images("portrait/") == [(0, 1, "portrait/")]
    assert golden.images("batch2/") == [(0, 0, "batch2/img0/"), (1, 1, "batch2/img1/")]


def test_epsilon_0_has_its_own_group():
    config = presets.torchvision_v1()
    config = replace(config, backbone=replace(config.backbone, norm_epsilon=0.0))
    assert Golden(FOLDER / "tv_maskrcnn_resnet50_fpn.npz", config).groups() == ["eps0/"]


@pytest.mark.parametrize("missing", ["both", "json"])
def test_what_is_no_golden_file_is_an_error_that_names_it(missing, tmp_path, trained, capsys):
    file = tmp_path / "other.npz"
    if missing == "json":
        np.savez(file, x=np.zeros(3))
    with pytest.raises(SystemExit) as end:
        main(["compare", str(trained), str(file)])
    assert end.value.code == 1
    err = capsys.readouterr().err
    assert f"maskrcnn compare: {file}: no golden file" in err
    assert "give NAME.npz with NAME.json beside it" in err


def test_a_golden_file_of_another_model_is_an_error_that_lists_what_differs():
    config = presets.torchvision_v1(num_classes=3)
    golden = Golden(FOLDER / "tv_maskrcnn_resnet50_fpn.npz", config)
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    with pytest.raises(GoldenError) as error:
        compare_golden(golden, "", jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes))
    assert "tv_maskrcnn_resnet50_fpn.npz: is of another model than the checkpoint" in str(error.value)
    assert "cls_score.bias is (4,); the model has (91,)" in str(error.value)
