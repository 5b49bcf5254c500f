"""Configurations to plain JSON data and back."""

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from maskrcnn_jax.config.check import ConfigError

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration dataclass as nested dicts, lists and scalars that JSON can hold."""
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config)}


def from_dict(cls: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """Build configuration `cls` from nested plain data, as `to_dict` or JSON gives it.

    Args:
      cls: a configuration dataclass.
      values: field name -> value; missing fields take their default.
      where: dotted prefix of field names in errors.

    Raises:
      ConfigError: an unknown field, or a value of another type than the field's.
    """
    hints = get_type_hints(cls)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(f"{cls.__name__} has no field {where}{unknown[0]}; its fields are {', '.join(hints)}")
    return cls(**{name: _typed(hints[name], value, where + name) for name, value in values.items()})


def differing(ours: Any, theirs: Any, where: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted name -> the two values, as `to_dict` gives them, of each field in which two configurations of one class differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for f in dataclasses.fields(ours):
        one, other = getattr(ours, f.name), getattr(theirs, f.name)
        if dataclasses.is_dataclass(one):
            found |= differing(one, other, f"{where}{f.name}.")
        elif one != other:
            found[where + f.name] = _plain(one), _plain(other)
    return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _typed(hint: Any, value: Any, name: str) -> Any:
    """`value` as type `hint`, or a ConfigError that names the field."""
    origin, args = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_dict(hint, value, name + ".")  # type: ignore[arg-type]
    if origin is Literal and any(type(value) is type(a) and value == a for a in args):
        return value
    if origin in (Union, types.UnionType):
        return None if value is None else _typed(next(a for a in args if a is not type(None)), value, name)
    if origin is tuple and isinstance(value, (list, tuple)):
        items = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(items) == len(value):
            return tuple(_typed(item, v, name) for item, v in zip(items, value, strict=True))
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise ConfigError(f"{name} must be {_name(hint)}; got {value!r}")


def _name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
