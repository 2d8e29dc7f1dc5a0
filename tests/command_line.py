"""The command line under test: in this process, as starting torch costs seconds, or in one of its own."""

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from nnlab import cli
from nnlab.record import Record

torch.set_num_threads(1)  # as in the processes that `start` starts; two workers share the cores


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


def nnlab(*arguments: str | Path, draw: bool = False) -> Result:
    """Runs one command in this process, by the function that the installed program calls.

    Drawing takes most of a short run's time: figures are written only where a test asks for them.
    """
    out, err = io.StringIO(), io.StringIO()
    undrawn = mock.patch.object(Record, "save_figure", return_value=None)
    with (
        contextlib.nullcontext() if draw else undrawn,
        mock.patch.object(sys, "argv", ["nnlab", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
            code = 0
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 0 if ending.code is None else 1
    return Result(code, out.getvalue(), err.getvalue())


def start(*arguments: str | Path, **options: Any) -> "subprocess.Popen[str]":
    """Starts one command in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "nnlab", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options,
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]", timeout: float = 120) -> Result:
    """Waits for a started command."""
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, out, err)


@contextlib.contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Lets every write beyond so many bytes fail, as a full disk would; skips where no limit can be set."""
    resource = pytest.importorskip("resource", reason="no limits of files on this platform")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
