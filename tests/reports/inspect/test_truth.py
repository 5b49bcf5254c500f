"""Which ground truth an image gets, and with which labels."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import DataError, ShapesSource
from maskrcnn_jax.reports.inspect import annotated_image, validation_image
from maskrcnn_jax.structs import Category
from tests import tiny

MODEL = (Category(1, "cat"), Category(2, "dog"), Category(3, "cow"))
INPUT = InputConfig()


@pytest.fixture
def dataset(tmp_path):
    """Two images of one name in two folders, and the function that writes their annotations; ids of categories are not the model's."""
    for folder, grey in (("a", 10), ("b", 20)):
        (tmp_path / "images" / folder).mkdir(parents=True)
        Image.fromarray(np.full((40, 60, 3), grey, np.uint8)).save(tmp_path / "images" / folder / "x.png")

    def square(id_, image_id, category_id, x):
        polygon = [[x, 5, x + 10, 5, x + 10, 15, x, 15]]
        return {"id": id_, "image_id": image_id, "category_id": category_id, "segmentation": polygon, "bbox": [x, 5, 10, 10], "iscrowd": 0}

    document = {
        "images": [
            {"id": 7, "file_name": "a/x.png", "height": 40, "width": 60},
            {"id": 8, "file_name": "b/x.png", "height": 40, "width": 60},
        ],
        "annotations": [square(1, 7, 5, 0), square(2, 8, 9, 20), square(3, 8, 5, 40)],
        "categories": [{"id": 5, "name": "dog"}, {"id": 9, "name": "cat"}],
    }

    def write(**changes):
        (tmp_path / "annotations.json").write_text(json.dumps(document | changes))
        return tmp_path / "annotations.json"

    write.document, write.images = document, tmp_path / "images"
    return write


def test_the_image_is_the_one_whose_name_ends_its_path_and_labels_are_the_model_s(dataset):
    found = annotated_image(dataset.images / "b" / "x.png", dataset(), MODEL, INPUT)
    assert found.image_id == 8
    assert (found.image == 20).all()
    assert found.labels.tolist() == [1, 2]
    assert found.boxes.tolist() == [[20, 5, 30, 15], [40, 5, 50, 15]]
    assert [mask.sum() for mask in found.masks] == [100, 100]
    assert annotated_image(dataset.images / "a" / "x.png", dataset(), MODEL, INPUT).labels.tolist() == [2]


def test_a_relative_path_and_names_without_a_folder(dataset, monkeypatch):
    monkeypatch.chdir(dataset.images / "b")
    images = [row | {"file_name": "x.png"} for row in dataset.document["images"][1:]]
    annotations = dataset(images=images, annotations=dataset.document["annotations"][1:])
    assert annotated_image(dataset.images / "b" / "x.png", annotations, MODEL, INPUT).image_id == 8
    assert annotated_image(Path("x.png"), annotations, MODEL, INPUT).image_id == 8


def test_the_longer_of_two_names_counts(dataset):
    images = [dataset.document["images"][0] | {"file_name": "x.png"}, dataset.document["images"][1]]
    assert annotated_image(dataset.images / "b" / "x.png", dataset(images=images), MODEL, INPUT).image_id == 8


def test_labels_of_the_same_categories_stay(dataset):
    """By position, even where two have one name."""
    twins = (Category(5, "dog"), Category(9, "dog"))
    categories = [{"id": 5, "name": "dog"}, {"id": 9, "name": "dog"}]
    found = annotated_image(dataset.images / "b" / "x.png", dataset(categories=categories), twins, INPUT)
    assert found.labels.tolist() == [2, 1]


def refused(dataset, name="b/x.png", categories=MODEL, **changes):
    with pytest.raises(DataError) as error:
        annotated_image(dataset.images / name, dataset(**changes), categories, INPUT)
    return str(error.value)


def test_what_cannot_be_found_or_matched_is_an_error_that_names_it(dataset):
    images = dataset.document["images"]
    message = refused(dataset, images=[images[0]], annotations=dataset.document["annotations"][:1])
    assert f"annotations.json: none of its 1 images is {dataset.images / 'b' / 'x.png'}; it names a/x.png: give one of those" in message
    message = refused(dataset, images=[images[1], images[1] | {"id": 9}], annotations=[])
    assert "is the file of several images, ids 8, 9; leave one of them in the file" in message
    message = refused(dataset, categories=MODEL[1:])
    assert "annotations.json: image id 8: objects of cat, which the model, of dog, cow, does not know by one name each" in message
    message = refused(dataset, categories=(*MODEL, Category(4, "cat")))
    assert "objects of cat" in message
    message = refused(dataset, images=[images[0], images[1] | {"width": 61}])
    assert "annotations.json: image id 8: " in message
    assert "x.png" in message
    (dataset.images / "b" / "x.png").unlink()
    assert "no such" in refused(dataset)


def test_an_image_of_the_validation_data_by_its_id(dataset):
    data = DataConfig(val_annotations=str(dataset()), val_images=str(dataset.images))
    config = replace(tiny.experiment(), data=data)
    found = validation_image(config, 8, MODEL)
    assert found.image_id == 8
    assert found.labels.tolist() == [1, 2]
    with pytest.raises(DataError) as error:
        validation_image(config, 9, MODEL)
    assert "annotations.json: no validation image has the id 9; there are 2: 7, 8" in str(error.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (DataConfig(val_annotations="gone.json", val_images="gone"), "gone.json does not exist"),
        (DataConfig(kind="own"), "data.kind is `own`"),
    ],
)
def test_where_the_data_are_gone_an_image_file_is_the_remedy(data, message):
    with pytest.raises(DataError) as error:
        validation_image(replace(tiny.experiment(), data=data), 8, MODEL)
    assert str(error.value).startswith("the run's validation data: ")
    assert message in str(error.value)
    assert str(error.value).endswith("name an image file, and its ground truth by --annotations")


def test_a_picture_of_shapes_by_its_id():
    found = validation_image(tiny.experiment(), 10**9 + 2, ShapesSource.categories)
    assert found.image_id == 10**9 + 2
    with pytest.raises(DataError) as error:
        validation_image(tiny.experiment(), 3, ShapesSource.categories)
    assert "ShapesSource: no validation image has the id 3; there are 3: 1000000000, 1000000001, 1000000002" in str(error.value)
