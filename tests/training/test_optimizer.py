import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from maskrcnn_jax.config import ConfigError, OptimizerConfig, TrainConfig
from maskrcnn_jax.training.optimizer import check_patterns, learning_rate, make_optimizer, moving_average

PARAMS = {"a/kernel": np.array([1.0, -2.0], np.float32), "a/bias": np.array([3.0], np.float32)}
GRADIENTS = [
    {"a/kernel": np.array([0.5, 0.25], np.float32), "a/bias": np.array([-1.0], np.float32)},
    {"a/kernel": np.array([-0.5, 1.0], np.float32), "a/bias": np.array([0.5], np.float32)},
    {"a/kernel": np.array([0.125, 0.0], np.float32), "a/bias": np.array([2.0], np.float32)},
]
TEN = TrainConfig(steps=10)


def plain(**fields):
    """No warm-up: the learning rate is 0.1 at every step."""
    return OptimizerConfig(**{"learning_rate": 0.1, "warmup_steps": 0, "weight_decay": 0.0} | fields)


def walk(config, gradients=GRADIENTS):
    optimizer = make_optimizer(config)
    params, state = PARAMS, optimizer.init(PARAMS)
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, params, rate=jnp.float32(0.1), norm=optax.tree.norm(gradient))
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.02), (1, 0.04), (2, 0.06), (3, 0.08), (4, 0.1), (5, 0.1), (6, 0.05), (7, 0.05), (8, 0.025), (1000, 0.025)],
)
def test_linear_warm_up_then_drops_at_the_milestones(step, expected):
    config = OptimizerConfig(learning_rate=0.1, warmup_steps=4, warmup_factor=0.2, milestones=(6, 8), gamma=0.5)
    assert learning_rate(config, TEN)(jnp.int32(step)) == pytest.approx(expected)


@pytest.mark.parametrize(("step", "expected"), [(0, 0.1), (2, 0.1 * 0.9045085), (5, 0.05), (10, 0.0), (11, 0.0)])
def test_cosine_falls_to_zero_at_the_last_step(step, expected):
    config = OptimizerConfig(learning_rate=0.1, schedule="cosine", warmup_steps=0)
    assert learning_rate(config, TEN)(jnp.int32(step)) == pytest.approx(expected, abs=1e-8)


def test_warm_up_and_cosine_multiply():
    config = OptimizerConfig(learning_rate=0.1, schedule="cosine", warmup_steps=4, warmup_factor=0.5)
    assert learning_rate(config, TEN)(jnp.int32(2)) == pytest.approx(0.1 * 0.75 * 0.9045085)


@pytest.mark.parametrize(("decay", "bias_decay"), [("kernels", 0.0), ("all", 0.5)])
def test_sgd_is_momentum_over_gradient_plus_decay(decay, bias_decay):
    found = walk(plain(momentum=0.9, weight_decay=0.5, decay=decay))
    for name, rate in {"a/kernel": 0.5, "a/bias": bias_decay}.items():
        value, velocity = PARAMS[name].astype(np.float64), 0.0
        for gradient in GRADIENTS:
            velocity = 0.9 * velocity + gradient[name] + rate * value
            value = value - 0.1 * velocity
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


@pytest.mark.parametrize(("decay", "names"), [("all", "kbns"), ("not_norms", "kb"), ("kernels", "k")])
def test_what_decays(decay, names):
    """not_norms is Detectron2's: biases decay, scales and biases of norms do not."""
    paths = {"k": "fpn/lateral2/conv/kernel", "b": "fpn/lateral2/conv/bias", "n": "fpn/lateral2/norm/bias", "s": "fpn/lateral2/norm/scale"}
    params = {path: np.ones(1, np.float32) for path in paths.values()}
    optimizer = make_optimizer(plain(weight_decay=0.5, decay=decay))
    zeros = jax.tree.map(np.zeros_like, params)
    updates, _ = optimizer.update(zeros, optimizer.init(params), params, rate=jnp.float32(0.1), norm=jnp.float32(0))
    assert {name for name, path in paths.items() if updates[path][0] != 0} == set(names)


def test_adamw_is_adam_with_decoupled_decay():
    found = walk(plain(kind="adamw", momentum=0.8, second_moment=0.9, weight_decay=0.5))
    for name, rate in {"a/kernel": 0.5, "a/bias": 0.0}.items():
        value, first, second = PARAMS[name].astype(np.float64), 0.0, 0.0
        for t, gradient in enumerate(GRADIENTS, 1):
            first = 0.8 * first + 0.2 * gradient[name]
            second = 0.9 * second + 0.1 * gradient[name].astype(np.float64) ** 2
            direction = first / (1 - 0.8**t) / (np.sqrt(second / (1 - 0.9**t)) + 1e-8)
            value = value - 0.1 * (direction + rate * value)
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


@pytest.mark.parametrize(("clip_norm", "factor"), [(2.5, 0.5), (10.0, 1.0), (None, 1.0)])
def test_gradients_are_clipped_by_their_global_norm(clip_norm, factor):
    gradient = {"a/kernel": np.array([3.0, 0.0], np.float32), "a/bias": np.array([4.0], np.float32)}
    found = walk(plain(clip_norm=clip_norm), [gradient])
    moved = jax.tree.map(lambda new, old: new - old, found, PARAMS)
    np.testing.assert_allclose(moved["a/kernel"], [-0.3 * factor, 0], rtol=1e-5)
    np.testing.assert_allclose(moved["a/bias"], [-0.4 * factor], rtol=1e-5)


def test_decay_comes_after_clipping():
    nothing = jax.tree.map(np.zeros_like, PARAMS)
    found = walk(plain(weight_decay=0.5, clip_norm=1e-6), [nothing])
    np.testing.assert_allclose(found["a/kernel"], PARAMS["a/kernel"] * (1 - 0.1 * 0.5), rtol=1e-6)


def test_the_rate_is_scaled_to_the_batch():
    config = plain(reference_batch=16)
    assert learning_rate(config, TrainConfig(batch_size=4))(jnp.int32(0)) == pytest.approx(0.025)
    assert learning_rate(config, TrainConfig(batch_size=64))(jnp.int32(0)) == pytest.approx(0.4)


def test_layers_have_rates_of_their_own_the_first_pattern_counts():
    found = walk(plain(momentum=0.0, layer_rates=("a/bias=0.5", "a/*=0.25")), GRADIENTS[:1])
    np.testing.assert_allclose(found["a/kernel"], PARAMS["a/kernel"] - 0.025 * GRADIENTS[0]["a/kernel"], rtol=1e-6)
    np.testing.assert_allclose(found["a/bias"], PARAMS["a/bias"] - 0.05 * GRADIENTS[0]["a/bias"], rtol=1e-6)


@pytest.mark.parametrize("rate", ["backbone/*", "backbone/*=", "backbone/*=fast", "backbone/*=0", "backbone/*=-1"])
def test_a_layer_rate_that_is_none_is_an_error(rate):
    with pytest.raises(ConfigError, match=r'OptimizerConfig.layer_rates must read like "backbone/\*=0.1"'):
        plain(layer_rates=(rate,))


PATHS = ["fpn/inner1/kernel", "fpn/inner1/bias", "box_head/fc1/kernel"]


@pytest.mark.parametrize(
    ("rates", "freeze", "says"),
    [
        (("neck/*=0.1",), (), ("optimizer.layer_rates: 'neck/*'", "begin with box_head/fc1, fpn/inner1")),
        ((), ("fpn/outer*",), ("train.freeze: 'fpn/outer*'", "begin with fpn/inner1")),
        ((), ("fpn/*", "*"), ("train.freeze leaves no parameter",)),
    ],
)
def test_patterns_that_match_nothing_or_everything_are_errors(rates, freeze, says):
    with pytest.raises(ConfigError) as error:
        check_patterns(PATHS, plain(layer_rates=rates), TrainConfig(freeze=freeze))
    for word in says:
        assert word in str(error.value)


def test_patterns_that_match_pass():
    check_patterns(PATHS, plain(layer_rates=("*/bias=2",)), TrainConfig(freeze=("fpn/*",)))


def test_the_moving_average_by_hand():
    average = {"a": jnp.array([0.0])}
    for step, value in enumerate((1.0, 2.0, 4.0)):
        average = moving_average(average, {"a": jnp.array([value])}, jnp.int32(step), 0.2)
    # decays min(0.2, 1/10), min(0.2, 2/11), 0.2: 0.9, then 0.9 * 2/11 + 2 * 9/11, then 0.2 of that + 0.8 * 4
    assert average["a"][0] == pytest.approx(0.2 * (0.9 * 2 / 11 + 2 * 9 / 11) + 0.8 * 4, rel=1e-6)
