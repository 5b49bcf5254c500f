"""COCO 2017 as it is published: three zip files, or what they unpack to."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from maskrcnn_jax.data.coco_json import read_document
from maskrcnn_jax.data.faults import refusing
from maskrcnn_jax.data.prepared.dataset import Dataset, ImageFolder, ImageZip, checked
from maskrcnn_jax.data.source import DataError
from maskrcnn_jax.download import DownloadError, Progress, download

Bar = Callable[[str], AbstractContextManager[Progress]]
"""Gives what hears of the bytes of a download of this name."""

SERVER = "http://images.cocodataset.org"
ANNOTATIONS = "annotations"
SPLITS = ("train2017", "val2017")


class Archive(NamedTuple):
    """A published zip file: its place on the server, and its digest as `download` takes it."""

    place: str
    digest: str


ARCHIVES = {
    "train2017": Archive("zips/train2017.zip", "sha256:69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929"),
    "val2017": Archive("zips/val2017.zip", "sha256:4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05"),
    ANNOTATIONS: Archive(
        "annotations/annotations_trainval2017.zip", "sha256:113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268"
    ),
}
"""By the folder that each unpacks to. Digests: those of tensorflow-datasets' `coco`."""
REMEDY = "delete it, and it is downloaded anew"


@contextmanager
def open_coco2017(root: Path, split: str | None, bar: Bar) -> Iterator[Dataset]:
    """A split of COCO 2017. Images in a zip file are read there.

    Args:
      root: a folder that has the folders annotations, train2017 and val2017, or the published zip files of them; what is needed of these
        and is not there is downloaded to it.
      split: one of `SPLITS`.
      bar: of downloads.

    Raises:
      DataError: no folder, no such split; what `download` raises; a file that is no such zip file, or lacks what it should hold;
        annotations that `read_coco_json` refuses.
    """
    if split not in SPLITS:
        raise DataError(f"coco2017 has the splits {' and '.join(SPLITS)}; name one by --split")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give the one that holds COCO's files, or an empty one to download them to")
    document = _annotations(root, split, bar)
    source = root / ANNOTATIONS / f"instances_{split}.json"
    if (root / split).is_dir():
        yield checked(source, document, ImageFolder(root / split, "unpack the zip file again, or delete the folder"))
        return
    with _open_zip(_downloaded(root, split, bar)) as file:
        yield checked(source, document, ImageZip(file, split))


def _annotations(root: Path, split: str, bar: Bar) -> dict[str, Any]:
    name = f"{ANNOTATIONS}/instances_{split}.json"
    if (root / ANNOTATIONS).is_dir():
        return read_document(root / name, refusing([]))
    path = _downloaded(root, ANNOTATIONS, bar)
    with TemporaryDirectory() as folder, _open_zip(path) as file:
        try:
            extracted = Path(file.extract(name, folder))
        except KeyError:
            raise DataError(f"{path}: holds no {name}; {REMEDY}") from None
        except OSError:
            raise
        except Exception as error:  # of damaged bytes zipfile raises whatever comes
            raise DataError(f"{path}: {name} cannot be read ({error}); {REMEDY}") from None
        return read_document(extracted, refusing([]))


def _downloaded(root: Path, folder: str, bar: Bar) -> Path:
    """The zip file of a folder, in `root`."""
    archive = ARCHIVES[folder]
    path = root / archive.place.rpartition("/")[2]
    if not path.exists():
        with bar(path.name) as progress:
            try:
                download(f"{SERVER}/{archive.place}", path, digest=archive.digest, progress=progress)
            except DownloadError as error:
                raise DataError(str(error)) from error
    return path


@contextmanager
def _open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        file = zipfile.ZipFile(path)
    except OSError:
        raise
    except Exception as error:  # as above
        raise DataError(f"{path}: no whole zip file ({error}); {REMEDY}") from None
    with file:
        yield file
