"""Limits of quantities whose corrections are known powers: exact sequences, coverage, verdicts."""

import math

import numpy as np
import pytest

from nnlab.theory.limits import fit_limit, limit_claim

SIZES = np.array([64.0, 128, 256, 512, 1024])


def test_sequences_without_noise_have_their_limit() -> None:
    values = np.repeat((3 + 2 / np.sqrt(SIZES) - 5 / SIZES)[:, None], 4, axis=1)
    fit = fit_limit(SIZES, values, (0.5, 1.0))
    assert fit.limit == pytest.approx(3.0, rel=1e-12)
    assert fit.interval[0] is not None
    assert fit.interval[1] is not None
    assert fit.interval[0] <= 3.0 <= fit.interval[1]


@pytest.mark.parametrize("next_order", [0.0, 8.0])
def test_the_interval_holds_the_limit(next_order: float) -> None:
    """In 200 repetitions at 99%, with a term beyond those that are fitted, too."""
    random, held = np.random.default_rng(0), 0
    mean = 1 - 2 / np.sqrt(SIZES) + 3 / SIZES + next_order / SIZES**1.5
    for _ in range(200):
        noise = random.normal(size=(5, 12)) / np.sqrt(SIZES)[:, None]
        low, high = fit_limit(SIZES, mean[:, None] + noise, (0.5, 1.0), confidence=0.99).interval
        assert low is not None
        assert high is not None
        held += low <= 1 <= high
    assert held >= 193


def test_claims_exclude_rivals_and_say_when_they_cannot() -> None:
    random = np.random.default_rng(1)
    values = (1 + 4 / SIZES)[:, None] + 0.1 * random.normal(size=(5, 30)) / np.sqrt(SIZES)[:, None]

    def verdict(q: np.ndarray, predicted: float = 1.0) -> str:
        fit = fit_limit(SIZES, q, (1.0,))
        return limit_claim("a", "b", "c", [], fit=fit, predicted=predicted, rivals={"half": 0.5}).verdict

    assert verdict(values) == "PASS"
    assert verdict(2 * values) == "FAIL"
    assert verdict(values[:, :1]) == "INCONCLUSIVE"
    broken = values.copy()
    broken[2, 3] = math.nan
    assert verdict(broken) == "INCONCLUSIVE"


def test_too_few_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="K > 2"):
        fit_limit([1, 2], np.ones((2, 3)), (0.5, 1.0))
