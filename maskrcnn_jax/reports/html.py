"""Pages that need nothing else: no network, no file beside them."""

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps

_QUALITY = 80

_environment = Environment(
    loader=PackageLoader("maskrcnn_jax.reports"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """The page of a file of the folder templates, each of which extends base.html there."""
    return _environment.get_template(template).render(**values)


def write(path: Path, page: str) -> None:
    """Write a page; what no encoding has, bytes of a file name that are no text, is written as its code."""
    path.write_bytes(page.encode("utf-8", "backslashreplace"))


def picture_uri(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    """An RGB picture as the `src` of an `img`, a JPEG."""
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"


def embedded(value: Any) -> str:
    """`value` as JSON for a `script` element, whose end no text in it can be taken for; not escaped again."""
    return htmlsafe_json_dumps(value, separators=(",", ":"))
