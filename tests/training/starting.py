"""Starting `maskrcnn train`, and other commands, in processes of their own."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
REPO = HERE.parent.parent
QUICK, WHOLE = HERE / "quick.py", HERE / "whole.py"


def begin(what: Path, run: Path, *arguments: str, devices: int = 1, command: str = "train.py", **environment: str) -> subprocess.Popen:
    """One process, which counts `devices` CPU devices; its output goes to a pipe."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    folder = ["--run-dir" if command == "train.py" else "--out", run]
    return subprocess.Popen(
        [sys.executable, REPO / "scripts" / command, what, *folder, *arguments],
        env={**os.environ, "PYTHONPATH": str(REPO), "XLA_FLAGS": flags, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of its own, for signals to all of it
    )


def begin_together(count: int, what: Path, run: Path, *arguments: str, **options: Any) -> list[subprocess.Popen]:
    """`count` processes of one run; options as `begin` has them."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = ["--coordinator", f"localhost:{port}", "--processes", str(count), "--process-id"]
    return [begin(what, run, *arguments, *flags, str(i), **options) for i in range(count)]


def ended(*processes: subprocess.Popen, timeout: float = 300) -> list[tuple[int, str]]:
    """Exit status and output of each, once they have ended."""
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, output) for process, output in zip(processes, outputs, strict=True)]
