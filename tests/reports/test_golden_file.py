"""Golden files as `maskrcnn compare` reads them."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.config import presets
from maskrcnn_jax.reports import Golden, GoldenError, against_golden, compare_golden
from maskrcnn_jax.weights import write_weights
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


@pytest.mark.parametrize("missing", ["both", "json", "half", "classes", "crc32", "image_rule"])
def test_what_is_no_golden_file_is_an_error_that_names_it(missing, tmp_path, trained, capsys):
    file = tmp_path / "other.npz"
    if missing != "both":
        np.savez(file, x=np.zeros(300))
    if missing == "half":
        file.write_bytes(file.read_bytes()[:500])
    if missing in ("half", "classes"):
        file.with_suffix(".json").write_text('{"settings": {"framework": "torchvision 0.28.0"}, "state_dict": {}}')
    if missing in ("crc32", "image_rule"):
        about = json.loads((FOLDER / "tv_maskrcnn_resnet50_fpn.json").read_text())
        del about[missing]
        file.with_suffix(".json").write_text(json.dumps(about))
    with pytest.raises(SystemExit) as end:
        main(["compare", str(trained), str(file)])
    assert end.value.code == 1
    err = capsys.readouterr().err
    assert f"maskrcnn compare: {file}: no golden file" in err
    assert missing not in ("crc32", "image_rule") or f"('{missing}')" in err
    assert "give NAME.npz with NAME.json beside it" in err


def test_a_golden_file_of_another_model_is_an_error_that_lists_what_differs():
    config = presets.torchvision_v1(num_classes=3)
    golden = Golden(FOLDER / "tv_maskrcnn_resnet50_fpn.npz", config)
    shapes = jax.eval_shape(models.build(config).init, jax.random.key(0))
    with pytest.raises(GoldenError) as error:
        compare_golden(golden, "", jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes))
    assert "tv_maskrcnn_resnet50_fpn.npz: is of another model than the checkpoint" in str(error.value)
    assert "cls_score.bias is (4,); the model has (91,)" in str(error.value)


def test_a_golden_file_of_other_weights_is_an_error_that_says_so():
    golden = reference("tv_maskrcnn_resnet50_fpn")
    variables = jax.tree.map(np.copy, golden.variables(""))
    variables["params"]["rpn_head"]["objectness"]["bias"][0] += 1
    with pytest.raises(GoldenError) as error:
        compare_golden(golden, "", variables)
    assert "its outputs are of other weights than the checkpoint's (1 of 307 arrays differ: rpn.head.cls_logits.bias)" in str(error.value)


def test_a_checkpoint_whose_epsilon_the_file_has_not_is_an_error(trained, tmp_path, capsys):
    main(["convert", str(trained), "--to", str(tmp_path / "run"), "--model.backbone.norm-epsilon", "0"])
    with pytest.raises(SystemExit):
        main(["compare", str(tmp_path / "run"), str(FOLDER / "tv_maskrcnn_resnet50_fpn_v2.npz")])
    assert "_v2.npz: has no outputs with epsilon 0 in the norms, which the checkpoint has" in capsys.readouterr().err


@pytest.mark.golden
@pytest.mark.slow
def test_the_command_with_the_weights_of_the_file(tmp_path, capsys, monkeypatch):
    golden = reference("tv_maskrcnn_resnet50_fpn")
    monkeypatch.setattr(Golden, "groups", lambda self: [""])
    write_weights(tmp_path / "weights.pth", golden.weights)
    main(["convert", str(tmp_path / "weights.pth"), "--to", str(tmp_path / "run")])
    main(["compare", str(tmp_path / "run"), str(golden.path)])
    out = capsys.readouterr().out
    assert "group (none)" in out
    assert "0 of 36 and 0 of 36" in out


def test_a_gradient_s_listed_values_are_compared_where_the_file_has_them():
    ref = reference("tv_maskrcnn_resnet50_fpn")
    name, variables = "rpn.head.cls_logits.bias", ref.variables("train/")  # three numbers, which stand in for a gradient
    bias, golden = ref.weights[name], Golden(ref.path, ref.model)
    golden.arrays = {f"train/grad/{name}/norm": np.linalg.norm(bias) / 2}
    (row,) = against_golden._of_gradients(golden, "train/", variables)
    assert row.largest == pytest.approx(1)
    golden.arrays |= {f"train/grad/{name}/first32": bias, f"train/grad/{name}/strided32": 2 * bias}
    _, row = against_golden._of_gradients(golden, "train/", variables)
    assert (row.stage, row.largest) == ("gradients' values", pytest.approx(1 / 5**0.5))  # |b| of |(b, 2 b)|
    assert row.note.endswith(name)
