"""The experiment on kernels of finite width: its networks, its claims, and a theory that is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nnlab.chapters.kernels.figures.finite_width import spread_and_shift
from nnlab.chapters.kernels.finite_width import BATCHES, Config, Sample, Study, _continued, claims_about
from nnlab.lab.session import Session
from nnlab.ntk import empirical_ntk
from tests.figure_checks import assert_finite_limits, assert_readable

X = torch.tensor([[1.0, 0.0], [-0.3, 0.6]], dtype=torch.float64)


def study(**settings: object) -> Study:
    config = Config.model_validate(
        {"experiment": "finite_width", "widths": [8, 16, 32], "depth": 2} | settings
    )
    return Study(config, "relu", X)


@pytest.mark.parametrize("depth", [1, 2])
def test_every_member_is_a_network_with_its_empirical_kernel(depth: int) -> None:
    one = study()
    kernels = one._ensemble(depth, 8, "weights", range(3, 6)).to(torch.float64).tangent_kernel(X)
    for kernel, member in zip(kernels, range(3, 6), strict=True):
        model = one._network(depth, 8, "weights", member).double()
        torch.testing.assert_close(kernel, empirical_ntk(model, X, output="trace"))


def test_members_of_neighbouring_seeds_have_nothing_in_common() -> None:
    starts = [
        study(seed=seed)._network(1, 8, "weights", member).output.weight
        for seed in (0, 1) for member in range(5)
    ]  # fmt: skip
    assert len({weight.sum().item() for weight in starts}) == 10


def test_the_limit_has_no_term_of_order_one_over_m() -> None:
    widths = [16, 32]
    values = np.array([[3 + 5 / m, 4 - 1 / m] for m in widths])
    np.testing.assert_allclose(_continued(widths, values), [3, 4])


def sample_of(one: Study, factor: float, shift: float) -> Sample:
    """Networks whose spread is `factor` times c/m (1 + 2/m), and whose mean has `shift` times its shift."""
    random = np.random.default_rng(0)
    c, count = one.theory.expected_squared_deviation, 40 * BATCHES
    noise = [1 + 0.2 * random.standard_normal(count) for _ in one.widths]
    spread = [factor * c / m * (1 + 2 / m) * e for m, e in zip(one.widths, noise, strict=True)]
    shifts = [shift + random.standard_normal(count) for _ in one.widths]
    alone = factor * one.one_layer.expected_squared_deviation / 8 * noise[0]
    return Sample(one.widths, spread, shifts, alone)


@pytest.mark.parametrize(
    ("factor", "shift", "verdicts"),
    [
        (1.0, 1.0, ["PASS"] * 4),
        (1.2, 1.0, ["FAIL", "FAIL", "PASS", "PASS"]),
        (1.0, 0.0, ["PASS"] * 3 + ["FAIL"]),
    ],
)
def test_claims_hold_the_theory_against_the_sample(factor: float, shift: float, verdicts: list[str]) -> None:
    one = study()
    assert [claim.verdict for claim in claims_about(one, sample_of(one, factor, shift))] == verdicts


def test_a_measurement_that_is_not_finite_decides_nothing() -> None:
    one = study()
    sample = sample_of(one, 1.0, 1.0)
    broken = replace(sample, spread=[values * np.nan for values in sample.spread])
    verdicts = [claim.verdict for claim in claims_about(one, broken)]
    assert verdicts == ["PASS", "INCONCLUSIVE", "INCONCLUSIVE", "PASS"]


def test_one_hidden_layer_shifts_nothing() -> None:
    assert [claim.name for claim in claims_about(study(depth=1), sample_of(study(depth=1), 1.0, 0.0))] == [
        "spread_of_one_layer_relu", "spread_relu", "power_of_the_spread_relu",
    ]  # fmt: skip


def test_it_measures_all_networks() -> None:
    one = study(networks=200)
    sample = one.measure(Session())
    assert [len(values) for values in sample.spread] == [800, 400, 200]
    assert sample.prefactor.mean() / one.theory.expected_squared_deviation == pytest.approx(1, abs=0.6)


def test_the_figure_is_readable() -> None:
    rows = [np.array([level, 0.9 * level, 1.1 * level]) for level in (0.5, 0.25, 0.06)]
    for shifts in ({"relu": np.array([[1.0, 0.8, 1.2]] * 3)}, {}):
        figure = spread_and_shift([16, 32, 128], {"relu": np.array(rows)}, {"relu": 8.0}, shifts)
        assert_finite_limits(figure)
        assert_readable(figure)
        np.testing.assert_allclose(
            np.asarray(figure.axes[0].lines[0].get_ydata(), float), [0.5, 0.25, 0.0625]
        )
