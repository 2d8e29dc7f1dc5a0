"""Runs that are killed, or whose disk fills, at any moment, and are resumed: they end as unbroken ones do."""

import json
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnlab.files import is_temporary
from nnlab.record import open_run
from tests.crashing import Crash, Ending, Lab

STAMP = re.compile(r"\d{8}-\d{6}")
EVENTS = re.compile(r"events\.out\.tfevents\..*")

CLASSIFY = """\
experiment: classify
data: {name: blobs, examples: 30, batch_size: 8}
model: {name: mlp, hidden: [3]}
training: {epochs: 2, checkpoint_seconds: 0}
"""
REGRESS = """\
experiment: regress
data: {name: regression_1d, examples: 20, batch_size: 8}
model: {name: mlp, hidden: [3]}
loss: {name: squared_error}
training: {epochs: 2, checkpoint_seconds: 0}
"""
TWO_TRAININGS = """\
experiment: sgd_vs_gd
data: {name: blobs, examples: 30}
model: {name: mlp, hidden: []}
batch_sizes: [full, 8]
draws: 50
training: {epochs: 2, checkpoint_seconds: 0}
"""
NTK = (
    "--widths",
    "8",
    "--steps",
    "3",
    "--set",
    "seeds=1",
    "--set",
    "edge.steps=2",
    "--set",
    "data.examples=8",
)
APPROX = ("--target", "x^2", "--bins", "3", "--set", "parts=[steps,bins]")
LONGER = "longer"
"""A finished run that goes on past its end."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "classify": ("train", "--config", "classify.yaml"),
    "regress": ("train", "--config", "regress.yaml"),
    "two trainings": ("train", "--config", "two.yaml"),
    "seeds": ("train", "--config", "regress.yaml", "--seeds", "3"),
    "ntk": ("ntk", *NTK),
    "approx": ("approx", *APPROX),
    LONGER: ("--epochs", "4"),
    "lecture": ("lecture", "--only", "entropy", "--only", "descent"),
}


@dataclass(frozen=True)
class Bench:
    """A folder with configs, and the process that runs commands in it."""

    folder: Path
    lab: Lab
    whole: dict[str, tuple[Ending, dict[str, Any]]]

    def start(self, name: str, runs: str, crash: Crash = Crash()) -> Ending:  # noqa: B008
        if name == LONGER:
            self.unbroken("regress")
            shutil.copytree(self.folder / "whole regress", self.folder / runs)
            return self.go_on(name, runs, crash)
        return self.lab(*COMMANDS[name], "--quiet", "--runs", runs, crash=crash, cwd=self.folder)

    def unbroken(self, name: str) -> tuple[Ending, dict[str, Any]]:
        """How the command ends where nobody stops it, and what it leaves."""
        if name not in self.whole:
            ending = self.start(name, f"whole {name}")
            assert ending.code == 0, ending.err
            self.whole[name] = ending, contents(self.folder / f"whole {name}")
        return self.whole[name]

    def go_on(self, name: str, runs: str, crash: Crash = Crash()) -> Ending:  # noqa: B008
        """Resumes what was cut off; starts anew where there is nothing to resume."""
        folders = [file.parent for file in (self.folder / runs).glob("*/*/summary.json")]
        if not folders:
            return self.start(name, runs, crash)
        (run,) = folders
        path = run.relative_to(self.folder)
        more = COMMANDS[name] if name == LONGER else ()
        return self.lab("train", "--resume", path, *more, "--quiet", crash=crash, cwd=self.folder)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("bench")
    for name, text in (("classify", CLASSIFY), ("regress", REGRESS), ("two", TWO_TRAININGS)):
        (folder / f"{name}.yaml").write_text(text)
    with Lab(folder) as lab:
        yield Bench(folder, lab, {})


# --- what a run leaves ----------------------------------------------------------------------------------


def contents(runs: Path) -> dict[str, Any]:
    """Everything that a run leaves: path -> content, without times and the names made of them."""
    files: dict[str, Any] = {}
    for path in sorted(runs.rglob("*")):
        name = STAMP.sub("TIME", path.relative_to(runs).as_posix())
        name = EVENTS.sub("events", name)
        assert name not in files, f"{path}: is there twice"
        files[name] = "a folder" if path.is_dir() else _content(path)
    return files


def _content(path: Path) -> Any:
    if path.name == "summary.json":
        return _timeless(json.loads(path.read_text()))
    if path.name == "environment.json":
        return sorted(json.loads(path.read_text()))  # its values may change between two runs
    if path.name == "arrays.npz":
        with np.load(path) as file:
            return {name: (file[name].dtype.str, file[name].tobytes()) for name in file.files}
    if path.suffix == ".pt":
        return repr(torch.load(path, weights_only=True))
    if EVENTS.fullmatch(path.name):
        return _scalars(path)
    if path.name == "report.html":
        return "a page"  # it says when each run began
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    """A summary without times, and without names of folders that are made of them."""
    if isinstance(value, dict):
        timed = ("started", "wall_seconds", "seconds")
        return {k: _timeless(v) for k, v in value.items() if k not in timed and not k.endswith("/seconds")}
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    return STAMP.sub("TIME", value) if isinstance(value, str) else value


def _scalars(path: Path) -> list[tuple[int, str, float]]:
    """Step, tag and value of every number in a file of TensorBoard."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    return [
        (event.step, value.tag, value.simple_value)
        for event in LegacyEventFileLoader(str(path)).Load()
        for value in event.summary.value
    ]


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What differs."""
    names = sorted(ours.keys() ^ theirs.keys())
    return names + [name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]]


# --- killed ---------------------------------------------------------------------------------------------


def survives(bench: Bench, name: str, crashes: list[Crash], runs: str) -> None:
    """The command is killed at each of the moments, the first time at its start; then it ends as ever."""
    _, whole = bench.unbroken(name)
    ending = bench.start(name, runs, crashes[0])
    for crash in crashes[1:]:
        if ending.killed:
            readable(bench.folder / runs)
            ending = bench.go_on(name, runs, crash)
    if ending.killed:
        readable(bench.folder / runs)
        ending = bench.go_on(name, runs)
    assert ending.code == 0, ending.err
    assert same(contents(bench.folder / runs), whole) == []


def readable(runs: Path) -> None:
    """A reader meets nothing that is half written under a name of its own."""
    for file in runs.rglob("*"):
        if any(is_temporary(part) for part in file.relative_to(runs).parts):
            continue
        if file.name == "summary.json":
            assert open_run(file).status in ("killed", "finished", "failed")
        elif file.suffix == ".json":
            json.loads(file.read_text())
        elif file.name == "arrays.npz":
            open_run(file.parent).arrays()
        elif file.suffix == ".pt":
            torch.load(file, weights_only=True)


def moments(bench: Bench, name: str, kills: int, torn: int) -> Iterator[Crash]:
    """So many moments before an operation, spread over all of them, and so many in mid-write."""
    ending, _ = bench.unbroken(name)
    for number in range(kills):
        yield Crash(before=1 + (number * ending.operations) // kills)
    for number in range(torn):
        yield Crash(in_write=1 + (number * ending.writes) // torn)


@pytest.mark.parametrize(("name", "kills", "torn"), [("regress", 4, 2), ("seeds", 4, 1)])
def test_killed_now_and_then(name: str, kills: int, torn: int, bench: Bench) -> None:
    for number, crash in enumerate(moments(bench, name, kills, torn)):
        survives(bench, name, [crash], f"few {name} {number}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kills", "torn"),
    [
        ("classify", 18, 4), ("regress", 8, 3), ("two trainings", 8, 3), ("seeds", 18, 4), ("ntk", 4, 2),
        ("approx", 6, 2), (LONGER, 8, 2), ("lecture", 14, 3),
    ],
)  # fmt: skip
def test_killed_at_a_hundred_moments(name: str, kills: int, torn: int, bench: Bench) -> None:
    """Before an operation and in mid-write: over 100 moments of all of these commands."""
    for number, crash in enumerate(moments(bench, name, kills, torn)):
        survives(bench, name, [crash], f"killed {name} {number}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_again_and_again(seed: int, bench: Bench) -> None:
    """At random times, and each resume at another one."""
    draw = random.Random(seed)
    name = draw.choice(["classify", "two trainings", "seeds", "ntk"])
    ending, _ = bench.unbroken(name)
    crashes = [Crash(after=draw.random() * ending.seconds)]
    crashes += [Crash(before=draw.randint(1, ending.operations)) for _ in range(3)]
    survives(bench, name, crashes, f"again {seed}")


# --- the disk is full -----------------------------------------------------------------------------------


def fills_up(bench: Bench, name: str, write: int, runs: str) -> None:
    """From this write on there is no room; the command says so in one sentence, and goes on once there is."""
    _, whole = bench.unbroken(name)
    for attempt, first in ((bench.start, write), (bench.go_on, 1)):  # and there is still none at the next one
        ending = attempt(name, runs, Crash(full_from=first))
        assert ending.code == 1, (ending, first)
        assert ending.err.count("\n") == 1
        assert "the disk is full" in ending.err
        assert "free some space" in ending.err
        left = [path for path in (bench.folder / runs).rglob("*") if is_temporary(path.name)]
        assert left == []
    readable(bench.folder / runs)
    ending = bench.go_on(name, runs)
    assert ending.code == 0, ending.err
    assert same(contents(bench.folder / runs), whole) == []


def test_the_disk_fills_now_and_then(bench: Bench) -> None:
    ending, _ = bench.unbroken("regress")
    for write in (1, ending.writes // 2, ending.writes):
        fills_up(bench, "regress", write, f"filled {write}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "moments"),
    [("classify", 6), ("seeds", 5), ("ntk", 3), ("approx", 3), ("lecture", 3), (LONGER, 2)],
)
def test_the_disk_fills_at_twenty_moments(name: str, moments: int, bench: Bench) -> None:
    """By writes that fail from one on, as on a full disk; `test_cli_train` has a file system that is full."""
    ending, _ = bench.unbroken(name)
    for number in range(moments):
        fills_up(bench, name, 1 + (number * (ending.writes - 1)) // (moments - 1), f"full {name} {number}")
