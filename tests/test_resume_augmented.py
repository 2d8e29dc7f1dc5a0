"""A training on augmented images that was killed and resumed writes the metrics of an unbroken one."""

import random
import time
from pathlib import Path

import pytest

from nnlab.record import open_run
from nnlab.training.checkpoint import read_checkpoint
from tests.command_line import nnlab, start

CONFIG = """\
experiment: classify
data:
  name: digits
  batch_size: 100
  augmentation: {flip: FLIP, crop: 2, cutout: 3}
model: {name: cnn, channels: [4], batch_norm: true, dropout: 0.2}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9, nesterov: true}
training: {epochs: 20, device: cpu, checkpoint_seconds: 0.05, micro_batch: 50}
"""


def only_run(runs: Path) -> Path:
    (found,) = runs.glob("*/*")
    return found


def is_at(runs: Path, lines: int) -> bool:
    """Whether a run has so many rows, and a checkpoint."""
    return any(
        file.read_bytes().count(b"\n") >= lines and (file.parent / "checkpoints" / "last.pt").exists()
        for file in runs.glob("*/*/metrics.jsonl")
    )


@pytest.mark.slow
@pytest.mark.parametrize("flip", ["random", "alternating"])
def test_killed_at_a_random_step(flip: str, tmp_path: Path) -> None:
    config = tmp_path / "augmented.yaml"
    config.write_text(CONFIG.replace("FLIP", flip))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert nnlab("train", "--config", config, "--runs", whole).code == 0
    process = start("train", "--config", config, "--runs", cut, "--quiet")
    lines = random.Random(flip).randint(4, 28)  # of 41
    deadline = time.monotonic() + 60
    while not is_at(cut, lines):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    at = read_checkpoint(only_run(cut) / "checkpoints" / "last.pt")["position"]
    assert 0 < at["step"] < 20 * 13
    assert open_run(only_run(cut)).status == "killed"
    assert nnlab("train", "--resume", only_run(cut)).code == 0
    ours, theirs = only_run(cut), only_run(whole)
    assert (ours / "metrics.jsonl").read_bytes() == (theirs / "metrics.jsonl").read_bytes()
    assert open_run(ours).summary["metrics"] == open_run(theirs).summary["metrics"]
