"""Compiling fast rather than well."""

from collections.abc import Callable
from typing import Any

import jax


def quick_jit(function: Callable, **options: Any) -> Callable:
    """`jax.jit` without most optimisations, for programs that run a few times: half the time to compile."""
    quick = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    return jax.jit(function, compiler_options=quick, **options)
