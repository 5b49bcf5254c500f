from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import InputConfig, OptimizerConfig
from maskrcnn_jax.data import canvas as canvases
from maskrcnn_jax.data import make_batch
from maskrcnn_jax.training.compiled import CompiledSteps
from maskrcnn_jax.training.placement import placed, to_devices
from maskrcnn_jax.training.step import averaged_variables, init_state, make_step, split_frozen
from tests import tiny

PLAIN = OptimizerConfig(learning_rate=0.1, warmup_steps=0, weight_decay=0.0)


def batch_of(canvas=(64, 64), count=2):
    source = tiny.Squares(count, canvas)
    return make_batch([source[i] for i in range(count)], canvas, max_objects=4, mask_crop=8)


def start(config):
    model = tiny.stand_in(config.model)
    return model, placed(init_state(model.init(jax.random.key(3)), model, config), model.mesh, config.train)


def one_step(config, batch=None):
    model, state = start(config)
    return state, *jax.jit(make_step(model, config))(state, to_devices(batch or batch_of(), model.mesh))


def test_a_step_by_hand():
    state, after, metrics = one_step(tiny.experiment(optimizer=PLAIN, seed=7))
    layer = jax.device_get(state.params["head"]["layer"])
    target = batch_of().image.mean(axis=(0, 1, 2)) / 255 + np.asarray(jax.random.uniform(jax.random.fold_in(jax.random.key(7), 0), (3,)))
    error = layer["kernel"] + 0.5 * layer["bias"] - target
    assert metrics["loss"] == pytest.approx(5 * np.sum(error**2) / 2, rel=1e-5)
    assert all(metrics[name] * 5 == pytest.approx(metrics["loss"].item()) for name in ("rpn_class", "rpn_box", "class", "box", "mask"))
    assert metrics["grad_norm"] == pytest.approx(np.sqrt(np.sum((5 * error) ** 2 + (2.5 * error) ** 2)), rel=1e-5)
    assert metrics["learning_rate"] == pytest.approx(0.1)
    assert after.step == 1
    np.testing.assert_allclose(after.params["head"]["layer"]["kernel"], layer["kernel"] - 0.1 * 5 * error, rtol=1e-4)
    np.testing.assert_allclose(after.params["head"]["layer"]["bias"], layer["bias"] - 0.1 * 2.5 * error, rtol=1e-4)


def test_every_step_draws_from_its_own_key():
    config = tiny.experiment(optimizer=PLAIN)
    model, state = start(config)
    step = jax.jit(make_step(model, config))
    batch = to_devices(batch_of(), model.mesh)
    first, second = step(state, batch)[1], step(state._replace(step=state.step + 1), batch)[1]
    assert first["loss"] != second["loss"]


def test_frozen_parameters_have_no_optimizer_state_and_do_not_move():
    config = tiny.experiment()
    model, state = start(config)
    trained, frozen = split_frozen(state.params, model, config.train)
    assert list(frozen) == ["backbone/stem/kernel"]
    assert sorted(trained) == ["head/layer/bias", "head/layer/kernel"]
    held = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state.opt_state)]
    assert any("head/layer/kernel" in path for path in held)
    assert not any("backbone" in path for path in held)
    before, after, _ = one_step(tiny.experiment(optimizer=OptimizerConfig(learning_rate=0.1, warmup_steps=0, decay="all")))
    assert np.array_equal(before.params["backbone"]["stem"]["kernel"], after.params["backbone"]["stem"]["kernel"])
    assert not np.array_equal(before.params["head"]["layer"]["kernel"], after.params["head"]["layer"]["kernel"])


def test_objects_beyond_the_capacity_are_counted():
    source = tiny.Squares(2)
    crowded = source[0]._replace(
        masks=np.repeat(source[0].masks, 3, 0), boxes=np.repeat(source[0].boxes, 3, 0), labels=np.ones(3, np.int32), crowd=np.zeros(3, bool)
    )
    batch = make_batch([crowded, source[1]], (64, 64), max_objects=1, mask_crop=8)
    assert one_step(tiny.experiment(), batch)[2]["objects_cut"] == 2


def test_rois_are_those_that_the_losses_are_divided_by():
    config = tiny.experiment()
    model, state = start(config)

    def losses(*arguments):
        found, stats = model.losses(*arguments)
        counts = {"class": jnp.float32(8), "mask": jnp.float32(3)}
        return found | {name: found[name]._replace(denominator=count) for name, count in counts.items()}, stats

    metrics = jax.jit(make_step(model._replace(losses=losses), config))(state, to_devices(batch_of(), model.mesh))[1]
    assert (metrics["rois_sampled"], metrics["rois_positive"]) == (8, 3)


def test_another_learning_rate_leaves_the_model_s_part_alone():
    state, slow, metrics = one_step(tiny.experiment(optimizer=PLAIN))
    _, fast, other = one_step(tiny.experiment(optimizer=OptimizerConfig(learning_rate=0.2, warmup_steps=0, weight_decay=0.0)))
    assert metrics["loss"] == other["loss"]
    assert metrics["grad_norm"] == other["grad_norm"]
    kernel, by_slow, by_fast = (x.params["head"]["layer"]["kernel"] for x in (state, slow, fast))
    np.testing.assert_allclose(by_fast - kernel, 2 * (by_slow - kernel), rtol=1e-4)


def test_one_program_a_canvas():
    config = tiny.experiment()
    model, state = start(config)
    compiled = []
    steps = CompiledSteps(model, config, compiled.append)
    for canvas in ((64, 64), (64, 96), (64, 64), (64, 96), (64, 64)):
        state, metrics = steps(state, to_devices(batch_of(canvas), model.mesh))
        assert np.isfinite(metrics["loss"])
    assert compiled == list(steps.programs) == [(64, 64), (64, 96)]
    assert steps.seconds > 0
    assert state.step == 5


def test_many_canvases_are_a_warning_with_the_canvas(monkeypatch, caplog):
    monkeypatch.setattr(canvases, "MANY_CANVASES", 1)
    config = tiny.experiment(model=replace(tiny.MODEL, input=InputConfig(min_side=64, max_side=96, canvas="multiple")))
    model, state = start(config)
    steps = CompiledSteps(model, config, lambda canvas: None)
    for size in ((64, 64), (64, 96), (64, 64)):
        state, _ = steps(state, to_devices(batch_of(size), model.mesh))
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "compiling the step for images of 64 x 96, canvas 2 of this run; with model.input.canvas fixed there are few"
    ]


def bad_batch():
    batch = batch_of()
    return batch._replace(image=np.full(batch.image.shape, np.nan, np.float32))


def assert_same(a, b):
    jax.tree.map(np.testing.assert_array_equal, jax.tree.map(jax.random.key_data, a.key), jax.tree.map(jax.random.key_data, b.key))
    jax.tree.map(np.testing.assert_array_equal, a._replace(key=None), b._replace(key=None))


def test_a_step_that_is_not_finite_changes_nothing_but_the_counts():
    config = tiny.experiment(ema=0.9)
    model, state = start(config)
    step = jax.jit(make_step(model, config))
    good, bad = (to_devices(batch, model.mesh) for batch in (batch_of(), bad_batch()))
    state, _ = step(state, good)
    after, metrics = step(state, bad)
    assert np.isnan(metrics["loss"])
    assert metrics["nonfinite"] == 1
    assert_same(after, state._replace(step=state.step + 1, nonfinite=state.nonfinite + 1))
    again, metrics = step(after, good)
    assert metrics["nonfinite"] == again.nonfinite == 0
    assert not np.array_equal(again.params["head"]["layer"]["kernel"], state.params["head"]["layer"]["kernel"])


def test_after_so_many_in_a_row_nothing_moves_any_more():
    config = tiny.experiment(max_nonfinite=2)
    model, state = start(config)
    step = jax.jit(make_step(model, config))
    good, bad = (to_devices(batch, model.mesh) for batch in (batch_of(), bad_batch()))
    for _ in range(2):
        state, _ = step(state, bad)
    halted, metrics = step(state, good)
    assert metrics["nonfinite"] == 2
    assert_same(halted, state)


def test_frozen_by_pattern_as_by_stage():
    config = tiny.experiment(freeze=("head/*/bias",), optimizer=OptimizerConfig(learning_rate=0.1, warmup_steps=0, decay="all"))
    before, after, _ = one_step(config)
    model, _ = start(config)
    assert sorted(split_frozen(before.params, model, config.train)[0]) == ["head/layer/kernel"]
    assert np.array_equal(before.params["head"]["layer"]["bias"], after.params["head"]["layer"]["bias"])
    assert not np.array_equal(before.params["head"]["layer"]["kernel"], after.params["head"]["layer"]["kernel"])


def test_the_average_follows_the_trained_parameters_and_is_what_is_evaluated():
    before, after, _ = one_step(tiny.experiment(ema=0.9, optimizer=PLAIN))
    kernel, moved = (state.params["head"]["layer"]["kernel"] for state in (before, after))
    np.testing.assert_allclose(after.average["head/layer/kernel"], 0.1 * kernel + 0.9 * moved, rtol=1e-6)  # the decay of step 0 is 1/10
    assert sorted(after.average) == ["head/layer/bias", "head/layer/kernel"]
    evaluated = averaged_variables(after)["params"]
    assert np.array_equal(evaluated["head"]["layer"]["kernel"], after.average["head/layer/kernel"])
    assert np.array_equal(evaluated["backbone"]["stem"]["kernel"], after.params["backbone"]["stem"]["kernel"])


@pytest.mark.parametrize("parts", [2, 4])
def test_a_batch_in_parts_has_the_losses_and_gradients_of_the_whole(parts):
    """Of images that count differently. Float32: sums of four in another order differ by some 1e-7 of what they sum."""
    results = []
    descent = replace(PLAIN, learning_rate=1.0)  # so that a step takes the gradient off the parameters
    for accumulate in (1, parts):
        config = tiny.experiment(optimizer=descent, batch_size=4, accumulate=accumulate)
        model = tiny.stand_in(config.model)._replace(losses=tiny.per_image_losses)
        state = placed(init_state(model.init(jax.random.key(3)), model, config), model.mesh, config.train)
        after, metrics = jax.jit(make_step(model, config))(state, to_devices(batch_of(count=4), model.mesh))
        gradients = jax.tree.map(lambda before, after: before - after, state.params["head"], after.params["head"])
        results.append((metrics, gradients))
    assert results[0][0]["loss"] > 0.1
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6), *results)


def test_images_that_others_stand_in_for_are_counted():
    batch = batch_of()._replace(stand_ins=np.array([2, 1], np.int32))
    assert one_step(tiny.experiment(), batch)[2]["images_unreadable"] == 3
