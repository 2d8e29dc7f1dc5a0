"""Several processes train what one would, by the real torchrun; one that dies ends the run with a message."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.errors import InputError
from nnlab.lab import runner
from nnlab.lab.config import check
from nnlab.lab.session import Session
from nnlab.lab.source import Source, parse_yaml
from nnlab.record import open_run
from nnlab.training.distributed import Share, World, lost
from tests.command_line import nnlab
from tests.train_together import CASES, train

HERE = Path(__file__).parent
ROUNDING = 1e-4  # relative, of float32 sums in another order, over 20 steps; measured 3e-7

CONFIG = """\
experiment: classify
data: {name: digits, batch_size: 701}
model: {name: mlp, hidden: [32]}
loss: {name: cross_entropy, regularization: {name: l2, strength: 1.0e-4}}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, clip_norm: 1.0, schedule: {name: cosine, warmup_epochs: 2}}
training: {epochs: 150, device: cpu, checkpoint_seconds: 0.2}
"""  # two steps an epoch, of 701 and 593 examples: no two shares are equal


def torchrun(processes: int, *arguments: str | Path, **variables: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    return subprocess.Popen(
        [*command, str(processes), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE), **variables},
    )


def ended(process: "subprocess.Popen[str]") -> tuple[int, str, list[str]]:
    """Exit code, stdout, and what nnlab said on stderr: torchrun's own report is left out."""
    out, err = outputs(process)
    return process.returncode, out, [line for line in err.splitlines() if line.startswith("nnlab:")]


def outputs(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """What it wrote; one that hangs is ended, by torchrun with all of its own."""
    try:
        return process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        raise AssertionError(f"hung: {out}{err}") from None


def only_run(runs: Path) -> Path:
    (found,) = runs.glob("*/*")
    return found


def rows(run: Path) -> bytes:
    return (run / "metrics.jsonl").read_bytes()


def is_at(runs: Path, lines: int) -> bool:
    """Whether the run there has so many rows, and a checkpoint."""
    return any(
        rows(file.parent).count(b"\n") >= lines and (file.parent / "checkpoints" / "last.pt").exists()
        for file in runs.glob("*/*/metrics.jsonl")
    )


def process_of(rank: int, parent: int) -> int:
    """The id of the process that torchrun gave this rank."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("no /proc to find the processes of torchrun in")
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for child in children.read_text().split():
            if f"\0RANK={rank}\0" in Path(f"/proc/{child}/environ").read_text():
                return int(child)
    raise AssertionError(f"torchrun has no process of rank {rank}")


# --- the same as one process ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("together") / "found.pt"
    process = torchrun(3, HERE / "train_together.py", file)
    _, errors = outputs(process)
    assert process.returncode == 0, errors
    found: dict[str, dict[str, Any]] = torch.load(file, weights_only=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if case != "batch norm"])
def test_three_compute_what_one_does(case: str, together: dict[str, dict[str, Any]]) -> None:
    """In float64, so that a wrong weight of an uneven share cannot hide in rounding.

    A line search, whose steps grow where the loss hardly changes, magnifies the rounding of its sums.
    """
    ours, alone = together[case], train(case, World())
    near = 1e-6 if case == "a line search" else 1e-10
    assert len(ours["rows"]) == len(alone["rows"]) == 7
    for mine, his in zip(ours["rows"], alone["rows"], strict=True):
        assert mine == pytest.approx(his, rel=near, abs=1e-12)
    assert ours["metrics"] == pytest.approx(alone["metrics"], rel=near)
    assert torch.allclose(ours["states"][0], alone["states"][0], rtol=near, atol=near)


def test_all_end_with_the_same_model(together: dict[str, dict[str, Any]]) -> None:
    """To the last bit, and with the first one's statistics of batch norm, which are those of its share."""
    for case in CASES:
        first, *others = together[case]["states"]
        assert all(torch.equal(first, other) for other in others)
    alone = train("batch norm", World())["states"][0]
    assert not torch.allclose(together["batch norm"]["states"][0], alone, rtol=1e-3)


@pytest.mark.parametrize(("examples", "size"), [(10, 3), (3, 2), (2, 5), (1, 4), (7, 7), (64, 1)])
def test_shares_are_the_batch(examples: int, size: int) -> None:
    shares = [World(rank, size).share(examples) for rank in range(size)]
    covered = [i for share in shares if share.counted for i in range(examples)[share.part]]
    assert covered == list(range(examples))
    assert max(s.counted for s in shares) - min(s.counted for s in shares) <= 1
    losses = torch.rand(examples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for reduction, whole in (("mean", losses.mean()), ("sum", losses.sum())):
        parts = [
            World(rank, size).weight(share, examples, reduction) * getattr(losses[share.part], reduction)()
            for rank, share in enumerate(shares)
        ]
        assert sum(parts) / size == pytest.approx(float(whole), rel=1e-14)


def test_a_process_alone() -> None:
    world, model = World(), nn.Linear(2, 1)
    assert world.alone
    assert world.share(5) == Share(slice(0, 5), 5)
    assert world.weight(world.share(5), 5, "mean") == world.weight(world.share(5), 5, "sum") == 1
    assert world.parallel(model) is model
    assert (world.sum([1.5, 2.0]), world.any(True, False)) == ([1.5, 2.0], [True, False])
    assert lost(world, RuntimeError("Connection closed by peer")) is None


# --- the command ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "digits.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes that nobody disturbs."""
    runs = tmp_path_factory.mktemp("whole")
    code, out, said = ended(torchrun(2, "-m", "nnlab", "train", "--config", config, "--runs", runs))
    assert (code, said) == (0, [])
    assert out.splitlines()[-1] == str(only_run(runs))  # one folder, one table
    assert out.count("digits, seed 0") == 1
    return only_run(runs)


@pytest.fixture(scope="module")
def killed(config: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A run whose second process was killed at a random step, and what was said."""
    runs = tmp_path_factory.mktemp("killed")
    process = torchrun(2, "-m", "nnlab", "train", "--config", config, "--runs", runs)
    lines = random.Random(3).randint(20, 150)  # of 301
    deadline = time.monotonic() + 60
    while not is_at(runs, lines):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process_of(1, process.pid), signal.SIGKILL)
    code, out, said = ended(process)
    assert (code, out) == (1, "")
    return only_run(runs), said


@pytest.mark.slow
def test_two_processes_are_one(config: Path, whole: Path, tmp_path: Path) -> None:
    assert nnlab("train", "--config", config, "--runs", tmp_path).code == 0
    ours, alone = open_run(whole), open_run(only_run(tmp_path))
    for split in ("train", "val"):
        for mine, his in zip(ours.metrics(split)[:10], alone.metrics(split)[:10], strict=True):
            assert mine["step"] == his["step"] <= 20
            assert mine["loss"] == pytest.approx(his["loss"], rel=ROUNDING)
    assert ours.metrics("train")[9]["step"] == 20
    assert ours.summary["metrics"].keys() == alone.summary["metrics"].keys()
    assert '"cpu, 2 processes"' in (whole / "environment.json").read_text()


@pytest.mark.slow
def test_a_killed_process_ends_the_run(killed: tuple[Path, list[str]]) -> None:
    run, said = killed
    assert len(said) == 1
    assert said[0].startswith("nnlab: another process of this training has ended")
    assert said[0].endswith(f"go on with: nnlab train --resume {run}")
    assert open_run(run).status == "failed"
    assert open_run(run).summary["message"].startswith("another process of this training has ended")


@pytest.mark.slow
def test_what_was_killed_goes_on(whole: Path, killed: tuple[Path, list[str]], tmp_path: Path) -> None:
    """With as many processes: the same bytes. With one: the same up to rounding."""
    alone = tmp_path / "alone"
    shutil.copytree(killed[0], alone)
    assert nnlab("train", "--resume", alone).code == 0
    last = open_run(alone).metrics("train")[-1]
    assert last["step"] == 300
    assert last["loss"] == pytest.approx(open_run(whole).metrics("train")[-1]["loss"], rel=1e-3)
    code, out, _ = ended(torchrun(2, HERE / "undrawn.py", "train", "--resume", killed[0], "--quiet"))
    assert (code, out) == (0, f"{killed[0]}\n")
    assert rows(killed[0]) == rows(whole)
    assert open_run(killed[0]).summary["metrics"] == open_run(whole).summary["metrics"]


class Faulty(nn.Module):
    """Fails in its 30th step of a second seed, in one process alone."""

    steps = 0

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Faulty.steps += self.training
        if Faulty.steps == 60 + 30 and os.environ.get("RANK") == "1":
            raise RuntimeError("the fault that was planted")
        scores: torch.Tensor = self.layer(x.flatten(1))
        return scores


def build(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Faulty(torch.Size(input_shape).numel(), outputs)


@pytest.mark.slow
def test_the_message_of_another_process(config: Path, tmp_path: Path) -> None:
    """In a group of seeds: the first is trained to its end by both, the second fails in one of them."""
    process = torchrun(
        2, HERE / "undrawn.py", "train", "--config", config, "--seeds", "2", "--runs", tmp_path, "--quiet",
        "--allow-custom-code", "--set", "training.epochs=30", "--set",
        "model={name: custom, factory: 'test_distributed:build'}",
    )  # fmt: skip
    code, out, said = ended(process)
    group = only_run(tmp_path)
    fault = "rank 1 of 2: RuntimeError: the fault that was planted"
    assert (code, out, said) == (1, "", [f"nnlab: {fault}; go on with: nnlab train --resume {group}"])
    assert [open_run(group / member).status for member in ("s0", "s1")] == ["finished", "failed"]
    assert open_run(group).status == "failed"
    assert open_run(group / "s1").summary["message"] == fault


@pytest.mark.slow
def test_wrong_input_is_said_once(config: Path, tmp_path: Path) -> None:
    process = torchrun(2, "-m", "nnlab", "train", "--config", config, "--set", "optimizer.lr=-1")
    out, err = outputs(process)
    assert (process.returncode, out) == (1, "")  # torchrun's code; nnlab's stands in its report
    assert err.count("nnlab: --set optimizer.lr=-1: optimizer.lr: -1 must be greater than 0") == 1
    assert "exitcode  : 2" in err


def test_experiments_of_one_process_are_refused(tmp_path: Path) -> None:
    text = "{experiment: sgd_vs_gd, data: {name: digits}, model: {name: mlp}}"
    config = check(Source("c.yaml", text, parse_yaml(text, "c.yaml")), EXPERIMENTS)
    with pytest.raises(
        InputError, match="experiment: sgd_vs_gd runs in one process, not in 2: start it without"
    ):
        runner.run(config, tmp_path, Session(world=World(0, 2, store=object())))
    assert list(tmp_path.iterdir()) == []
