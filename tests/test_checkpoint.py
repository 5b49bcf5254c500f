import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.checkpoint import CheckpointError, CheckpointWriter, best_step, latest_step, load, load_train
from maskrcnn_jax.structs import Category
from tests import tiny
from tests.conftest import run_on_devices

CONFIG = tiny.experiment(keep=2)
CATEGORIES = (Category(30, "red"), Category(20, "naïve ⬟"))


def variables_of(step):
    """One array: where one of several reads fails, Orbax leaves the others pending, and they complain at any later time."""
    kernel = np.random.default_rng(step).normal(size=(40, 50)).astype(np.float32)
    return {"params": {"head": {"layer": {"kernel": kernel}}}, "batch_stats": {}}


def train_of(step):
    return {"step": jnp.int32(step), "key": jax.random.key(step), "opt_state": (jnp.full(3, step / 2),)}


def write(run, aps):
    """Checkpoints of steps 1, 2, ... with these mask APs."""
    writer = CheckpointWriter(run, CONFIG, CATEGORIES)
    for step, ap in enumerate(aps, 1):
        writer.save(step, variables_of(step), train_of(step), ap)
    writer.close()
    return run


def kept(run):
    return sorted(int(path.name) for path in (run / "checkpoints").iterdir())


@pytest.fixture
def run(tmp_path):
    return write(tmp_path, [0.5])


def test_everything_comes_back_equal(run):
    found = load(run)
    assert found.step == 1
    assert found.config == CONFIG
    assert found.categories == CATEGORIES
    assert jax.tree.structure(found.variables) == jax.tree.structure(variables_of(1))
    jax.tree.map(np.testing.assert_array_equal, found.variables, variables_of(1))
    assert {type(leaf) for leaf in jax.tree.leaves(found.variables)} == {np.ndarray}


WRITE_ON_FOUR_DEVICES = """
import sys
from pathlib import Path

import jax

from tests.test_checkpoint import CATEGORIES, CONFIG, CheckpointWriter, train_of, variables_of

everywhere = jax.sharding.NamedSharding(jax.make_mesh((4,), ("data",)), jax.sharding.PartitionSpec())
writer = CheckpointWriter(Path(sys.argv[1]), CONFIG, CATEGORIES)
writer.save(1, jax.device_put(variables_of(1), everywhere), train_of(1), 0.5)
"""


def test_what_four_devices_wrote_one_can_read(tmp_path):
    run_on_devices(4, "-c", WRITE_ON_FOUR_DEVICES, str(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, load(tmp_path).variables, variables_of(1))


def test_the_latest_and_the_best_are_kept_and_a_run_folder_means_its_best(tmp_path):
    run = write(tmp_path, [0.1, 0.9, 0.3, None, 0.2, float("nan")])
    assert kept(run) == [2, 5, 6]
    assert latest_step(run) == 6
    assert load(run).step == best_step(run) == 2
    jax.tree.map(np.testing.assert_array_equal, load(run).variables, variables_of(2))


def test_a_resumed_run_remembers_the_best(tmp_path):
    writer = CheckpointWriter(write(tmp_path, [0.1, 0.9, 0.3]), CONFIG, CATEGORIES)
    for step in (4, 5):
        writer.save(step, variables_of(step), train_of(step), 0.2)
    writer.close()
    assert kept(tmp_path) == [2, 4, 5]


def test_a_mask_ap_that_is_added_counts_and_no_other_file_is_written(tmp_path):
    writer = CheckpointWriter(write(tmp_path, [0.1, None, 0.3]), CONFIG, CATEGORIES)
    assert [writer.is_measured(step) for step in (2, 3)] == [False, True]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "checkpoints" / "2").rglob("*") if path.is_file()}
    writer.add_mask_ap(2, 0.9)
    assert writer.is_measured(2)
    assert best_step(tmp_path) == 2
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"metrics"}
    for step in (4, 5):
        writer.save(step, variables_of(step), train_of(step), 0.2)
    writer.close()
    assert kept(tmp_path) == [2, 4, 5]  # as the best


def test_a_mask_ap_that_cannot_be_written_leaves_the_checkpoint_whole(run, monkeypatch):
    writer = CheckpointWriter(run, CONFIG, CATEGORIES)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(CheckpointError, match=r"of step 1 could not be written .*No space left"):
        writer.add_mask_ap(1, 0.9)
    writer.close()
    assert load(run).step == 1


def test_a_checkpoint_is_never_written_over(run):
    writer = CheckpointWriter(run, CONFIG, CATEGORIES)
    with pytest.raises(CheckpointError, match="of step 1 could not be written"):
        writer.save(1, variables_of(2), train_of(2), 0.9)
    writer.close()
    jax.tree.map(np.testing.assert_array_equal, load(run).variables, variables_of(1))


def test_without_evaluations_the_newest_is_the_best(tmp_path):
    run = write(tmp_path, [None] * 4)
    assert kept(run) == [3, 4]
    assert load(run).step == 4


def test_a_checkpoint_s_own_folder_is_that_checkpoint(tmp_path):
    run = write(tmp_path, [0.5, 0.1])
    assert load(run / "checkpoints" / "2").step == 2
    assert load(str(run / "checkpoints" / "1")).step == 1


def test_a_copied_checkpoint_of_any_name_loads(run, tmp_path):
    (run / "checkpoints" / "1").rename(tmp_path / "my best")
    jax.tree.map(np.testing.assert_array_equal, load(tmp_path / "my best").variables, variables_of(1))


def test_training_state_comes_back_equal_typed_key_included(run):
    like = jax.device_put((variables_of(7), train_of(7)))
    variables, train = load_train(run, 1, *like)
    jax.tree.map(np.testing.assert_array_equal, variables, variables_of(1))
    assert jax.random.key_data(train["key"]).tolist() == jax.random.key_data(jax.random.key(1)).tolist()
    assert train["step"] == 1
    np.testing.assert_array_equal(train["opt_state"][0], [0.5, 0.5, 0.5])


def test_a_folder_of_a_killed_writer_counts_as_nothing_and_is_cleared_away(run):
    left_over = run / "checkpoints" / "2.orbax-checkpoint-tmp"
    left_over.mkdir()
    (left_over / "half").write_text("written")
    assert latest_step(run) == best_step(run) == 1
    writer = CheckpointWriter(run, CONFIG, CATEGORIES)
    writer.save(2, variables_of(2), train_of(2), 0.4)  # Orbax clears in the background, and waits for that before it saves
    writer.close()
    assert kept(run) == [1, 2]
    jax.tree.map(np.testing.assert_array_equal, load(run / "checkpoints" / "2").variables, variables_of(2))


@pytest.mark.parametrize("left", [("metrics",), ("about", "model"), ("_CHECKPOINT_METADATA", "train"), ()])
def test_a_checkpoint_half_deleted_when_the_run_was_killed_is_no_obstacle(tmp_path, left):
    run = write(tmp_path, [0.1, 0.2, 0.1])
    for path in (run / "checkpoints" / "2").iterdir():
        if path.name not in left:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (run / "checkpoints" / "3" / "metrics" / "metrics").write_text('{"mask_ap": 0.3}')
    assert latest_step(run) == load(run).step == 3
    writer = CheckpointWriter(run, CONFIG, CATEGORIES)
    for step in (4, 5):
        writer.save(step, variables_of(step), train_of(step), 0.1)
    writer.close()
    assert kept(run) == [3, 4, 5]


def biggest_file(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def truncate(folder):
    path = biggest_file(folder / "model")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(folder):
    path = biggest_file(folder / "model")
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def lose_arrays(folder):
    for path in (folder / "model").rglob("*"):
        if path.is_file():
            path.unlink()


def spoil_about(folder):
    biggest_file(folder / "about").write_text('{"config": {')


def lose_categories(folder):
    path = biggest_file(folder / "about")
    path.write_text(json.dumps({"config": json.loads(path.read_text())["config"]}))


@pytest.mark.parametrize("spoil", [truncate, garble, lose_arrays, spoil_about, lose_categories])
def test_a_damaged_checkpoint_is_an_error_with_folder_and_remedy(run, spoil):
    folder = run / "checkpoints" / "1"
    spoil(folder)
    with pytest.raises(CheckpointError) as error:
        load(run)
    assert f"{folder}: not a whole checkpoint" in str(error.value)
    assert "give another one" in str(error.value)


def test_a_config_of_another_version_is_an_error_with_folder_and_remedy(run):
    path = biggest_file(run / "checkpoints" / "1" / "about")
    about = json.loads(path.read_text())
    about["config"]["train"]["epochs"] = 12
    path.write_text(json.dumps(about))
    with pytest.raises(CheckpointError) as error:
        load(run)
    assert f"{run / 'checkpoints' / '1'}: its config is of another version" in str(error.value)
    assert "train.epochs" in str(error.value)
    assert "train or convert it anew" in str(error.value)


def test_unreadable_metrics_of_a_checkpoint_are_an_error_with_folder_and_remedy(run):
    (run / "checkpoints" / "1" / "metrics" / "metrics").write_text("")
    with pytest.raises(CheckpointError) as error:
        load(run)
    assert str(run / "checkpoints" / "1") in str(error.value)
    assert "the folder of one checkpoint" in str(error.value)


def test_no_folder_and_an_empty_folder_are_errors_with_the_remedy(tmp_path):
    with pytest.raises(CheckpointError) as error:
        load(tmp_path / "gone")
    assert f"{tmp_path / 'gone'}: no such folder; give a run folder" in str(error.value)
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model.pth: a file, not a checkpoint; make one of it with `maskrcnn convert "):
        load(tmp_path / "model.pth")
    with pytest.raises(CheckpointError) as error:
        load(tmp_path)
    assert f"{tmp_path}: no checkpoint in this folder; give a run folder" in str(error.value)


def test_resuming_another_shape_is_an_error_with_folder_and_remedy(run):
    other = variables_of(1)
    other["params"]["head"]["layer"] = {"kernel": np.zeros((40, 51), np.float32), "bias": np.zeros(3, np.float32)}
    with pytest.raises(CheckpointError) as error:
        load_train(run, 1, *jax.device_put((other, train_of(1))))
    assert f"{run / 'checkpoints' / '1'}: does not fit this config" in str(error.value)
    assert "params/head/layer/kernel is (40, 50); the model has (40, 51)" in str(error.value)
    assert "missing params/head/layer/bias" in str(error.value)
    assert "manifest.json" in str(error.value)
