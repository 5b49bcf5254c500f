"""Two checkpoints, stage by stage."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.reports import compare, compare_checkpoints
from maskrcnn_jax.reports.compare import of_arrays, of_gradients, of_pasted, partners


@pytest.fixture(scope="module")
def stored(trained):
    """A whole model that finds something: every score counts."""
    found = checkpoint.load(trained)
    detect = replace(found.config.model.detect, score_threshold=0.0)
    return found._replace(config=replace(found.config, model=replace(found.config.model, detect=detect)))


def by_stage(rows):
    return {row.stage: row for row in rows}


@pytest.mark.slow
def test_a_model_does_not_differ_from_itself(stored):
    rows = by_stage(compare_checkpoints(stored, stored))
    assert list(rows)[:13] == ["input", "C2", "C3", "C4", "C5", "P2", "P3", "P4", "P5", "P6", "objectness", "deltas", "anchors"]
    assert {"proposals, px", "box features", "class logits", "box deltas", "detections, px", "scores", "mask features", "masks"} < set(rows)
    assert {"pasted masks", "loss rpn_class", "loss rpn_box", "loss class", "loss box", "loss mask", "gradients"} < set(rows)
    assert [row.stage for row in rows.values() if row.largest != 0] == []
    assert all(row.scale > 0 for row in rows.values())
    assert rows["detections, px"].note == "0 of 4 and 0 of 4 without a partner"


@pytest.mark.slow
def test_what_stands_before_a_change_does_not_differ_and_what_stands_after_it_does(stored):
    params = stored.variables["params"]
    head = params["mask_head"] | {"masks": jax.tree.map(lambda x: x + np.float32(0.25), params["mask_head"]["masks"])}
    changed = stored._replace(variables=stored.variables | {"params": params | {"mask_head": head}})
    rows = by_stage(compare_checkpoints(changed, stored))
    differ = {stage for stage, row in rows.items() if row.largest > 1e-5}
    assert differ == {"masks", "pasted masks", "loss mask", "gradients"} or differ == {"masks", "loss mask", "gradients"}
    assert rows["scores"].largest == 0
    assert "mask_head/" in rows["gradients"].note


@pytest.mark.slow
def test_stages_of_other_shapes_say_so_and_the_others_are_compared(stored):
    walk = compare._walk(stored, compare._example(stored))
    features = walk.trace.features
    smaller = features._replace(pyramid=tuple(level[:, 1:] for level in features.pyramid))
    rows = by_stage(compare._differences(walk._replace(trace=walk.trace._replace(features=smaller)), walk))
    b, h, w, c = features.pyramid[0].shape
    assert rows["P2"].note == f"shapes {(b, h - 1, w, c)} and {(b, h, w, c)}"
    assert rows["P2"].largest is None
    assert rows["C5"].largest == rows["scores"].largest == 0


def test_partners_are_each_other_s_nearest_of_equal_labels():
    ours = np.array([[0, 0, 10, 10], [0.4, 0, 10, 10], [50, 50, 60, 60], [90, 90, 99, 99]], np.float32)
    theirs = np.array([[50, 50.25, 60, 60], [0.1, 0, 10, 10], [80, 90, 99, 99]], np.float32)
    pairs, distances = partners(ours, theirs)
    assert pairs.tolist() == [[0, 1], [2, 0]]
    np.testing.assert_allclose(distances, [0.1, 0.25], atol=1e-6)
    pairs, _ = partners(ours, theirs, np.array([1, 2, 1, 1]), np.array([3, 2, 1]))
    assert pairs.tolist() == [[1, 1]]
    assert partners(ours[:0], theirs)[0].shape == (0, 2)
    assert partners(ours, theirs[:0])[0].shape == (0, 2)


def test_numbers_by_hand():
    row = of_arrays("x", np.array([1.0, 2, 3]), np.array([1.0, 4, -5]))
    assert (row.largest, row.scale) == (8, 5)
    assert of_arrays("x", np.zeros((2, 3)), np.zeros((3, 2))).note == "shapes (2, 3) and (3, 2)"
    assert of_arrays("x", np.zeros(0), np.zeros(0)).note == "none to compare"
    row = of_gradients({"a": np.array([3.0, 4]), "b": np.zeros(2)}, {"a": np.array([3.0, 3]), "b": np.array([0.0, 2])})
    assert (row.largest, row.note) == (1.0, "L2, of its own norm: b")
    row = of_gradients({"a": np.ones(2), "b": np.ones(3), "c": np.ones(1)}, {"a": np.ones(2), "b": np.ones(2), "d": np.ones(1)})
    assert row.note == "L2, of its own norm: a; 3 of another name or shape not compared"
    row = of_gradients({"a": np.zeros(2), "b": np.array([np.nan, 0])}, {"a": np.ones(2), "b": np.ones(2)})
    assert np.isnan(row.largest)  # not hidden behind a number
    assert row.note.endswith(": b")
    assert np.isnan(of_arrays("x", np.array([np.nan, 1.0]), np.ones(2)).largest)
    assert of_gradients({"a": np.zeros(2)}, {"a": np.zeros(3)}).note == "no parameter of the same name and shape"
    assert of_pasted([], []).note == "none to compare"


@pytest.mark.slow
def test_the_command_prints_a_row_a_stage(trained, capsys):
    main(["compare", str(trained), str(trained)])
    out = capsys.readouterr().out
    for word in ("input", "P6", "gradients", "0.00e+00"):
        assert word in out


def test_a_missing_checkpoint_is_an_error(trained, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["compare", str(trained), str(tmp_path / "gone")])
    assert end.value.code == 1
    assert f"{tmp_path / 'gone'}: no such folder" in capsys.readouterr().err
