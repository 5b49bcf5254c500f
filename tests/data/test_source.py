import numpy as np
import pytest

from maskrcnn_jax.config import DataConfig
from maskrcnn_jax.data import DataError, ShapesSource, Source, fingerprint, nonempty_indices, open_source


class Counted(ShapesSource):
    def __init__(self, counts):
        super().__init__(0, len(counts))
        self.object_counts = np.array(counts)


def test_any_class_with_the_four_members_is_a_source():
    assert isinstance(ShapesSource(0, 1), Source)
    assert not isinstance([1, 2], Source)


def test_nonempty_indices_leave_out_images_without_objects():
    assert nonempty_indices(Counted([2, 0, 1])).tolist() == [0, 2]


def test_nonempty_indices_are_all_where_the_source_does_not_count():
    assert nonempty_indices(ShapesSource(0, 3)).tolist() == [0, 1, 2]


def test_no_image_with_an_object_is_an_error_with_the_remedy():
    with pytest.raises(DataError) as error:
        nonempty_indices(Counted([0, 0]))
    assert "Counted" in str(error.value)
    assert "set data.drop_empty to False" in str(error.value)


def test_fingerprint_is_stable_and_tells_datasets_apart(open_coco, document):
    prints = [
        fingerprint(ShapesSource(0, 3)),
        fingerprint(ShapesSource(1, 3)),
        fingerprint(ShapesSource(0, 4)),
        fingerprint(open_coco(document)),
    ]
    document["annotations"][0]["bbox"][0] = 5
    prints.append(fingerprint(open_coco(document)))
    assert len(set(prints)) == 5
    assert prints[0] == fingerprint(ShapesSource(0, 3))
    assert len(prints[0]) == 64


def test_shapes_for_training_and_validation_are_disjoint():
    config = DataConfig(kind="shapes", train_size=5, val_size=3)
    train, val = open_source(config, "train"), open_source(config, "val")
    assert (len(train), len(val)) == (5, 3)
    assert not {train[i].image_id for i in range(5)} & {val[i].image_id for i in range(3)}


@pytest.mark.parametrize("name", ["val_annotations", "val_images"])
def test_shapes_are_not_taken_in_silence_for_the_data_that_a_path_names(name):
    config = DataConfig(kind="shapes", train_size=5, **{name: "cells"})
    assert len(open_source(config, "train")) == 5
    with pytest.raises(DataError) as error:
        open_source(config, "val")
    assert f"data.kind is `shapes`, which reads no files, but data.{name} is cells; set --data.kind coco" in str(error.value)


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_coco_source_is_opened_from_its_own_paths_alone(split, open_coco, document, folder):
    path = open_coco(document).annotation_file
    config = DataConfig(**{f"{split}_annotations": str(path), f"{split}_images": str(folder)})
    source = open_source(config, split)
    assert len(source) == 2
    assert source.annotation_file == path


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("name", ["annotations", "images"])
@pytest.mark.parametrize("path", ["", "/nowhere/instances"])
def test_a_path_not_set_or_missing_names_the_field_and_the_flag(path, name, split, open_coco, document, folder):
    own = {f"{split}_annotations": str(open_coco(document).annotation_file), f"{split}_images": str(folder)}
    with pytest.raises(DataError) as error:
        open_source(DataConfig(**own | {f"{split}_{name}": path}), split)
    assert f"data.{split}_{name}" in str(error.value)
    assert path in str(error.value)
    assert f"--data.{split}-{name} PATH" in str(error.value)
