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
    batches,
    check_source,
    fingerprint,
    image_name,
    open_source,
    part_of,
    read_example,
    source_name,
)
from maskrcnn_jax.structs import Category
from maskrcnn_jax.training.inputs import check_measurable, make_plan
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


class Coco(tiny.Squares):
    """Squares with a file and ids, as COCO's sources have them."""

    annotation_file = "a.json"
    image_ids = np.array([7, 8, 9])


class Spoilt(tiny.Squares):
    """One has an unknown label, one another size than is said, and one cannot be read."""

    def __getitem__(self, i):
        example = super().__getitem__(i)
        return [example._replace(labels=example.labels + 9), tiny.Squares(2, (64, 80))[1], example][i]._replace(image_id=1 // (2 - i))


def fail(example, rng):
    raise KeyError("sky")


def test_a_part_is_found_through_mixtures_and_augmentations():
    parts = [tiny.Squares(3), Coco(3), tiny.Squares(2)]
    source = Augmented(MixedSource([parts[0], MixedSource(parts[1:])]), fail)
    found = [part_of(source, i) for i in range(8)]
    assert [(parts.index(part), i) for part, i in found] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert image_name(source, 4) == "a.json: image id 8"
    assert image_name(source, 7) == "Squares: index 1 of the source"
    assert image_name(source, 7, 101) == "Squares: image id 101"


@pytest.mark.parametrize(
    ("index", "said"),
    [
        (2, "Spoilt: image id 0: labels are 10 ... 10 of 2 categories"),
        (3, "Spoilt: image id 1 is 64 x 80 (height x width), the source's `sizes` say 64 x 64"),
        (4, "Spoilt: index 2 of the source cannot be read (ZeroDivisionError"),
    ],
)
def test_an_example_that_cannot_be_used_is_told_with_its_own_dataset(index, said):
    with pytest.raises(DataError) as error:
        read_example(MixedSource([tiny.Squares(2), Spoilt(3)]), index)
    assert str(error.value).startswith(said)


def test_an_image_without_a_canvas_is_told_with_its_own_dataset():
    source = MixedSource([tiny.Squares(2), Coco(3, (64, 128))])
    inputs = InputConfig(min_side=64, max_side=128, canvases=((64, 64),))
    config = tiny.experiment(model=dataclasses.replace(tiny.MODEL, num_classes=2, input=inputs))
    for check in (lambda: make_plan(config, source), lambda: check_measurable(source.categories, source, config)):
        with pytest.raises(DataError, match=r"^a\.json: image id 7: resized to 64 x 128"):
            check()


def test_an_augmentation_that_fails_is_told_with_the_image_s_own_dataset():
    config = tiny.experiment(model=dataclasses.replace(tiny.MODEL, num_classes=2))
    source = Augmented(MixedSource([Coco(3), Coco(3)]), fail)
    with pytest.raises(DataError, match=r"^a\.json: image id [789]: your own augmentation failed \(KeyError: 'sky'\)"):
        next(batches(source, make_plan(config, source), config.model.input, config.data, start_step=0, stop_step=1, seed=0, augment=fail))
