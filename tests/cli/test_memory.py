import os
import platform
import subprocess
import sys

import pytest

from maskrcnn_jax.cli import memory

PAGE = os.sysconf("SC_PAGE_SIZE")
MEBIBYTES = 40  # less than one of glibc's heaps (64) and more than its largest threshold for mmap (32)

# Blocks that are freed before the next is allocated, in a thread that starts after the call, as XLA's do.
PROGRAM = f"""
import resource, sys, threading
from maskrcnn_jax.cli.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def allocate(count):
    for _ in range(count):
        b"x" * ({MEBIBYTES} << 20)

def work():
    allocate(2)
    before = faults()
    allocate(10)
    print((faults() - before) // 10)

if sys.argv[1] == "keep":
    assert keep_freed_memory()
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def faults_of_a_block(mode):
    # One block of 40 MiB with huge pages would be 20 faults, so these stay off.
    env = os.environ | {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True, env=env)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_memory_is_used_again_without_page_faults():
    pages = (MEBIBYTES << 20) // PAGE
    assert faults_of_a_block("return") > 0.9 * pages
    assert faults_of_a_block("keep") < 0.01 * pages


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("must not be called"))
    assert not memory.keep_freed_memory()
