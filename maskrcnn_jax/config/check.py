"""The one error of a configuration, and the check that raises it."""

from maskrcnn_jax.errors import UserError


class ConfigError(UserError, ValueError):
    """A configuration value that cannot be used; the message names the field and says what to do."""


def require(condition: bool, config: object, name: str, message: str) -> None:
    """Raise `ConfigError` naming field `name` of `config` unless `condition` holds."""
    if not condition:
        raise ConfigError(f"{type(config).__name__}.{name} {message}; got {getattr(config, name)!r}")
