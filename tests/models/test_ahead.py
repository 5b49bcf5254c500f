import ctypes
import gc
import platform
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from maskrcnn_jax.models import ahead, compile_ahead

BLOCK, BLOCKS = 64 * 2**10, 3200  # too small for glibc to map each apart; 200 MiB


def test_it_is_the_program_for_these_shapes():
    program = compile_ahead(jax.jit(lambda x, y: x * y), jax.ShapeDtypeStruct((2,), jnp.float32), jnp.ones(2))
    assert program(jnp.array([2.0, 3.0]), jnp.array([5.0, 7.0])).tolist() == [10, 21]
    with pytest.raises(TypeError, match="3"):
        program(jnp.ones(3), jnp.ones(3))


def test_on_cpus_products_are_no_fusions_of_a_library():
    product = jax.jit(lambda x: x @ x)
    assert "__ynn_fusion" not in compile_ahead(product, jnp.ones((64, 64))).as_text()
    if "__ynn_fusion" not in product.lower(jnp.ones((64, 64))).compile().as_text():
        pytest.skip("this version of XLA makes none")


def test_a_version_of_xla_without_that_switch_does_without(monkeypatch):
    monkeypatch.setattr(ahead, "ON_CPUS", {"xla_cpu_no_such_switch": ""})
    assert compile_ahead(jax.jit(lambda x: x + 1), jnp.ones(()))(jnp.ones(())) == 2


def test_a_value_that_xla_does_not_know_is_an_error(monkeypatch):
    monkeypatch.setattr(ahead, "ON_CPUS", dict.fromkeys(ahead.ON_CPUS, "NO_SUCH_TYPE"))
    with pytest.raises(jax.errors.JaxRuntimeError, match="NO_SUCH_TYPE"):
        compile_ahead(jax.jit(lambda x: x + 1), jnp.ones(()))


def test_other_platforms_get_no_switch_of_cpus(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    product = jax.jit(lambda x: x @ x)
    assert compile_ahead(product, jnp.ones((64, 64))).as_text() == product.lower(jnp.ones((64, 64))).compile().as_text()


def test_options_of_the_function_stay():
    jitted = jax.jit(lambda x: x, compiler_options={"xla_no_such_switch": True})
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_no_such_switch"):
        compile_ahead(jitted, jnp.ones(()))


@pytest.mark.parametrize("before", [True, False])
def test_the_garbage_collector_rests_until_it_is_done_or_has_failed(before):
    seen = []

    def traced(x):
        seen.append(gc.isenabled())
        return x.reshape(3)

    was = gc.isenabled()
    (gc.enable if before else gc.disable)()
    try:
        compile_ahead(jax.jit(traced), jnp.ones((1, 3)))
        seen.append(gc.isenabled())
        with pytest.raises(TypeError, match="reshape"):
            compile_ahead(jax.jit(traced), jnp.ones(4))
        seen.append(gc.isenabled())
    finally:
        (gc.enable if was else gc.disable)()
    assert seen == [False, before, False, before]


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed, and can be told not to")
def test_what_compiling_freed_goes_back_to_the_system():
    libc, seen, program = ctypes.CDLL(None), {}, jax.jit(lambda: 1).lower().compile()
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

    def compile_():
        blocks = [libc.malloc(BLOCK) for _ in range(BLOCKS)]
        for block in blocks:
            ctypes.memset(block, 1, BLOCK)
        seen["top"] = max(blocks)  # stays: the heap cannot shrink by itself
        for block in set(blocks) - {seen["top"]}:
            libc.free(block)
        seen["kept"] = resident()
        return program

    compile_ahead(SimpleNamespace(lower=lambda: SimpleNamespace(compile=lambda **_: compile_())))
    given_back = seen["kept"] - resident()
    libc.free(seen["top"])
    assert given_back > 0.9 * BLOCK * BLOCKS
