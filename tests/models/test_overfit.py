from functools import partial

import jax
import numpy as np
import optax
import pytest

from maskrcnn_jax import models
from maskrcnn_jax.ops import ratio_value
from tests.conftest import OPTIMISED
from tests.models import small
from tests.oracles.boxes import iou

STEPS = 300


@pytest.mark.soak
def test_two_images_are_learnt_by_heart():
    """From random weights: losses fall by nine tenths, and inference finds the three objects and their masks."""
    config = small.with_(
        small.CONFIG,
        backbone={"norm": "group_norm"},
        assign={"rpn_samples": 64, "roi_samples": 16},
        pool={"box_size": 4, "mask_size": 7},
        loss={"mask_target": "binary"},  # the loss of soft targets never gets near 0
    )
    model = models.build(config)
    variables = jax.jit(model.init)(jax.random.key(0))
    optimizer = optax.adam(optax.cosine_decay_schedule(2e-3, STEPS))  # ends calmly, however the sums were rounded on the way
    batch = small.batch_of([small.FULL, small.SMALL])

    @partial(jax.jit, compiler_options=OPTIMISED)
    def step(variables, state, key):
        def total(params):
            losses, _ = model.losses({**variables, "params": params}, batch, key)
            return sum(map(ratio_value, losses.values()))

        loss, gradients = jax.value_and_grad(total)(variables["params"])
        updates, state = optimizer.update(gradients, state)
        return {**variables, "params": optax.apply_updates(variables["params"], updates)}, state, loss

    state, losses = optimizer.init(variables["params"]), []
    for i in range(STEPS):
        variables, state, loss = step(variables, state, jax.random.fold_in(jax.random.key(1), i))
        losses.append(loss)
    losses = np.asarray(losses)
    assert losses[-10:].mean() < 0.1 * losses[0]

    found = jax.device_get(jax.jit(model.predict)(variables, batch.image, batch.sizes))
    for i, example in enumerate((small.FULL, small.SMALL)):
        for box, label in zip(example.boxes, example.labels, strict=True):
            hits = [d for d in np.flatnonzero(found.valid[i]) if found.labels[i, d] == label and iou(found.boxes[i, d], box) > 0.75]
            assert len(hits) == 1
            assert found.scores[i, hits[0]] > 0.8
            mask = found.masks[i, hits[0]] > 0.5
            assert mask.mean() == pytest.approx(np.pi / 4, abs=0.12)  # an ellipse in its box
            assert mask[5:9, 5:9].all()
            assert not mask[[0, 0, -1, -1], [0, -1, 0, -1]].any()
