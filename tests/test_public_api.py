import subprocess
import sys

import pytest

import maskrcnn_jax
from maskrcnn_jax import config, inference, models, ops, training


def test_every_public_name_is_there():
    assert sorted(maskrcnn_jax.__all__) == maskrcnn_jax.__all__
    assert all(hasattr(maskrcnn_jax, name) for name in maskrcnn_jax.__all__)


def test_the_names_that_the_readme_and_docs_speak_of():
    assert maskrcnn_jax.load is inference.load
    assert maskrcnn_jax.train is training.train
    assert maskrcnn_jax.build is models.build
    assert maskrcnn_jax.load_experiment is config.load_experiment
    assert {"nms", "roi_align", "match", "encode_boxes", "decode_boxes", "paste_masks"} <= set(ops.__all__)
    assert all(hasattr(ops, name) for name in ops.__all__)
    assert maskrcnn_jax.ops is ops


@pytest.mark.parametrize("error", ["CheckpointError", "ConfigError", "DataError", "WeightsError"])
def test_errors_of_bad_input_are_value_errors(error):
    assert issubclass(getattr(maskrcnn_jax, error), ValueError)
    assert issubclass(getattr(maskrcnn_jax, error), maskrcnn_jax.UserError)


def test_a_loss_that_is_not_finite_is_for_the_user_to_mend():
    assert issubclass(maskrcnn_jax.NonFiniteError, maskrcnn_jax.UserError)


def test_importing_loads_no_other_framework_and_claims_no_device():
    """Claiming devices at import would forbid `jax.distributed.initialize` afterwards."""
    code = """
import sys
import maskrcnn_jax
from jax._src import xla_bridge
print([name for name in ("torch", "torchvision", "tensorflow", "tensorflow_datasets") if name in sys.modules])
print(xla_bridge.backends_are_initialized())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]
