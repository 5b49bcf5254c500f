import cv2
import numpy as np
import pytest

from maskrcnn_jax.evaluation import Metrics
from maskrcnn_jax.training.metrics import MetricsLog
from maskrcnn_jax.training.summary import write_summary
from maskrcnn_jax.training.validate import Evaluation

ABOUT = {
    "command": ["/usr/bin/maskrcnn", "train", "own|er", "--run-dir", "a b"],
    "git_commit": None,
    "devices": ["CPU_0", "CPU_1"],
    "versions": {"jax": "0.10.2"},
}
STATS = {"AP": 0.25, "AP50": 0.5, "APs": float("nan")}


def result():
    truth = {"categories": [{"id": 3, "name": "a|<b>\nc"}, {"id": 8, "name": "kite"}], "annotations": [{"category_id": 3, "iscrowd": 0}]}
    metrics = {kind: Metrics(STATS, {3: 0.25, 8: float("nan")}) for kind in ("bbox", "segm")}
    return Evaluation(metrics, truth, [], {}, 0)


def run_of(folder, steps, scores, **further):
    folder.mkdir(exist_ok=True)
    log = MetricsLog(folder, 0)
    for step in range(1, steps + 1):
        numbers = {"loss": 9 / step, "rpn_class": 1.0, "rpn_box": 1.0, "class": 1.0, "box": 1.0, "mask": 1.0, "grad_norm": 2.0}
        log.write(step, numbers | {"learning_rate": 0.1, "images_per_second": float(step)} | further, group="train")
        if step in scores:
            log.write(step, {"mask_AP": scores[step], "mask_AP50": 0.5, "box_AP": 0.2, "box_AP50": 0.5}, group="val")
            log.write_picture(step, np.full((8, 8, 3), step, np.uint8))
    log.close()
    write_summary(folder, ABOUT, result())
    return (folder / "summary.md").read_text()


def test_it_says_what_was_found_and_what_made_it(tmp_path):
    text = run_of(tmp_path / "run", 60, {30: 0.3, 60: 0.25})
    assert text.startswith("# run\n\nAfter step 60:\n")
    assert "mask  AP 0.250  AP50 0.500  APs -" in text
    assert "The best mask AP is 0.300, after step 30." in text
    assert "| class | objects | box AP | mask AP |\n| --- | --- | --- | --- |\n| a\\|&lt;b&gt; c | 1 | 0.250 | 0.250 |\n" in text
    assert "| kite | 0 | - | - |\n| all | 1 | 0.250 | 0.250 |" in text
    assert "![ground truth beside prediction](pictures/60.jpg)" in text
    assert "Nothing was cut, skipped or replaced." in text
    assert "| command | `maskrcnn train 'own\\|er' --run-dir 'a b'` |" in text
    assert "| commit | - |" in text
    assert "| devices | CPU_0, CPU_1 |" in text
    assert "| images a second | 30.5 (median of the logged steps) |" in text
    assert "| jax | 0.10.2 |" in text
    curves = cv2.imread(str(tmp_path / "run" / "curves.png"))
    assert curves.shape == (800, 1200, 3)
    assert (curves != 255).any(axis=2).mean() > 0.02


@pytest.mark.parametrize(("counted", "said"), [("objects_cut", "- 6 objects left out"), ("nonfinite", "- 6 steps that were skipped")])
def test_it_says_what_was_cut_or_skipped(counted, said, tmp_path):
    text = run_of(tmp_path, 3, {}, **{counted: 2.0})
    assert said in text
    assert "Nothing was cut" not in text


def test_a_run_without_a_score_or_a_picture_has_a_summary(tmp_path):
    text = run_of(tmp_path, 1, {1: float("nan")})
    assert "No mask AP could be measured." in text
    (tmp_path / "bare").mkdir()
    log = MetricsLog(tmp_path / "bare", 0)
    log.write(1, {"loss": float("nan")}, group="train")
    log.close()
    write_summary(tmp_path / "bare", ABOUT, result())
    text = (tmp_path / "bare" / "summary.md").read_text()
    assert "## Pictures" not in text
    assert "| images a second | - |" in text
