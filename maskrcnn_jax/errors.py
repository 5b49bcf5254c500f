"""The base of the package's errors, and how their messages list things."""

from collections.abc import Sequence

SHOWN = 8  # of a list in a message


class UserError(Exception):
    """What the user can mend: the message names the file, image id or config field, and says what to do."""


def first_few(items: Sequence[str], separator: str = ", ") -> str:
    """The first items, and how many more there are."""
    more = [f"... and {len(items) - SHOWN} more"] if len(items) > SHOWN else []
    return separator.join([*items[:SHOWN], *more])
