"""The predictions of the chapter on classification, found another way; and measurements that failed."""

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from nnlab.chapters.classification.activation_claims import distance_from_squares, maxout_of_squares
from nnlab.chapters.classification.batch_gradients import watch
from nnlab.chapters.classification.classify import descent_claim
from nnlab.chapters.classification.minimizer import Problem, minimizer
from nnlab.chapters.classification.regress import _errors_claim
from nnlab.chapters.classification.regularization import _Minimum, _minimum_claims
from nnlab.chapters.classification.separable import _growth_claim, _loss_claim, remainder
from nnlab.data.dataset import DataSet, RawData, Split, prepare
from nnlab.models import MLP
from nnlab.training import build_loss, build_penalty
from nnlab.training.theory import example_gradients


def problem(quadratic: float, absolute: float, bias: bool) -> Problem:
    draw = np.random.default_rng(0)
    targets = np.eye(3)[draw.integers(3, size=40)]
    return Problem(draw.standard_normal((40, 4)), targets, quadratic, absolute, bias)


def objective(p: Problem, weights: np.ndarray) -> float:
    return p.loss(weights) + p.penalty(weights)


@pytest.mark.parametrize("bias", [True, False])
def test_the_gradient_is_the_limit_of_differences(bias: bool) -> None:
    p = problem(0.3, 0.0, bias)
    weights = np.random.default_rng(1).standard_normal(p.shape)
    expected = np.zeros(p.shape)
    for place in np.ndindex(p.shape):
        step = np.zeros(p.shape)
        step[place] = 1e-5
        expected[place] = (objective(p, weights + step) - objective(p, weights - step)) / 2e-5
    np.testing.assert_allclose(p.gradient(weights), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("quadratic", "absolute"), [(0.05, 0.0), (0.0, 0.05), (0.02, 0.05)])
def test_no_weights_nearby_are_better(quadratic: float, absolute: float, bias: bool) -> None:
    p, draw = problem(quadratic, absolute, bias), np.random.default_rng(2)
    best = minimizer(p)
    least = objective(p, best)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(200):
            away = draw.standard_normal(p.shape) * (draw.random(p.shape) < 0.3)
            assert objective(p, best + size * away) >= least - 1e-12
    assert (best[:, :4] == 0).any() == bool(absolute)


def test_descent_ends_at_the_minimizer() -> None:
    p = problem(0.02, 0.03, True)
    values = p.descend(np.zeros(p.shape), 0.5, 3000)
    assert values[-1] == pytest.approx(objective(p, minimizer(p)), rel=1e-9)
    assert (np.diff(values) <= 1e-15).all()


def small_data(count: int) -> DataSet:
    draw = torch.Generator().manual_seed(3)
    split = Split(torch.randn(count, 3, generator=draw), torch.randint(2, (count,), generator=draw))
    raw = RawData("classification", split, split, outputs=2, class_names=["0", "1"])
    return prepare(
        raw, name="small", validation=0.0, split_seed=0, standardize=True, device=torch.device("cpu"),
        dtype=torch.float32,
    )  # fmt: skip


def test_watched_batches_are_those_of_an_epoch() -> None:
    """Each gradient is a mean over examples, with the whole penalty; an epoch takes each example once."""
    data, draw = small_data(7), torch.Generator().manual_seed(4)
    model = MLP(3, [], 2, generator=draw).double()
    start = [p.detach().clone() for p in model.parameters()]
    loss = build_loss("cross_entropy")
    batches = watch(
        model, data, loss, build_penalty("l2", 0.5), batch=3, epochs=20, generator=draw, stop=lambda: False
    )
    assert batches.sizes.tolist() == [3, 3, 1]
    assert batches.gradients.shape == (20, 3, 8)
    assert all(torch.equal(p, before) for p, before in zip(model.parameters(), start, strict=True))
    each = example_gradients(model, loss, data.train.inputs.double(), data.train.targets)
    slope = torch.cat([start[0].flatten(), torch.zeros(2, dtype=torch.float64)])
    alone = batches.gradients[:, 2] - slope  # of a single example
    distances = (alone[:, None] - each).norm(dim=2)
    assert (distances.min(1).values < 1e-12).all()
    assert len(set(distances.argmin(1).tolist())) > 3
    sums = (batches.gradients - slope) * batches.sizes[:, None]
    torch.testing.assert_close(sums.sum(1), each.sum(0).expand(20, -1))


def test_no_steps_do_not_descend() -> None:
    rows = [{"split": "train", "epoch": 0, "loss": 1.0}, {"split": "train", "epoch": 1, "loss": 0.5}]
    bound = cast(Any, SimpleNamespace(lr=0.1, bound=0.2))
    for count, verdict in ((1, "INCONCLUSIVE"), (2, "PASS")):
        record = cast(Any, SimpleNamespace(history=lambda count=count: rows[:count]))
        assert descent_claim(record, bound, torch.float64).verdict == verdict


def test_a_penalty_that_leaves_no_weights() -> None:
    zero = problem(0.0, 50.0, False)
    nothing = np.zeros(zero.shape)
    claims = _minimum_claims("l1", [_Minimum(50.0, zero, nothing, nothing, nothing, 0.0)])
    assert [claim.verdict for claim in claims] == ["PASS"] * 3
    assert [len(claim.rivals) for claim in claims] == [2, 0, 0]


def test_r_squared_near_0_is_compared_with_1() -> None:
    """What float64 leaves of 1 − Σe²/Σ(ȳ − mean)² is 1e-16 of 1, however small the difference is."""
    targets = torch.arange(10.0, dtype=torch.float64)[:, None]
    outputs = targets.mean() + 1e-9 * (targets - targets.mean())
    errors = (outputs - targets).numpy()
    metrics = {
        "test/rmse": float(np.sqrt((errors**2).mean())), "test/mae": float(np.abs(errors).mean()),
        "test/r2": float(1 - (errors**2).mean() / targets.numpy().var()) + 2e-15,
    }  # fmt: skip
    claims = [
        _errors_claim(metrics | {"test/r2": metrics["test/r2"] + wrong}, outputs, targets, None, 2.0**-52)
        for wrong in (0.0, 1e-9)
    ]
    assert [claim.verdict for claim in claims] == ["PASS", "FAIL"]


def test_what_is_left_of_the_limits() -> None:
    gap, tolerance = remainder(np.array([1.0, 1.0, 3.0]), 200.0)
    assert gap == 3.0
    assert tolerance == pytest.approx(4 * ((1 + math.log(100)) / 100 + 100.0**-2))
    assert remainder(np.array([1.0]), 10.0)[0] == math.inf


@pytest.mark.parametrize(("shift", "error"), [(0.0, 1 / 8), (1 / 8, 1 / 4), (-1 / 8, 1 / 4)])
def test_distance_of_one_line_from_squares(shift: float, error: float) -> None:
    """The best line x − 1/8 errs by 1/8 at both ends and in the middle."""
    network = maxout_of_squares(1)
    with torch.no_grad():
        network.output.bias.fill_(shift)
    assert distance_from_squares(network) == pytest.approx(error, rel=1e-12)


def test_distance_from_squares_beside_a_fine_grid() -> None:
    network = MLP(1, [1], 1, "maxout", pieces=4, generator=torch.Generator().manual_seed(5)).double()
    x = torch.linspace(0, 1, 100_001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        network.output.weight.fill_(1.0)
        on_grid = float((x**2 - network(x)).abs().max())
    assert distance_from_squares(network) == pytest.approx(on_grid, abs=1e-8)


def test_measurements_that_failed_decide_nothing() -> None:
    steps, broken = np.array([1.0, 2.0, 4.0]), np.array([1.0, 0.5, math.nan])
    assert _loss_claim(steps, broken, 1.0, 3, 0.5, 2.0, 0.01).verdict == "INCONCLUSIVE"
    assert _growth_claim(steps, broken, 0.5, 2.0, 0.01).verdict == "INCONCLUSIVE"
