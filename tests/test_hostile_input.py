"""Thousands of spoiled configs, and hundreds of spoiled run folders: each is used, or refused in words."""

import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import ConfigError, Interrupted
from nnlab.lab import runner
from nnlab.lab.config import check, source_from_file, to_yaml
from nnlab.lab.session import Session
from nnlab.lab.source import Source, parse_yaml
from tests.command_line import Result, nnlab
from tests.mutated_configs import mutated
from tests.mutated_runs import mutate

CONFIG = """\
experiment: classify
data: {name: blobs, examples: 60, batch_size: 16}
model: {name: mlp, hidden: [8]}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
training: {epochs: 3}
"""
KINDS = ("classify", "cut", "group", "approx", "lecture", "ntk")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")
SECONDS = 60
"""The time after which a command hangs."""
CHEAP = {"classify": "classes", "approx": "sigmoid_output", "lecture": "neuron", "ntk": "loss"}
"""A figure of each kind that is quickly drawn; of the others it is `curves`."""


# --- configs ----------------------------------------------------------------------------------------


def check_configs(seeds: Sequence[int], file: Path) -> None:
    good = 0
    for seed in seeds:
        name, text = mutated(seed)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            config = check(source_from_file(file), EXPERIMENTS)
        except ConfigError as error:
            message = str(error)
            assert str(file) in message, (seed, name, message)
            assert len(message) <= 2_000 + 10 * len(str(file)), (seed, name, len(message))
            assert "Traceback" not in message
        else:
            good += 1
            written = to_yaml(config)
            again = check(Source("again", written, parse_yaml(written, "again")), EXPERIMENTS)
            assert again == config, (seed, name)
    assert 0 < good < len(seeds), "the mutations are neither all harmless nor all fatal"


def test_spoiled_configs(tmp_path: Path) -> None:
    check_configs(range(200), tmp_path / "c.yaml")


@pytest.mark.slow
def test_thousands_of_spoiled_configs(tmp_path: Path) -> None:
    check_configs(range(1_000, 6_000), tmp_path / "c.yaml")


# --- run folders ------------------------------------------------------------------------------------


class StopsAfter(Session):
    """A session that is asked to stop after ten steps."""

    steps = 10

    def stop(self) -> bool:
        self.steps -= 1
        return self.steps <= 0


def made(folder: Path, name: str) -> Path:
    """A small run of each kind, in a folder of its own."""
    file = folder / "c.yaml"
    file.write_text(CONFIG)
    commands: dict[str, list[str | Path]] = {
        "classify": ["train", "--config", file],
        "group": ["train", "--config", file, "--seeds", "2"],
        "approx": ["approx", "--parts", "bins", "--bins", "5"],
        "lecture": ["lecture", "--only", "backpropagation_of_a_sum"],
        "ntk": ["ntk", "--widths", "8,16", "--seeds", "2", "--steps", "20", "--examples", "8"],
    }
    if name == "cut":
        config = check(Source("c.yaml", CONFIG, parse_yaml(CONFIG, "")), EXPERIMENTS)
        with pytest.raises(Interrupted):
            runner.run(config, folder / "runs", StopsAfter(experiments=EXPERIMENTS))
        (run,) = (folder / "runs").glob("classify/*")
        return run
    result = nnlab(*commands[name], "--runs", folder / "runs", "--quiet")
    assert result.code == 0, result
    return Path(result.last_line)


@contextmanager
def not_hanging() -> Iterator[None]:
    def hangs(number: int, frame: object) -> None:
        raise TimeoutError(f"a command took more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read_by_every_command(run: Path, number: int, what: str) -> None:
    """The commands that read a run, `plot` with one figure; one of those that take long, in turn."""
    out = run.parents[2] / "out"
    *_, drawn = (run, *run.glob("runs/*/*"))  # of a lecture, the run inside it
    figure = CHEAP.get(run.name, "curves")
    commands: list[list[str | Path]] = [
        ["runs", "list", "--runs", run.parents[1]],
        ["runs", "list", "--runs", run.parents[1], "--json"],
        ["runs", "show", run],
        ["runs", "show", run.name, "--runs", run.parents[1], "--json"],
        ["runs", "compare", run],
        ["cite", run],
        ["features", run],
        ["plot", drawn, "--figure", figure, "--out", out / "a", "--format", "svg"],
    ]
    slow: list[list[str | Path]] = [
        ["report", run, "--out", out / "page.html"],
        ["train", "--resume", run, "--quiet"],
        ["predict", run],
        ["plot", run, "--out", out / "b", "--format", "svg"],
    ]
    turn = number // len(KINDS)  # so that every kind meets every command
    for command in [*commands, slow[turn % len(slow)]]:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        with not_hanging():
            result = nnlab(*command)
        problem = (what, command, result.code, result.err[-1_000:])
        assert result.code in (0, 2), problem
        assert fine(result), problem


def fine(result: Result) -> bool:
    bad = ("--debug shows where", "Traceback", "weights_only", "pydantic")
    return not any(word in result.err for word in bad) and not CONTROL.search(result.err + result.out)


def read_spoiled(kinds: Sequence[str], seeds: Sequence[int], folder: Path) -> None:
    originals = {kind: made(place(folder, f"made-{kind}"), kind) for kind in kinds}
    for number, seed in enumerate(seeds):
        kind = kinds[seed % len(kinds)]
        run = folder / "spoiled" / "x" / kind
        shutil.rmtree(folder / "spoiled", ignore_errors=True)
        shutil.copytree(originals[kind], run, symlinks=True)
        what = f"{kind}: {mutate(run, seed)}"
        read_by_every_command(run, number, what)


def place(folder: Path, name: str) -> Path:
    (folder / name).mkdir()
    return folder / name


pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
quiet = pytest.mark.filterwarnings("ignore")  # a command's user sees them; here the messages count


@pipes
@quiet
def test_spoiled_run_folders(tmp_path: Path) -> None:
    read_spoiled(["classify", "cut"], range(10), tmp_path)


@pipes
@quiet
@pytest.mark.slow
def test_hundreds_of_spoiled_run_folders(tmp_path: Path) -> None:
    """100 of them: list, show, compare, cite, features and plot on all, a long command on 25 each."""
    read_spoiled(KINDS, range(1_000, 1_100), tmp_path)
