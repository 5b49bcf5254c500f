"""The one error of a configuration, and the check that raises it."""

from maskrcnn_jax.errors import UserError


class ConfigError(UserError, ValueError):
    """A configuration value that cannot be used; the message names the field and says what to do."""


def require(condition: bool, config: object, name: str, message: str) -> None:
    """Raise `ConfigError` naming field `name` of `config` unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{type(config).__name__}.{name} {message}; got {getattr(config, name)!r}")


def fits_norm(channels: int, norm: str) -> bool:
    """Whether a layer of so many channels can be normalised: group_norm has groups of 8 channels, or 32 groups above 256."""
    return norm != "group_norm" or (channels >= 8 and channels % (8 if channels <= 256 else 32) == 0)
