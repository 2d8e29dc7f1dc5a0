# ruff: noqa: E501 - commands stand on one line
"""The kernel experiment on tables and models of one's own: numbers found another way, and what is refused."""

import json
import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nnlab.chapters.kernels.setup import build_network, build_task
from nnlab.cli.run import checked_config
from nnlab.lab.session import Session
from nnlab.record import Record
from tests.command_line import nnlab
from tests.test_experiments_ntk import config_of, tangent_kernel

SMALL = ["--widths", "4,8", "--seeds", "1", "--steps", "4"]
ROWS = np.array([[0.5, -1.0], [2.0, 3.0], [-1.5, 0.25], [0.0, 1.0], [4.0, -2.0]])

OWN = """
    import math
    import random

    import torch
    from torch import nn


    def build(input_shape, outputs, width, bias=True):
        first = nn.Linear(math.prod(input_shape), width, bias=bias)
        return nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(width, outputs, bias=bias))


    def named(input_shape, outputs, units):
        return build(input_shape, outputs, units)


    def frozen(input_shape, outputs, width):
        model = build(input_shape, outputs, width)
        model[1].requires_grad_(False)
        return model


    def fixed(input_shape, outputs):
        return build(input_shape, outputs, 4)


    def dropping(input_shape, outputs, width):
        return nn.Sequential(build(input_shape, outputs, width), nn.Dropout(0.5))


    def unseeded(input_shape, outputs, width):
        model = build(input_shape, outputs, width)
        with torch.no_grad():
            model[1].weight.mul_(1 + random.random())
        return model


    class Scaled(nn.Sequential):
        def forward(self, x):
            return self.factor * super().forward(x)


    def scaled(input_shape, outputs, width):
        model = Scaled(*build(input_shape, outputs, width))
        model.factor = 1 + random.random()
        return model
"""


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Record, "save_figure", lambda *arguments: None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with tables and a module in it."""
    monkeypatch.chdir(tmp_path)
    targets = [1.5, -0.25, 0.75, 2.0, 0.1]
    kinds = ["dog", "cat", "dog", "eel", "cat"]
    for name, column in (("numbers", targets), ("kinds", kinds), ("labels", [1, 0, 1, 0, 0])):
        lines = [f"{a},{y},{b}" for (a, b), y in zip(ROWS, column, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["first,y,second", *lines]) + "\n")
    (tmp_path / "own_networks.py").write_text(textwrap.dedent(OWN))
    return tmp_path


def table(name: str, *more: str) -> list[str]:
    return ["--data", "csv", "--set", f"data.path={name}.csv", "--set", "data.target=y", *more]


def custom(factory: str, *more: str) -> list[str]:
    return ["--model", "custom", "--set", f"model.factory=own_networks:{factory}", *more]


def run(*arguments: str) -> dict[str, Any]:
    result = nnlab("ntk", *SMALL, *arguments, "--runs", "runs", "--json")
    assert result.code == 0, result
    found: dict[str, Any] = json.loads(result.out)
    assert "FAIL" not in [claim["verdict"] for claim in found["claims"]]
    return found


# --- tables -----------------------------------------------------------------------------------------


def task_of(name: str, *sets: str) -> Any:
    config: Any = config_of(f"data={{name: csv, path: {name}.csv, target: y}}", *sets)
    return build_task(config.data, config.training, Session())


def test_rows_from_the_top_are_standardized_over_all(folder: Path) -> None:
    first = "data.task=regression", "data.examples=3"
    task = task_of("numbers", *first, "data.standardize_target=false")
    expected = (ROWS - ROWS.mean(0)) / ROWS.std(0)
    np.testing.assert_allclose(task.x.numpy(), expected[:3], rtol=1e-14)
    assert task.y.tolist() == [[1.5], [-0.25], [0.75]]
    assert task.labels is None
    whole = task_of("numbers", "data.task=regression", "data.standardize_target=false").y.numpy()
    assert len(whole) == 5
    scaled = (whole - whole.mean(0)) / whole.std(0)
    np.testing.assert_allclose(task_of("numbers", *first).y.numpy(), scaled[:3], rtol=1e-14)


def test_classes_are_in_the_order_of_their_names(folder: Path) -> None:
    task = task_of("kinds")
    assert task.labels.tolist() == [1, 0, 1, 2, 0]
    assert task.y.tolist() == np.eye(3)[[1, 0, 1, 2, 0]].tolist()
    assert task_of("labels").y.tolist() == np.eye(2)[[1, 0, 1, 0, 0]].tolist()
    assert task_of("labels", "data.examples=1").y.tolist() == [[0.0, 1.0]]  # a class that no row has


def test_a_table_may_be_written_in_another_way(folder: Path) -> None:
    plain = task_of("numbers", "data.task=regression")
    lines = (folder / "numbers.csv").read_text().replace(",", ";").replace(".", ",").splitlines()
    (folder / "numbers.csv").write_text(
        "\n".join(f"{line};{k};" for k, line in zip(["text", *"abcde"], lines, strict=True))
    )
    other = task_of("numbers", "data.task=regression", "data.ignore=[text]")
    assert torch.equal(other.x, plain.x)
    assert torch.equal(other.y, plain.y)


def test_runs_on_a_table(folder: Path) -> None:
    for arguments in (
        table("numbers", "--set", "data.task=regression", "--examples", "4"),
        table("kinds"),
        table("kinds", "--loss", "cross_entropy", "--examples", "3", "--outputs", "2,0"),
    ):
        found = run(*arguments)
        assert [row["width"] for row in found["results"]] == [4, 8]
        assert all(row["distance_to_infinite"] > 0 for row in found["results"])


REFUSED_TABLES = {
    "numbers as classes": (table("numbers"), "data.target: y holds numbers, such as -0.25, each of which would"),
    "more rows than there are": (table("labels", "--examples", "6"), "data.examples: 6: labels.csv has 5 rows"),
    "no such column": (["--data", "csv", "--set", "data.path=labels.csv", "--set", "data.target=z"], "labels.csv; Allowed: first, second, y"),
    "text among features": (["--data", "csv", "--set", "data.path=kinds.csv", "--set", "data.target=first"], "line 2, column y: 'dog' is not a finite number"),
    "numbers and cross-entropy": (table("numbers", "--set", "data.task=regression", "--loss", "cross_entropy"), "data.name: csv has numbers"),
    "infinite": (table("numbers", "--infinite"), "data.target: y holds numbers"),
    "infinite regression": (table("numbers", "--set", "data.task=regression", "--infinite"), "needs data.name: line, where functions can be drawn, not csv"),
    "cnn": (table("labels", "--model", "cnn"), "model.name: cnn needs images"),
    "a name that is too long": (["--data", "csv", "--set", f"data.path={'x' * 5000}.csv", "--set", "data.target=y"], "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_TABLES)
def test_a_table_that_does_not_fit(kind: str, folder: Path) -> None:
    refused(*REFUSED_TABLES[kind])


def refused(arguments: list[str], said: str) -> None:
    """Exit 2 with one message, before anything is written."""
    result = nnlab("ntk", *SMALL, *arguments, "--runs", "runs")
    assert result.code == 2, result
    assert result.err.startswith("nnlab: ")
    assert result.err.count("\n") == 1
    assert said in result.err
    assert not Path("runs").exists()


def test_as_many_numbers_as_half_of_the_rows_are_no_classes(folder: Path) -> None:
    lines = [f"{k},{k % 5}" for k in range(8)]
    (folder / "counts.csv").write_text("\n".join(["first,y", *lines]) + "\n")
    refused(table("counts"), "holds numbers, 5 in 8 rows, each of which would be a class")


# --- models -----------------------------------------------------------------------------------------


def test_a_module_of_ones_own_by_looped_autograd(folder: Path) -> None:
    """The kernel and η_max of each width, from the same factory called by hand."""
    found = run(
        *custom("named", "--set", "model.width_argument=units", "--examples", "5"), "--allow-custom-code"
    )
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    networks = {row["width"]: row for row in found["results"]}
    assert networks.keys() == {4, 8}
    config: Any = checked_config(str(Path(found["run_dir"]) / "config.yaml"), [], [])
    task = build_task(config.data, config.training, Session())
    for width, row in networks.items():
        network = built(config, width, task)
        eigenvalues = np.linalg.eigvalsh(tangent_kernel(network, x))
        assert row["lambda_max"] == pytest.approx(eigenvalues[-1], rel=1e-10)
        assert row["eta_max"] == pytest.approx(2 / eigenvalues[-1], rel=1e-10)
        assert row["parameters"] == 3 * width + 1
        assert row["distance_to_infinite"] is None
    assert not any(claim["name"] == "training_loss_goes_to_zero" for claim in found["claims"])


def built(config: Any, width: int, task: Any) -> nn.Module:
    return build_network(config.model, width, task, 0, allow_custom_code=True)


def test_widths_reach_the_factory_beside_its_other_arguments(folder: Path) -> None:
    found = run(*custom("build", "--set", "model.arguments.bias=false"), "--allow-custom-code")
    assert [row["parameters"] for row in found["results"]] == [8, 16]
    assert math.isfinite(found["metrics"]["kernel_drift"])


def test_parameters_that_are_frozen_stay_and_do_not_count(folder: Path) -> None:
    """The first layer is fixed, so that the network is linear in what it trains: the kernel cannot move."""
    found = run(*custom("frozen"), "--allow-custom-code")
    for row in found["results"]:
        assert row["parameters"] == row["width"] + 1
        assert row["kernel_drift"] < 1e-14
        assert row["residual_error"] < 1e-10


def test_classes_of_a_table_by_a_module(folder: Path) -> None:
    found = run(*custom("build"), *table("kinds"), "--loss", "cross_entropy", "--allow-custom-code")
    assert [row["parameters"] for row in found["results"]] == [4 * 3 + 3 * 5, 8 * 3 + 3 * 9]


REFUSED_MODELS = {
    "not allowed": (custom("build"), "own_networks:build runs your own code"),
    "no width": (custom("fixed", "--allow-custom-code"), "model.width_argument: own_networks:fixed takes no argument width"),
    "another name": (custom("named", "--allow-custom-code"), "takes no argument width to set each of widths with; Allowed: units"),
    "width twice": (custom("build", "--set", "model.arguments.width=3", "--allow-custom-code"), "model.arguments.width: this argument takes each of widths"),
    "no identifier": (custom("build", "--set", "model.width_argument=1st", "--allow-custom-code"), "model.width_argument: 1st must be the name of an argument"),
    "unknown argument": (custom("build", "--set", "model.arguments.bais=true", "--allow-custom-code"), "did you mean bias?"),
    "dropout": (custom("dropping", "--allow-custom-code"), "model.factory: own_networks:dropping: 1 (Dropout) is in training mode"),
    "other random numbers": (custom("unseeded", "--allow-custom-code"), "own_networks:unseeded returns another network each time"),
    "a number that is no parameter": (custom("scaled", "--allow-custom-code"), "own_networks:scaled returns another network each time"),
    "no such factory": (custom("bild", "--allow-custom-code"), "did you mean build?"),
    "infinite": (custom("build", "--allow-custom-code", "--infinite"), "needs model.name: mlp, not custom"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_MODELS)
def test_a_model_that_does_not_fit(kind: str, folder: Path) -> None:
    refused(*REFUSED_MODELS[kind])
