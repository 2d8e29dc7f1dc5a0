"""Minimal norm, ensembles and harmonics: small runs, and claims that fail for wrong numbers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from nnlab.chapters.beyond.descent import train
from nnlab.chapters.beyond.ensembles import claims as ensembles
from nnlab.chapters.beyond.ensembles.setup import Forecast, Task
from nnlab.chapters.beyond.minimal_norm import experiment as minimal_norm
from nnlab.chapters.beyond.minimal_norm.figures import distance_from_start
from nnlab.chapters.beyond.spectral_bias import claims as harmonics
from nnlab.chapters.beyond.spectral_bias import experiment as spectral_bias
from nnlab.chapters.beyond.spectral_bias.figures import decay_of_harmonics
from nnlab.chapters.experiments import EXPERIMENTS
from nnlab.chapters.pages import CHAPTERS
from nnlab.errors import InputError
from nnlab.lab import runner
from nnlab.lab.config import apply_sets, check, read_source
from nnlab.lab.session import Session
from nnlab.models import MLP
from nnlab.page.contents import Contents
from nnlab.record import open_run
from tests.figure_checks import assert_readable, texts

Summary = dict[str, Any]


def config(name: str, *sets: str) -> Any:
    source = read_source(name)
    apply_sets(source, ["name=b", *sets])
    return check(source, EXPERIMENTS)


def run_in(folder: Path, name: str, *sets: str) -> Summary:
    return runner.run(config(name, *sets), folder, Session())


SMALL = {
    "minimal_norm": ("widths=[8, 32]", "networks=4", "points=3", "inputs=4", "steps=200"),
    "ensembles": ("networks=32", "width=64", "last_layer_width=64", "points=2", "outputs=2"),
    "spectral_bias": ("networks=3", "width=64", "points=12", "without_bias=[2, 3]", "with_bias=[2]"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_small_run_is_whole(name: str, tmp_path: Path) -> None:
    summary = run_in(tmp_path, name, *SMALL[name])
    assert {claim["verdict"] for claim in summary["claims"]} <= {"PASS", "FAIL", "INCONCLUSIVE"}
    assert all(claim["predicted_by"] and claim["measured_by"] for claim in summary["claims"])
    run = open_run(summary["run_dir"])
    assert len(list(run.folder.glob("figures/*.png"))) == 1
    assert [widget.kind for widget in Contents(CHAPTERS).widgets_of(run)] == [name]


def test_the_trainer_is_plain_descent() -> None:
    model = MLP(2, [3], 1, generator=torch.Generator().manual_seed(0)).double()
    again = MLP(2, [3], 1, generator=torch.Generator().manual_seed(0)).double()
    x, y = torch.eye(2).double(), torch.ones(2, 1).double()
    steps: list[int] = []
    train(model, x, y, lr=0.1, steps=3, observe=lambda step, _: steps.append(step))
    assert steps == [0, 1, 2, 3]
    for _ in range(3):
        again.zero_grad()
        ((again(x) - y).square().sum() / 2).backward()
        with torch.no_grad():
            for parameter in again.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=0.1)
    torch.testing.assert_close(list(model.parameters()), list(again.parameters()))


# --- minimal norm -------------------------------------------------------------------------------------


def member(width: int = 16) -> minimal_norm.Member:
    return minimal_norm.Member.of(config("minimal_norm", *SMALL["minimal_norm"]), width, 0)


def test_the_way_of_the_linearization() -> None:
    one, steps = member(), list(range(41))
    measured = minimal_norm.follow_linear(one, 40, Session()).squares
    assert minimal_norm.way_claim(one, steps, measured).verdict == "PASS"
    for wrong in (2 * measured, np.sqrt(measured), measured + 1e-6):
        assert minimal_norm.way_claim(one, steps, wrong).verdict == "FAIL"
    measured[7] = np.nan
    assert minimal_norm.way_claim(one, steps, measured).verdict == "INCONCLUSIVE"


def test_the_linearization_ends_nearest_to_its_start() -> None:
    one = member()
    trajectory = minimal_norm.follow_linear(one, 400, Session()).trajectory
    assert minimal_norm.least_norm_claim(one, trajectory).verdict == "PASS"
    for short in (0, 1, 5):
        early = minimal_norm.follow_linear(one, short, Session()).trajectory
        assert minimal_norm.least_norm_claim(one, early).verdict == "FAIL"
    elsewhere = {name: value + 0.01 for name, value in trajectory.parameters.items()}
    assert minimal_norm.least_norm_claim(one, replace(trajectory, parameters=elsewhere)).verdict == "FAIL"


def test_what_is_left_of_the_way_is_known_beforehand() -> None:
    one = member()
    assert one.left(0) == pytest.approx(1.0)
    ends = [minimal_norm.follow_linear(one, steps, Session()).trajectory for steps in (5, 4000)]
    few, all_ = (torch.cat([value.flatten() for value in end.parameters.values()]) for end in ends)
    start = torch.cat([value.flatten() for value in one.start.values()])
    assert one.left(5) == pytest.approx(float((all_ - few).norm() / (all_ - start).norm()), rel=1e-6)
    crowded = minimal_norm.Member.of(config("minimal_norm", "points=8", "inputs=1"), 1, 0)
    assert not crowded.left(10**6) < 0.1  # more points than weights: some are never fitted


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "PASS"), (0.5, "FAIL"), (2.0, "FAIL"), (1.02, "FAIL")])
def test_the_way_of_networks(factor: float, verdict: str) -> None:
    """Ratios 1 + 3/m of networks: the part in 1/m is taken out."""
    noise = 1e-3 * np.random.default_rng(0).standard_normal((2, 16))
    widths = [64, 256]
    ratios = factor * (1 + 3 / np.array(widths)[:, None] + noise)
    assert minimal_norm.network_claim([[member()]], widths, ratios).verdict == verdict


# --- ensembles ----------------------------------------------------------------------------------------


def draws(forecast: Forecast, count: int = 512) -> np.ndarray:
    """(S, g, C) samples of a forecast."""
    outputs = forecast.mean.shape[1]
    values, vectors = np.linalg.eigh(forecast.covariance)
    root = vectors * np.sqrt(values.clip(min=0))
    normal = np.random.default_rng(0).standard_normal((count, len(values), outputs))
    return np.asarray(forecast.mean + np.einsum("gh,shc->sgc", root, normal))


def verdicts(kind: str, functions: np.ndarray, width: int = 10**6) -> dict[str, str]:
    task = Task.of(4, 8, 0)
    forecasts = task.predictions()
    every = {name: (functions if name == kind else draws(f), f) for name, f in forecasts.items()}
    claims = ensembles.claims_of(task, every, (width, width))
    return {claim.name: claim.verdict for claim in claims if claim.name.endswith(kind)}


def test_narrow_networks_decide_nothing_about_the_limit() -> None:
    law = Task.of(4, 8, 0).predictions()["all_layers"]
    assert verdicts("all_layers", 1.2 * draws(law))["variance_all_layers"] == "FAIL"
    assert set(verdicts("all_layers", 1.2 * draws(law), width=8).values()) == {"INCONCLUSIVE"}


def test_draws_of_each_law_pass_and_draws_of_another_fail() -> None:
    laws = Task.of(4, 8, 0).predictions()
    for kind, law in laws.items():
        assert set(verdicts(kind, draws(law)).values()) == {"PASS"}
    swapped = verdicts("all_layers", draws(laws["last_layer"]))
    assert (swapped["variance_all_layers"], swapped["mean_all_layers"]) == ("FAIL", "FAIL")
    swapped = verdicts("last_layer", draws(laws["all_layers"]))
    assert (swapped["variance_last_layer"], swapped["mean_last_layer"]) == ("FAIL", "FAIL")
    for factor in (0.5, 2.0):
        wrong = replace(laws["start"], covariance=factor * laws["start"].covariance)
        assert set(verdicts("start", draws(wrong)).values()) == {"FAIL"}
    diagonal = replace(laws["start"], covariance=np.diag(laws["start"].covariance.diagonal()))
    assert verdicts("start", draws(diagonal)) == {"variance_start": "PASS", "covariance_start": "FAIL"}


def test_the_laws_are_their_formulas() -> None:
    """Against the formulas of Lee et al. 2019, with inverses."""
    task = Task.of(4, 2, 0)
    k, theta, y = task.nngp.numpy(), task.ntk.numpy(), task.y.numpy()
    laws, n = task.predictions(), 4
    for name, kernel in (("all_layers", theta), ("last_layer", k)):
        a = kernel[n:, :n] @ np.linalg.inv(kernel[:n, :n])
        rows = np.concatenate([-a, np.eye(len(a))], 1)
        np.testing.assert_allclose(laws[name].mean, a @ y, atol=1e-10)
        np.testing.assert_allclose(laws[name].covariance, rows @ k @ rows.T, atol=1e-10)


# --- harmonics ----------------------------------------------------------------------------------------


def test_half_lives_of_exponentials() -> None:
    steps = np.arange(200)
    lives = np.array([5.0, 40.0, 1500.0, np.inf])
    shares = 0.5 ** (steps / lives[:, None])
    measured = spectral_bias.half_lives(shares)
    np.testing.assert_allclose(measured[:3], lives[:3], rtol=1e-4)
    assert np.isnan(measured[3])


def test_harmonics_of_a_wave() -> None:
    angles = 2 * np.pi * np.arange(12) / 12
    wave = 3 * np.cos(2 * angles + 0.4) + np.sin(4 * angles)
    expected = np.array([1.5 * np.exp(0.4j), 0, -0.5j])
    assert np.abs(spectral_bias.harmonics_of(wave, [2, 3, 4]) - expected).max() < 1e-14
    shares = spectral_bias.shares_of(np.array([[2j, 1 + 1j], [1j, -1 - 1j]]))
    np.testing.assert_allclose(shares, np.array([[1, 1], [0.5, -1]]))


@pytest.mark.parametrize(
    ("power", "verdict"), [(0.0, "PASS"), (-2.0, "FAIL"), (1.0, "FAIL"), (0.1, "FAIL"), (-0.1, "FAIL")]
)
def test_half_lives_of_another_power_fail(power: float, verdict: str) -> None:
    k, predicted = np.array([2, 3, 4]), np.array([10.0, np.inf, 80.0])
    noise = 1 + 0.02 * np.random.default_rng(0).standard_normal((24, 3))
    measured = predicted * (k / 2) ** power * noise
    shares = np.ones((24, 3, 5))
    claims = {
        c.name: c for c in harmonics.claims_of("x", k.tolist(), predicted, measured, shares, 32, [], 10**6)
    }
    assert claims["half_life_of_harmonic_2_x"].verdict == "PASS"
    assert claims["half_life_of_harmonic_4_x"].verdict == verdict
    measured[3, 2] = np.nan
    (*_, late, _) = harmonics.claims_of("x", k.tolist(), predicted, measured, shares, 32, [], 10**6)
    assert late.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(("share", "verdict"), [(1.0, "PASS"), (0.999, "FAIL"), (np.nan, "INCONCLUSIVE")])
def test_harmonics_that_stay(share: float, verdict: str) -> None:
    shares = np.ones((2, 1, 5))
    shares[1, 0, 3] = share
    assert harmonics.stay_claim([3], shares, []).verdict == verdict


@pytest.mark.parametrize(
    ("setting", "message"),
    [("points=31", "even"), ("without_bias=[6]", "apart"), ("without_bias=[3]", "ever")],
)
def test_what_cannot_be_measured_is_refused(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        spectral_bias.Task.of(
            config("spectral_bias", "points=12", "without_bias=[2]", setting), "without_bias"
        )


def test_a_narrow_network_without_bias_has_no_odd_harmonics() -> None:
    """Width 16, where nothing else follows the infinitely wide kernel."""
    task = spectral_bias.Task.of(config("spectral_bias", *SMALL["spectral_bias"]), "without_bias")
    assert np.isfinite(task.half_lives).tolist() == [True, False]
    shares = task.trained(config("spectral_bias", *SMALL["spectral_bias"], "width=16"), 0, Session())
    assert np.abs(shares[1] - 1).max() < 1e-9
    assert shares[0, -1] < 0.9


# --- figures ------------------------------------------------------------------------------------------


def states(figure: Figure, words: str) -> bool:
    return any(words in " ".join(text.split()) for text in texts(figure))


def test_titles_state_the_results() -> None:
    steps = np.arange(11.0)
    figure = distance_from_start(
        steps, steps, steps, np.array([8.0, 64.0]), np.array([[1.1, 1.3], [1.02, 1.04]])
    )
    assert states(figure, "networks of width 64 to within 3.0 %")
    assert_readable(figure)
    shares = 0.5 ** (np.arange(50) / np.array([5.0, 40.0, np.inf])[:, None])[None]
    panel = np.array([2, 4, 5]), np.array([5.0, 40.0, np.inf]), shares
    figure = decay_of_harmonics({"without_bias": panel}, 64)
    assert states(figure, "k = 4 takes 8 times as long as k = 2, and without bias k = 5 is never learned")
    assert_readable(figure)
