"""Weights that torchvision and Detectron2 publish, by name, and how they are fetched."""

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.download import DIGEST, DownloadError, Progress, download, has_digest
from maskrcnn_jax.weights.errors import WeightsError
from maskrcnn_jax.weights.files import Arrays, read_weights

TORCHVISION = "https://download.pytorch.org/models"
DETECTRON2 = "https://dl.fbaipublicfiles.com/detectron2"
LONGEST = 100  # characters of a name in the cache


class Published(NamedTuple):
    """Where weights lie, and what their file's digest is.

    digest: a `download.DIGEST`. torchvision publishes the first 8 of the SHA-256,
    Detectron2 the first 6 of the MD5, both in the file's name.
    """

    url: str
    digest: str


EPSILON_ZERO = "sha256:bf2d0c1e"  # the one file whose backbone norms were trained with epsilon 0, as torchvision knows too
PUBLISHED = {
    "torchvision/maskrcnn_resnet50_fpn": Published(f"{TORCHVISION}/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth", EPSILON_ZERO),
    "torchvision/maskrcnn_resnet50_fpn_v2": Published(
        f"{TORCHVISION}/maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth",
        "sha256:73cbd0190fcbe3ba339921fbce2c3a0b6bb9126c9a133c85e43a2a8e060a109e",
    ),
} | {
    f"detectron2/{name}": Published(f"{DETECTRON2}/{folder}/{name}/{run}/model_final_{md5}.pkl", f"md5:{md5}")
    for folder, name, run, md5 in (
        ("COCO-InstanceSegmentation", "mask_rcnn_R_50_FPN_1x", 137260431, "a54504"),
        ("COCO-InstanceSegmentation", "mask_rcnn_R_50_FPN_3x", 137849600, "f10217"),
        ("COCO-InstanceSegmentation", "mask_rcnn_R_101_FPN_3x", 138205316, "a3ec72"),
        ("COCO-InstanceSegmentation", "mask_rcnn_X_101_32x8d_FPN_3x", 139653917, "2d9806"),
        ("new_baselines", "mask_rcnn_R_50_FPN_100ep_LSJ", 42047764, "bb69de"),
        ("new_baselines", "mask_rcnn_R_50_FPN_200ep_LSJ", 42047638, "89a8d3"),
        ("new_baselines", "mask_rcnn_R_50_FPN_400ep_LSJ", 42019571, "14d201"),
        ("new_baselines", "mask_rcnn_R_101_FPN_100ep_LSJ", 42025812, "4f7b58"),
        ("new_baselines", "mask_rcnn_R_101_FPN_200ep_LSJ", 42131867, "0bb7ae"),
        ("new_baselines", "mask_rcnn_R_101_FPN_400ep_LSJ", 42073830, "f96b26"),
    )
}


def locate(source: str, progress: Progress = lambda done, total: None) -> Path:
    """The file of weights that `source` means, downloaded if need be.

    Args:
      source: a name of `PUBLISHED`; a URL, if wanted with its digest behind a `#` (`https://.../model.pth#sha256:bf2d0c1e`); or
        the path of a file.
      progress: called with bytes downloaded and their number, None where the server does not tell.

    Returns:
      The path itself, or a file in `cache_folder()`. A file enters it whole, and verified where there is a digest.

    Raises:
      WeightsError: neither; the server does not have it; it breaks off; or the file has another digest.
    """
    address = _address(source)
    if address is None:
        if Path(source).exists():
            return Path(source)
        raise WeightsError(
            f"{source}: no such file or folder; give a run folder, a file of weights, a URL, or one of {', '.join(PUBLISHED)}"
        )
    url, digest = address
    name = url.partition("?")[0].rpartition("/")[2][-LONGEST:] or "weights"
    file = cache_folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    if digest and not DIGEST.fullmatch(digest):
        raise WeightsError(f"{source}: {digest} is no digest; behind the # stands sha256: and its first hexadecimal digits, or all")
    if not file.is_file():
        try:
            download(url, file, digest=digest, progress=progress)
        except DownloadError as error:
            raise WeightsError(str(error)) from error
    elif not has_digest(file, digest):
        raise WeightsError(f"{file}: is not what {url} should hold, {digest}; delete it, and it is downloaded anew")
    return file


def cache_folder() -> Path:
    """What the environment variable MASKRCNN_CACHE names, or maskrcnn_jax in XDG_CACHE_HOME or ~/.cache.

    Raises:
      RuntimeError: none is named, and the user has no home.
    """
    named = os.environ.get("MASKRCNN_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "maskrcnn_jax"


def read_source(source: str, progress: Progress = lambda done, total: None) -> tuple[Path, Arrays]:
    """The file that `source` means, as in `locate`, and its arrays.

    A download that cannot be read is not kept, unless it has the digest that it should have.

    Raises:
      WeightsError: as `locate` and `read_weights` raise it.
    """
    path = locate(source, progress)
    try:
        return path, read_weights(path)
    except WeightsError as error:
        address = _address(source)
        if address is None:
            raise
        if address.digest:
            raise WeightsError(f"{source}: is whole, by its digest, but cannot be read: {error}") from error
        path.unlink()
        raise WeightsError(f"{source}: what was downloaded cannot be read and is not kept: {error}") from error


def _address(source: str) -> Published | None:
    """Where `source`, as in `locate`, lies, and its digest, empty where none is given; None for a path."""
    if source in PUBLISHED:
        return PUBLISHED[source]
    url, _, digest = source.partition("#")
    return Published(url, digest) if "://" in source else None
