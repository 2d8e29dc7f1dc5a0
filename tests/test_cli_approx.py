# ruff: noqa: E501 - commands stand on one line
"""`nnlab approx`: its flags, what it refuses, what it leaves behind."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnlab.approximation.network import load_network
from nnlab.lab import runner
from nnlab.lab.sections import Experiment
from nnlab.record import open_run
from tests.command_line import nnlab

BINS = ["--parts", "bins"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """The configs that would have run."""
    found: list[Experiment] = []

    def note(config: Experiment, runs: Path, session: object) -> dict[str, Any]:
        found.append(config)
        return {"metrics": {}, "run_dir": "here"}

    monkeypatch.setattr(runner, "run", note)
    return found


def test_it_is_the_experiment_of_train(configs: list[Experiment]) -> None:
    assert nnlab("approx").code == nnlab("train", "--config", "approx").code == 0
    assert configs[0] == configs[1]


FLAGS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "bins": (["--bins", "3,4"], {"bins": [3, 4]}),
    "target": (["--target", "x^2"], {"target": "x^2"}),
    "epsilon": (["--epsilon", "0.1"], {"epsilon": 0.1}),
    "interval": (["--interval", "-1,2.5"], {"interval": [-1.0, 2.5]}),
    "construction": (["--construction", "hats"], {"construction": "hats"}),
    "heights": (["--heights", "left"], {"heights": "left"}),
    "steepness": (["--steepness", "30"], {"steepness": 30.0}),
    "hard steps": (["--steepness", "hard"], {"steepness": "hard"}),
    "activation": (["--activation", "tanh"], {"activation": "tanh"}),
    "output": (["--output", "sigmoid"], {"output": "sigmoid"}),
    "lipschitz": (["--lipschitz", "7"], {"lipschitz": 7.0}),
    "interval with pi": (["--interval", "0,2*pi"], {"interval": [0.0, 2 * math.pi]}),
    "interval pasted": (["--interval", "−π, π/2"], {"interval": [-math.pi, math.pi / 2]}),
    "interval with dots": (["--interval", "-pi..pi"], {"interval": [-math.pi, math.pi]}),
    "interval in brackets": (["--interval", "[1/3, √2]"], {"interval": [1 / 3, math.sqrt(2)]}),
    "interval in parentheses": (["--interval", "(0,1)"], {"interval": [0.0, 1.0]}),
    "interval set": (["--set", "interval=[0, 2*pi]"], {"interval": [0.0, 2 * math.pi]}),
    "epsilon as a fraction": (["--epsilon", "1/50"], {"epsilon": 0.02}),
    "lipschitz as an expression": (["--lipschitz", "2*pi"], {"lipschitz": 2 * math.pi}),
    "steepness as an expression": (["--steepness", "10^3"], {"steepness": 1000.0}),
    "parts": (["--parts", "steps,bins"], {"parts": ["steps", "bins"]}),
    "seed": (["--seed", "5"], {"seed": 5}),
    "set": (["--set", "surface.cells=4"], {"surface": {"target": "hill", "cells": 4}}),
}


@pytest.mark.parametrize("flag", FLAGS)
def test_flags(flag: str, configs: list[Experiment]) -> None:
    arguments, expected = FLAGS[flag]
    assert nnlab("approx", *arguments).code == 0
    found = configs[0].model_dump()
    assert {key: found[key] for key in expected} == expected


REFUSED = {
    "unknown function": (["--target", "sinn(x)"], "target: unknown function sinn: did you mean sin?"),
    "unknown name": (["--target", "y + 1"], "target: unknown name y"),
    "python": (["--target", "__import__('os')"], "'_' cannot be in an expression"),
    "unfinished": (["--target", "x +"], "the expression ends where"),
    "division by zero": (["--target", "1/(x - 0.5)"], "target: 1/(x - 0.5): its divisor x - 0.5 reaches 0 at x = 0.5"),
    "log of a negative": (["--target", "log(x - 0.5)"], "its argument x - 0.5 is not positive at x = 0"),
    "overflow": (["--target", "exp(1000*x)"], "it overflows float64"),
    "not Lipschitz": (["--target", "sqrt(x)", "--epsilon", "0.1"], "sqrt(x) has no bounded slope on [0, 1], near x = 0"),
    "a jump": (["--target", "step", "--epsilon", "0.1"], "step has no bounded slope on [0, 1], near x = 0.5"),
    "epsilon 0": (["--epsilon", "0"], "epsilon: 0.0 must be greater than 0"),
    "epsilon negative": (["--epsilon", "-1"], "epsilon: -1.0 must be greater than 0"),
    "epsilon tiny": (["--epsilon", "1e-12"], "bytes (1."),
    "no bins": (["--bins", "0"], "bins.0: 0 must be greater than or equal to 1"),
    "negative bins": (["--bins", "-3"], "bins.0: -3 must be greater than or equal to 1"),
    "bins twice": (["--bins", "5,5"], "names 5 twice"),
    "bins in words": (["--bins", "five"], "--bins five: must be whole numbers with commas between"),
    "interval with a pasted π": (["--interval", "0,2π"], "2π must be a number: an operator is missing"),
    "interval with a missing sign": (["--interval", "0,2pi"], "an operator is missing before 'pi': write 2*pi"),
    "decimal commas": (["--interval", "0,5,1,5"], "must be two numbers with a comma between"),
    "decimal comma": (["--epsilon", "0,001"], "a decimal number has a point: write 0.001"),
    "epsilon in words": (["--epsilon", "small"], "epsilon: small must be a number: unknown name small"),
    "infinite interval": (["--interval", "0,inf"], "inf is not a finite number"),
    "reversed interval": (["--interval", "1,0"], "interval: [1, 0] is empty or reversed"),
    "empty interval": (["--interval", "1,1"], "interval: [1, 1] is empty or reversed"),
    "half an interval": (["--interval", "0"], "--interval 0: must be two numbers with a comma between"),
    "relu steps": (["--activation", "relu"], "activation: relu: σ(wx + b) must become a step, and max(0, wx + b) grows without end"),
    "outside (0, 1)": (["--target", "sine", "--output", "sigmoid"], "output: sigmoid: has values in (0, 1), but sine comes to"),
    "more than memory": (["--bins", "1000000000"], "1,000,000,000 hidden units take 96,000,000,000 bytes"),
    "small lipschitz": (["--target", "sine", "--lipschitz", "0.1"], "lipschitz: 0.1 is too small: the slope of sine reaches 6.28318531"),
    "steepness in words": (["--steepness", "soft"], "must be a number above 0, or hard"),
    "steepness 0": (["--steepness", "0"], "must be a number above 0, or hard"),
    "construction": (["--construction", "tower"], "did you mean towers?"),
    "part": (["--parts", "bin"], "did you mean bins?"),
    "no file": (["--target", "none.csv"], "target: none.csv: no such file"),
    "bins in the plane": (["--target", "x1*x2"], "has more than one variable, and bins are on the line"),
    "two variables wanted": (["--parts", "surface", "--set", "surface.target=x"], "surface.target: unknown name x"),
    "hole in the plane": (["--parts", "surface", "--target", "1/(x1 - x2 - 3*x1)"], "target: 1/(x1 - x2 - 3*x1): its divisor"),
    "five variables": (["--parts", "sums", "--set", "sums.dimensions=[5]"], "sums.dimensions.0: 5 must be less than or equal to 4"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_wrong_input(kind: str, runs: Path) -> None:
    """Exit 2 with one message, before anything is written."""
    arguments, said = REFUSED[kind]
    parts = [] if "--parts" in arguments else BINS
    result = nnlab("approx", *arguments, *parts, "--runs", runs)
    assert result.code == 2, result
    assert result.out == ""
    assert result.err.startswith("nnlab: ")
    assert result.err.count("nnlab: ") == 1
    assert said in result.err
    assert not runs.exists()


def test_an_error_points_at_the_character(runs: Path) -> None:
    result = nnlab("approx", "--target", "1 + sinn(x)", "--runs", runs)
    assert result.err.splitlines()[-2:] == ["  1 + sinn(x)", "      ^"]


def test_a_run_leaves_networks_that_load(runs: Path) -> None:
    result = nnlab("approx", "--target", "x", "--epsilon", "0.1", *BINS, "--runs", runs)
    assert result.code == 0, result
    assert "PASS" in result.out
    assert "FAIL" not in result.out
    found = open_run(Path(result.last_line))
    rows = found.summary["results"]
    assert [row["bins"] for row in rows] == [5, 6]
    assert [row["hidden_units"] for row in rows] == [4, 5]
    for row in rows:
        assert row["construction"] == "staircase"
        assert row["lipschitz"] == 1.0
        assert row["interval"] == [0.0, 1.0]
        assert row["epsilon"] == 0.1
        assert row["steepness"] == pytest.approx(22.8 * row["bins"], rel=1e-3)
        assert row["error_lower"] <= row["error_upper"] <= row["error_lower"] + 1e-9 * 0.1
        network = load_network(found.folder / "checkpoints" / f"staircase-{row['bins']}.pt")
        x = torch.linspace(0, 1, 10_001, dtype=torch.float64)[:, None]
        with torch.no_grad():
            reached = float((network(x) - x).abs().max())
        assert row["error_lower"] * (1 - 1e-9) <= reached <= row["error_upper"]
    predicted = json.loads((found.folder / "predictions.json").read_text())["bins"]
    assert predicted["bins"] == [5, 6]
    assert predicted["bounds"] == pytest.approx([0.1, 1 / 12], rel=1e-8)
    arrays = found.arrays()
    assert arrays["bins/5/heights"] == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert np.all(np.abs(arrays["bins/5/output"] - arrays["bins/5/target"]) <= rows[0]["error_upper"])


def test_json_is_the_summary_alone(runs: Path) -> None:
    result = nnlab("approx", "--bins", "3", *BINS, "--runs", runs, "--json")
    assert result.out.count("\n") == 1
    printed = json.loads(result.out)
    stored = json.loads((Path(printed["run_dir"]) / "summary.json").read_text())
    assert printed == {**stored, "run_dir": printed["run_dir"]}
