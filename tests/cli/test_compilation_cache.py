"""The cache that entry points turn on."""

import platform

import jax
import numpy as np
import pytest

from maskrcnn_jax import checkpoint
from maskrcnn_jax.cli.compilation_cache import use_compilation_cache
from tests.training.starting import QUICK, begin, begin_together, ended

FIELDS = ("jax_compilation_cache_dir", "jax_enable_compilation_cache", "jax_persistent_cache_min_compile_time_secs")


@pytest.fixture
def without(monkeypatch):
    """No folder is named to JAX; what a test sets is taken back."""
    before = {name: getattr(jax.config, name) for name in FIELDS}
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.delenv("MASKRCNN_CACHE", raising=False)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("without")
@pytest.mark.parametrize(
    ("name", "below"), [("MASKRCNN_CACHE", ()), ("XDG_CACHE_HOME", ("maskrcnn_jax",)), ("HOME", (".cache", "maskrcnn_jax"))]
)
def test_it_lies_in_the_user_s_cache_folder_and_keeps_small_programs_too(name, below, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(name, str(tmp_path))
    use_compilation_cache()
    (folder,) = tmp_path.joinpath(*below, "compiled").iterdir()  # that of this kind of processor
    assert folder.name.startswith(f"{platform.machine()}-")
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0
    assert list(folder.iterdir()) == []


def test_a_folder_that_jax_was_told_of_stays(without, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", "theirs")
    seconds = jax.config.jax_persistent_cache_min_compile_time_secs
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == "theirs"
    assert jax.config.jax_persistent_cache_min_compile_time_secs == seconds
    assert not (tmp_path / "ours").exists()


def test_it_stays_off_where_jax_s_is_switched_off(without, tmp_path, monkeypatch):
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_enable_compilation_cache", False)
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
    assert not (tmp_path / "ours").exists()


def test_a_folder_that_cannot_be_written_is_a_warning(without, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MASKRCNN_CACHE", str(tmp_path / "file"))
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir is None
    (record,) = caplog.records
    assert "what is compiled is not kept for the next start" in record.getMessage()
    assert "let MASKRCNN_CACHE name a folder that can be written" in record.getMessage()


@pytest.mark.soak
def test_a_second_start_compiles_nothing_says_nothing_and_has_the_same_numbers(tmp_path):
    """Of one process and of two: the step's program, which uses its state up, comes from the disk."""
    environment = {"JAX_COMPILATION_CACHE_DIR": "", "MASKRCNN_CACHE": str(tmp_path / "cache"), "EVALUATE_EVERY": "3"}
    for processes in (1, 2):
        entries, outputs = [], []
        for run in (tmp_path / f"{processes} first", tmp_path / f"{processes} second"):
            begun = begin_together(2, QUICK, run, **environment) if processes == 2 else [begin(QUICK, run, **environment)]
            done = ended(*begun)
            assert [status for status, _ in done] == [0] * processes, done
            entries.append({path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "compiled").glob("*/*")})
            outputs.append([output.replace(str(run), "") for _, output in done])
        assert any(path.name.startswith("jit_step-") for path in entries[0])
        assert entries[0] == entries[1]
        assert "arning" not in "".join(outputs[1])
        assert "cpu_aot_loader" not in "".join(outputs[1])
        first, second = (checkpoint.load(tmp_path / f"{processes} {which}").variables for which in ("first", "second"))
        jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.slow
def test_a_run_whose_cache_cannot_be_written_runs(tmp_path):
    (tmp_path / "file").touch()
    ((status, output),) = ended(begin(QUICK, tmp_path / "run", JAX_COMPILATION_CACHE_DIR="", MASKRCNN_CACHE=str(tmp_path / "file")))
    assert status == 0, output
    assert output.count("what is compiled is not kept") == 1
