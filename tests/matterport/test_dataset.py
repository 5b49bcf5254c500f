import logging
import pickle

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax import Category, DataError, matterport
from maskrcnn_jax.data import Source, check_source, fingerprint, read_example


class Blocks(matterport.Dataset):
    """One block an image, made without files; class ids as `ids` says, by image."""

    ids = ([1], [2, -1], [])

    def __init__(self, told=False):
        super().__init__()
        self.loaded = 0
        self.add_class("blocks", 7, "red, or so")
        self.add_class("blocks", 9, "blue")
        for i in range(len(self.ids)):
            self.add_image("blocks", image_id=f"b{i}", path=None, **({"height": 10 + i, "width": 20} if told else {}))
        self.prepare()

    def load_image(self, image_id):
        self.loaded += 1
        return np.full((10 + image_id, 20, 3), image_id, np.uint8)

    def load_mask(self, image_id):
        masks = np.zeros((10 + image_id, 20, len(self.ids[image_id])))
        for n in range(masks.shape[2]):
            masks[2:5, 3 : 7 + n, n] = 0.25  # anything that is not 0
        return masks, np.array(self.ids[image_id])

    def image_reference(self, image_id):
        return f"drawn {image_id}"


def test_a_prepared_dataset_is_a_source():
    dataset = Blocks()
    assert isinstance(dataset, Source)
    check_source(dataset)
    assert len(dataset) == dataset.num_images == 3
    assert dataset.image_ids.tolist() == [0, 1, 2]
    assert dataset.categories == (Category(1, "red"), Category(2, "blue"))
    assert (dataset.num_classes, dataset.class_names, dataset.class_ids.tolist()) == (3, ["BG", "red", "blue"], [0, 1, 2])
    assert dataset.sizes.tolist() == [[10, 20], [11, 20], [12, 20]]
    assert [read_example(dataset, i).image_id for i in range(3)] == [0, 1, 2]
    assert fingerprint(pickle.loads(pickle.dumps(dataset))) == fingerprint(dataset)


def test_masks_come_first_boxes_are_tight_and_negative_ids_are_crowds():
    example = Blocks()[1]
    assert example.masks.shape == (2, 11, 20)
    assert example.masks.dtype == np.uint8
    assert example.masks.sum(axis=(1, 2)).tolist() == [12, 15]
    assert example.boxes.tolist() == [[3, 2, 7, 5], [3, 2, 8, 5]]
    assert (example.labels.tolist(), example.crowd.tolist()) == ([2, 1], [False, True])
    assert Blocks()[2].masks.shape == (0, 12, 20)


def test_sizes_that_are_told_load_nothing_and_others_each_image_once():
    told, untold = Blocks(told=True), Blocks()
    for _ in range(2):
        assert told.sizes.tolist() == untold.sizes.tolist()
    assert (told.loaded, untold.loaded) == (0, 3)
    untold.add_image("blocks", image_id="more", path=None, height=5, width=5)
    untold.prepare()
    assert len(untold.sizes) == 4


class Files(matterport.Dataset):
    pass


@pytest.fixture
def files(tmp_path):
    """A grey and a turned picture, 4 rows of 6 columns as they are seen."""
    dataset = Files()
    dataset.add_class("files", 1, "thing")
    Image.new("L", (6, 4), 9).save(tmp_path / "grey.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 6)).save(tmp_path / "turned.jpg", exif=exif)
    for name in ("grey.png", "turned.jpg"):
        dataset.add_image("files", image_id=name, path=tmp_path / name)
    dataset.prepare()
    return dataset


def test_of_files_the_headers_are_read_and_the_pixels_later(files, tmp_path):
    assert files.sizes.tolist() == [[4, 6], [4, 6]]
    assert [read_example(files, i).image.shape for i in range(2)] == [(4, 6, 3)] * 2
    assert files[0].image.max() == 9
    whole = tmp_path / "whole.png"
    Image.effect_noise((30, 20), 50).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:200])
    files.add_image("files", image_id="cut", path=cut)
    files.prepare()
    assert files.sizes[2].tolist() == [20, 30]
    with pytest.raises(DataError, match=r"cut\.png: corrupt, truncated"):
        _ = files[2]


def test_a_size_that_is_told_decides_about_turning(files):
    files.add_image("files", image_id="stored", path=files.image_info[1]["path"], height=6, width=4)
    files.prepare()
    assert read_example(files, 2).image.shape == (6, 4, 3)
    files.image_info[2]["height"] = 7
    with pytest.raises(DataError, match=r"turned\.jpg: the file is 4 x 6.*annotations say 7 x 4"):
        _ = files[2]


def test_a_missing_file_is_named_when_sizes_are_asked_for(files, tmp_path):
    files.add_image("files", image_id=3, path=tmp_path / "no.png")
    files.prepare()
    with pytest.raises(DataError, match=r"no\.png: no such image file"):
        _ = files.sizes
    files.image_info[-1]["path"] = None
    with pytest.raises(DataError, match=r"Files: image 2 \(files\.3\): it has no path; give add_image one, or override load_image"):
        _ = files.sizes


@pytest.mark.parametrize("use", [len, lambda dataset: dataset.categories, lambda dataset: dataset.sizes, lambda dataset: dataset[0]])
def test_before_prepare_and_after_another_image_it_says_to_call_it(use):
    dataset = Blocks()
    dataset.add_image("blocks", image_id="more", path=None)
    with pytest.raises(DataError, match=r"Blocks: call prepare\(\) after the last"):
        use(dataset)


def test_classes_of_several_sources_have_numbers_of_their_own():
    dataset = Blocks()
    dataset.add_class("blocks", 7, "again")
    dataset.add_class("coco", 7, "person")
    dataset.prepare()
    assert dataset.class_names == ["BG", "red", "blue", "person"]
    assert (dataset.map_source_class_id("blocks.7"), dataset.map_source_class_id("coco.7")) == (1, 3)
    with pytest.raises(DataError, match=r"no class 'coco\.8'; those added are blocks\.7, blocks\.9, coco\.7"):
        dataset.map_source_class_id("coco.8")
    with pytest.raises(DataError, match=r"the source 'a\.b' of class 'c' has a dot"):
        dataset.add_class("a.b", 1, "c")
    with pytest.raises(DataError, match="no class but the background; call add_class"):
        Files().prepare()


def test_an_object_without_a_pixel_is_left_out_with_a_warning(monkeypatch, caplog):
    masks = np.zeros((10, 20, 2), bool)
    masks[3, 4, 1] = True
    monkeypatch.setattr(Blocks, "load_mask", lambda self, image_id: (masks, np.array([1, 2])))
    with caplog.at_level(logging.WARNING):
        example = Blocks()[0]
    assert (example.labels.tolist(), example.boxes.tolist()) == ([2], [[4, 3, 5, 4]])
    assert caplog.messages == ["Blocks: image 0 (blocks.b0) drawn 0: objects [0] have no pixel, left out"]


@pytest.mark.parametrize(
    ("masks", "ids", "given"),
    [
        (np.zeros((1, 10, 20), bool), [1], r"masks \[1, 10, 20\] and class ids int64\[1\]"),
        (np.zeros((10, 20, 2), bool), [1], r"masks \[10, 20, 2\] and class ids int64\[1\]"),
        (np.zeros((10, 20, 1), bool), [1.0], r"class ids float64\[1\]"),
    ],
)
def test_masks_of_another_form_are_refused_with_the_image(monkeypatch, masks, ids, given):
    monkeypatch.setattr(Blocks, "load_mask", lambda self, image_id: (masks, np.array(ids)))
    with pytest.raises(DataError, match=given) as refused:
        _ = Blocks()[0]
    assert str(refused.value).startswith("Blocks: image 0 (blocks.b0) drawn 0: load_mask gives")
    assert "give bool[10, 20, instances]" in str(refused.value)


def test_an_index_that_is_none_ends_iteration():
    assert len(list(Blocks())) == 3
    with pytest.raises(IndexError):
        _ = Blocks()[-1]
