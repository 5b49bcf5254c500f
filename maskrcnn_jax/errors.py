"""The base of the package's errors."""


class UserError(Exception):
    """What the user can mend: the message names the file, image id or config field, and says what to do."""
