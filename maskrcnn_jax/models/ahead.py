"""Compiling ahead of time."""

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from typing import Any

import jax
from jax.stages import Compiled

# XLA hands each product of a program for CPUs to a library, YNNPACK, as a fusion of its own, and whoever reads the program from the
# compilation cache searches all of it for each of these: half of that time for ResNet-50. Steps are no faster with them.
ON_CPUS = {"xla_cpu_experimental_ynn_fusion_type": ""}


def compile_ahead(jitted: Any, *arguments: Any) -> Compiled:
    """The program of a function for arguments of these shapes, on CPUs without XLA's fusions for YNNPACK.

    Python's garbage collector rests in the whole process while the function is traced. What compiling freed goes back to the system:
    glibc would keep it, a gigabyte for ResNet-50; other C libraries are left alone.

    Args:
      jitted: what `jax.jit` gives.
      arguments: arrays, or `jax.ShapeDtypeStruct`.

    Raises:
      JaxRuntimeError: XLA cannot compile it, for want of memory, say.
    """
    with _without_collection():
        lowered = jitted.lower(*arguments)
    program = _compiled(lowered)
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
    return program


def _compiled(lowered: Any) -> Compiled:
    if jax.default_backend() != "cpu":
        return lowered.compile()
    try:
        return lowered.compile(compiler_options=ON_CPUS)
    except jax.errors.JaxRuntimeError as error:  # before anything is compiled
        if not any(f"No such compile option: '{name}'" in str(error) for name in ON_CPUS):
            raise
        return lowered.compile()  # a version of XLA without that switch


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """The collector would look through the million objects of a trace again and again, for a quarter of the time that tracing takes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
