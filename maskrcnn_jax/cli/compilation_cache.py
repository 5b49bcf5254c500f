"""What one start of a command compiles the next one reads from disk."""

import hashlib
import logging
import platform
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import jax

from maskrcnn_jax.weights import cache_folder

logger = logging.getLogger(__name__)


def use_compilation_cache() -> None:
    """Turn JAX's persistent compilation cache on, in the user's cache folder.

    Each kind of processor has its own, for machines may share a home. Entry points call it before anything is compiled. Who names
    another folder (JAX_COMPILATION_CACHE_DIR) or switches the cache off (JAX_ENABLE_COMPILATION_CACHE=false) has JAX as it is. A folder
    that cannot be written costs a warning, not the run.
    """
    config: Any = jax.config  # its type does not list what it holds
    if config.jax_compilation_cache_dir or not config.jax_enable_compilation_cache:
        return
    try:
        folder = cache_folder() / "compiled" / _processor()
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except (OSError, RuntimeError) as error:  # RuntimeError: the user has no home
        logger.warning("what is compiled is not kept for the next start (%s); let MASKRCNN_CACHE name a folder that can be written", error)
        return
    config.update("jax_compilation_cache_dir", str(folder))
    config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # a start has dozens of small programs


def _processor() -> str:
    """A name for what this machine's processor can do: a program for a CPU has instructions that another may lack."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    can = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return f"{platform.machine()}-{hashlib.sha256(can.encode()).hexdigest()[:8]}"
