"""The program where a stream is closed or full, files are few, or the current folder is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import nnlab

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
NNLAB = f"{sys.executable} -m nnlab"


def shell(command: str, cwd: Path, **environment: str) -> tuple[int, str]:
    """Runs a line of the shell, in which `nnlab` is the program; returns exit code and all output."""
    done = subprocess.run(
        ["bash", "-c", command.replace("nnlab ", f"{NNLAB} ")],
        cwd=cwd,
        capture_output=True,
        timeout=120,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "OMP_NUM_THREADS": "1",
            **environment,
        },
    )
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    return done.returncode, text


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("nnlab glossary >&-", 1, "nnlab: standard output cannot be written: Bad file descriptor\n"),
        ("nnlab no-such-command 2>&-", 2, ""),
        ("nnlab runs show nothing >&- 2>&-", 2, ""),
        ("nnlab glossary <&- | tail -n 1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        ("nnlab glossary | head -n 1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        (
            "mkdir gone && cd gone && rmdir ../gone && nnlab runs list",
            2,
            "nnlab: the current folder has been removed",
        ),
        ("unset HOME; nnlab runs list", 2, "nnlab: runs: no such folder"),
        ("ulimit -n 12; nnlab runs list; true", 0, None),
    ],
)
def test_the_program_in_odd_surroundings(command: str, code: int, said: str | None, tmp_path: Path) -> None:
    done, text = shell(command, tmp_path)
    assert done == code, text
    if said is not None:
        assert text.startswith(said), text
        assert text.count("\n") <= 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("what", ["glossary", "configs schema"])
def test_a_full_disk_behind_stdout(what: str, tmp_path: Path) -> None:
    assert shell(f"nnlab {what} > /dev/full", tmp_path) == (
        1,
        "nnlab: standard output cannot be written: No space left on device\n",
    )
    assert shell("nnlab no-such-command 2> /dev/full", tmp_path) == (2, "")


def test_a_terminal_of_few_letters(tmp_path: Path) -> None:
    code, text = shell("nnlab configs list", tmp_path, PYTHONIOENCODING="ascii")
    assert code == 0
    assert text.isascii()


LONG = "n" * 5_000


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "show", LONG],
        ["runs", "list", "--runs", LONG],
        ["runs", "compare", LONG],
        ["report", LONG],
        ["train", "--resume", LONG],
        ["train", "--config", "xor", "--runs", LONG],
        ["features", LONG],
        ["train", "--config", LONG],
        ["configs", "show", LONG],
        ["configs", "check", LONG],
        ["configs", "copy", "xor", LONG],
        ["backprop", "--model", LONG],
        ["predict", LONG],
        ["plot", LONG],
        ["cite", LONG],
        ["backprop", "x", "--at", "x=1", "--png", LONG],
        ["approx", "--target", f"{LONG}.csv"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_names_that_are_too_long(arguments: list[str]) -> None:
    result = nnlab(*arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert len(result.err) < 2_000
