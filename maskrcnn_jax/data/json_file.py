"""Annotation files in JSON."""

import json
import re
from pathlib import Path
from typing import Any

from maskrcnn_jax.data.source import DataError


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
      DataError: the file is missing, is not JSON, has a key twice in an object or text that is no Unicode, or is nested deeper than
        Python follows.
    """
    try:
        content = path.read_bytes()
        text = content.decode(json.detect_encoding(content))  # strictly, unlike json.loads
        document = json.loads(text, object_pairs_hook=_object)
        if re.search(r"\\u[dD][89a-fA-F]", text):
            json.dumps(document, ensure_ascii=False).encode()  # half a surrogate pair can be neither printed nor written
        return document
    except IsADirectoryError:
        raise DataError(
            f"{path}: is a folder; give a JSON file, or, for a folder that `maskrcnn prepare-data` wrote, set --data.kind prepared"
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path}: no such annotation file; check the path of the JSON") from None
    except UnicodeEncodeError as error:
        before = error.object[max(0, error.start - 40) : error.start]
        raise DataError(f"{path}: text that is no Unicode, after {before!r}; write names, also those of files, in UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error}); export or download it again") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has a key twice, of {', '.join(sorted(key for key, _ in pairs)):.200}")
    return found
