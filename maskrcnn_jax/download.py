"""Files from the network: there whole and, where their digest is known, verified, or not at all."""

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from maskrcnn_jax.errors import UserError

CHUNK = 1 << 20  # bytes
TIMEOUT = 60  # seconds without an answer
BUSY = 429  # HTTP: too many requests
DIGEST = re.compile("(sha256|md5):[0-9a-f]+")
"""Algorithm:hexadecimal, which may be the first digits only."""

Progress = Callable[[int, int | None], None]
"""Is called with what is done, and what there is to do, None where that is not known."""


class DownloadError(UserError):
    """A file that cannot be had; the message names its address and says what to do."""


def download(url: str, file: Path, *, digest: str = "", progress: Progress = lambda done, total: None) -> None:
    """Download `url` to `file`, whose folder is made if missing.

    Args:
      url: the address.
      file: the file to write.
      digest: what the file's must begin with, a `DIGEST`, or empty.
      progress: hears of bytes.

    Raises:
      DownloadError: no address; the server does not answer, has no such file, or breaks off; another digest.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=file.parent) as folder:
            _fetch(url, digest, Path(folder) / file.name, progress).rename(file)
    except urllib.error.HTTPError as error:
        error.close()
        remedy = "try again later" if error.code >= 500 or error.code == BUSY else "correct the address"
        raise DownloadError(f"{url}: the server answers {error.code} {error.reason}; {remedy}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DownloadError(f"{url}: cannot be downloaded ({error}); download it by other means and give the file's path") from error


def has_digest(path: Path, digest: str) -> bool:
    """Whether the digest of the file begins with `digest`; True for an empty one."""
    if not digest:
        return True
    algorithm, digits = digest.split(":")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest().startswith(digits)


def _fetch(url: str, digest: str, part: Path, progress: Progress) -> Path:
    """Download to the file `part` and verify it."""
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, part.open("wb") as out:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        done = 0
        while chunk := response.read(CHUNK):
            out.write(chunk)
            done += len(chunk)
            progress(done, total)
    if total is not None and done != total:
        raise DownloadError(f"{url}: broke off after {done} of {total} bytes; try again")
    if not has_digest(part, digest):
        raise DownloadError(f"{url}: what came is not the file with digest {digest}, and is not kept; try again, or get it elsewhere")
    return part
