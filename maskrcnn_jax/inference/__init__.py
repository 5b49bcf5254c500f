"""From images to results: `load` a checkpoint, call the `Predictor`."""

from pathlib import Path

from maskrcnn_jax import checkpoint, models
from maskrcnn_jax.inference.predictor import Predictor, as_result, encode_masks

__all__ = ["Predictor", "as_result", "encode_masks", "load"]


def load(path: str | Path, *, batch_size: int = 1) -> Predictor:
    """A checkpoint's model, ready to predict; config and categories come with it.

    Args:
      path: a run folder (its best checkpoint by mask AP), or the folder of one checkpoint.
      batch_size: images in one call of the model.

    Raises:
      CheckpointError: not a checkpoint of this package.
    """
    stored = checkpoint.load(path)
    return Predictor(models.build(stored.config.model), stored.variables, stored.categories, batch_size=batch_size)
