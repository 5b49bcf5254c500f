import dataclasses
import json
from collections import Counter

import numpy as np
import pytest

from maskrcnn_jax.config import DataConfig, InputConfig
from maskrcnn_jax.data import (
    Augmented,
    CocoSource,
    DataError,
    MixedSource,
    ShapesSource,
    Source,
    check_source,
    fingerprint,
    open_source,
    source_name,
)
from maskrcnn_jax.structs import Category
from maskrcnn_jax.training.inputs import make_plan
from tests import tiny
from tests.data.painted import Painted


def test_the_images_of_all_sources_one_after_the_other():
    mixed = MixedSource([ShapesSource(0, 3), ShapesSource(10, 2)])
    assert isinstance(mixed, Source)
    check_source(mixed)
    assert [mixed[i].image_id for i in range(len(mixed))] == [0, 1, 2, 10, 11]
    assert mixed.sizes.shape == (5, 2)
    assert mixed.parts.tolist() == [0, 0, 0, 1, 1]
    assert mixed.weights is None
    assert not hasattr(mixed, "object_counts")
    with pytest.raises(IndexError):
        mixed[5]


def test_what_coco_tells_is_told_of_the_mixture(open_coco, document, folder):
    one = open_coco(document)
    document["annotations"].append(document["annotations"][0] | {"id": 1, "image_id": 5, "category_id": 3})
    two = open_coco(document)
    assert one.labels_present.tolist() == [[0, 2]]  # category 7 is the second of two
    mixed = MixedSource([one, two], weights=(1, 2))
    assert mixed.object_counts.tolist() == [1, 0, 1, 1]
    assert mixed.image_ids.tolist() == [11, 5, 11, 5]
    assert mixed.labels_present.tolist() == [[0, 2], [2, 2], [3, 1]]
    assert mixed.weights == (1.0, 2.0)


def test_a_mixture_is_federated_where_a_part_is(open_coco, document):
    plain = open_coco(document)
    for row in document["images"]:
        row |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for row in document["categories"]:
        row["frequency"] = "f"
    lvis = open_coco(document)
    assert MixedSource([plain, lvis]).federated
    assert not MixedSource([plain, plain]).federated


def test_crowds_are_not_present(open_coco, document):
    document["annotations"][0]["iscrowd"] = 1
    assert open_coco(document).labels_present.shape == (0, 2)


class Renamed(ShapesSource):
    categories = (*ShapesSource.categories[:3], Category(4, "comet"))


class Turned(ShapesSource):
    categories = ShapesSource.categories[::-1]


@pytest.mark.parametrize(("other", "said"), [(Renamed, "differ in 4 comet, 4 star"), (Turned, "are in another order")])
def test_other_categories_are_an_error_with_the_remedy(other, said):
    with pytest.raises(DataError) as error:
        MixedSource([ShapesSource(0, 1), ShapesSource(0, 1), other(0, 1)])
    assert str(error.value).startswith(f"{other.__name__}: its categories and those of ShapesSource, with which it is mixed, {said}; ")
    assert "give all datasets the same `categories`, ids and names" in str(error.value)


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, 2.0, 3.0)])
def test_weights_that_do_not_fit_are_an_error_with_the_remedy(weights):
    with pytest.raises(DataError, match="for 2 sources; give one for each, all positive"):
        MixedSource([ShapesSource(0, 1), ShapesSource(1, 1)], weights)


def test_no_source_and_a_source_with_augmentations_are_errors_with_the_remedy():
    with pytest.raises(DataError, match="give at least one"):
        MixedSource([])
    with pytest.raises(DataError, match="mix the sources first, and augment the mixture"):
        MixedSource([ShapesSource(0, 1), Augmented(ShapesSource(0, 1), lambda example, rng: example)])


def test_the_fingerprint_is_that_of_the_parts_and_weights():
    a, b, c = ShapesSource(0, 2), ShapesSource(2, 2), ShapesSource(4, 2)
    mixtures = [([a, b], None), ([a, c], None), ([a, b], (1, 2)), ([a, b, c], None)]
    prints = [fingerprint(MixedSource(parts, weights)) for parts, weights in mixtures]
    assert len(set(prints)) == 4
    assert prints[0] == fingerprint(MixedSource([a, b]))


def test_weights_decide_what_training_reads():
    """Twelve images of the one source and two of the other, which is to be three quarters of what is read."""
    mixed = MixedSource([Painted(12), Painted(2)], weights=(1, 3))
    config = tiny.experiment(batch_size=2)
    config = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, input=InputConfig(min_side=60, max_side=80, canvases=((64, 96), (96, 64)))),
    )
    plan = make_plan(config, mixed)
    read = Counter(int(mixed.parts[i]) for step in range(50 * plan.steps_per_epoch) for i in plan(step)[1])
    assert read[1] / read.total() == pytest.approx(0.75, abs=0.05)  # batches of each canvas are filled up


def test_a_config_names_several_datasets(open_coco, document, folder):
    first = open_coco(document).annotation_file
    second = folder / "more.json"
    second.write_text(json.dumps(document))
    paths = {"train_annotations": str(first), "train_images": str(folder), "val_annotations": str(first), "val_images": str(folder)}
    config = DataConfig(**paths, more_train_annotations=(str(second),), more_train_images=(str(folder),), train_weights=(1.0, 3.0))
    mixed = open_source(config, "train")
    assert isinstance(mixed, MixedSource)
    assert mixed.weights == (1.0, 3.0)
    assert [source.annotation_file for source in mixed.sources] == [first, second]
    assert source_name(mixed) == f"{first}, {second}"
    assert isinstance(open_source(config, "val"), CocoSource)
    assert np.array_equal(mixed[2].image, mixed[0].image)


def test_a_further_dataset_that_is_missing_is_named(open_coco, document, folder):
    first = open_coco(document).annotation_file
    config = DataConfig(
        train_annotations=str(first),
        train_images=str(folder),
        more_train_annotations=("/nowhere/b.json",),
        more_train_images=(str(folder),),
    )
    with pytest.raises(DataError, match=r"/nowhere/b.json: no such annotation file; check the path"):
        open_source(config, "train")
