"""Commands that need no torch start without it: what each has loaded when it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from nnlab import cli
from tests.command_line import nnlab

HEAVY = ("torch", "scipy", "matplotlib", "sklearn", "torchvision", "tensorboard", "starlette", "uvicorn")

PROGRAM = """
import sys
from nnlab.cli import main
try:
    main()
finally:
    print(*sys.modules, file=open("modules.txt", "w"))
"""


def loaded(folder: Path, *arguments: str) -> set[str]:
    """Runs a command in a process of its own; returns the modules that it has loaded."""
    (folder / "runs").mkdir()
    subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=folder, check=True, capture_output=True, timeout=100
    )
    return {*(folder / "modules.txt").read_text().split()}


@pytest.mark.parametrize(
    "arguments",
    ["--help", "--version", "glossary", "configs list", "configs show xor", "notebooks list", "runs list"],
)
def test_commands_that_train_nothing_load_no_torch(arguments: str, tmp_path: Path) -> None:
    assert not loaded(tmp_path, *arguments.split()) & {*HEAVY}


def test_the_server_of_the_live_lab_leaves_torch_to_other_processes() -> None:
    program = "import nnlab.live.serve, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert not {*done.stdout.split()} & {"torch", "scipy", "sklearn", "torchvision", "tensorboard"}


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_needs_no_numpy_either(arguments: str, tmp_path: Path) -> None:
    assert "numpy" not in loaded(tmp_path, arguments)


@pytest.mark.parametrize(
    "arguments",
    [("x^2", "--at", "x=3"), ("--example", "scores"), ("sin(x)*y", "--at", "x=1,y=pi/2", "--steps")],
    ids=" ".join,
)
def test_a_worksheet_is_written_with_numpy_alone(arguments: tuple[str, ...], tmp_path: Path) -> None:
    modules = loaded(tmp_path, "backprop", *arguments)
    assert not modules & {*HEAVY, "pydantic", "yaml", "numpy.random", "rich.progress", "nnlab.record"}
    assert "numpy" in modules


def test_a_worksheet_as_json_or_latex_loads_no_torch(tmp_path: Path) -> None:
    assert "torch" not in loaded(tmp_path, "backprop", "x^2", "--at", "x=3", "--json", "--latex", "w.tex")
    assert (tmp_path / "w.tex").exists()


def test_every_command_is_there_alone_and_in_the_help() -> None:
    text = nnlab("--help").out
    for name in cli.COMMANDS:
        assert f" {name} " in text
        result = nnlab(name, "--help")
        assert (result.code, f"Usage: nnlab {name} " in result.out) == (0, True)
    files = {file.stem for file in Path(cli.__file__).parent.glob("*.py")}
    assert {*cli.COMMANDS} <= files
    unknown = nnlab("trian")
    assert (unknown.code, "No such command" in unknown.err) == (2, True)


def test_a_command_loads_no_other(tmp_path: Path) -> None:
    modules = loaded(tmp_path, "backprop", "x^2", "--at", "x=3")
    assert {name for name in cli.COMMANDS if f"nnlab.cli.{name}" in modules} == {"backprop"}
