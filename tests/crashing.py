"""Commands that are killed, or whose disk fills, at a chosen moment.

`Lab` starts one process that has imported everything, which forks itself for each command: a command costs
what it computes. In the fork the file operations inside one folder are counted, and at the chosen one the
process kills itself with SIGKILL, before the operation or with half of the bytes written; or each write from
then on fails as on a full disk. This file is also that process.
"""

import builtins
import contextlib
import errno
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Crash:
    """The moment at which a command ends.

    Attributes:
        before: kills before this file operation, counted from 1: opening for writing, renaming, removing,
            making a folder, locking.
        in_write: kills in the middle of this write.
        after: kills after so many seconds.
        full_from: from this write on the disk is full: half of it is written, the others not at all.
    """

    before: int | None = None
    in_write: int | None = None
    after: float | None = None
    full_from: int | None = None


@dataclass(frozen=True)
class Ending:
    """How a command ended: its exit code, or the negative number of the signal; and what it counted."""

    code: int
    out: str
    err: str
    operations: int
    writes: int
    seconds: float

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Lab:
    """The process that forks itself for each command.

    Args:
        inside: the folder whose operations are counted.
        drawn: False writes files of figures that hold no pictures: drawing takes most of a short run's time.
    """

    def __init__(self, inside: Path, *, drawn: bool = False) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashing", str(inside), str(int(drawn))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment,
        )  # fmt: skip
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __call__(self, *arguments: str | Path, crash: Crash = Crash(), cwd: Path | None = None) -> Ending:
        """Runs `nnlab` with these arguments."""
        assert self._process.stdin is not None
        order = {"arguments": [*map(str, arguments)], "cwd": str(cwd or ROOT), "crash": asdict(crash)}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return Ending(**self._answer())


# --- in the process ------------------------------------------------------------------------------------


class _Counter:
    """Counts the operations inside a folder of a forked process, and ends it at the chosen one."""

    def __init__(self, inside: str, crash: Crash, counts: Path) -> None:
        self.inside, self.crash = inside + os.sep, crash
        self.operations = self.writes = 0
        self._counted = os.open(counts, os.O_WRONLY)

    def begin(self) -> None:
        sys.addaudithook(self._operation)
        builtins.open = io.open = self._open

    def _note(self) -> None:
        os.pwrite(self._counted, f"{self.operations:9d} {self.writes:9d}".encode(), 0)

    def _operation(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS or not self._counts(event, arguments):
            return
        self.operations += 1
        self._note()
        if self.operations == self.crash.before:
            os.kill(os.getpid(), signal.SIGKILL)

    def _counts(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "fcntl.flock":
            return True
        if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITING):
            return False
        place = arguments[0]
        if not isinstance(place, str | bytes | os.PathLike):
            return False
        # What shutil.rmtree removes has a name relative to a folder that it has open.
        return self._is_mine(place) or (event in ("os.remove", "os.rmdir") and arguments[1] != -1)

    def _is_mine(self, place: Any) -> bool:
        return os.path.abspath(os.fsdecode(os.fspath(place))).startswith(self.inside)

    def _open(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        """open(), whose files inside the folder can be torn."""
        mine = isinstance(file, str | os.PathLike) and self._is_mine(file)
        if not mine or "b" not in mode or not set(mode) & set("wax+"):
            return _OPEN(file, mode, buffering, *rest, **named)
        raw = _Torn(self, os.fspath(file), mode.replace("b", ""))
        return raw if buffering == 0 else io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)

    def write(self, file: "_Torn", content: Any) -> int:
        self.writes += 1
        self._note()
        content = memoryview(content).cast("B")
        half = content[: len(content) // 2]
        if self.writes == self.crash.in_write:
            file.write_all(half)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.crash.full_from is not None and self.writes >= self.crash.full_from:
            if self.writes == self.crash.full_from:
                file.write_all(half)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return file.write_all(content)


class _Torn(io.FileIO):
    def __init__(self, counter: _Counter, path: str, mode: str) -> None:
        super().__init__(path, mode)
        self._counter = counter

    def write(self, content: Any, /) -> int:
        return self._counter.write(self, content)

    def write_all(self, content: memoryview) -> int:
        return super().write(content) if len(content) else 0


_WARM = (
    ("train", "--config", "spirals", "--set", "training.epochs=1"),
    ("ntk", "--widths", "4", "--steps", "2", "--set", "seeds=1", "--set", "edge.steps=2"),
    ("lecture", "--only", "entropy"),
)
_OPEN = io.open
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EVENTS = {
    "open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink",
    "fcntl.flock",
}  # fmt: skip


def _serve(inside: str, drawn: bool) -> None:
    """Imports everything, then runs a command for each line on stdin."""
    import torch

    torch.set_num_threads(1)
    from nnlab import cli
    from nnlab.chapters.lecture import experiment
    from nnlab.chapters.lecture.plan import LESSONS, Lesson

    small = Lesson("softmax", "softmax_digits", {"training.epochs": 2})
    mock.patch.object(experiment, "LESSONS", {**LESSONS, "softmax": small}).start()
    if not drawn:
        from matplotlib.figure import Figure

        from nnlab.plot import save
        from nnlab.record import figures

        mock.patch.object(figures.Call, "draw", return_value=Figure()).start()
        mock.patch.object(
            save, "render", lambda figure, suffix, salt: f"{salt}.{suffix}".encode() * 10
        ).start()
    for arguments in _WARM:  # so that the forks find everything imported
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            sys.argv = ["nnlab", *arguments, "--quiet", "--runs", folder]
            with contextlib.suppress(SystemExit):
                cli.main()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(_run(cli.main, json.loads(line), inside, Path(folder))), flush=True)


def _run(main: Callable[[], None], order: dict[str, Any], inside: str, scratch: Path) -> dict[str, Any]:
    """Runs a command in a fork that writes streams and counts into `scratch`; returns fields of Ending."""
    for name in ("out", "err", "counts"):
        (scratch / name).touch()
    began, after = time.monotonic(), order["crash"]["after"]
    child = os.fork()
    if child == 0:
        _become(main, order, inside, scratch)
    while (ended := os.waitpid(child, 0 if after is None else os.WNOHANG)) == (0, 0):
        if time.monotonic() - began >= after:
            os.kill(child, signal.SIGKILL)
            after = float("inf")
        time.sleep(0.001)
    operations, writes = map(int, (scratch / "counts").read_text().split() or (0, 0))
    return {
        "code": os.waitstatus_to_exitcode(ended[1]),
        "out": (scratch / "out").read_text(),
        "err": (scratch / "err").read_text(),
        "operations": operations,
        "writes": writes,
        "seconds": time.monotonic() - began,
    }


def _become(main: Callable[[], None], order: dict[str, Any], inside: str, scratch: Path) -> None:
    """Runs the command in the fork, which ends with it."""
    code = 70
    try:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(scratch / name, os.O_WRONLY), number)
        os.chdir(order["cwd"])
        _Counter(inside, Crash(**order["crash"]), scratch / "counts").begin()
        sys.argv = ["nnlab", *order["arguments"]]
        main()
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2] == "1")
