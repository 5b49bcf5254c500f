"""The base of the package's errors, and how their messages list things."""

from collections.abc import Collection, Mapping, Sequence

SHOWN = 8  # of a list in a message


class UserError(Exception):
    """What the user can mend: the message names the file, image id or config field, and says what to do."""


def first_few(items: Sequence[str], separator: str = ", ") -> str:
    """The first items, and how many more there are."""
    more = [f"... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return separator.join([*items[:SHOWN], *more])


def misfits(found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]], left_out: Collection[str] = ()) -> list[str]:
    """What keeps arrays of shapes `found` from being those `wanted`: unexpected, missing and misshaped ones, each a line.

    Args:
      found: shape by name.
      wanted: shape by name.
      left_out: names whose shape may differ.
    """
    unexpected = [f"unexpected {name}" for name in found if name not in wanted]
    missing = [f"missing {name}" for name in wanted if name not in found]
    misshaped = [
        f"{name} is {tuple(found[name])}; the model has {tuple(shape)}"
        for name, shape in wanted.items()
        if name in found and name not in left_out and tuple(found[name]) != tuple(shape)
    ]
    return unexpected + missing + misshaped
