"""A training that was cut off and resumed writes, byte for byte, the metrics of an unbroken one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnlab.errors import Interrupted, RunFolderError
from nnlab.lab.build import build_data
from nnlab.lab.sections import BlobsData
from nnlab.models import MLP
from nnlab.record import MetricsLog, open_run
from nnlab.training import (
    Checkpoints,
    Parts,
    Settings,
    build_loss,
    build_optimizer,
    build_penalty,
    fit,
    schedule,
)
from nnlab.training.checkpoint import read_checkpoint

SECTION = BlobsData(name="blobs", examples=60, spread=1.5, validation=0.2)


def one_training(
    folder: Path, optimizer: str, stop_after: int | None, seconds: float = 15.0, hidden: int = 6
) -> None:
    """Trains in `folder`, going on where it stopped; raises Interrupted after `stop_after` more steps."""
    data = build_data(SECTION, device=torch.device("cpu"), dtype=torch.float32)
    model = MLP(2, [hidden], data.outputs, generator=torch.Generator().manual_seed(0))
    full = optimizer == "lbfgs"
    arguments: dict[str, Any] = {"momentum": 0.9} if optimizer in ("sgd", "muon") else {}
    log = MetricsLog(folder / "metrics.jsonl")
    left = [stop_after]

    def stop() -> bool:
        if left[0] is not None:
            left[0] -= 1
        return left[0] == 0

    try:
        fit(
            Parts(
                model,
                data,
                loss=build_loss("cross_entropy"),
                optimizer=build_optimizer(optimizer, model, lr=0.3 if not full else 1.0, **arguments),
                penalty=build_penalty("l2", 1e-3),
                schedule=None if full else schedule("cosine", total=36, warmup=4),
            ),
            Settings(epochs=6, batch_size="full" if full else 9),
            generator=torch.Generator().manual_seed(1),
            log=log.write,
            checkpoints=Checkpoints(folder / "checkpoints", log, seconds),
            stop=stop,
        )
        log.finish()
    finally:
        log.close()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "muon", "lbfgs"])
def test_interrupted_anywhere(optimizer: str, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    whole.mkdir()
    one_training(whole, optimizer, None)
    expected = (whole / "metrics.jsonl").read_bytes()
    assert expected.count(b"\n") == 6 * 2 + 1
    steps = read_checkpoint(whole / "checkpoints" / "last.pt")["position"]["step"]
    for seed in range(3):
        cut = tmp_path / f"cut{seed}"
        cut.mkdir()
        draw = random.Random(seed)
        for _ in range(3):
            try:
                one_training(cut, optimizer, draw.randint(1, max(1, steps // 3)))
            except Interrupted:
                continue
        one_training(cut, optimizer, None)
        assert (cut / "metrics.jsonl").read_bytes() == expected
        ours, theirs = (read_checkpoint(f / "checkpoints" / "best.pt")["model"] for f in (cut, whole))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_killed_between_checkpoint_and_log(tmp_path: Path) -> None:
    """Rows and even a torn line behind the last checkpoint are written again, not twice."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    one_training(whole, "sgd", None)
    with pytest.raises(Interrupted):
        one_training(cut, "sgd", 13)
    with open(cut / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 18, "epoch": 3, "split": "train", "loss": 0.1}\n{"step": 18, "ep')
    one_training(cut, "sgd", None)
    assert (cut / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    one_training(tmp_path, "sgd", None)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    one_training(tmp_path, "sgd", 1)  # would be interrupted at its first step, if there were one
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_checkpoint_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        one_training(tmp_path, "sgd", 5)
    with pytest.raises(RunFolderError, match=r"last\.pt: does not fit the run's config\.yaml"):
        one_training(tmp_path, "sgd", None, hidden=7)


@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_damaged_checkpoint(tmp_path: Path, content: bytes | None) -> None:
    with pytest.raises(Interrupted):
        one_training(tmp_path, "sgd", 5)
    last = tmp_path / "checkpoints" / "last.pt"
    last.write_bytes(last.read_bytes()[:500] if content is None else content)
    with pytest.raises(RunFolderError, match="is damaged or no checkpoint"):
        one_training(tmp_path, "sgd", None)


class _Evil:
    def __reduce__(self) -> Any:
        return os.mkdir, ("made-by-a-checkpoint",)


def test_checkpoints_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"model": _Evil()}, tmp_path / "last.pt")
    with pytest.raises(RunFolderError):
        read_checkpoint(tmp_path / "last.pt")
    assert not (tmp_path / "made-by-a-checkpoint").exists()


class WithDropout(nn.Module):
    """A user's model that draws from torch's own generator."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layer(torch.dropout(x.flatten(1), 0.5, self.training))
        return scores


def build(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    return WithDropout(torch.Size(input_shape).numel(), outputs)


CONFIG = """
experiment: classify
data: {name: digits, batch_size: 64}
model: {name: custom, factory: "test_training_resume:build"}
loss: {name: cross_entropy, regularization: {name: l2, strength: 1.0e-4}}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9, schedule: {name: cosine, warmup_epochs: 2}}
training: {epochs: 150, device: cpu, checkpoint_seconds: 0.05, patience: 140}
"""


def nnlab(*arguments: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "nnlab", "train", "--quiet", "--allow-custom-code", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def only_run(runs: Path) -> Path:
    (found,) = runs.glob("classify/*")
    return found


def wait_for(path: Path, process: "subprocess.Popen[str]", lines: int) -> None:
    """Until the metrics have so many lines."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = list(path.glob("classify/*/metrics.jsonl"))
        if found and found[0].read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"the run never came to {lines} lines: {process.communicate()}")


@pytest.mark.slow
def test_kill_nine_of_the_real_command(tmp_path: Path) -> None:
    """`nnlab train`, killed twice at random moments, then resumed, dropout and all."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = nnlab("--config", str(config), "--runs", str(whole))
    _, messages = process.communicate()
    assert process.returncode == 0, messages
    draw = random.Random(7)
    arguments = ["--config", str(config), "--runs", str(cut)]
    reached = 0
    for _ in range(2):
        process = nnlab(*arguments)
        reached += draw.randint(20, 80)
        wait_for(cut, process, reached)
        time.sleep(draw.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert open_run(only_run(cut)).status == "killed"
        arguments = ["--resume", str(only_run(cut))]
    process = nnlab(*arguments)
    out, messages = process.communicate()
    assert process.returncode == 0, messages
    assert out.strip() == str(only_run(cut))
    ours, theirs = open_run(only_run(cut)), open_run(only_run(whole))
    assert (ours.folder / "metrics.jsonl").read_bytes() == (theirs.folder / "metrics.jsonl").read_bytes()
    assert ours.summary["metrics"] == theirs.summary["metrics"]
    assert ours.summary["claims"] == theirs.summary["claims"]
    assert ours.status == "finished"
