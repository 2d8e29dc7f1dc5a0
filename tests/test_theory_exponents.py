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


@pytest.mark.parametrize("rate", [None, 0.5, 1.0])
def test_interval_covers_the_planted_exponent_and_no_other(rate: float | None) -> None:
    """90% is promised: of 400 repetitions 360 ± 4 · 6, where the correction is as it was assumed."""
    rng = np.random.default_rng(3)
    covered, others = 0, 0
    drift = 1.0 if rate is None else 1 + 0.5 * (SIZES[:, None] / 64) ** -rate
    for _ in range(400):
        values = drift * planted(8, rng) ** 0.1 * SIZES[:, None] ** -0.45  # noise 0.03
        low, high = fit_exponent(SIZES, values, rate=rate, confidence=0.9).interval
        assert low is not None
        assert high is not None
        covered += low <= -0.5 <= high
        others += low <= 0.0 <= high or low <= -1.0 <= high
    assert covered >= 336  # more where something was allowed for the next order
    assert covered <= (384 if rate is None else 400)
    assert others == 0


def test_interval_is_welchs_t_interval() -> None:
    """Of two sizes the slope is a difference of means over log 2, whose interval scipy knows as Welch's."""
    values = planted(6, np.random.default_rng(4))[:2]
    values[1] **= 3  # another spread
    a, b = np.log(values)
    welch = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.9999)
    assert fit_exponent(SIZES[:2], values).interval == pytest.approx(
        (welch.low / math.log(2), welch.high / math.log(2)), rel=1e-9
    )
    narrow = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    assert fit_exponent(SIZES[:2], values, confidence=0.95).interval == pytest.approx(
        (narrow.low / math.log(2), narrow.high / math.log(2)), rel=1e-9
    )


@pytest.mark.parametrize(("rate", "tends"), [(0.5, "like 1/√m"), (1.0, "like 1/m"), (0.75, "like m^−0.75")])
def test_limit_of_slopes_that_drift(rate: float, tends: str) -> None:
    """A fitted correction finds the limit where a line finds another exponent, and says which one it is."""
    noise = np.exp(0.01 * np.random.default_rng(9).standard_normal((5, 16)))
    values = 3 * SIZES[:, None] ** -0.5 * np.exp(0.8 * (SIZES[:, None] / 64) ** -rate) * noise
    fit, line = fit_exponent(SIZES, values, rate=rate), fit_exponent(SIZES, values)
    assert fit.slope == pytest.approx(-0.5, abs=0.03)
    assert math.exp(fit.intercept) == pytest.approx(3, rel=0.3)
    claim = exponent("n", fit, -0.5, {"constant": 0.0, "1/m": -1.0})
    assert (claim.verdict, tends in claim.rule, "99.99%" in claim.rule) == ("PASS", True, True)
    assert exponent("n", line, -0.5, {"constant": 0.0}).verdict == "FAIL"
    assert exponent("n", fit, -1.0, {"1/√m": -0.5}).verdict == "FAIL"


def test_what_the_next_order_may_cost_is_allowed_for() -> None:
    """Noise of 10⁻⁶ leaves the allowance alone: it holds what log(1 + a/√m) differs from a/√m."""
    noise = np.exp(1e-6 * np.random.default_rng(10).standard_normal((5, 8)))
    values = (1 + 3 / np.sqrt(SIZES[:, None])) / SIZES[:, None] * noise
    fit = fit_exponent(SIZES, values, rate=0.5)
    low, high = fit.interval
    assert low is not None
    assert high is not None
    assert abs(fit.slope + 1) > 1e-3  # the linear correction alone would exclude the truth
    assert low < -1 < high
    assert high - low < 0.06


def test_one_seed_has_a_slope_but_no_interval() -> None:
    values = planted(1, np.random.default_rng(5))
    for rate in (None, 0.5):
        fit = fit_exponent(SIZES, values, rate=rate)
        assert fit.interval == (None, None)
        assert exponent("s", fit, -0.5, {"none": 0.0}).verdict == "INCONCLUSIVE"
    assert fit_exponent(SIZES, values).slope == pytest.approx(-0.5, abs=0.3)


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
def test_values_without_logarithm_leave_the_claim_open(bad: float) -> None:
    values = planted(3, np.random.default_rng(7))
    values[2, 1] = bad
    for rate in (None, 1.0):
        fit = fit_exponent(SIZES, values, rate=rate)
        assert math.isnan(fit.slope)
        claim = exponent("n", fit, -0.5, {"none": 0.0})
        assert claim.verdict == "INCONCLUSIVE"
        assert f"The value {bad} at size 256, seed number 1, has no logarithm" in claim.rule
    values[[2, 3, 4], 1] = values[4, 1], 1.0, bad
    assert math.isnan(local_slope(SIZES, values[:, 1]))


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


def test_a_correction_needs_three_sizes() -> None:
    with pytest.raises(ValueError, match="at least three sizes"):
        fit_exponent([32, 64], [[1.0, 2.0], [1.0, 3.0]], rate=0.5)


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
