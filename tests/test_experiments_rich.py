"""Lazy and rich training: the search for step sizes, the claims, and a small study."""

import numpy as np
import pytest
import torch

from nnlab.chapters.beyond.rich.experiment import (
    Config,
    _features_claim,
    _last_hidden,
    _step_claim,
    _Study,
    lowest,
)
from nnlab.lab.session import Session
from nnlab.training.ensemble import Ensemble


def test_lowest_is_the_vertex_of_a_parabola() -> None:
    grid = np.arange(-2.0, 2.5, 0.5)
    assert lowest(grid, 3 * (grid - 0.37) ** 2 - 1) == pytest.approx(0.37)


@pytest.mark.parametrize(
    ("values", "place"), [([1.0, 2.0, 3.0], 0.0), ([3.0, 2.0, 1.0], 2.0), ([3.0, 1.0, np.inf], 1.0)]
)
def test_lowest_at_an_end_or_beside_a_divergence(values: list[float], place: float) -> None:
    assert lowest(np.arange(3.0), np.array(values)) == place


@pytest.mark.parametrize(
    ("name", "exponent", "verdict"),
    [
        ("mup", 0.0, "PASS"),
        ("mup", -0.5, "FAIL"),
        ("ntk", -0.5, "PASS"),
        ("ntk", 0.0, "FAIL"),
        ("ntk", -1.0, "FAIL"),
    ],
)
def test_features_claim_tells_exponents_apart(name: str, exponent: float, verdict: str) -> None:
    slopes = exponent + np.random.default_rng(0).normal(0, 0.05, 16)
    assert _features_claim(name, slopes).verdict == verdict


@pytest.mark.parametrize(
    ("exponent", "verdict"), [(-1.0, "PASS"), (-0.5, "FAIL"), (0.0, "FAIL"), (np.nan, "INCONCLUSIVE")]
)
def test_step_claim_tells_exponents_apart(exponent: float, verdict: str) -> None:
    slopes = exponent + np.random.default_rng(0).normal(0, 0.1, 16)
    assert _step_claim("ntk", "adam", slopes).verdict == verdict


@pytest.fixture
def study() -> _Study:
    return _Study(Config(experiment="rich", widths=[8, 16], seeds=2), Session())


def test_features_against_a_loop_of_autograd(study: _Study) -> None:
    """Gradient descent written with autograd on the module moves the last hidden layer as far."""
    changes = study.features("mup")
    x, y = study.data(1)
    model = study.network("mup", 16, 1)
    before = _hidden(model, x)
    for _ in range(study.config.steps):
        model.zero_grad()
        ((model(x) - y).square().sum() / (2 * len(x))).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(study.config.lr * parameter.grad)
    after = _hidden(model, x)
    assert changes[1, 1] == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)


def _hidden(model: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return _last_hidden(Ensemble.from_models([model]), x)[0]  # type: ignore[list-item]


def test_members_of_neighbouring_seeds_share_nothing() -> None:
    first, second = (_Study(Config(experiment="rich", seed=seed), Session()) for seed in (0, 1))
    starts = [s.network("mup", 8, member).output.weight for s in (first, second) for member in range(3)]
    assert len({float(weight.detach().sum()) for weight in starts}) == 6
