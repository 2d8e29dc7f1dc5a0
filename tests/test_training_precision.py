"""precision: auto, the warning for an emulated bfloat16, and the forecast of a long training."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.data import DataSet
from nnlab.display import duration
from nnlab.errors import Interrupted
from nnlab.lab import forecast, runner
from nnlab.lab.build import build_data
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.sections import BlobsData, TrainingExperiment
from nnlab.lab.session import Session, Silence
from nnlab.models import MLP
from nnlab.record import open_run
from nnlab.training import Parts, Settings, build_loss, build_optimizer, precision
from nnlab.training.precision import choose, computes_bfloat16, emulation_warning

CPU = torch.device("cpu")


class Lines(Silence):
    """Keeps what would be printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def shipped(*sets: str) -> TrainingExperiment:
    source = read_source("mlp2_digits")
    apply_sets(source, ["training.epochs=2", "model.hidden=[8]", *sets])
    config = check(source, EXPERIMENTS)
    assert isinstance(config, TrainingExperiment)
    return config


def parts_of(model: Callable[[DataSet], nn.Module]) -> Parts:
    data = build_data(BlobsData(name="blobs"), device=CPU, dtype=torch.float32)
    network = model(data)
    return Parts(network, data, build_loss("cross_entropy"), build_optimizer("sgd", network, lr=0.1))


def normed(data: DataSet) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, data.outputs))


def test_auto_is_the_default_of_every_training() -> None:
    for name in ("mlp2_digits", "cnn_cifar10", "cnn_cifar10_fast", "pixel_shuffle", "mlp3_cifar10"):
        config = check(read_source(name), EXPERIMENTS)
        assert getattr(config, "training").precision == "auto"  # noqa: B009 - of any experiment


def test_short_steps_are_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    choice = choose(parts_of(normed), Settings())
    assert choice.precision == "float32"
    assert " ms" in choice.reason


def test_a_trial_leaves_the_training_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "SHORT_STEP", 0.0)  # every step is worth a trial
    parts = parts_of(normed)
    before = copy.deepcopy(parts.model.state_dict())
    random, optimizer = torch.get_rng_state(), parts.optimizer
    choice = choose(parts, Settings(batch_size=32))
    assert "in bfloat16 and" in choice.reason
    assert all(torch.equal(before[name], value) for name, value in parts.model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert parts.optimizer is optimizer
    assert parts.precision == "float32"
    assert all(p.grad is None for p in parts.model.parameters())


@pytest.mark.parametrize(("single", "half", "chosen"), [(1.0, 0.5, "bfloat16"), (1.0, 0.85, "float32")])
def test_the_faster_one_is_taken_where_the_gain_is_clear(
    monkeypatch: pytest.MonkeyPatch, single: float, half: float, chosen: str
) -> None:
    seconds = {"float32": single, "bfloat16": half}
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    monkeypatch.setattr(precision, "_seconds", lambda trial, settings, name: seconds[name])
    assert choose(parts_of(normed), Settings()).precision == chosen


def test_without_bfloat16_of_its_own_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: False)
    monkeypatch.setattr(precision, "_seconds", None)  # would fail
    assert choose(parts_of(normed), Settings()).precision == "float32"


def test_models_that_cannot_be_copied_or_run_are_left_to_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Single(MLP):
        def __deepcopy__(self, memo: dict[int, Any]) -> "Single":
            raise TypeError("there is one of me")

    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise KeyError("no forward")

    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    single = parts_of(lambda data: Single(2, [4], data.outputs, generator=torch.Generator()))
    assert "cannot be copied" in choose(single, Settings()).reason
    assert "a trial step failed" in choose(parts_of(lambda data: Broken()), Settings()).reason


def test_the_processor_is_asked() -> None:
    """The answer is that of the kernel's list of the processor's features, where there is one."""
    features = Path("/proc/cpuinfo")
    if not features.is_file():
        pytest.skip("no /proc/cpuinfo")
    words = set(features.read_text().split())
    assert computes_bfloat16(CPU) == bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


@pytest.mark.usefixtures("undrawn")
def test_a_run_keeps_its_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a resume, bfloat16 stays bfloat16, whatever a new trial would say."""
    monkeypatch.setattr("nnlab.lab.training_run.choose", lambda *_: precision.Choice("bfloat16", "a test"))
    whole = runner.run(shipped(), tmp_path, Session(Silence(), experiments=EXPERIMENTS))
    assert whole["precision"] == "bfloat16"
    stopped = Session(Silence(), experiments=EXPERIMENTS, stop_requested=True)
    with pytest.raises(Interrupted):
        runner.run(shipped("name=again"), tmp_path, stopped)
    folder = next((tmp_path / "classify").glob("*again*"))
    monkeypatch.setattr("nnlab.lab.training_run.choose", lambda *_: precision.Choice("float32", "a test"))
    again = runner.resume(folder, Session(Silence(), experiments=EXPERIMENTS))
    assert again["precision"] == "bfloat16"
    assert again["metrics"] == whole["metrics"]
    assert open_run(folder).metrics() == open_run(whole["run_dir"]).metrics()
    single = runner.run(shipped(), tmp_path, Session(Silence(), experiments=EXPERIMENTS))
    assert single["metrics"] != whole["metrics"]


@pytest.mark.usefixtures("undrawn")
def test_an_emulated_bfloat16_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnlab.lab.training_run.computes_bfloat16", lambda device: False)
    reporter = Lines()
    config = shipped("training.precision=bfloat16")
    runner.run(config, tmp_path, Session(reporter, experiments=EXPERIMENTS))
    assert emulation_warning(CPU) in reporter.lines


# --- the forecast -----------------------------------------------------------------------------------


def said_after(seconds_a_step: float, steps: int, *sets: str) -> list[str]:
    """What a training with so long steps says, by a clock that stands for the wall's."""
    lines: list[str] = []
    now = [0.0]
    advance = forecast.forecasting(lambda *_: None, lines.append, shipped(*sets), CPU, lambda: now[0])
    for done in range(1, 40):
        advance(done, steps, "")
        now[0] += seconds_a_step
    return lines


def test_a_long_training_says_so_once_with_what_makes_it_shorter() -> None:
    (line,) = said_after(33.0, 1000, "training.precision=bfloat16", "training.epochs=10")
    assert line.startswith("998 steps of about 33.0 s each will take 9.1 h on cpu. Shorter: ")
    assert "--set training.precision=auto" in line
    assert "--set training.epochs=1" in line


def test_a_short_training_says_nothing() -> None:
    assert said_after(0.5, 1000) == []
    assert said_after(0.01, 30) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3, "3 s"), (89, "89 s"), (600, "10 min"), (7200, "2.0 h"), (90_000, "25 h"), (260_000, "3 days")],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text
