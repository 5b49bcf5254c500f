"""Annotation files in JSON."""

import json
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.source import DataError


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
      DataError: the file is missing, is not JSON, or is nested deeper than Python follows.
    """
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise DataError(f"{path}: no such annotation file; check the path of the JSON") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); export or download it again") from None
