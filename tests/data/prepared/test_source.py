"""What was prepared is what it was prepared from: examples, rows and bytes."""

import json
import pickle
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from pycocotools import mask as coco_mask

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import CocoSource, DataError, Plan, PreparedSource, Source, batches, fingerprint, open_source, source_name
from maskrcnn_jax.data.prepared import source
from tests.data.prepared.making import H, W, prepare, rectangle


def same(one, other):
    """Whether two examples, sources' tables or batches are the same bytes, of the same types."""
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    one, other = np.asarray(one), np.asarray(other)
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def test_examples_and_tables_are_the_same_on_made_data(both):
    coco, prepared = both
    assert isinstance(prepared, Source)
    assert len(prepared) == len(coco) == 4
    assert [len(example.labels) for example in prepared] == [4, 1, 0, 1]
    assert all(same(prepared[i], coco[i]) for i in range(4))
    assert prepared.categories == coco.categories
    for name in ("image_ids", "sizes", "object_counts", "labels_present", "federated"):
        assert same(getattr(prepared, name), getattr(coco, name)), name


@pytest.mark.parametrize(("name", "split"), [("coco_free", "train"), ("nuclei", "val")])
def test_examples_and_tables_are_the_same_on_real_data(shared_data, tmp_path, name, split):
    folder = shared_data / name
    document = json.loads((folder / f"instances_{split}.json").read_text())
    kept = {image["id"] for image in document["images"][::6]}
    document["images"] = document["images"][::6]
    document["annotations"] = [row for row in document["annotations"] if row["image_id"] in kept]
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(document))
    prepare(tmp_path / "out", path, folder / "images")
    coco, prepared = CocoSource(path, folder / "images"), PreparedSource(tmp_path / "out")
    assert len(coco) >= 15
    assert all(same(prepared[i], coco[i]) for i in range(len(coco)))
    assert all(same(getattr(prepared, key), getattr(coco, key)) for key in ("image_ids", "sizes", "object_counts", "labels_present"))


def test_bytes_and_rows_are_those_of_the_files(both, made):
    _, prepared = both
    document = json.loads(made.read_text())
    found = prepared.coco_document(range(4))
    assert found["images"] == document["images"]
    assert found["categories"] == document["categories"]
    assert (found["info"], found["licenses"]) == (document["info"], document["licenses"])
    for row, original in zip(found["annotations"], sorted(document["annotations"], key=lambda row: row["image_id"] != 7), strict=True):
        segmentation = original.pop("segmentation")
        rle = segmentation
        if isinstance(segmentation, list):
            rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, H, W))
        elif isinstance(segmentation["counts"], list):
            rle = coco_mask.frPyObjects(segmentation, H, W)
        assert row.pop("segmentation") == {"size": [H, W], "counts": rle["counts"].decode()}
        if original.get("bbox", 0) is None:
            del original["bbox"]
        assert row == {"iscrowd": 0} | original
    for i, image in enumerate(document["images"]):
        assert prepared.record(i).content == (made.parent / image["file_name"]).read_bytes()


def test_an_example_as_tensorflow_datasets_reads_it_without_tensorflow(both, made, tmp_path):
    records = tfds.builder_from_directory(tmp_path / "out").as_data_source("images")
    assert "tensorflow" not in sys.modules
    example = records[0]
    assert example["image"] == (made.parent / "sub" / "grey.png").read_bytes()
    assert (example["file_name"], example["image_id"], example["height"], example["width"]) == (b"sub/grey.png", 7, H, W)
    assert json.loads(example["fields"]) == {"license": 4, "coco_url": "http://images/grey.png"}
    objects = example["objects"]
    assert objects["id"].tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert objects["category_id"].tolist() == [7, 3, 7, 7, 3, 7, 7]
    assert objects["iscrowd"].tolist() == [False, False, True, False, False, True, False]
    assert objects["bbox"][0].tolist() == [4.1, 5.3, 24.7, 9.9]
    assert np.isnan(objects["bbox"][1]).all()
    assert json.loads(objects["fields"][1]) == {"note": {"by": "ä"}}
    assert json.loads(objects["fields"][0]) == {"area": 187.1}


def test_other_channels_and_sixteen_bits(tmp_path):
    rng = np.random.default_rng(0)
    grey, stack = rng.integers(0, 1 << 16, (H, W), np.uint16), rng.integers(0, 1 << 16, (H, W, 5), np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(grey).save(tmp_path / "pages.tif", save_all=True, append_images=[Image.fromarray(grey[::-1].copy())])
    np.save(tmp_path / "stack.npy", stack)
    expected = {"grey.png": grey[..., None], "pages.tif": np.stack([grey, grey[::-1]], axis=2), "stack.npy": stack}
    for name, pixels in expected.items():
        document = {
            "images": [{"id": 1, "file_name": name, "height": H, "width": W}],
            "categories": [{"id": 1, "name": "cell"}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": [rectangle(1, 1, 9, 9)]}],
        }
        (tmp_path / "instances.json").write_text(json.dumps(document))
        prepare(tmp_path / f"out-{name}", tmp_path / "instances.json", tmp_path)
        channels = pixels.shape[2]
        asked = InputConfig(channels=channels, dtype="uint16", mean=(1.0,) * channels, std=(1.0,) * channels)
        assert same(PreparedSource(tmp_path / f"out-{name}", input_config=asked)[0].image, pixels)
        assert same(CocoSource(tmp_path / "instances.json", tmp_path, input_config=asked)[0].image, pixels)
        with pytest.raises(DataError) as error:
            PreparedSource(tmp_path / f"out-{name}", input_config=InputConfig(channels=7, mean=(1.0,) * 7, std=(1.0,) * 7))[0]
        assert str(error.value).startswith(f"{tmp_path / f'out-{name}'}: image id 1: {name}: the file holds {channels} channels of uint16")


@pytest.mark.parametrize("workers", [0, 1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_read_the_same_batches(both, workers):
    coco, prepared = both
    config = DataConfig(max_objects=10, mask_crop=None, workers=workers)
    sizes = InputConfig(min_side=32, max_side=64, canvases=((64, 64),))
    found = []
    for data, used in ((coco, DataConfig(max_objects=10, mask_crop=None)), (prepared, config)):
        plan = Plan(data.sizes, sizes, used, batch_size=2, seed=1)
        found.append(list(batches(data, plan, sizes, used, start_step=0, stop_step=4, seed=1)))
    assert len(found[0]) == 4
    assert all(same(one, other) for one, other in zip(*found, strict=True))


def test_it_pickles_after_reading_too(both):
    _, prepared = both
    first = prepared[0]
    assert same(pickle.loads(pickle.dumps(prepared))[0], first)


def test_the_config_opens_it(both, made, tmp_path):
    coco, _ = both
    out = str(tmp_path / "out")
    config = DataConfig(kind="prepared", train_annotations=out, val_annotations=out, train_images="gone", val_images="gone")
    for split in ("train", "val"):
        opened = open_source(config, split)
        assert isinstance(opened, PreparedSource)
        assert source_name(opened) == out
        assert same(opened[0], coco[0])
    mixed = open_source(
        DataConfig(kind="prepared", train_annotations=out, more_train_annotations=(out,), train_weights=(1.0, 3.0)), "train"
    )
    assert len(mixed) == 8
    assert same(mixed[5], coco[1])
    with pytest.raises(DataError) as error:
        open_source(DataConfig(kind="prepared", val_annotations=str(tmp_path / "gone")), "val")
    assert "data.val_annotations" in str(error.value)


def test_the_fingerprint_follows_the_annotations(both, made, tmp_path):
    _, prepared = both
    document = json.loads(made.read_text())
    made.write_text(json.dumps(document))
    prepare(tmp_path / "again", made, made.parent)
    document["annotations"][0]["bbox"][0] += 1
    made.write_text(json.dumps(document))
    prepare(tmp_path / "other", made, made.parent)
    prints = [fingerprint(PreparedSource(tmp_path / name)) for name in ("again", "other")]
    assert prints[0] == fingerprint(prepared) != prints[1]


def test_opening_reads_no_record(both, tmp_path, monkeypatch):
    def refuse(folder):
        raise AssertionError

    monkeypatch.setattr(source, "open_records", refuse)
    opened = PreparedSource(tmp_path / "out")
    assert opened.sizes.tolist() == [[H, W]] * 4
    with pytest.raises(AssertionError):
        opened[0]
