"""The one error of weights that do not fit."""


class WeightsError(ValueError):
    """Weights that cannot be read or do not fit the model; the message lists what and says what to do."""
