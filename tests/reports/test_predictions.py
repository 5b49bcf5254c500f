"""Files in, what was found in them out, by a model in no time that finds what is bright."""

import json
import os
import weakref
from dataclasses import replace

import cv2
import jax
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax import visualize
from maskrcnn_jax.data.decode import read_labels
from maskrcnn_jax.data.video import VideoHeader
from maskrcnn_jax.errors import UserError
from maskrcnn_jax.inference import Predictor
from maskrcnn_jax.reports import Outputs, predict_files, target_paths
from maskrcnn_jax.structs import Category
from tests import tiny
from tests.data.videos import halves, read_video, write_video

ALL = Outputs(masks=True)


@pytest.fixture(scope="module")
def predictor():
    """One detection where something is red and more than half as bright as can be, of score 0.73."""
    model = tiny.stand_in(tiny.MODEL)
    variables = model.init(jax.random.key(0))
    variables["params"]["head"]["layer"]["kernel"] = np.float32([1, 0, 0])
    return Predictor(model, variables, [Category(10 * i, f"class{i}") for i in range(1, 5)], batch_size=2)


@pytest.fixture
def files(tmp_path):
    """A red square, a video of 20 frames and 12.5 a second, and a black image."""
    square = np.zeros((64, 64, 3), np.uint8)
    square[8:40, 16:48] = (255, 0, 0)
    Image.fromarray(square).save(tmp_path / "square.png")
    write_video(tmp_path / "clip.avi", halves(20), rate=12.5)
    Image.new("RGB", (64, 64)).save(tmp_path / "black.png")
    return [tmp_path / name for name in ("square.png", "clip.avi", "black.png")]


def written(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_images_and_videos_together(predictor, files, tmp_path):
    out, told = tmp_path / "out", []
    predicted = predict_files(predictor, files, out, ALL, progress=lambda done, total: told.append((done, total)))
    assert (predicted.images, predicted.frames, predicted.detections, predicted.shown, predicted.faults) == (2, 20, 21, 21, [])
    assert told == [(i, 22) for i in range(1, 23)]
    masks = ["masks/black.png", *(f"masks/clip/{i:06d}.png" for i in range(20)), "masks/square.png"]
    assert written(out) == ["black.png", "clip.mp4", *masks, "predictions.json", "square.png"]
    found = json.loads((out / "predictions.json").read_text())
    clip = {"file_name": str(files[1]), "height": 48, "width": 64}
    assert [{key: row[key] for key in row if key != "id"} for row in found["images"]] == [
        {"file_name": str(files[0]), "height": 64, "width": 64},
        *({**clip, "frame_index": i} for i in range(20)),
        {"file_name": str(files[2]), "height": 64, "width": 64},
    ]
    assert [entry["image_id"] for entry in found["annotations"]] == list(range(1, 22))


def test_a_videos_video_has_its_size_rate_and_order_with_objects_drawn(predictor, files, tmp_path):
    """The right half gets brighter frame by frame, and so long as it is dark nothing is found there; 8 of 255 is what the codecs blur."""
    predict_files(predictor, files[1:2], tmp_path / "out", Outputs())
    frames, rate = read_video(tmp_path / "out" / "clip.mp4")
    assert rate == 12.5
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 20
    for i, frame in enumerate(frames[:12]):
        assert np.abs(frame[40, 56].astype(int) - 10 * i).max() <= 8
        assert np.abs(frame[30, 16].astype(int) - (255, 0, 0)).max() > 50  # tinted


def test_label_maps_have_labels_where_objects_are_drawn(predictor, files, tmp_path):
    predict_files(predictor, files, tmp_path / "out", ALL)
    labels = read_labels(tmp_path / "out" / "masks" / "square.png")
    expected = np.zeros((64, 64), int)
    expected[8:40, 16:48] = 1
    assert (labels != expected).mean() < 0.05  # the stand-in's mask is a grid of 4 x 4, pasted
    assert set(np.unique(labels)) == {0, 1}
    assert not read_labels(tmp_path / "out" / "masks" / "black.png").any()
    assert read_labels(tmp_path / "out" / "masks" / "clip" / "000019.png").any()


def test_what_is_below_the_threshold_is_in_the_json_alone(predictor, files, tmp_path):
    predicted = predict_files(predictor, files[:1], tmp_path / "out", Outputs(masks=True, score_threshold=0.9))
    assert (predicted.detections, predicted.shown) == (1, 0)
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())["annotations"]) == 1
    assert not read_labels(tmp_path / "out" / "masks" / "square.png").any()


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (Outputs(), ["clip.mp4", "predictions.json", "square.png"]),
        (Outputs(pictures=False), ["predictions.json"]),
        (Outputs(json=False), ["clip.mp4", "square.png"]),
    ],
)
def test_only_what_is_asked_for_is_written(predictor, files, tmp_path, outputs, names):
    predict_files(predictor, files[:2], tmp_path / "out", outputs)
    assert written(tmp_path / "out") == names


def test_few_frames_are_held_at_a_time(predictor, files, tmp_path, monkeypatch):
    """As many as the stream gives to the model together, 2 x 8, the one that is read, and the last of those before."""
    write_video(files[1], halves(25) * 4)
    references, alive = [], []

    class Held(np.ndarray):
        """An array that can be referred to weakly."""

    def counted(image, code):
        array = real(image, code).view(Held)
        references.append(weakref.ref(array))
        alive.append(sum(reference() is not None for reference in references))
        return array

    real = cv2.cvtColor
    monkeypatch.setattr("maskrcnn_jax.data.video.cv2.cvtColor", counted)
    assert predict_files(predictor, files[1:2], tmp_path / "out", Outputs(pictures=False)).frames == 100
    assert 16 <= max(alive) <= 18


def test_a_video_that_breaks_off_is_kept_to_there_and_the_others_are_done(predictor, files, tmp_path):
    files[1].write_bytes(files[1].read_bytes()[: files[1].stat().st_size * 9 // 10])
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    predicted = predict_files(predictor, [bad, *files], tmp_path / "out", ALL)
    assert predicted.images == 2
    assert 10 < predicted.frames < 20
    assert [fault.split(": ")[0] for fault in predicted.faults] == [str(bad), str(files[1])]
    assert f"ends after {predicted.frames} frames, its header tells of 20" in predicted.faults[1]
    assert len(read_video(tmp_path / "out" / "clip.mp4")[0]) == predicted.frames
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]) == 2 + predicted.frames
    assert not (tmp_path / "out" / "bad.mp4").exists()


def test_a_video_that_fits_no_canvas_is_one_fault(predictor, tmp_path):
    path = write_video(tmp_path / "wide.avi", halves(5, (16, 128)))
    predicted = predict_files(predictor, [path], tmp_path / "out", Outputs())
    assert predicted.frames == 5  # resized to 8 x 64 it fits
    config = replace(tiny.MODEL, input=replace(tiny.MODEL.input, max_side=128))
    narrow = Predictor(tiny.stand_in(config), predictor.variables, predictor.categories)
    predicted = predict_files(narrow, [path], tmp_path / "narrow", Outputs())
    (fault,) = predicted.faults
    assert f"{path}, frame 0: resized to 16 x 128" in fault
    assert written(tmp_path / "narrow") == []


def test_names_that_are_no_text_are_predicted_but_for_videos(predictor, files, tmp_path):
    """As archives of other systems have them; OpenCV dies of them."""
    image, clip = (path.rename(tmp_path / os.fsdecode(b"caf\xe9" + os.fsencode(path.suffix))) for path in files[:2])
    predicted = predict_files(predictor, [image, clip], tmp_path / "out", ALL)
    assert (predicted.images, predicted.frames, len(predicted.faults)) == (1, 0, 1)
    assert "rename the file" in predicted.faults[0]
    assert written(tmp_path / "out") == [image.name, f"masks/{image.name}", "predictions.json"]
    assert json.loads((tmp_path / "out" / "predictions.json").read_text())["images"][0]["file_name"] == str(image)


def test_a_video_without_a_rate_is_a_fault_where_it_would_be_drawn(predictor, files, tmp_path, monkeypatch):
    monkeypatch.setattr("maskrcnn_jax.data.video._header", lambda _: VideoHeader(0, 0.0))
    told = []
    predicted = predict_files(predictor, files, tmp_path / "out", Outputs(), progress=lambda done, total: told.append((done, total)))
    assert predicted.faults == [f"{files[1]}: tells of 0 frames a second, at which none can be written; convert it, or add --no-pictures"]
    assert told == [(1, None), (2, None)]
    assert predict_files(predictor, files, tmp_path / "json", Outputs(pictures=False)).frames == 20


def test_a_missing_codec_ends_the_work_and_what_was_found_is_kept(predictor, files, tmp_path, monkeypatch):
    monkeypatch.setattr(visualize.video, "CODEC", "none")
    with pytest.raises(OSError, match=r"clip\.mp4: the video could not be begun.*MPEG-4 encoder"):
        predict_files(predictor, files, tmp_path / "out", Outputs())
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())["images"]) == 1
    assert written(tmp_path / "out") == ["predictions.json", "square.png"]


def test_label_maps_of_more_classes_than_colours_are_refused(files, tmp_path):
    model = tiny.stand_in(replace(tiny.MODEL, num_classes=256))
    many = Predictor(model, model.init(jax.random.key(0)), [Category(i, str(i)) for i in range(256)])
    with pytest.raises(UserError, match="--masks: the model has 256 classes, a palette 255 colours; "):
        predict_files(many, files, tmp_path / "out", ALL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("names", "outputs", "clash"),
    [
        (("a/x.png", "b/x.jpg"), Outputs(), "x.png"),
        (("a/x.png", "b/x.jpg"), Outputs(pictures=False, masks=True), "masks/x.png"),
        (("a/x.avi", "a/x.mov"), Outputs(), "x.mp4"),
        (("a/x.png", "a/x.png"), Outputs(), "x.png"),
    ],
)
def test_files_that_would_write_the_same_one_are_refused(tmp_path, names, outputs, clash):
    first, second = (tmp_path / name for name in names)
    out = tmp_path / "out"
    with pytest.raises(UserError) as error:
        target_paths([first, second], out, outputs)
    assert str(error.value) == f"{second}: {out / clash} would be written of it and of {first} too; predict them into two folders"


@pytest.mark.parametrize("names", [("a/x.png", "a/x.mp4"), ("a/x.png", "a/masks.mp4", "a/masks.png")])
def test_an_image_and_a_video_of_one_name_are_not(tmp_path, names):
    targets = target_paths([tmp_path / name for name in names], tmp_path / "out", ALL)
    paths = [path for target in targets.values() for path in target]
    assert len(set(paths)) == len(paths) == 2 * len(names)


def test_files_of_one_name_are_allowed_where_only_json_is_written(predictor, files, tmp_path):
    (tmp_path / "more").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "more" / "square.jpg")
    predict_files(predictor, [files[0], tmp_path / "more" / "square.jpg"], tmp_path / "out", Outputs(pictures=False))
    assert written(tmp_path / "out") == ["predictions.json"]


@pytest.mark.parametrize("name", ["square.png", "clip.mp4", "masks/square.png", "masks/clip/000000.png", "predictions.json"])
def test_nothing_is_written_over(files, tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("kept")
    with pytest.raises(UserError, match="exists already and would be overwritten; give another folder by --out") as error:
        target_paths(files, tmp_path / "out", ALL)
    assert str(tmp_path / "out") in str(error.value)
