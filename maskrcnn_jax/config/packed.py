"""Experiments as Python files: those packed with the package, and the user's own."""

import ast
import runpy
from pathlib import Path

from maskrcnn_jax.config.check import ConfigError
from maskrcnn_jax.config.experiment import ExperimentConfig


def load_experiment(name: str) -> ExperimentConfig:
    """The configuration of a packed experiment, by name, or of a Python file, by path.

    Raises:
      ConfigError: there is no such file, it is not Python, or it has no `get_config()` that returns an ExperimentConfig.
    """
    path, _ = _file(name)
    get_config = runpy.run_path(str(path)).get("get_config")
    config = get_config() if get_config else None
    if not isinstance(config, ExperimentConfig):
        raise ConfigError(f"{path}: needs a function get_config() that returns an ExperimentConfig")
    return config


def describe_experiment(name: str) -> str:
    """The docstring of a packed experiment, by name, or of a Python file, by path: what data it needs, time, AP reached."""
    return ast.get_docstring(_file(name)[1]) or ""


def _file(name: str) -> tuple[Path, ast.Module]:
    """Path and content of an experiment's file."""
    path = Path(name) if name.endswith(".py") else _folder() / f"{name}.py"
    if not path.is_file():
        packed = ", ".join(sorted(file.stem for file in _folder().glob("*.py")))
        raise ConfigError(f"{name}: no such config; give the path of a .py file, or one of {packed}")
    try:
        return path, ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ConfigError(f"{path}, line {error.lineno}: {error.msg}; a config is a Python file") from error


def _folder() -> Path:
    """configs/ as packed in the wheel, or beside the package in a clone."""
    package = Path(__file__).parent.parent
    packed = package / "configs"
    return packed if packed.is_dir() else package.parent / "configs"
