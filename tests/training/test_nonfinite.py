import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.checkpoint import CheckpointError
from maskrcnn_jax.cli.main import main
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.data import make_batch
from maskrcnn_jax.models.traces import TrainTrace
from maskrcnn_jax.structs import Batch
from maskrcnn_jax.training import read_dump, replay
from maskrcnn_jax.training.nonfinite import dump
from maskrcnn_jax.training.placement import placed
from maskrcnn_jax.training.step import init_state
from tests import tiny
from tests.models import small
from tests.training.conftest import MODEL

SOURCE = tiny.Squares(4)


def dumped(run, config, variables):
    """The dump of a step on the first squares."""
    model = models.build(config.model)
    state = placed(init_state(variables(model), model, config), model.mesh, config.train)
    batch = make_batch([SOURCE[i] for i in range(config.train.batch_size)], (64, 64), max_objects=4, mask_crop=16)
    return dump(run, 5, state, batch, config, SOURCE.categories), batch


def bad_masks(model):
    """Weights of which the mask head's alone are NaN."""
    variables = small.lively_variables(model)
    variables["params"]["mask_head"]["masks"]["kernel"] *= np.nan
    return variables


@pytest.mark.soak
def test_the_command_computes_a_step_again_and_names_the_first_term_and_array(tmp_path, capsys):
    folder, _ = dumped(tmp_path, tiny.experiment(model=MODEL), bad_masks)
    main(["replay", str(folder)])
    told = capsys.readouterr().out
    assert "step 5, images [100, 101]" in " ".join(told.split())
    term, array = told.strip().splitlines()[-2:]
    assert term == "first term that is not finite: mask"
    assert array == "first array of the model's walk that is not: mask_logits of image id 100"


def test_the_image_of_the_first_bad_array_is_named(monkeypatch, tmp_path, capsys):
    def trace(variables, batch, key):
        alone = batch.image.shape[0] == 1  # image by image
        colour = jnp.where(alone & (batch.image[:, 0, 0, 0] == 22), jnp.nan, 1)
        walk = TrainTrace(**dict.fromkeys(TrainTrace._fields, colour))
        return walk._replace(features={"image": jnp.ones(1), "backbone": [jnp.ones(1), colour]})

    monkeypatch.setattr(models, "build", lambda *given: tiny.stand_in(*given)._replace(trace_train=trace))
    folder, _ = dumped(tmp_path, tiny.experiment(model=MODEL, batch_size=4), lambda model: model.init(jax.random.key(0)))
    main(["replay", str(folder), "--accumulate", "2"])
    told = capsys.readouterr().out
    assert "step 5, images [100, 101, 102, 103]" in " ".join(told.split())
    term, array = told.strip().splitlines()[-2:]
    assert term == "first term that is not finite: none, all are finite here"
    assert array == "first array of the model's walk that is not: features['backbone'][1] of image id 102"


def test_parts_of_two_processes_make_one_batch(stand_in, tmp_path):
    config = tiny.experiment(model=MODEL, batch_size=4)
    folder, batch = dumped(tmp_path, config, lambda model: model.init(jax.random.key(0)))
    with np.load(folder / "batch_0.npz") as arrays:
        whole = dict(arrays) | {"processes": 2}
    for process, rows in enumerate(([2, 3], [0, 1])):  # in no order
        part = {name: value if name == "processes" else value[rows] for name, value in whole.items()}
        np.savez(folder / f"batch_{process}.npz", **part)
    found = read_dump(folder)
    assert isinstance(found.batch, Batch)
    jax.tree.map(np.testing.assert_array_equal, found.batch, batch)
    assert replay(found).image_ids == [100, 101, 102, 103]
    with pytest.raises(ConfigError, match="4, which 1 device"):
        replay(found, accumulate=3)


def test_what_is_no_dump_is_an_error_with_the_remedy(tmp_path):
    with pytest.raises(CheckpointError, match="not the dump of a step; give a folder step_N under nonfinite/"):
        read_dump(tmp_path)
