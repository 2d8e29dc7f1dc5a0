"""Exponent fits against scipy's regression, planted exponents and a t-interval in closed form; intervals."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from nnlab.theory import (
    Claim,
    ExponentFit,
    Prediction,
    exact_claim,
    exponent_claim,
    fit_exponent,
    local_slope,
    mean_interval,
    proportion_interval,
)

SIZES = 2.0 ** np.arange(6, 11)


def planted(seeds: int, rng: np.random.Generator, alpha: float = -0.5) -> np.ndarray:
    """(5, S) values 3·m^α·e^noise with normal noise."""
    return 3 * SIZES[:, None] ** alpha * np.exp(0.3 * rng.standard_normal((5, seeds)))


def test_slope_and_intercept_are_those_of_linear_regression() -> None:
    values = planted(4, np.random.default_rng(0))
    fit = fit_exponent(SIZES, values)
    line = stats.linregress(np.log(SIZES), np.log(values).mean(axis=1))
    assert fit.slope == pytest.approx(line.slope, rel=1e-12)
    assert fit.intercept == pytest.approx(line.intercept, rel=1e-12)
    assert fit.seeds == 4


@settings(deadline=None)
@given(alpha=st.floats(-3, 3), constant=st.floats(0.01, 100))
def test_exact_power_law_is_found(alpha: float, constant: float) -> None:
    sizes = np.array([3.0, 10.0, 70.0])
    values = constant * sizes[:, None] ** alpha
    fit = fit_exponent(sizes, values)
    assert fit.slope == pytest.approx(alpha, abs=1e-9)
    assert math.exp(fit.intercept) == pytest.approx(constant, rel=1e-8)
    assert fit.local_slopes == pytest.approx((alpha, alpha), abs=1e-9)
    assert local_slope(sizes, values[:, 0]) == pytest.approx(alpha, abs=1e-9)


def test_order_of_sizes_does_not_matter() -> None:
    values = planted(4, np.random.default_rng(1))
    shuffled = np.array([3, 0, 4, 1, 2])
    fit, other = fit_exponent(SIZES, values), fit_exponent(SIZES[shuffled], values[shuffled])
    assert other == fit


def test_interval_is_reproducible_and_takes_a_generator() -> None:
    values = planted(5, np.random.default_rng(2))
    assert fit_exponent(SIZES, values) == fit_exponent(SIZES, values, generator=np.random.default_rng(0))
    assert fit_exponent(SIZES, values) != fit_exponent(SIZES, values, generator=1)


@pytest.mark.parametrize("seeds", [5, 16])
def test_interval_covers_the_planted_exponent(seeds: int) -> None:
    """95% is promised; over 200 repetitions the share has a standard error of 1.5 points."""
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        low, high = fit_exponent(SIZES, planted(seeds, rng), resamples=500, generator=rng).interval
        assert low is not None
        assert high is not None
        covered += low <= -0.5 <= high
    assert 0.92 <= covered / 200 <= 0.99


def test_interval_agrees_with_welchs_for_normal_noise() -> None:
    """The slope is a contrast of independent normal means; Welch–Satterthwaite gives its t-interval."""
    values = planted(30, np.random.default_rng(4))
    x = np.log(SIZES) - np.log(SIZES).mean()
    parts = (x / (x @ x)) ** 2 * np.log(values).var(axis=1, ddof=1) / 30
    freedom = parts.sum() ** 2 / (parts**2 / 29).sum()
    half = stats.t.ppf(0.975, freedom) * math.sqrt(parts.sum())
    fit = fit_exponent(SIZES, values, resamples=20_000)
    low, high = fit.interval
    assert (low, high) == pytest.approx((fit.slope - half, fit.slope + half), abs=0.1 * half)


@pytest.mark.parametrize("seeds", [1, 2])
def test_too_few_seeds_have_a_slope_but_no_interval(seeds: int) -> None:
    values = planted(seeds, np.random.default_rng(5))
    fit = fit_exponent(SIZES, values)
    assert fit.interval == (None, None)
    assert fit.slope == pytest.approx(-0.5, abs=0.3)
    assert fit_exponent(2.0 ** np.arange(10), np.tile(values, (2, 1))).interval == (None, None)
    assert exponent("s", fit, -0.5, {"none": 0.0}).verdict == "INCONCLUSIVE"


def test_values_without_spread_have_no_interval() -> None:
    assert fit_exponent(SIZES, np.repeat(SIZES[:, None] ** -1, 5, axis=1)).interval == (None, None)


def test_one_size_without_spread_is_no_obstacle() -> None:
    values = planted(5, np.random.default_rng(6))
    values[0] = values[0, 0]
    low, high = fit_exponent(SIZES, values).interval
    assert low is not None
    assert high is not None
    assert low < high


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_values_without_logarithm(bad: float) -> None:
    values = planted(3, np.random.default_rng(7))
    values[2, 1] = bad
    with pytest.raises(ValueError, match=r"at size 256, seed number 1: .* positive and finite"):
        fit_exponent(SIZES, values)
    with pytest.raises(ValueError, match="positive and finite"):
        local_slope(SIZES, values[:, 1])


@pytest.mark.parametrize(
    ("sizes", "values", "message"),
    [
        ([64], [[1.0, 2.0]], "at least two sizes"),
        ([64, 64], [[1.0], [2.0]], "each given once"),
        ([0, 64], [[1.0], [2.0]], "positive"),
        ([32, 64], [1.0, 2.0], "shapes"),
        ([32, 64, 128], [[1.0], [2.0]], "shapes"),
        ([32, 64], [[], []], "shapes"),
    ],
)
def test_shapes_and_sizes_that_cannot_be_fitted(
    sizes: list[int], values: list[float] | list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_exponent(sizes, values)


def test_local_slope_looks_at_the_last_octave_only() -> None:
    sizes = np.array([10, 50, 100, 150, 200])
    values = np.array([1e3, 1e-7, 8.0, 1e5, 2.0])  # 100 → 200: 8 → 2
    assert local_slope(sizes, values) == pytest.approx(-2)


def test_local_slope_needs_an_octave() -> None:
    with pytest.raises(ValueError, match="no last octave"):
        local_slope([60, 100], [1.0, 2.0])


def exponent(
    name: str, fit: ExponentFit, predicted: Prediction, rivals: dict[str, float] | None = None
) -> Claim:
    return exponent_claim(name, "s", "f", [], fit=fit, predicted=predicted, rivals=rivals)


def test_exponent_claims() -> None:
    fit = fit_exponent(SIZES, planted(10, np.random.default_rng(8)))
    assert exponent("n", fit, -0.5, {"no decay": 0.0, "1/m": -1.0}).verdict == "PASS"
    assert exponent("n", fit, -1.0, {"1/√m": -0.5}).verdict == "FAIL"
    assert exponent("n", fit, -0.5, {"close": fit.slope + 1e-3}).verdict == "INCONCLUSIVE"
    assert exponent("n", fit, (None, -0.25)).verdict == "PASS"
    found = exponent("n", fit, -0.5, {"no decay": 0.0})
    assert (found.measured, found.interval, found.seeds) == (fit.slope, fit.interval, 10)
    with pytest.raises(ValueError, match="needs a rival"):
        exponent("n", fit, -0.5)


@pytest.mark.parametrize(("predicted", "verdict"), [(-1.0, "PASS"), (-0.5, "FAIL")])
def test_claim_about_a_local_slope(predicted: float, verdict: str) -> None:
    slope = local_slope(SIZES, (1 + 4 / SIZES) / SIZES)
    found = exact_claim(
        "n", "s", "f", [], predicted=predicted, measured=slope, tolerance=0.02, rivals={"m⁻²": -2.0}
    )
    # log₂ of (1 + 4/1024)/(1 + 4/512) off the exponent −1
    assert found.measured == pytest.approx(-1 + math.log2((1 + 4 / 1024) / (1 + 4 / 512)), abs=1e-12)
    assert found.verdict == verdict


# --- intervals --------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8).filter(lambda v: np.std(v) > 1e-3))
def test_mean_interval_is_scipys(values: list[float]) -> None:
    mean, low, high = mean_interval(values, confidence=0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert mean == pytest.approx(np.mean(values), abs=1e-9)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


def test_mean_interval_of_one_value_of_none_and_of_lost_ones() -> None:
    assert mean_interval([0.25]) == (0.25, None, None)
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)
    mean, low, high = mean_interval([1.0, math.inf])
    assert math.isnan(mean)
    assert (low, high) == (None, None)
    with pytest.raises(ValueError, match="no samples"):
        mean_interval([])


@settings(deadline=None)
@given(trials=st.integers(1, 400), share=st.floats(0, 1), confidence=st.sampled_from([0.8, 0.95]))
def test_proportion_interval_is_scipys(trials: int, share: float, confidence: float) -> None:
    successes = round(share * trials)
    expected = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    found = proportion_interval(successes, trials, confidence)
    assert found == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-12)


def test_proportion_interval_at_the_ends() -> None:
    assert proportion_interval(0, 10)[0] == 0.0
    assert proportion_interval(10, 10)[1] == 1.0
    assert proportion_interval(0, 0) == (None, None)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5)])
def test_proportion_that_is_none(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="successes"):
        proportion_interval(successes, trials)
