"""A config of real data around the stand-in for the model: a process starts, trains and ends within seconds.

$STEPS, $BATCH, $CHECKPOINT_EVERY and $EVALUATE_EVERY change it. The second of several processes cannot read picture $TORN.
"""

import os
from dataclasses import replace

import jax

from maskrcnn_jax import models
from maskrcnn_jax.data import DataError, ShapesSource
from tests import tiny


def read(source, i, original=ShapesSource.__getitem__):
    if jax.process_index() == 1 and str(i) == os.environ["TORN"] and len(source) > 3:
        raise DataError(f"image id {i}: torn; mend it")
    return original(source, i)


def get_config():
    if "TORN" in os.environ:
        ShapesSource.__getitem__ = read
    models.build = tiny.stand_in
    steps, batch, every = (int(os.environ.get(name, default)) for name, default in (("STEPS", 6), ("BATCH", 2), ("CHECKPOINT_EVERY", 2)))
    config = tiny.experiment(steps=steps, batch_size=batch, checkpoint_every=every, log_every=1)
    evaluate = os.environ.get("EVALUATE_EVERY")
    return replace(config, eval=replace(config.eval, every=int(evaluate) if evaluate else None, pictures=0))
