import ctypes
import platform
from pathlib import Path

import pytest

from maskrcnn_jax.training.compiled import release_freed_memory

BLOCK, BLOCKS = 64 * 2**10, 3200  # too small for glibc to map each apart; 200 MiB


def resident():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what is freed, and can be told not to")
def test_what_was_freed_goes_back_to_the_system():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    blocks = [libc.malloc(BLOCK) for _ in range(BLOCKS)]
    for block in blocks:
        ctypes.memset(block, 1, BLOCK)
    top = libc.malloc(BLOCK)  # above all others: the heap cannot shrink by itself
    for block in blocks:
        libc.free(block)
    kept = resident()
    release_freed_memory()
    libc.free(top)
    assert kept - resident() > 0.9 * BLOCK * BLOCKS
