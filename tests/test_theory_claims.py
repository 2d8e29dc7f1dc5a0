"""The one rule of verdicts, against a brute-force reading of it, and the ways to state a claim."""

import json
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike
from scipy import stats

from nnlab.theory import (
    Claim,
    Interval,
    Prediction,
    claims,
    exact_claim,
    interval_claim,
    judge,
    measured_claim,
    worst,
)

small = st.integers(-4, 4)


@settings(deadline=None)
@given(predicted=small, rivals=st.lists(small, max_size=3), ends=st.tuples(small, small))
def test_point_rule_by_enumeration(predicted: int, rivals: list[int], ends: tuple[int, int]) -> None:
    assume(predicted not in rivals)
    low, high = sorted(ends)
    held = set(range(low, high + 1)) & {predicted, *rivals}  # all numbers are whole: nothing lies between
    if predicted not in held:
        expected = "FAIL"
    else:
        expected = "PASS" if held == {predicted} else "INCONCLUSIVE"
    assert judge(predicted, {str(r): r for r in rivals}, (low, high))[0] == expected


@settings(deadline=None)
@given(
    ends=st.tuples(small, small),
    interval=st.tuples(small, small),
    open_end=st.sampled_from(["", "low", "high"]),
)
def test_range_rule_by_enumeration(ends: tuple[int, int], interval: tuple[int, int], open_end: str) -> None:
    least, most = sorted(ends)
    low, high = sorted(interval)
    allowed = set(range(-9 if open_end == "low" else least, 10 if open_end == "high" else most + 1))
    measured = set(range(low, high + 1))
    overlap = measured & allowed
    predicted = (None if open_end == "low" else least, None if open_end == "high" else most)
    verdict = judge(predicted, {}, (low, high))[0]
    if verdict == "PASS":
        assert measured <= allowed
    elif verdict == "FAIL":
        assert not overlap
    else:  # partly in and partly out; between whole numbers a range can lie inside the interval's gaps
        assert overlap
        assert not measured <= allowed


@pytest.mark.parametrize("interval", [(None, None), (math.nan, 1.0), (0.0, math.inf)])
@pytest.mark.parametrize("predicted", [0.5, (None, 1.0)])
def test_no_finite_interval_is_inconclusive(predicted: Prediction, interval: Interval) -> None:
    assert judge(predicted, {"none": 2.0}, interval)[0] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("predicted", "rivals", "interval", "message"),
    [
        (math.nan, {}, (0, 1), "predicted nan"),
        ((None, None), {}, (0, 1), "one finite end"),
        ((math.inf, None), {}, (0, 1), "one finite end"),
        ((2.0, 1.0), {}, (0, 1), "low end is above"),
        (1.0, {"same": 1.0}, (0, 1), "rival same"),
        ((0.0, None), {"inside": 3.0}, (0, 1), "rival inside"),
        (1.0, {"lost": math.inf}, (0, 1), "rival lost"),
        (1.0, {}, (1, 0), "low end is above"),
    ],
)
def test_what_cannot_be_judged(
    predicted: Prediction, rivals: dict[str, float], interval: Interval, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        judge(predicted, rivals, interval)


def claim(predicted: Prediction, values: ArrayLike, rivals: dict[str, float] | None = None) -> Claim:
    return measured_claim("n", "s", "f", ["h"], predicted=predicted, values=values, rivals=rivals)


def test_measured_claim_uses_the_t_interval() -> None:
    values = [0.99, 1.02, 1.005, 0.995]
    found = claim(1.0, values, {"no effect": 0.0})
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9999)
    assert found.interval == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert found.measured == pytest.approx(np.mean(values))
    assert (found.verdict, found.seeds) == ("PASS", 4)
    assert found.rule.startswith("99.99% t-interval of the mean over 4 seeds [")
    assert found.rule.endswith("it contains the predicted 1 and excludes 0 (no effect).")


def test_measured_claim_can_fail_and_can_stay_open() -> None:
    assert claim(2.0, [0.99, 1.02, 1.005, 0.995], {"no effect": 0.0}).verdict == "FAIL"
    wide = claim(1.0, [-3.0, 5.0], {"no effect": 0.0})
    assert wide.verdict == "INCONCLUSIVE"
    assert "but also 0 (no effect)" in wide.rule


def test_verdicts_have_the_stated_error_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of normal samples whose mean is as predicted, 0.1% FAIL at 99.9%: the interval is not too wide."""
    monkeypatch.setattr(claims, "CONFIDENCE", 0.999)
    rng = np.random.default_rng(0)
    verdicts = [claim(1.0, rng.normal(1.0, 0.1, 5), {"far": 100.0}).verdict for _ in range(16_000)]
    assert verdicts.count("FAIL") + verdicts.count("PASS") == 16_000
    assert 4 <= verdicts.count("FAIL") <= 28  # 16 ± 3 standard errors


def test_a_value_that_is_not_finite_leaves_the_claim_open_and_is_named() -> None:
    found = claim(0.0, [1e-8, math.nan, 1e-9], {"far": 1.0})
    assert (found.verdict, found.interval) == ("INCONCLUSIVE", (None, None))
    assert found.rule.startswith("1 of 3 values are not finite: there is no finite interval")
    lost = exact_claim(
        "n", "s", "f", [], predicted=(None, 1.0), measured=worst([1e-8, math.nan]), tolerance=0.1
    )
    assert lost.verdict == "INCONCLUSIVE"
    assert lost.rule.startswith("measured value nan: there is no finite interval")


def test_worst_is_the_largest_absolute_value() -> None:
    assert worst(1.0, [[-3.0, 2.0]], np.float32(0.5)) == 3.0
    assert math.isnan(worst([1.0, math.inf]))
    assert math.isnan(worst(1e-8, math.nan))
    with pytest.raises(ValueError, match="concatenate"):
        worst()


def test_single_sample_is_inconclusive() -> None:
    found = claim((0.5, None), [1.0])
    assert (found.verdict, found.interval, found.measured) == ("INCONCLUSIVE", (None, None), 1.0)


def test_lost_sample_cannot_pass() -> None:
    found = claim((0.5, None), [1.0, math.nan, 1.1])
    assert found.verdict == "INCONCLUSIVE"
    assert found.as_dict()["measured"] is None


@pytest.mark.parametrize("rivals", [None, {}])
def test_point_prediction_of_a_random_quantity_needs_a_rival(rivals: dict[str, float] | None) -> None:
    with pytest.raises(ValueError, match="needs a rival"):
        claim(1.0, [1.0, 1.1], rivals)
    with pytest.raises(ValueError, match="needs a rival"):
        interval_claim(
            "n", "s", "f", [], predicted=1.0, measured=1.0, interval=(0, 2), seeds=3, how="i", rivals=rivals
        )


def test_no_samples() -> None:
    with pytest.raises(ValueError, match="no samples"):
        claim((0.0, None), [])


@pytest.mark.parametrize(
    ("measured", "verdict"),
    [(2.0409, "PASS"), (2.05, "FAIL"), (math.nan, "INCONCLUSIVE"), (-math.inf, "INCONCLUSIVE")],
)
def test_exact_claim_of_the_slides_loss(measured: float, verdict: str) -> None:
    found = exact_claim("n", "s", "−log 0.13", [], predicted=2.04, measured=measured, tolerance=0.005)
    assert found.verdict == verdict
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["verdict"] == verdict


@pytest.mark.parametrize(
    ("measured", "verdict"), [(0.98, "PASS"), (0.995, "INCONCLUSIVE"), (1.02, "FAIL"), (1.0, "INCONCLUSIVE")]
)
def test_exact_claim_of_an_inequality(measured: float, verdict: str) -> None:
    found = exact_claim("n", "s", "f", [], predicted=(None, 1.0), measured=measured, tolerance=0.01)
    assert found.verdict == verdict
    assert "predicted range ≤ 1" in found.rule


def test_exact_claim_with_a_rival() -> None:
    found = exact_claim(
        "n", "s", "f", [], predicted=1.0, measured=1.0, tolerance=0.6, rivals={"half": 0.5}, seeds=3
    )
    assert (found.verdict, found.seeds) == ("INCONCLUSIVE", 3)


@pytest.mark.parametrize("tolerance", [-1e-9, math.nan, math.inf])
def test_tolerance_must_be_a_size(tolerance: float) -> None:
    with pytest.raises(ValueError, match="tolerance"):
        exact_claim("n", "s", "f", [], predicted=1.0, measured=1.0, tolerance=tolerance)


def test_as_dict_is_plain_json_also_from_numpy_numbers() -> None:
    number: Any = np.float32  # no float to the type checker, which knows np.float64 alone as one
    found = interval_claim(
        "n", "s", "f", ("h1", "h2"),
        predicted=(number(-0.5), None),
        measured=number(0.25),
        interval=(number(0.125), np.float64(0.5)),
        seeds=3,
        how="some interval",
        rivals={"r": number(-2)},
        predicted_by="a.b",
        measured_by="c.d",
    )  # fmt: skip
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False)) == {
        "name": "n",
        "sentence": "s",
        "formula": "f",
        "hypotheses": ["h1", "h2"],
        "predicted": [-0.5, None],
        "rivals": {"r": -2.0},
        "measured": 0.25,
        "interval": [0.125, 0.5],
        "seeds": 3,
        "rule": "some interval [0.125, 0.5]: it lies inside the predicted range ≥ -0.5.",
        "verdict": "PASS",
        "predicted_by": "a.b",
        "measured_by": "c.d",
    }


def test_a_claim_in_a_notebook_is_short_and_escaped() -> None:
    claim = exact_claim(
        "n",
        "a < b",
        "f",
        ["<i>h</i>"] * 50,
        predicted=(None, 1.0),
        measured=0.5,
        tolerance=0.1,
        rivals={"r": 2.0},
    )
    assert repr(claim) == (
        "<Claim 'n': PASS, predicted ≤ 1, measured value ± tolerance 0.1 [0.4, 0.6]: "
        "it lies inside the predicted range ≤ 1.>"
    )
    page = claim._repr_html_()
    for cells in ("a &lt; b", "≤ 1", "0.4 to 0.6", "r: 2", "PASS"):
        assert f"<td>{cells}</td>" in page
    assert "<i>" not in page


def test_theory_does_not_import_torch() -> None:
    code = "import sys, nnlab.theory; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
