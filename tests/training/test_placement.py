import jax
import pytest
from jax.sharding import PartitionSpec

from maskrcnn_jax.config import ConfigError, TrainConfig
from maskrcnn_jax.models import one_device_mesh
from maskrcnn_jax.training import placement


def test_devices_are_taken_process_by_process():
    assert placement._chosen([1, 0, 1, 0], None) == [1, 3, 0, 2]
    assert placement._chosen([1, 0, 1, 0], 1) == [1, 0]


def test_more_devices_than_a_process_has_are_an_error():
    with pytest.raises(ConfigError, match=r"train.devices is 2, but process 1 has 1; give at most so many, or None"):
        placement._chosen([0, 0, 1], 2)


@pytest.mark.parametrize(("batch", "accumulate", "says"), [(3, 1, "2, 4, 6 or so on"), (6, 2, "2 parts (train.accumulate); give 4, 8, 12")])
def test_a_batch_that_devices_cannot_share_is_an_error(batch, accumulate, says, monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: jax.local_devices()[:1] * 2)
    with pytest.raises(ConfigError) as error:
        placement.train_mesh(TrainConfig(batch_size=batch, accumulate=accumulate))
    for word in (f"train.batch_size is {batch}", "2 device(s)", says, "fewer devices by train.devices"):
        assert word in str(error.value)


class SecondOfTwo:
    """How a batch of eight lies on the third and fourth of four devices."""

    def addressable_devices_indices_map(self, shape):
        return {2: (slice(4, 6),), 3: (slice(6, 8),)}


def test_a_process_makes_what_its_devices_hold(monkeypatch):
    mesh = one_device_mesh()
    assert placement.own_positions(mesh, 3) == [0, 1, 2]
    monkeypatch.setattr(placement, "NamedSharding", lambda mesh, spec: SecondOfTwo())
    assert placement.own_positions(mesh, 8) == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("shape", "spec"),
    [
        ((3, 3, 64, 128), (None, None, None, "data")),
        ((1, 1, 256, 64), (None, None, "data", None)),
        ((12, 30), ("data", None)),
        ((), ()),
        ((5,), ()),
        ((0, 3), ()),
    ],
)
def test_fsdp_spreads_the_largest_axis_that_can_be_shared(shape, spec):
    assert placement._in_parts(shape, 4) == PartitionSpec(*spec)
    assert placement._in_parts(shape, 1) == PartitionSpec()
