"""The infinite ensemble of the kernel experiment: predictions found another way, verdicts that can fail."""

import json
import math
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.special import stdtrit
from torch import Tensor

from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.kernels import infinite as ntk_infinite
from nnlab.chapters.kernels.infinite import Band, Prediction, trained
from nnlab.chapters.kernels.members import Study
from nnlab.chapters.kernels.setup import build_task
from nnlab.errors import Interrupted
from nnlab.lab import runner
from nnlab.lab.session import Session, generator
from nnlab.models import MLP
from nnlab.ntk import infinite_ntk, posterior
from nnlab.training import ensemble as batched
from nnlab.training.ensemble import mlp_parameters
from tests.test_experiments_ntk import FLOAT, Done, config_of, line_points, run

ON = (
    "widths=[8]", "seeds=1", "training.steps=60", "edge.steps=2", "data.examples=6", "model.depth=1",
    "infinite=true",
)  # fmt: skip


def study_of(config: Any) -> Study:
    """The study of a config, but for its 60 steps."""
    task = build_task(config.data, config.training, Session())
    return Study(config.model, task, "squared_error", "sum", 0.5, 60)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """256 networks of width 1024, smooth, so that their width matters little.

    The standard error of their variance ratio is 0.07.
    """
    folder = tmp_path_factory.mktemp("infinite")
    return run(folder, *ON, "model.activation=gelu", "ensemble={networks: 256, width: 1024}", draw=True)


# --- the prediction ---------------------------------------------------------------------------------


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=FLOAT, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.95])
def test_a_linear_model_trained_step_by_step(fraction: float) -> None:
    """f = f₀ + Φθ with f₀ = Fz: θ by steps of gradient descent, as an affine map of z and 1.

    Points 0 and 1 are one, so that Θ is singular.
    """
    n, new, steps = 5, 4, 30
    features, factor, y = random(n + new, 12, seed=0), random(n + new, 7, seed=1), random(n, seed=2)
    for both in (features, factor):
        both[1] = both[0]
    y[1] = y[0]
    nngp, ntk = factor @ factor.T, features @ features.T
    lr = fraction * 2 / float(torch.linalg.eigvalsh(ntk[:n, :n])[-1])
    start = torch.cat([factor, torch.zeros(n + new, 1, dtype=FLOAT)], 1)  # columns: z, and what is constant
    target = torch.cat([torch.zeros(n, 7, dtype=FLOAT), y[:, None]], 1)
    theta = torch.zeros(12, 8, dtype=FLOAT)
    for _ in range(steps):
        theta -= lr * features[:n].T @ ((start + features @ theta)[:n] - target)
    outputs = (start + features @ theta)[n:]
    found = trained((nngp, ntk), y, lr, steps)
    np.testing.assert_allclose(found.mean, outputs[:, -1].numpy(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.std, outputs[:, :-1].norm(dim=1).numpy(), rtol=1e-9, atol=1e-12)


def test_small_steps_are_the_flow() -> None:
    """Descent is flow to first order in ηλ, here 10⁻⁴ of it."""
    x, y = line_points(5)
    new = torch.linspace(-1.3, 1.2, 7, dtype=FLOAT)[:, None]
    kernels = infinite_ntk(torch.cat([x, new]), depth=2, sigma_b=1.0)
    lr = 1e-4 / float(torch.linalg.eigvalsh(kernels[1][:5, :5])[-1])
    for steps in (2_000, 400_000):
        flow = posterior(kernels, y[:, 0], lr * steps).ensemble
        found = trained(kernels, y[:, 0], lr, steps)
        np.testing.assert_allclose(found.mean, flow.mean.numpy(), atol=2e-4)
        np.testing.assert_allclose(found.std, flow.std.numpy(), rtol=2e-4, atol=1e-6)


def test_what_was_written_before_training(tmp_path: Path) -> None:
    """By powers of a matrix and an inverse, from the kernels of relu networks in closed form."""
    done = run(tmp_path, *ON, "ensemble={networks: 3, width: 4}", "seed=2")
    found = done.predictions()["infinite"]
    x, y = line_points(6)
    grid = torch.tensor(found["grid"], dtype=FLOAT)[:, None]
    nngp, ntk = (k.numpy() for k in infinite_ntk(torch.cat([x, grid]), depth=1, sigma_b=1.0))
    assert found["lr"] == pytest.approx(1 / np.linalg.eigvalsh(ntk[:6, :6])[-1], rel=1e-10)
    left = np.eye(6) - np.linalg.matrix_power(np.eye(6) - found["lr"] * ntk[:6, :6], 60)
    weights = ntk[6:, :6] @ np.linalg.solve(ntk[:6, :6], left)
    np.testing.assert_allclose(found["mean"], weights @ y[:, 0].numpy(), rtol=1e-8, atol=1e-10)
    rows = np.concatenate([-weights, np.eye(len(grid))], 1)
    np.testing.assert_allclose(found["std"], np.sqrt(np.diag(rows @ nngp @ rows.T)), rtol=1e-8)
    bayes = nngp[6:, :6] @ np.linalg.inv(nngp[:6, :6])
    np.testing.assert_allclose(found["nngp_mean"], bayes @ y[:, 0].numpy(), rtol=1e-6, atol=1e-8)
    variances = np.diag(nngp[6:, 6:] - bayes @ nngp[:6, 6:])
    np.testing.assert_allclose(np.square(found["nngp_std"]), variances, rtol=1e-6, atol=1e-9)
    rival = np.square(found["nngp_std"]).mean() / np.square(found["std"]).mean()
    assert found["variance_ratio_of_nngp"] == pytest.approx(rival, rel=1e-12)
    assert (found["width"], found["networks"]) == (4, 3)


def test_predictions_come_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntk_infinite, "descend", mock.Mock(side_effect=Interrupted("nothing trains today")))
    with pytest.raises(Interrupted):
        run(tmp_path, *ON)
    (folder,) = tmp_path.glob("ntk/*")
    assert "infinite" in json.loads((folder / "predictions.json").read_text())
    assert json.loads((folder / "summary.json").read_text())["predictions_sha256"]


def test_mean_over_the_examples(tmp_path: Path) -> None:
    """The same functions with n times the step size."""
    small = (*ON, "ensemble={networks: 2, width: 4}")
    total, mean = run(tmp_path / "a", *small), run(tmp_path / "b", *small, "loss.reduction=mean")
    a, b = (done.predictions()["infinite"] for done in (total, mean))
    assert b["lr"] == pytest.approx(6 * a["lr"], rel=1e-12)
    np.testing.assert_allclose(a["mean"], b["mean"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a["std"], b["std"], rtol=1e-9)
    functions = [np.load(done.folder / "arrays.npz")["infinite/functions"] for done in (total, mean)]
    np.testing.assert_allclose(functions[0], functions[1], rtol=1e-8, atol=1e-10)


def test_off_by_default(tmp_path: Path) -> None:
    done = run(tmp_path, *ON, "infinite=false", draw=True)
    assert "infinite" not in done.predictions()
    assert "infinite" not in done.drawn
    assert not any(name.startswith("ensemble") for name in (*done.verdicts, *done.summary["metrics"]))


@pytest.mark.parametrize(("depth", "width"), [(1, 8192), (2, 1024), (3, 512), (20, 128)])
def test_as_wide_as_a_million_parameters_allow(depth: int, width: int) -> None:
    config = config_of("data.examples=3", f"model.depth={depth}")
    assert ntk_infinite.affordable_width(config.model) == width
    network = MLP(1, [width] * depth, 1, generator=generator(0, "weights"))
    assert sum(p.numel() for p in network.parameters()) == mlp_parameters(width, depth, bias=True)


# --- the networks -----------------------------------------------------------------------------------


def test_functions_are_those_of_plain_training(tmp_path: Path) -> None:
    done = run(tmp_path, *ON, "ensemble={networks: 3, width: 16}", "seed=5")
    predicted = done.predictions()["infinite"]
    with np.load(done.folder / "arrays.npz") as arrays:
        functions = arrays["infinite/functions"]
    x, y = line_points(6)
    grid = torch.tensor(predicted["grid"], dtype=FLOAT)[:, None]
    for number, found in enumerate(functions):
        network = MLP(
            1, [16], 1, parameterization="ntk", sigma_b=1.0, generator=generator(5, "weights", 16, number)
        )
        network = network.double()
        optimizer = torch.optim.SGD(network.parameters(), lr=predicted["lr"])
        for _ in range(60):
            optimizer.zero_grad()
            ((network(x) - y).square().sum() / 2).backward()
            optimizer.step()
        np.testing.assert_allclose(found, network(grid).detach().numpy()[:, 0], rtol=1e-9, atol=1e-10)


def test_networks_that_do_not_fit_together_train_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = (*ON, "ensemble={networks: 5, width: 16}")
    whole = run(tmp_path / "a", *sets)
    monkeypatch.setattr(batched, "GROUP", 1)
    parts = run(tmp_path / "b", *sets)
    a, b = (np.load(done.folder / "arrays.npz")["infinite/functions"] for done in (whole, parts))
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


# --- claims -----------------------------------------------------------------------------------------


def test_the_spread_is_the_predicted_one(ensemble: Done) -> None:
    claim = ensemble.claim("ensemble_variance_is_predicted")
    assert claim["verdict"] == "PASS"
    assert (claim["predicted"], claim["seeds"]) == (1.0, 256)
    found = ensemble.predictions()["infinite"]
    assert claim["rivals"] == {"NNGP posterior": found["variance_ratio_of_nngp"]}
    with np.load(ensemble.folder / "arrays.npz") as arrays:
        functions = arrays["infinite/functions"]
    ratio = functions.var(axis=0, ddof=1).mean() / np.square(found["std"]).mean()
    assert claim["measured"] == pytest.approx(ratio, rel=1e-10)
    assert ensemble.summary["metrics"]["ensemble/variance_ratio"] == claim["measured"]
    low, high = claim["interval"]
    # jackknife: another way to the error of a ratio of variances; it differs by O(1/S)
    without = [np.delete(functions, k, 0).var(axis=0, ddof=1).mean() for k in range(len(functions))]
    error = math.sqrt(255 / 256 * np.square(np.array(without) - np.mean(without)).sum())
    assert (high - low) / 2 == pytest.approx(
        stdtrit(255, 0.99995) * error / np.square(found["std"]).mean(), rel=0.02
    )
    assert ensemble.verdicts["ensemble_mean_is_predicted"] == "PASS"
    assert "infinite" in ensemble.drawn


def judged(done: Done, spread: float = 1.0, mean: float = 1.0) -> dict[str, str]:
    """Verdicts on the same networks, had the variance or the mean been predicted otherwise."""
    found = done.predictions()["infinite"]
    with np.load(done.folder / "arrays.npz") as arrays:
        functions = arrays["infinite/functions"]
    predicted = Band(mean * np.array(found["mean"]), math.sqrt(spread) * np.array(found["std"]))
    nngp = Band(np.array(found["nngp_mean"]), np.array(found["nngp_std"]))
    one = Band(np.zeros(200), np.ones(200))
    prediction = Prediction(found["networks"], found["width"], found["lr"], predicted, nngp, one)
    config = config_of(*ON, "model.activation=gelu")
    claims = ntk_infinite.claims_of(prediction, functions, study_of(config))
    return {claim.name: claim.verdict for claim in claims}


def test_wrong_predictions_fail(ensemble: Done) -> None:
    """30 % more or less of variance, and a mean that is too large by a quarter."""
    right = judged(ensemble)
    assert right == {"ensemble_variance_is_predicted": "PASS", "ensemble_mean_is_predicted": "PASS"}
    for spread in (0.7, 1.3):
        assert judged(ensemble, spread=spread)["ensemble_variance_is_predicted"] == "FAIL"
    assert judged(ensemble, mean=1.25)["ensemble_mean_is_predicted"] == "FAIL"


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """400 ensembles of 64 drawn from what is predicted: 95 % of the t-intervals hold 1.

    Squares of few normal numbers are skewed, which costs some coverage at 64 networks; between 90 and 97 %.
    """
    rng = np.random.default_rng(0)
    shape = rng.standard_normal((20, 4))
    predicted = Band(np.zeros(20), np.linalg.norm(shape, axis=1))
    held = 0
    for _ in range(400):
        ratios = ntk_infinite.variance_ratios(rng.standard_normal((64, 4)) @ shape.T, predicted)
        error = 1.998 * ratios.std(ddof=1) / 8
        held += abs(ratios.mean() - 1) <= error
    assert 0.90 < held / 400 < 0.97


def test_a_network_that_diverged_leaves_it_open() -> None:
    config = config_of(*ON)
    band = Band(np.ones(200), np.ones(200))
    prediction = Prediction(3, 8, 0.1, band, Band(np.ones(200), np.full(200, 0.5)), band)
    functions = np.ones((3, 200))
    functions[1] = np.nan
    claims = ntk_infinite.claims_of(prediction, functions, study_of(config))
    assert [claim.verdict for claim in claims] == ["INCONCLUSIVE", "INCONCLUSIVE"]


def test_where_no_spread_is_left_nothing_is_claimed(tmp_path: Path) -> None:
    """Without bias the functions are |x| f(sign x), two numbers that are learned to the last digit."""
    done = run(tmp_path, *ON, "model.bias=false", "training.steps=400", "ensemble={networks: 4, width: 16}")
    assert any("no spread left" in message for message in done.said)
    assert "ensemble_variance_is_predicted" not in done.verdicts
    assert done.predictions()["infinite"]["variance_ratio_of_nngp"] is None
    assert done.summary["status"] == "finished"


@pytest.mark.slow
@pytest.mark.parametrize(
    "sets",
    [
        ("model={name: mlp, depth: 1, activation: tanh}",),
        ("data={name: line, points: [0.3]}",),
        ("data={name: line, points: [0.5, -0.2, 0.5, 3]}", "training.precision=float32"),
        ("training.steps=1",),
    ],
)
def test_other_points_and_networks(sets: tuple[str, ...], tmp_path: Path) -> None:
    done = run(tmp_path, *ON, *sets, "ensemble={networks: 64, width: 1024}")
    assert "FAIL" not in done.verdicts.values()
    assert 0.5 < done.claim("ensemble_variance_is_predicted")["measured"] < 1.6


@pytest.mark.slow
def test_a_resumed_run_ends_as_one_that_was_never_stopped(tmp_path: Path) -> None:
    sets = (*ON, "ensemble={networks: 4, width: 8}")
    whole = run(tmp_path / "whole", *sets)
    with (
        mock.patch.object(ntk_infinite, "descend", side_effect=Interrupted("stopped")),
        pytest.raises(Interrupted),
    ):
        run(tmp_path / "cut", *sets)
    (folder,) = tmp_path.glob("cut/ntk/*")
    summary: dict[str, Any] = runner.resume(folder, Session(experiments=EXPERIMENTS))
    assert summary["claims"] == whole.summary["claims"]
    assert summary["predictions_sha256"] == whole.summary["predictions_sha256"]


def test_the_model_may_be_of_any_depth() -> None:
    """The prior of the prediction is the diagonal of the covariance in closed form."""
    config = config_of("model.depth=3", "data.examples=4")
    study = study_of(config)
    found = ntk_infinite.prepare(study, ntk_infinite.Networks(networks=2, width=4))
    assert study.task.grid is not None
    nngp, _ = infinite_ntk(study.task.grid, depth=3, sigma_b=1.0)
    np.testing.assert_allclose(found.start.std, nngp.diagonal().sqrt().numpy(), rtol=1e-10)
    assert not found.vanishes
