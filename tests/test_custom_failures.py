"""A user's own model that fails: the message names the factory, the file and the line."""

import re
from pathlib import Path

import pytest

from tests.command_line import nnlab

MODULE = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, shape, outputs, how):
        super().__init__()
        self.linear = nn.Linear(shape[0], outputs)
        self.norm = nn.BatchNorm1d(outputs)
        self.how, self.calls = how, 0

    def forward(self, x):
        y = self.norm(self.linear(x))
        self.calls += 1
        late = self.calls > 6
        if self.how == "forward" and late:
            raise RuntimeError("no more of\\x1b[31m this")  # line 17
        if self.how == "inside" and late:
            return inner(y)  # line 19
        if self.how == "shape" and late:
            return y[:, :1]
        if self.how == "training tuple" and self.training:
            return y, y
        if self.how == "exit" and late:
            raise SystemExit(3)  # line 25
        if self.how == "backward":
            return Wrong.apply(y)
        if self.how == "whole numbers":
            return y.argmax(1, keepdim=True).expand(-1, y.shape[1])
        return y


def inner(y):
    return y @ y  # line 34


class Wrong(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise ValueError("wrong gradient")  # line 44


def build(input_shape, outputs, how="well"):
    return Net(input_shape, outputs, how)


def fails(input_shape, outputs):
    return {}["key"]  # line 52


def none(input_shape, outputs):
    return None
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the user's modules is the current one; `their_failing_model` is imported anew."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "their_failing_model.py").write_text(MODULE)
    (tmp_path / "their_syntax.py").write_text("x = 1\ndef build(: pass\n")
    (tmp_path / "their_import.py").write_text("import nothing_of_that_name\n")
    monkeypatch.delitem(__import__("sys").modules, "their_failing_model", raising=False)
    return tmp_path / "c.yaml"


def run(config: Path, factory: str, how: str | None = None) -> tuple[int, str]:
    arguments = "" if how is None else f", arguments: {{how: {how}}}"
    config.write_text(
        "experiment: classify\ndata: {name: blobs, examples: 100, batch_size: 20}\n"
        f"model: {{name: custom, factory: '{factory}'{arguments}}}\n"
        "optimizer: {name: sgd, lr: 0.1}\ntraining: {epochs: 3}\n"
    )
    result = nnlab(
        "train", "--config", config, "--allow-custom-code", "--runs", config.parent / "runs", "--quiet"
    )
    assert "Traceback" not in result.err
    return result.code, result.err


def test_a_model_that_does_not_fail(config: Path) -> None:
    assert run(config, "their_failing_model:build", "well") == (0, "")


@pytest.mark.parametrize(
    ("how", "line", "reason"),
    [
        ("forward", 17, r"RuntimeError: no more of\\x1b\[31m this"),
        ("inside", 34, "RuntimeError: mat1 and mat2"),
        ("exit", 25, "SystemExit: 3"),
        ("backward", 44, "ValueError: wrong gradient"),
    ],
)
def test_a_model_that_fails_in_the_training(how: str, line: int, reason: str, config: Path) -> None:
    code, message = run(config, "their_failing_model:build", how)
    assert code == 1
    begin = "nnlab: model.factory: their_failing_model:build: its model failed in the run: "
    assert message.startswith(begin), message
    assert re.match(reason, message.removeprefix(begin)), message
    assert f"({config.parent / 'their_failing_model.py'}, line {line})" in message
    (folder,) = (config.parent / "runs").glob("classify/*")
    assert message.splitlines()[-1] == str(folder.resolve()) or str(folder.name) in message


def test_a_model_whose_scores_lose_their_shape_in_the_training(config: Path) -> None:
    code, message = run(config, "their_failing_model:build", "shape")
    assert code == 1
    assert "model.factory: their_failing_model:build: its model failed in the run" in message


@pytest.mark.parametrize(
    ("factory", "how", "said"),
    [
        (
            "their_failing_model:build",
            "training tuple",
            "maps (2, 2) in training mode to tuple; the data need (2, 3)",
        ),
        ("their_failing_model:build", "whole numbers", "gives numbers of type torch.int64; scores must be"),
        (
            "their_failing_model:fails",
            None,
            "fails failed: KeyError: 'key' ({folder}/their_failing_model.py, line 52)",
        ),
        (
            "their_failing_model:none",
            None,
            "returned an object of type NoneType; it must return a torch.nn.Module",
        ),
        ("their_syntax:build", None, "SyntaxError: invalid syntax ({folder}/their_syntax.py, line 2)"),
        (
            "their_import:build",
            None,
            "No module named 'nothing_of_that_name' ({folder}/their_import.py, line 1)",
        ),
        ("nothing_of_that_name:build", None, "ModuleNotFoundError: No module named 'nothing_of_that_name'\n"),
    ],
)
def test_a_factory_that_fails_before_the_run(factory: str, how: str | None, said: str, config: Path) -> None:
    code, message = run(config, factory, how)
    assert code == 2
    assert message.startswith(f"nnlab: model.factory: {factory}")
    assert said.replace("{folder}", str(config.parent)) in message
    assert not (config.parent / "runs").exists()
