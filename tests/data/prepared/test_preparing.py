"""What stops a preparation, or the reading of what was prepared: each names its place and leaves nothing half done."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.data import DataError, PreparedSource, formats, prepared
from maskrcnn_jax.data.prepared import preparing, records
from maskrcnn_jax.evaluation import ground_truth, is_federated
from tests.data.prepared.making import H, W, prepare


def refusal(call):
    with pytest.raises(DataError) as error:
        call()
    return str(error.value)


def listing(folder):
    return sorted(path.name for path in folder.iterdir())


def spoil(made, change):
    document = json.loads(made.read_text())
    change(document)
    made.write_text(json.dumps(document))


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "none.jpg",
            lambda path: path.write_bytes(path.read_bytes()[:300]),
            "image id 0: sub/none.jpg: corrupt, truncated or not an image",
        ),
        ("alpha.png", lambda path: path.write_text("no image"), "image id 5: sub/alpha.png: corrupt, truncated or not an image"),
        ("grey.png", Path.unlink, "1 of 4 image files are not in"),
        ("grey.png", lambda path: Image.new("L", (9, 8)).save(path), "image id 7: sub/grey.png: the file is 8 x 9 (height x width)"),
    ],
)
def test_an_image_that_cannot_be_read_is_named(made, tmp_path, name, change, message):
    change(made.parent / "sub" / name)
    found = refusal(lambda: prepare(tmp_path / "out", made, made.parent))
    assert found.startswith(f"{made}: ")
    assert message in found
    assert "sub/" + name in found
    assert listing(tmp_path) == ["in"]


def test_an_array_of_another_size_is_named(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((H, W + 1, 2), np.uint8))
    document = {
        "images": [{"id": 3, "file_name": "a.npy", "height": H, "width": W}],
        "categories": [{"id": 1, "name": "cell"}],
        "annotations": [],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = refusal(lambda: prepare(tmp_path / "out", tmp_path / "a.json", tmp_path))
    assert f"image id 3: a.npy: the file is {H} x {W + 1}" in found


def test_an_annotation_that_training_refuses_stops_the_preparation(made, tmp_path):
    spoil(made, lambda document: document["annotations"][2].update(category_id=99))
    found = refusal(lambda: prepare(tmp_path / "out", made, made.parent))
    assert "image id 7, annotation id 6: unknown category id 99" in found
    assert listing(tmp_path) == ["in"]


def test_objects_that_training_leaves_out_are_told_and_kept(made, tmp_path):
    done = prepare(tmp_path / "out", made, made.parent)
    assert (done.images, done.objects, done.classes) == (4, 9, 2)
    assert [note.partition("annotation id ")[2][:3] for note in done.notes] == ["9: ", "12:", "15:"]


def test_a_target_that_exists_or_has_no_place_is_refused(made, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for target, message in (
        (tmp_path / "in", "exists already; give the name of a new folder"),
        (tmp_path / "file", "exists already"),
        (tmp_path / "link", "exists already"),
        (tmp_path / "no" / "out", "the folder around it does not exist; make it first"),
    ):
        assert refusal(lambda target=target: prepare(target, made, made.parent)).startswith(f"{target}: {message}")
    assert listing(tmp_path) == ["file", "in", "link"]


def test_too_little_space_is_told_before_anything_is_written(made, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    length = sum(path.stat().st_size for path in (made.parent / "sub").iterdir())
    assert f"out: {length} bytes of images do not fit in the 1 that are free there" in refusal(
        lambda: prepare(tmp_path / "out", made, made.parent)
    )
    assert listing(tmp_path) == ["in"]


def test_a_disk_that_fills_up_leaves_nothing(made, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))  # ArrayRecord pads a file to 64 KiB
    try:
        with pytest.raises(OSError, match=r"the records cannot be written .*File too large"):
            prepare(tmp_path / "out", made, made.parent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert listing(tmp_path) == ["in"]


def test_records_are_dealt_out_to_files_and_keep_their_order(made, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FILE_LENGTH", 1000)
    monkeypatch.setattr(records, "WRITTEN_AT_ONCE", 1)
    prepare(tmp_path / "out", made, made.parent)
    assert len(list((tmp_path / "out").glob("*array_record*"))) > 1
    source = PreparedSource(tmp_path / "out")
    assert [source[i].image_id for i in range(4)] == [7, 2**40, 0, 5]


@pytest.fixture
def out(made, tmp_path):
    prepare(tmp_path / "out", made, made.parent)
    return tmp_path / "out"


def the_records(out):
    (path,) = out.glob("*array_record*")
    return path


def replaced(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def rewritten(out, **changes):
    index = json.loads((out / "index.json").read_text())
    (out / "index.json").write_text(json.dumps(index | changes))


def test_a_json_file_in_the_place_of_a_prepared_folder_has_its_own_remedy(tmp_path):
    (tmp_path / "val.json").touch()
    assert "val.json: is a file; give a folder that" in (message := refusal(lambda: PreparedSource(tmp_path / "val.json")))
    assert "--data.kind coco" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shutil.rmtree, "out: no prepared dataset, for it has no index.json; give a folder that `maskrcnn prepare-data` wrote"),
        (lambda out: (out / "index.json").unlink(), "out: no prepared dataset"),
        (lambda out: (out / "index.json").write_text("[]"), "index.json: not the index of a prepared dataset"),
        (lambda out: (out / "index.json").write_text("{"), "index.json: not JSON"),
        (lambda out: rewritten(out, version=2), "out: prepared as version 2, and version 1 is read; prepare the data anew"),
        (
            lambda out: rewritten(out, sizes=[[20, 31]] * 4),
            "index.json: damaged, for index.json.sha256 has not its digest; copy the folder again",
        ),
        (
            lambda out: (out / "index.json.sha256").unlink(),
            "index.json: damaged, for index.json.sha256 has not its digest; copy the folder",
        ),
        (lambda out: replaced(out / "features.json", "segmentation", "segmentatiom"), "features.json: damaged, for it has another digest"),
        (lambda out: cut(the_records(out)), "bytes long instead of"),
        (lambda out: the_records(out).unlink(), "missing; copy the folder again, or prepare the data anew"),
        (lambda out: (out / "features.json").unlink(), "features.json: missing; copy the folder again"),
    ],
)
def test_what_is_no_whole_prepared_dataset_is_refused_when_it_is_opened(out, change, message):
    change(out)
    assert message in refusal(lambda: PreparedSource(out))


def test_damaged_records_are_refused_when_they_are_read(out):
    path = the_records(out)
    content = bytearray(path.read_bytes())
    start = content.index(b"after the end")  # within the record of the third image
    content[start : start + 5] = b"AFTER"
    path.write_bytes(content)
    source = PreparedSource(out)
    assert source[0].image_id == 7
    found = refusal(lambda: source[2])
    assert found.startswith(f"{out}: image id 0: its record cannot be read (")
    assert found.endswith("); copy the folder again, or prepare the data anew")


def test_another_version_of_the_records_is_refused(out):
    """As a package of that version would have written it, with its digests."""
    description, path = out / "dataset_info.json", out / "index.json"
    replaced(description, "1.0.0", "2.0.0")
    replaced(path, json.loads(path.read_text())["digests"]["dataset_info.json"], hashlib.sha256(description.read_bytes()).hexdigest())
    (out / "index.json.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  index.json\n")
    found = refusal(lambda: PreparedSource(out)[0])
    assert "image id 7: " not in found
    assert "out: no dataset that can be read (it is maskrcnn_prepared 2.0.0, not maskrcnn_prepared 1.0.0); prepare the data anew" in found


def test_an_index_beyond_the_last_image_is_an_index_error(out):
    source = PreparedSource(out)
    for i in (-1, 4):
        with pytest.raises(IndexError):
            source[i]


def test_lvis_keeps_its_lists_and_any_other_format_comes_by_its_reader(made, tmp_path):
    def as_lvis(document):
        for image in document["images"]:
            image["not_exhaustive_category_ids"], image["neg_category_ids"] = [3], [7] if image["id"] != 7 else []
            image["coco_url"] = f"http://images/{image.pop('file_name')}"
        document["annotations"] = document["annotations"][:2]

    spoil(made, as_lvis)
    prepare(tmp_path / "lvis", made, made.parent, name="lvis")
    source = PreparedSource(tmp_path / "lvis")
    image = source.coco_document([1])["images"][0]
    assert (image["file_name"], image["neg_category_ids"], image["not_exhaustive_category_ids"]) == ("sub/turned.jpg", [7], [3])
    assert [row["frequency"] for row in source.category_rows] == ["r", "f"]
    assert source.federated
    truth = ground_truth(source)
    assert is_federated(truth)
    assert [row["frequency"] for row in truth["categories"]] == ["f", "r"]
    assert truth["images"][1]["not_exhaustive_category_ids"] == [3]

    regions = [{"shape_attributes": {"name": "rect", "x": 4, "y": 5, "width": 10, "height": 10}, "region_attributes": {}}]
    via = made.parent / "via.json"
    via.write_text(json.dumps({"a": {"filename": "sub/grey.png", "size": 9, "regions": regions}}))
    with prepared.open_dataset("via", via, refusal, labels=("balloon",), split=None) as dataset:
        prepared.prepare(dataset, tmp_path / "via")
    example = PreparedSource(tmp_path / "via")[0]
    assert example.boxes.tolist() == [[4, 5, 14, 15]]
    assert example.image.shape == (H, W, 3)


def test_an_option_that_the_format_has_not_is_refused(made, tmp_path):
    assert formats.READERS.keys() < set(preparing.Origin.__args__[0].__args__) | {"coco2017"}
    for name, message in (
        ("coco", "coco has no option --labels"),
        ("coco2017", "coco2017 has no option --labels; its only option is --split"),
    ):
        with pytest.raises(DataError) as error, prepared.open_dataset(name, made, refusal, labels=("a",)):
            pass
        assert message in str(error.value)
