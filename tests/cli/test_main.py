import re
import subprocess
import sys
from pathlib import Path

import pytest

import maskrcnn_jax
from maskrcnn_jax import NonFiniteError, UserError
from maskrcnn_jax.cli.main import COMMANDS, main

REPO = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def ends(arguments, capsys):
    """Exit status, and what was printed to stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err
    return end.value.code, printed.out, printed.err


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.strip() == maskrcnn_jax.__version__


def raiser(error):
    """A command that ends with `error`."""

    def command(arguments):
        raise error

    return command


def test_an_interruption_is_no_traceback(capsys, monkeypatch):
    monkeypatch.setitem(COMMANDS, "train", raiser(KeyboardInterrupt()))
    assert ends(["train"], capsys) == (130, "", "maskrcnn train: interrupted\n")


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_the_commands(flag, capsys):
    main([flag])
    out = capsys.readouterr().out
    assert all(command in out for command in ("train", "eval", "predict", "check-data", "--version"))


@pytest.mark.parametrize("arguments", [[], ["paint"], ["--flag"]])
def test_an_unknown_command_is_a_usage_error(arguments, capsys):
    code, out, err = ends(arguments, capsys)
    assert code == 2
    assert out == ""
    assert "usage: maskrcnn COMMAND" in err
    assert ([f"maskrcnn: no command {word!r}" for word in arguments] or ["usage: maskrcnn COMMAND ..."]) == err.splitlines()[:1]


@pytest.mark.parametrize("command", ["train", "eval", "check-data", "summary"])
def test_a_command_without_its_argument_is_a_usage_error(command, capsys):
    code, _, err = ends([command], capsys)
    assert code == 2
    assert f"usage: maskrcnn {command}" in err


@pytest.mark.parametrize("command", ["train", "eval", "predict", "show-data", "summary"])
def test_a_command_s_help_is_no_error(command, capsys):
    code, out, _ = ends([command, "--help"], capsys)
    assert code == 0
    assert "usage: maskrcnn" in out


def test_the_help_of_a_config_says_what_each_field_means(capsys):
    code, out, _ = ends(["train", "shapes", "--help"], capsys)
    assert code == 0
    for flag, meaning in (("--optimizer.learning-rate", "Peak learning rate"), ("--resume", "Go on from the latest checkpoint")):
        assert flag in out
        assert meaning in out


@pytest.mark.parametrize("command", ["train", "eval"])
def test_the_help_of_a_config_says_what_data_it_needs(command, capsys):
    code, out, _ = ends([command, "nuclei", "--help"], capsys)
    assert code == 0
    assert "2018 Data Science Bowl" in out
    assert "instances_train.json" in out


@pytest.mark.parametrize("command", ["train", "eval", "check-data", "show-data"])
def test_usage_shows_the_flags_that_are_used_most(command, capsys):
    code, out, _ = ends([command, "--help"], capsys)
    assert code == 0
    assert f"`maskrcnn {command} CONFIG --help`" in out
    shown = set(re.findall(r"--[a-z.-]+", out)) - {"--help"}
    assert command == "show-data" or {"--data.val-annotations", "--data.val-images"} < shown
    _, every, _ = ends([command, "shapes", "--help"], capsys)
    assert shown <= set(re.findall(r"--[a-z.-]+", every))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("--optimizer.learning-rat", "0.1"), "--optimizer.learning-rat"),
        (("--train.steps", "many"), "--train.steps"),
        (("--model.backbone.depth", "19"), "--model.backbone.depth"),
        (("--data.augment.flip", "no"), "--data.augment.flip"),
    ],
)
def test_an_unknown_field_or_an_ill_typed_value_is_named(arguments, name, capsys):
    code, _, err = ends(["train", "shapes", *arguments], capsys)
    assert code == 2
    assert name in err


def test_a_value_that_cannot_be_used_is_named(capsys):
    code, _, err = ends(["train", "shapes", "--train.steps", "0"], capsys)
    assert code in (1, 2)
    assert "steps" in err
    assert "must be at least 1" in err


@pytest.mark.parametrize("command", ["train", "eval", "check-data"])
def test_a_missing_config_is_an_error_that_lists_the_packed_ones(command, capsys):
    code, _, err = ends([command, "shape"], capsys)
    assert code == 1
    assert f"maskrcnn {command}: shape: no such config" in err
    assert "nuclei" in err


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_config_that_is_no_python_names_the_line(command, tmp_path, capsys):
    (tmp_path / "broken.py").write_text("def get_config():\n    return (\n")
    code, _, err = ends([command, str(tmp_path / "broken.py")], capsys)
    assert code == 1
    assert err == f"maskrcnn {command}: {tmp_path / 'broken.py'}, line 2: '(' was never closed; a config is a Python file\n"


@pytest.mark.parametrize("arguments", [("predict", "runs/gone", "a.png", "--out", "found"), ("eval", "runs/gone")])
def test_a_missing_checkpoint_is_an_error(arguments, capsys, tmp_path):
    (tmp_path / "a.png").touch()
    code, _, err = ends(arguments, capsys)
    assert code == 1
    assert f"maskrcnn {arguments[0]}: {tmp_path / 'runs' / 'gone'}: no such folder; give a run folder" in err
    assert not (tmp_path / "found").exists()


@pytest.mark.parametrize("command", ["train", "eval"])
def test_a_missing_data_path_is_an_error_that_names_the_field(command, capsys, tmp_path):
    code, _, err = ends([command, "nuclei", "--data.val-annotations", "gone.json"], capsys)
    assert code == 1
    assert f"maskrcnn {command}: {'nuclei: ' if command == 'eval' else ''}data.val_annotations: gone.json does not exist" in err
    assert list(tmp_path.iterdir()) == []


def test_resuming_nothing_is_an_error(tiny_config, capsys, tmp_path):
    code, _, err = ends(["train", tiny_config, "--run-dir", "run", "--resume"], capsys)
    assert code == 1
    assert "maskrcnn train: run: no run to resume; leave out --resume" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [UserError("mend it"), OSError("mend it"), NonFiniteError("mend it")])
def test_an_error_that_the_user_can_mend_is_printed_without_a_traceback(error, capsys, monkeypatch):
    monkeypatch.setitem(COMMANDS, "eval", raiser(error))
    assert ends(["eval", "x"], capsys) == (1, "", "maskrcnn eval: mend it\n")


@pytest.mark.parametrize("error", [ValueError("a mistake of ours"), FloatingPointError("a mistake of ours")])
def test_any_other_error_keeps_its_traceback(error, monkeypatch):
    monkeypatch.setitem(COMMANDS, "eval", raiser(error))
    with pytest.raises(type(error)) as raised:
        main(["eval", "x"])
    assert raised.value is error


@pytest.mark.parametrize("script", ["train", "evaluate", "predict"])
def test_a_script_is_its_command(script):
    done = subprocess.run([sys.executable, REPO / "scripts" / f"{script}.py", "--help"], capture_output=True, text=True, check=True)
    assert f"usage: maskrcnn {'eval' if script == 'evaluate' else script}" in done.stdout
