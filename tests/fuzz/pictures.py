"""Image files of every kind that users have, and some that nobody should: all 20 x 30 (height x width) but for the bombs."""

import io
import zlib
from struct import pack

import cv2
import numpy as np
from PIL import Image

from tests.fuzz.edits import BOMB

HEIGHT, WIDTH = 20, 30
_SIDE = 12_000  # of a bomb: fewer pixels than Pillow refuses, 430 MB as RGB


def _encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def _array_file(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def _chunk(name: bytes, body: bytes) -> bytes:
    return pack(">I", len(body)) + name + body + pack(">I", zlib.crc32(name + body))


def _bomb() -> bytes:
    """A black and white PNG of 18 kB."""
    rows = zlib.compress(bytes((_SIDE // 8 + 1) * _SIDE), 9)
    header = pack(">IIBBBBB", _SIDE, _SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _turned(orientation: int, mangled: bytes = b"") -> bytes:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E], exif[0x011A] = orientation, "a description of the image", (72, 1)
    return exif.tobytes() + mangled


def make_pictures() -> dict[str, bytes]:
    """Bytes of each by a name."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    deep = rng.integers(0, 2**16, (HEIGHT, WIDTH, 3), np.uint16)
    colours = Image.fromarray(rgb)
    modes = {mode: colours.convert(mode) for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F")}
    made = {f"{mode}.png": _encoded(modes[mode], "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    made |= {f"{mode}.tiff": _encoded(modes[mode], "TIFF") for mode in modes}
    made |= {f"{mode}.jpg": _encoded(modes[mode], "JPEG") for mode in ("L", "CMYK", "YCbCr")}
    made |= {
        f"a.{kind}": _encoded(colours, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "TGA", "PCX", "SGI", "DDS")
    }
    made |= {f"coded.{kind}": _encoded(colours, "TIFF", compression=kind) for kind in ("tiff_lzw", "jpeg", "tiff_deflate", "packbits")}
    made["clear.png"] = _encoded(modes["P"], "PNG", transparency=bytes(range(200)))
    made["one clear.png"] = _encoded(modes["P"], "PNG", transparency=3)
    made["clear.gif"] = _encoded(modes["P"], "GIF", transparency=3)
    made["grey 16.png"] = _encoded(Image.fromarray(deep[..., 0]), "PNG")
    made["grey 16.tiff"] = _encoded(Image.fromarray(deep[..., 0]), "TIFF")
    made["pages.tiff"] = _encoded(modes["L"], "TIFF", save_all=True, append_images=[modes["L"]] * 2)
    made["colours 16.png"] = cv2.imencode(".png", deep)[1].tobytes()
    made["colours 16.tiff"] = cv2.imencode(".tiff", deep)[1].tobytes()
    made |= {f"turned.{kind}": _encoded(colours, kind, exif=_turned(6)) for kind in ("PNG", "JPEG", "TIFF", "WEBP")}
    made["turned to the other size.jpg"] = _encoded(colours.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=_turned(6))
    made["orientation 77.jpg"] = _encoded(colours, "JPEG", exif=_turned(77))
    made["mangled.jpg"] = _encoded(colours, "JPEG", exif=_turned(6)[:30] + b"\xff" * 30)
    made["mangled.png"] = _encoded(colours, "PNG", exif=_turned(6)[:30] + b"\xff" * 30)
    made["other size.png"] = _encoded(colours.resize((31, 20)), "PNG")
    made[BOMB] = _bomb()
    made["empty"] = b""
    made["array.npy"] = _array_file(rgb)
    made["deep.npy"] = _array_file(deep)
    made["fortran.npy"] = _array_file(np.asfortranarray(rgb))
    made["big endian.npy"] = _array_file(deep.astype(">u2"))
    made["numbers.npy"] = _array_file(rgb.astype(np.float64))
    made["objects.npy"] = _array_file(np.array([[{}, []]], object))
    made["labels.png"] = _encoded(Image.fromarray((np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) // 99).astype(np.uint8)), "PNG")
    made["negative.tiff"] = _encoded(Image.fromarray(np.full((HEIGHT, WIDTH), -5, np.int32)), "TIFF")
    return made
