import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskrcnn_jax.config import BoxHeadConfig, MaskHeadConfig, RpnHeadConfig
from maskrcnn_jax.nn import BoxHead, MaskHead, RpnHead


def filled(module, key, *inputs, **layers):
    """Variables whose kernels and biases are zero but for `layers`, name=(kernel, bias)."""
    params = jax.tree.map(lambda x: jnp.zeros(x.shape), jax.eval_shape(module.init, key, *inputs)["params"])
    for name, (kernel, bias) in layers.items():
        params[name] = {
            "kernel": jnp.broadcast_to(jnp.asarray(kernel, jnp.float32), params[name]["kernel"].shape),
            "bias": jnp.broadcast_to(jnp.asarray(bias, jnp.float32), params[name]["bias"].shape),
        }
    return {"params": params}


def test_rpn_order_is_row_column_anchor_on_every_level(key):
    pyramid = [jnp.asarray([[[[1.0], [2.0], [3.0]], [[4.0], [5.0], [6.0]]]]), jnp.full((1, 1, 1, 1), 7.0)]
    module = RpnHead(RpnHeadConfig(), 2)
    copy = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    variables = filled(module, key, pyramid, conv0=(copy, 0), objectness=([[1, 10]], [0, 0]), deltas=([[*range(8)]], 0.5))
    objectness, deltas = module.apply(variables, pyramid)
    cells = [[1, 2, 3, 4, 5, 6], [7]]
    assert [x[0].tolist() for x in objectness] == [[v for x in level for v in (x, 10 * x)] for level in cells]
    expected = [[[x * (4 * a + j) + 0.5 for j in range(4)] for x in level for a in range(2)] for level in cells]
    assert [x[0].tolist() for x in deltas] == expected


def test_rpn_has_as_many_convolutions_as_asked(key):
    params = jax.eval_shape(RpnHead(RpnHeadConfig(convs=2), 3).init, key, [jnp.zeros((1, 4, 4, 6)), jnp.zeros((1, 2, 2, 6))])["params"]
    assert {name: layer["kernel"].shape for name, layer in params.items()} == {
        "conv0": (3, 3, 6, 6),
        "conv1": (3, 3, 6, 6),
        "objectness": (6, 3),
        "deltas": (6, 12),
    }


def test_box_head_flattens_row_column_channel(key):
    features = jnp.arange(12.0).reshape(1, 2, 2, 3)
    module = BoxHead(BoxHeadConfig(fcs=1, fc_width=12), 2)
    variables = filled(module, key, features, fc0=(jnp.eye(12), 0), classes=(np.stack([np.arange(12) == 5, np.arange(12) == 7], 1), 0))
    logits, _ = module.apply(variables, features)
    assert logits.tolist() == [[features[0, 0, 1, 2], features[0, 1, 0, 1]]] == [[5, 7]]


@pytest.mark.parametrize(("class_agnostic", "rows"), [(False, 3), (True, 1)])
def test_box_deltas_are_in_order_class_component(key, class_agnostic, rows):
    module = BoxHead(BoxHeadConfig(fc_width=8, class_agnostic=class_agnostic), 3)
    features = jnp.zeros((5, 2, 2, 4))
    logits, deltas = module.apply(filled(module, key, features, deltas=(0, np.arange(4 * rows))), features)
    assert logits.shape == (5, 3)
    assert deltas.tolist() == [[[4 * c + j for j in range(4)] for c in range(rows)]] * 5


def test_box_head_with_convolutions(key):
    config = BoxHeadConfig(convs=2, conv_channels=8, norm="group_norm", fcs=1, fc_width=16)
    params = jax.eval_shape(BoxHead(config, 3).init, key, jnp.zeros((1, 2, 2, 4)))["params"]
    assert params.keys() == {"conv0", "conv1", "fc0", "classes", "deltas"}
    assert params["conv0"].keys() == params["conv1"].keys() == {"conv", "norm"}
    assert params["fc0"]["kernel"].shape == (2 * 2 * 8, 16)


@pytest.mark.parametrize(("class_agnostic", "maps"), [(False, 3), (True, 1)])
def test_mask_head_doubles_the_resolution(key, class_agnostic, maps):
    module = MaskHead(MaskHeadConfig(convs=2, channels=8, class_agnostic=class_agnostic), 3)
    logits = jax.eval_shape(lambda key, x: module.init_with_output(key, x)[0], key, jnp.zeros((5, 6, 6, 4)))
    assert logits.shape == (5, 12, 12, maps)


def test_mask_head_keeps_every_cell_in_its_place(key):
    """One cell lit, a deconvolution that numbers its four children."""
    module = MaskHead(MaskHeadConfig(convs=0, channels=1, class_agnostic=True), 2)
    features = jnp.zeros((1, 2, 2, 1)).at[0, 1, 0, 0].set(1.0)
    kernel = jnp.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    logits = module.apply(filled(module, key, features, deconv=(kernel, 0), masks=(1, 0)), features)
    assert logits[0, :, :, 0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 2, 0, 0], [3, 4, 0, 0]]


def test_logits_of_bfloat16_features_are_float32_sums_with_a_float32_bias(key):
    """257 is no bfloat16, nor is 1 + 2^-10: neither the sum nor the bias is rounded; kernels are."""
    features = jnp.ones((1, 1, 1, 257), jnp.bfloat16)
    module = BoxHead(BoxHeadConfig(convs=0, fcs=1, fc_width=257), 2)
    layers = {"fc0": (jnp.eye(257), 0), "classes": (1, 1 + 2**-10), "deltas": (1 + 2**-10, 0)}
    logits, deltas = module.apply(filled(module, key, features, **layers), features)
    assert logits.dtype == deltas.dtype == jnp.float32
    assert logits.tolist() == [[258 + 2**-10] * 2]
    assert deltas.tolist() == [[[257] * 4] * 2]
