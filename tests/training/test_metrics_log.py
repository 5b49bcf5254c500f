import json
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

from maskrcnn_jax.training.metrics import MetricsLog, pictures


def write(folder, start, steps):
    log = MetricsLog(folder, start)
    for step in steps:
        log.write(step, {"loss": step / 8}, group="train")
    log.close()


def shown(folder):
    """Step, tag and picture of TensorBoard's images: records of a length, a check sum, the event and another check sum."""
    (path,) = (folder / "tensorboard").iterdir()
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        found += [(event.step, value.tag, value.image) for value in event.summary.value if value.HasField("image")]
        content = content[16 + length :]
    return found


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_line_is_on_disk_when_write_returns(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(3, {"loss": 0.1, "mask": 2.0}, group="train")
    assert lines(tmp_path) == [{"step": 3, "train": {"loss": 0.1, "mask": 2.0}}]
    log.close()


def test_lines_after_the_step_resumed_from_are_taken_back(tmp_path):
    write(tmp_path, 0, range(1, 6))
    write(tmp_path, 3, range(4, 8))
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_run_that_starts_anew_has_none_of_the_old_lines(tmp_path):
    write(tmp_path, 0, range(1, 4))
    write(tmp_path, 0, [1])
    assert [line["step"] for line in lines(tmp_path)] == [1]


@pytest.mark.parametrize("half", ['{"step": 4, "tra', '{"step": 2, "train": {"loss": 0.25}}'])
def test_a_last_line_without_its_end_is_dropped(tmp_path, half):
    write(tmp_path, 0, [1, 2])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(half)
    write(tmp_path, 2, [3])
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3]


def test_what_is_held_already_is_not_written_twice(tmp_path):
    write(tmp_path, 0, [1, 2])
    log = MetricsLog(tmp_path, 2)
    log.write(2, {"loss": 9.0}, group="train")
    log.write(2, {"mask_AP": 0.5}, group="val")
    log.close()
    assert lines(tmp_path)[1:] == [{"step": 2, "train": {"loss": 0.25}}, {"step": 2, "val": {"mask_AP": 0.5}}]


def test_a_kill_while_the_log_opens_loses_no_line(tmp_path, monkeypatch):
    write(tmp_path, 0, [1, 2, 3])
    before = (tmp_path / "metrics.jsonl").read_text()

    def killed_halfway(path, text, **_):
        path.write_bytes(text[:10].encode())
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", killed_halfway)
    with pytest.raises(KeyboardInterrupt):
        MetricsLog(tmp_path, 2)
    assert (tmp_path / "metrics.jsonl").read_text() == before


def test_a_tensorboard_folder_that_cannot_be_removed_is_no_obstacle(tmp_path, monkeypatch):
    write(tmp_path, 0, [1])
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    write(tmp_path, 1, [2])
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_tensorboard_has_what_a_killed_writer_never_flushed(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(1, {"early": 0.5}, group="train")
    for events in (tmp_path / "tensorboard").iterdir():  # as after a kill: lines are on disk at once, events every two minutes
        events.write_bytes(b"")
    again = MetricsLog(tmp_path, 1)
    again.write(2, {"late": 0.5}, group="val")
    again.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"train/early" in events.read_bytes()
    assert b"val/late" in events.read_bytes()
    log.close()


def test_what_is_not_finite_is_null_in_json_and_absent_from_tensorboard(tmp_path):
    log = MetricsLog(tmp_path, 0)
    log.write(1, {"loss": 0.5, "mask_AP": float("nan"), "box_AP": float("inf")}, group="val")
    log.close()
    assert lines(tmp_path) == [{"step": 1, "val": {"loss": 0.5, "mask_AP": None, "box_AP": None}}]
    (events,) = (tmp_path / "tensorboard").iterdir()
    assert b"val/loss" in events.read_bytes()
    assert b"_AP" not in events.read_bytes()


def test_pictures_are_files_and_in_tensorboard_also_after_a_restart(tmp_path):
    grey = np.zeros((10, 20, 3), np.uint8)
    log = MetricsLog(tmp_path, 0)
    for step, value in ((2, 50), (4, 100), (6, 150)):
        log.write_picture(step, grey + np.uint8(value))
    log.close()
    again = MetricsLog(tmp_path, 4)
    assert [step for step, _ in pictures(tmp_path)] == [2, 4]
    again.write_picture(4, grey)  # an evaluation repeated after the restart: the picture is that of before
    again.write_picture(6, grey + np.uint8(200))
    again.close()
    assert [cv2.imread(str(path)).mean().round() for _, path in pictures(tmp_path)] == [50, 100, 200]
    assert [path.name for _, path in pictures(tmp_path)] == ["2.jpg", "4.jpg", "6.jpg"]
    found = shown(tmp_path)
    assert [(step, tag, image.height, image.width) for step, tag, image in found] == [(step, "val/pictures", 10, 20) for step in (2, 4, 6)]
    for (_, path), (*_, image) in zip(pictures(tmp_path), found, strict=True):
        assert image.encoded_image_string == path.read_bytes()
