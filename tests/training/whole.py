"""The tiny, but whole, model; a batch of four. $BATCH changes it."""

import os

from tests import tiny


def get_config():
    return tiny.experiment(batch_size=int(os.environ.get("BATCH", "4")))
