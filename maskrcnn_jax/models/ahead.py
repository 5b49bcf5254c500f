"""Compiling ahead of time."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from typing import Any

from jax.stages import Compiled


def compile_ahead(jitted: Any, *arguments: Any) -> Compiled:
    """The program of a function from `jax.jit` for arguments of these shapes, arrays or `jax.ShapeDtypeStruct`.

    What compiling freed goes back to the system: glibc keeps it, a gigabyte for ResNet-50. Other C libraries are left alone.
    """
    with _without_collection():
        program = jitted.lower(*arguments).compile()
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    return program


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Python's garbage collector rests: it would look through the million objects of a trace again and again, for a quarter of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
