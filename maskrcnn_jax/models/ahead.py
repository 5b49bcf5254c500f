"""Compiling ahead of time."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from functools import cache
from typing import Any

import jax
from jax.stages import Compiled

# XLA hands each product of a program for CPUs to a library, YNNPACK, as a fusion of its own, and whoever reads the program from the
# compilation cache searches all of it for each of these: half of that time for ResNet-50. Steps are no faster for it.
ON_CPUS = {"xla_cpu_experimental_ynn_fusion_type": ""}


def compile_ahead(jitted: Any, *arguments: Any) -> Compiled:
    """The program of a function from `jax.jit` for arguments of these shapes, arrays or `jax.ShapeDtypeStruct`.

    What compiling freed goes back to the system: glibc keeps it, a gigabyte for ResNet-50. Other C libraries are left alone.
    """
    with _without_collection():
        program = jitted.lower(*arguments).compile(compiler_options=_options(jax.default_backend()))
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    return program


@cache
def _options(platform: str) -> dict[str, str]:
    """`ON_CPUS` there, unless this version of XLA does not know it."""
    if platform == "cpu":
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            jax.jit(lambda: 0, compiler_options=ON_CPUS).lower().compile()
            return ON_CPUS
    return {}


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
