"""A run that goes on past its end is, byte for byte, the run that was meant to be so long from the start."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import InputError, RunFolderError
from nnlab.files import replace_file
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.sections import Experiment
from nnlab.lab.session import Session
from nnlab.lab.source import Source
from nnlab.record import MetricsLog, open_run
from nnlab.training.checkpoint import read_checkpoint

pytestmark = pytest.mark.usefixtures("undrawn")


class Lines:
    """A reporter that keeps its sentences."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)

    def bar(self, title: str) -> Any:
        return mock.MagicMock()


def session(stop_after: int | None = None) -> Session:
    one = Session(experiments=EXPERIMENTS, reporter=Lines())
    if stop_after is not None:
        left = iter(range(stop_after))
        one.stop = lambda: next(left, None) is None  # type: ignore[method-assign]
    return one


def config_of(epochs: int, **changes: Any) -> Experiment:
    values: dict[str, Any] = {
        "experiment": "classify",
        "data": {"name": "blobs", "examples": 40, "validation": 0.2, "batch_size": 9, "spread": 2.0},
        "model": {"name": "mlp", "hidden": [4]},
        "optimizer": {"name": "adam", "lr": 0.05},
        "training": {"epochs": epochs},
    }
    for key, value in changes.items():
        values[key] = values.get(key, {}) | value
    return check(Source(where="test", text="", values=values), EXPERIMENTS)


def regression(epochs: int, **training: Any) -> Experiment:
    values = {
        "experiment": "regress",
        "data": {"name": "regression_1d", "batch_size": 16, "standardize_target": True},
        "model": {"name": "mlp", "hidden": [4], "activation": "tanh"},
        "loss": {"name": "squared_error"},
        "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
        "training": {"epochs": epochs, **training},
    }
    return check(Source(where="test", text="", values=values), EXPERIMENTS)


def content(run: Path) -> dict[str, Any]:
    """Everything in a run folder that must be equal, by file."""
    summary = json.loads((run / "summary.json").read_text())
    kept = ("status", "metrics", "results", "claims", "config_sha256", "message", "config_next_sha256")
    return {
        "config.yaml": (run / "config.yaml").read_bytes(),
        "metrics.jsonl": (run / "metrics.jsonl").read_bytes(),
        "best.pt": weights(run / "checkpoints" / "best.pt"),
        "last.pt": weights(run / "checkpoints" / "last.pt"),
        "summary.json": {key: summary.get(key) for key in kept},
    }


def weights(path: Path) -> dict[str, Any]:
    return {name: tensor.tolist() for name, tensor in read_checkpoint(path)["model"].items()}


def run(config: Experiment, folder: Path) -> Path:
    return Path(runner.run(config, folder, session())["run_dir"])


CASES: dict[str, Callable[[int], Experiment]] = {
    "adam": lambda n: config_of(n),
    "evaluated now and then": lambda n: config_of(n, training={"evaluate_every": 3}),
    "evaluated at the end only": lambda n: config_of(n, training={"evaluate_every": 99}),
    "never validated": lambda n: config_of(n, data={"validation": 0.0}, training={"evaluate_every": 2}),
    "whole batches": lambda n: config_of(
        n, data={"batch_size": "full"}, optimizer={"name": "lbfgs", "lr": 1.0}
    ),
    "falling steps": lambda n: config_of(
        n, optimizer={"schedule": {"name": "step", "every_epochs": 3, "factor": 0.5, "warmup_epochs": 1.5}}
    ),
    "muon": lambda n: config_of(n, optimizer={"name": "muon", "lr": 0.02}),
    "patience": lambda n: config_of(n, training={"patience": 50, "evaluate_every": 3}),
    "class weights": lambda n: config_of(n, loss={"name": "kl", "class_weights": "balanced"}),
    "regression": lambda n: regression(n, evaluate_every=2),
}


@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_run_of_so_many_epochs(tmp_path: Path, name: str) -> None:
    """4 epochs are no multiple of 3 or 99: the last evaluation of the shorter run must leave no trace."""
    whole = content(run(CASES[name](11), tmp_path))
    shorter = run(CASES[name](4), tmp_path)
    runner.resume(shorter, session(), 7)
    runner.resume(shorter, session(), 11)
    assert content(shorter) == whole


def test_dropout_and_batch_norm_go_on(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "data": {"name": "digits", "batch_size": 400, "validation": 0.1},
        "model": {"name": "cnn", "channels": [2], "batch_norm": True, "dropout": 0.3},
    }

    def of(epochs: int) -> Experiment:
        values = {**config_of(epochs).model_dump(), **changes}
        return check(Source(where="test", text="", values=values), EXPERIMENTS)

    whole, shorter = content(run(of(3), tmp_path)), run(of(1), tmp_path)
    runner.resume(shorter, session(), 3)
    assert content(shorter) == whole


def test_a_run_that_was_cut_off_can_be_made_longer(tmp_path: Path) -> None:
    whole = content(run(config_of(9), tmp_path))
    with pytest.raises(BaseException, match="go on with"):
        runner.run(config_of(5), tmp_path, session(stop_after=7))
    (cut,) = (
        folder for folder in (tmp_path / "classify").iterdir() if open_run(folder).status == "interrupted"
    )
    runner.resume(cut, session(), 9)
    assert content(cut) == whole


def test_a_schedule_that_falls_to_the_last_epoch_is_mentioned(tmp_path: Path) -> None:
    """It goes on as that of the longer training, whose steps it takes from there."""
    config = config_of(4, optimizer={"schedule": {"name": "cosine"}})
    folder, one = run(config, tmp_path), session()
    runner.resume(folder, one, 8)
    sentences = [line for line in one.reporter.lines if "optimizer.schedule.name: cosine" in line]  # type: ignore[attr-defined]
    assert len(sentences) == 1
    rates = [row["lr"] for row in open_run(folder).metrics("train")]
    longer = run(config_of(8, optimizer={"schedule": {"name": "cosine"}}), tmp_path)
    expected = [row["lr"] for row in open_run(longer).metrics("train")]
    assert rates[3] == 0.0
    assert rates[4:] == expected[4:]


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """Its last checkpoint does not say where the rows of its end begin."""
    whole, shorter = content(run(config_of(7), tmp_path)), run(config_of(4), tmp_path)
    forget_the_end(shorter)
    runner.resume(shorter, session(), 7)
    assert content(shorter) == whole


def test_a_run_of_an_earlier_version_whose_best_is_unknown_is_refused(tmp_path: Path) -> None:
    folder = run(config_of(4, training={"evaluate_every": 3}), tmp_path)
    forget_the_end(folder)
    before = content(folder)
    with pytest.raises(RunFolderError, match="earlier version, after 4 epochs"):
        runner.resume(folder, session(), 7)
    assert content(folder)["metrics.jsonl"] == before["metrics.jsonl"]


def forget_the_end(folder: Path) -> None:
    last = folder / "checkpoints" / "last.pt"
    state = read_checkpoint(last)
    del state["ending"]
    torch.save(state, last)


# --- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [1, 4])
def test_no_more_epochs_is_refused(tmp_path: Path, epochs: int) -> None:
    folder = run(config_of(4), tmp_path)
    before = content(folder)
    with pytest.raises(InputError, match=f"--epochs {epochs}: .* is a training of 4 epochs; give more"):
        runner.resume(folder, session(), epochs)
    assert content(folder) == before


def test_a_run_that_stopped_early_is_refused(tmp_path: Path) -> None:
    config = config_of(60, training={"patience": 2}, optimizer={"lr": 1e-9})
    folder = run(config, tmp_path)
    with pytest.raises(InputError, match=r"stopped early, after 3 of 60 epochs.*model\.start="):
        runner.resume(folder, session(), 70)


def test_an_experiment_of_several_trainings_is_refused(tmp_path: Path) -> None:
    values = {
        **config_of(1, data={"batch_size": "full"}).model_dump(),
        "experiment": "sgd_vs_gd",
        "batch_sizes": ["full"],
        "draws": 10,
    }
    folder = run(check(Source(where="test", text="", values=values), EXPERIMENTS), tmp_path)
    with pytest.raises(InputError, match=r"experiment: sgd_vs_gd is not one training .* classify, regress"):
        runner.resume(folder, session(), 9)


def test_other_data_leave_the_run_as_it_was(tmp_path: Path) -> None:
    """The config has been replaced by then, and is put back."""
    table = tmp_path / "t.csv"
    table.write_text("a,b,y\n" + "".join(f"{k},{k * k % 7},{'uv'[k % 2]}\n" for k in range(40)))
    values = config_of(3).model_dump() | {"data": {"name": "csv", "path": str(table), "target": "y"}}
    folder = run(check(Source(where="test", text="", values=values), EXPERIMENTS), tmp_path)
    before = content(folder)
    table.write_text(table.read_text() + "3,5,u\n")
    with pytest.raises(InputError, match="data changed"):
        runner.resume(folder, session(), 9)
    assert content(folder) == before
    assert open_run(folder).status == "finished"


# --- groups -----------------------------------------------------------------------------------------


def group(epochs: int, folder: Path, **changes: Any) -> Path:
    return Path(runner.run_seeds(config_of(epochs, **changes), 2, folder, session())["run_dir"])


def members(folder: Path) -> dict[str, Any]:
    summary = json.loads((folder / "summary.json").read_text())
    inner = {name: content(folder / name) for name in ("s0", "s1")}
    return {
        **inner,
        **{key: summary[key] for key in ("metrics", "verdicts", "members", "config_sha256", "status")},
    }


def test_every_seed_of_a_group_goes_on(tmp_path: Path) -> None:
    whole, shorter = members(group(6, tmp_path)), group(3, tmp_path)
    runner.resume(shorter, session(), 6)
    assert members(shorter) == whole
    assert (shorter / "config.yaml").read_bytes() == whole["s0"]["config.yaml"]


def test_one_seed_of_a_group_alone_is_refused(tmp_path: Path) -> None:
    folder = group(2, tmp_path)
    before = members(folder)
    with pytest.raises(
        InputError, match=rf"s1 is one seed of .*--resume {re.escape(str(folder))} --epochs 5"
    ):
        runner.resume(folder / "s1", session(), 5)
    assert members(folder) == before


@pytest.mark.parametrize("again", [None, 6])
def test_a_longer_group_that_is_cut_off_goes_on(tmp_path: Path, again: int | None) -> None:
    """Whether the command is repeated as it was or without the number of epochs."""
    whole, shorter = members(group(6, tmp_path)), group(3, tmp_path)
    with pytest.raises(BaseException, match="go on with"):
        runner.resume(shorter, session(stop_after=8), 6)
    runner.resume(shorter, session(), again)
    assert members(shorter) == whole


# --- killed on the way ------------------------------------------------------------------------------


class Killed(BaseException):
    """What a kill −9 is to a process: nothing after it is done."""


@pytest.mark.slow
@pytest.mark.parametrize("of_group", [False, True])
def test_killed_before_any_write_it_can_be_resumed(tmp_path: Path, of_group: bool) -> None:
    """Before the k-th row or replaced file, for each k until none is left: it is one of the two."""
    start: Callable[[int], Path] = (
        (lambda epochs: group(epochs, tmp_path, training={"checkpoint_seconds": 0.0}))
        if of_group
        else (lambda epochs: run(config_of(epochs, training={"checkpoint_seconds": 0.0}), tmp_path))
    )
    read = members if of_group else content
    first = start(1)
    short, whole = read(first), read(start(2))
    write_row, k = MetricsLog.write, 0
    while True:
        folder, left = Path(shutil.copytree(first, tmp_path / f"{k}")), iter(range(k))

        def one_more(left: Iterator[int] = left) -> None:
            if next(left, None) is None:
                raise Killed

        def replaced(path: Path, data: Any) -> None:
            one_more()
            replace_file(path, data)

        def written(log: MetricsLog, row: Any) -> None:
            one_more()
            write_row(log, row)

        with (
            mock.patch("nnlab.record.writing.replace_file", replaced),
            mock.patch("nnlab.training.checkpoint.replace_file", replaced),
            mock.patch.object(MetricsLog, "write", written),
            mock.patch.object(runner, "end", lambda written, error: written.close()),
        ):
            try:
                runner.resume(folder, session(), 2)
            except Killed:
                pass
            else:
                break
        if open_run(folder).status != "finished":
            runner.resume(folder, session())
        after = read(folder)
        assert after in (short, whole), k
        if after == short:
            runner.resume(folder, session(), 2)
            assert read(folder) == whole
        k += 1
    assert k > 10


def test_the_hash_of_the_config_follows(tmp_path: Path) -> None:
    folder = run(config_of(2), tmp_path)
    runner.resume(folder, session(), 4)
    sha256 = hashlib.sha256((folder / "config.yaml").read_bytes()).hexdigest()
    assert open_run(folder).summary["config_sha256"] == sha256
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text() + "\n# mine\n")
    with pytest.raises(RunFolderError, match="was changed since the run began"):
        runner.resume(folder, session(), 6)
