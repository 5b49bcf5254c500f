"""A config of real data around the stand-in for the model: a process starts, trains and ends within seconds.

$STEPS, $BATCH, $CHECKPOINT_EVERY and $EVALUATE_EVERY change it.
"""

import os
from dataclasses import replace

from maskrcnn_jax import models
from tests import tiny


def get_config():
    models.build = tiny.stand_in
    steps, batch, every = (int(os.environ.get(name, default)) for name, default in (("STEPS", 6), ("BATCH", 2), ("CHECKPOINT_EVERY", 2)))
    config = tiny.experiment(steps=steps, batch_size=batch, checkpoint_every=every, log_every=1)
    evaluate = os.environ.get("EVALUATE_EVERY")
    return replace(config, eval=replace(config.eval, every=int(evaluate) if evaluate else None, pictures=0))
