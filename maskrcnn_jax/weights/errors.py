"""The one error of weights that do not fit."""

from maskrcnn_jax.errors import UserError


class WeightsError(UserError, ValueError):
    """Weights that cannot be read or do not fit the model; the message lists what and says what to do."""
