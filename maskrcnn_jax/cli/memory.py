"""Memory of the command's process."""

import ctypes
import platform

# Of malloc.h; https://man7.org/linux/man-pages/man3/mallopt.3.html
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Have glibc's malloc keep what is freed for what is allocated next; False, and nothing changes, where the C library is another.

    XLA's CPU client allocates the arrays of a program at every call and frees them after it. By default malloc returns such
    large blocks to the system each time, which hands them out again as zeroed pages, one fault each.

    It holds for the whole process, which is why a command calls it and a library must not. Memory stays at its peak.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))  # one heap; never by mmap; never shrunk
    return all(mallopt(parameter, value) for parameter, value in settings)
