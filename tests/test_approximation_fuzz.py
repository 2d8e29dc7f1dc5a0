"""Hundreds of made certificates against arithmetic in 120 digits; `certified_cases` makes more of them."""

import random
from collections import Counter

import pytest

from nnlab.errors import InputError
from tests.certified_cases import check, made_case

CASES = 240


@pytest.mark.slow
def test_no_bound_and_no_evaluation_is_false() -> None:
    """Powers of all sizes, hard steps, float32 and far intervals among them; upper bounds are mostly met."""
    tight, sorts, tried = 0, Counter[str](), 0
    for seed in range(CASES):
        rng = random.Random(seed)
        case = made_case(rng)
        try:
            findings = None if case is None else check(case, rng)
        except InputError:
            continue
        if case is None or findings is None:
            continue
        assert not findings.faults, (seed, findings.faults, str(case))
        tried += 1
        tight += findings.tightness < 1.01
        sorts += Counter({
            case.sort: 1, str(case.network.dtype): 1, case.network.activation: 1,
            "far": abs(case.low) >= 1e10, "huge power": "^9007" in case.text or "^1" in case.text,
        })  # fmt: skip
    assert tried > CASES / 2
    assert tight > tried / 2
    assert (
        min(sorts[name] for name in ("line", "bins", "deep", "plane", "step", "torch.float32", "far")) >= 5
    ), sorts
    assert sorts["huge power"] >= 5
