from dataclasses import replace

import numpy as np
import pytest

from maskrcnn_jax import visualize
from maskrcnn_jax.config import AugmentConfig
from maskrcnn_jax.data import DataError, example_of
from maskrcnn_jax.reports import training_images
from maskrcnn_jax.training import train_batches
from tests import tiny
from tests.training import spectra


def config_of(**data):
    config = tiny.experiment(batch_size=2)
    return replace(config, data=replace(config.data, **data))


def test_the_pictures_are_those_of_the_batches_that_training_reads():
    source = tiny.Squares(6)
    config = config_of(augment=AugmentConfig(flip=0.5, scale=(0.5, 2.0)))
    found = list(training_images(config, source, 5))
    assert [(shown.step, shown.position) for shown in found] == [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0)]
    expected = [
        visualize.draw_example(example_of(batch, row), source.categories)
        for batch in train_batches(config, source, 0, 3)
        for row in range(2)
    ]
    for shown, picture in zip(found, expected, strict=False):
        assert np.array_equal(shown.picture, picture)
    assert {shown.image_id for shown in found} <= set(range(100, 106))
    assert sum(shown.objects for shown in found) >= 4


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_other_channels_and_values_are_drawn_as_their_rendering(kind):
    config, source = spectra.experiment(), spectra.Spectra(4)
    config = replace(config, model=replace(config.model, input=replace(spectra.INPUT, resize=kind, min_side=48)))
    config = replace(config, data=replace(config.data, augment=AugmentConfig(flip=0.0)))
    for shown in training_images(config, source, 2):
        example = source[shown.image_id - 100]
        expected = example._replace(image=visualize.as_rgb(example.image))
        assert np.array_equal(shown.picture, visualize.draw_example(expected, source.categories))


def test_workers_are_not_started():
    assert len(list(training_images(config_of(workers=4), tiny.Squares(4), 2))) == 2


class Torn(tiny.Squares):
    def __getitem__(self, i):
        if i == 1:
            raise OSError("torn")
        return super().__getitem__(i)


def test_an_image_that_cannot_be_read_is_told():
    with pytest.raises(DataError, match=r"Torn: index 1 of the source cannot be read \(OSError: torn\)"):
        list(training_images(config_of(), Torn(4), 4))
    faults = [shown.fault for shown in training_images(config_of(max_unreadable=1), Torn(4), 4)]
    assert sum("index 1 of the source cannot be read" in fault for fault in faults) == 1


def test_what_exceeds_the_capacity_is_counted():
    class Twice(tiny.Squares):
        def __getitem__(self, i):
            one = super().__getitem__(i)
            fields = {name: np.concatenate([getattr(one, name)] * 2) for name in ("masks", "boxes", "labels", "crowd")}
            return one._replace(**fields)

    (shown,) = training_images(config_of(max_objects=1), Twice(2), 1)
    assert (shown.objects, shown.cut) == (1, 1)
