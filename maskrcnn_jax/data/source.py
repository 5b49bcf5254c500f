"""What a dataset is to the rest of the package: a sequence of examples, and the one error for bad data."""

import hashlib
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.errors import UserError, first_few
from maskrcnn_jax.structs import Category, Example


class DataError(UserError, ValueError):
    """Data that cannot be used; the message names the file, image and annotation where there is one, and says what to do."""


@runtime_checkable
class Source(Protocol):
    """A dataset: any class with these four members is one.

    A source may also have `image_ids`, int64[n]: the ids of its examples, where they are known unread; `object_counts`, int[n]:
    objects an image that are not crowds, which `nonempty_indices` reads; `labels_present`, int[m, 2]: an image's index and the
    label of a class that it has such an object of, each pair once, which repeat-factor sampling reads; `augment`, see
    `Augmented`; `federated`, see `CocoSource`; and `locate`, see `part_of`.

    Sources are read by several threads or processes at once: `__getitem__` must be a pure function of `i`, and the source
    must pickle where `DataConfig.workers` is above 0.
    """

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes; label k of an example is `categories[k - 1]`."""
        ...

    @property
    def sizes(self) -> Int[np.ndarray, "n 2"]:
        """(height, width) of each example's image as `__getitem__` returns it, pixels."""
        ...

    def __len__(self) -> int:
        """Number of examples."""
        ...

    def __getitem__(self, i: int) -> Example:
        """Example `i`, 0 <= i < len(self).

        Raises:
          DataError: the example cannot be read.
        """
        ...


def source_name(source: Source) -> str:
    """What messages call a dataset: its annotation file or files, the folder that it was prepared to, or its class."""
    parts = [source_name(part) for part in getattr(source, "sources", ())]
    named = getattr(source, "annotation_file", None) or getattr(source, "prepared_folder", None) or type(source).__name__
    return first_few(parts) if parts else str(named)


def part_of(source: Source, index: int) -> tuple[Source, int]:
    """The dataset that image `index` is of, where several are mixed or one is augmented, and its index there."""
    locate = getattr(source, "locate", None)
    return (source, index) if locate is None else part_of(*locate(index))


def image_name(source: Source, index: int, image_id: int | None = None) -> str:
    """What messages call an image: its dataset, and its id where that has `image_ids`, or `image_id` is known; its index otherwise."""
    part, place = part_of(source, index)
    ids = getattr(part, "image_ids", None)
    known = image_id if ids is None else ids[place]
    return f"{source_name(part)}: " + (f"index {place} of the source" if known is None else f"image id {known}")


def nonempty_indices(source: Source) -> Int[np.ndarray, "u"]:
    """Indices of the images with at least one object that is not a crowd, ascending; all where the source does not count.

    Raises:
      DataError: no image has an object.
    """
    counts = getattr(source, "object_counts", None)
    if counts is None:
        return np.arange(len(source))
    indices = np.flatnonzero(np.asarray(counts) > 0)
    if not len(indices):
        raise DataError(
            f"{source_name(source)}: none of its {len(source)} images has an object; annotate some, or set data.drop_empty to False"
        )
    return indices


def fingerprint(source: Source) -> str:
    """What a manifest records of a dataset: 64 hex digits that change when the data does.

    SHA-256 over length, categories and sizes, and over the bytes of `source.annotation_file` where the source has one, its
    `annotation_digest` where it was prepared, the fingerprints of `source.sources` where it is mixed of them, and the first example
    otherwise. Image files are not read.

    Raises:
      DataError: a source without annotation file cannot read its first example.
    """
    digest = hashlib.sha256(f"{len(source)} {[(c.id, c.name) for c in source.categories]}".encode())
    digest.update(np.ascontiguousarray(source.sizes, "<i8").tobytes())
    path = getattr(source, "annotation_file", None)
    if path is not None:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    elif hasattr(source, "annotation_digest"):
        digest.update(source.annotation_digest.encode())
    elif hasattr(source, "sources"):
        digest.update(f"{getattr(source, 'weights', None)} {[fingerprint(part) for part in source.sources]}".encode())
    elif len(source):
        for field in source[0]:
            digest.update(np.ascontiguousarray(field).tobytes())
    return digest.hexdigest()
