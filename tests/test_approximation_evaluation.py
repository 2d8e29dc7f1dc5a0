"""What torch loses in a network: hard steps beside their place, float32, deep networks, against 60 digits."""

import math
from itertools import pairwise
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.bins import build_bins
from nnlab.approximation.certificate import certify
from nnlab.approximation.evaluation import evaluation_error
from nnlab.approximation.network import ACTIVATIONS, Output, ScalarNetwork
from nnlab.approximation.targets import make_target
from nnlab.errors import InputError
from tests.certified_cases import exact_network

Array = NDArray[np.float64]


def line(
    w: ArrayLike, b: ArrayLike, c: ArrayLike, c0: float, activation: str, output: Output = "identity"
) -> ScalarNetwork:
    w, b, c = (np.asarray(v, np.float64) for v in (w, b, c))
    return ScalarNetwork([(w[:, None], b), (c[None], np.array([c0]))], activation, output)


def lost(network: ScalarNetwork, x: Array) -> float:
    """The largest difference to the exact network at (n, d) points."""
    with mp.workdps(60):
        exact = [exact_network(network, tuple(map(mp.mpf, point))) for point in x.tolist()]
        differences: list[Any] = [
            abs(mp.mpf(float(y)) - e) for y, e in zip(network.values(x), exact, strict=True)
        ]
        return float(max(differences))


def around(place: float, ulps: int = 3) -> Array:
    return place + np.spacing(place) * np.arange(-ulps, ulps + 1.0)[:, None]


def test_a_hard_step_may_come_out_on_the_wrong_side() -> None:
    """Where wx rounds to −b at some floats below the place of the step, one unit at a time."""
    rng, wrong = np.random.default_rng(0), 0
    for w, place in rng.uniform(0.1, 1, (40, 2)):
        network = line([w], [-w * place], [2.0], 0.0, "step")
        bound = evaluation_error(network, 0.0, 1.0)
        seen = lost(network, around(place))
        wrong += seen > 1
        assert seen <= bound <= 2.03
    assert wrong > 5


def test_only_steps_within_reach_of_one_x_count() -> None:
    network = line([0.1, 0.7, 3.0], [-0.03, -0.49, -2.9], [2.0, -5.0, 0.5], 0.0, "step")
    assert 5 <= evaluation_error(network, 0.0, 1.0) <= 5.06  # no two of them are at one place
    assert evaluation_error(network, 0.0, 0.5) == pytest.approx(2, rel=0.02)
    assert evaluation_error(network, 0.4, 0.6) < 1e-14
    # around a step by as much as its score is rounded, and no farther
    assert evaluation_error(network, 0.3 + 2e-16, 0.5) > 1
    assert evaluation_error(network, 0.3 + 2e-15, 0.5) < 1e-14


def test_steps_at_one_place_add_up() -> None:
    network = line([0.1, -0.1, 0.1], [-0.03, 0.03, -0.05], [2.0, -5.0, 100.0], 0.0, "step")
    assert 7 <= evaluation_error(network, 0.0, 0.4) <= 7.1
    assert 100 <= evaluation_error(network, 0.0, 1.0) <= 101.1


@pytest.mark.parametrize("w", [1.0, -1.0, 2.0, 1024.0])
def test_powers_of_two_have_exact_signs(w: float) -> None:
    places = np.array([0.3, 1 / 3, 0.7])
    network = line(np.full(3, w), -w * places, [1.0, 2.0, 3.0], 0.25, "step")
    bound = evaluation_error(network, 0.0, 1.0)
    assert max(lost(network, around(place, 8)) for place in places) <= bound < 1e-14
    assert evaluation_error(line([0.5], [0.0], [1.0], 0.0, "step"), -1.0, 1.0) >= 1  # 0.5 · 5e-324 is 0
    assert evaluation_error(network.float(), 0.0, 1.0) >= 3


def test_bins_of_hard_steps_are_evaluated_as_they_are() -> None:
    target = make_target("lecture")
    for construction in ("staircase", "towers"):
        network = build_bins(target, 7, (0.0, 1.0), construction=construction, steepness=math.inf).network
        found = certify(network, target)
        assert found.evaluation < 1e-13
        assert max(lost(network, around(k / 7)) for k in range(1, 7)) <= found.evaluation


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_networks(activation: str, output: Output) -> None:
    """Larger than float64's bound by 2²⁹, and needed; at float64 points, which are rounded first."""
    rng = np.random.default_rng(3)
    w, places = 10 ** rng.uniform(0, 4, 12), rng.uniform(0, 1, 12)
    network = line(w, -w * places, rng.standard_normal(12), 0.5, activation, output).float()
    x = np.concatenate([rng.uniform(0, 1, 60)[:, None], *(around(float(np.float32(p)), 2) for p in places)])
    bound = evaluation_error(network, 0.0, 1.0)
    assert 1e-9 < lost(network, x) <= bound < 20
    found = certify(network, make_target("x"))
    assert found.evaluation == bound
    assert found.lower <= found.upper <= found.lower * (1 + 1e-8) + 1e-12  # about the exact network
    double = certify(ScalarNetwork(network.weights(), activation, output), make_target("x"))
    assert (double.lower, double.upper) == (found.lower, found.upper)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_other_types_are_refused(dtype: torch.dtype) -> None:
    network = line([1.0], [0.0], [1.0], 0.0, "tanh").to(dtype)
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(InputError, match=f"has weights of type {name}; all must be float64, or float32"):
        certify(network, make_target("x"))
    mixed = line([1.0], [0.0], [1.0], 0.0, "tanh")
    mixed.output.float()
    with pytest.raises(InputError, match="type float32, float64"):
        certify(mixed, make_target("x"))


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(1, 6, 4, 1), (2, 8, 1), (2, 6, 5, 3, 1)])
def test_deep_networks_and_planes(sizes: tuple[int, ...], activation: str, single: bool) -> None:
    """`evaluation` is not 0 there, and holds at points of whatever kind."""
    rng = np.random.default_rng(sum(sizes))
    layers = [(3 * rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in pairwise(sizes)]
    network = ScalarNetwork(layers, activation)
    network = network.float() if single else network
    d = sizes[0]
    text = "x" if d == 1 else "x1 - x2"
    found = certify(network, make_target(text, d), (-1.0, 1.0), max_boxes=300, relative=0.5)
    assert 0 < lost(network, rng.uniform(-1, 1, (300, d))) <= found.evaluation
    if activation != "step":
        assert found.evaluation < (1e-1 if single else 1e-10)


def test_planes_of_hard_steps_with_round_numbers_are_exact() -> None:
    """Steps at lines of both axes, thresholds of sums of zeros and ones: only the last sum is rounded."""
    first = np.array([[1.0, 0], [1, 0], [0, 1], [0, -2]])
    second, bias = np.array([[1.0, -1, 1, 0], [1, 0, 0.5, -1]]), np.array([-1.5, -0.75])
    network = ScalarNetwork(
        [(first, np.array([-0.3, -0.7, -1 / 3, 1.4])), (second, bias), ([[0.1, 0.7]], [0.3])], "step"
    )
    bound = evaluation_error(network, [0, 0], [1, 1])
    points = [around(p, 2)[:, 0] for p in (0.3, 0.7, 1 / 3)]
    x = np.stack(np.meshgrid(*[np.concatenate(points)] * 2), axis=-1).reshape(-1, 2)
    assert lost(network, x) <= bound < 1e-14
    for changed in (0.1, 3.0):  # a product that is rounded may be on the wrong side, and all that follows
        layers = [(first * changed, network.weights()[0][1] * changed), *network.weights()[1:]]
        assert evaluation_error(ScalarNetwork(layers, "step"), [0, 0], [1, 1]) >= 0.8
    wide = [
        network.weights()[0],
        (second * 0.1, bias * 0.1),
        network.weights()[2],
    ]  # 0.1 − 0.1 + … is rounded
    assert evaluation_error(ScalarNetwork(wide, "step"), [0, 0], [1, 1]) >= 0.8 or lost(
        ScalarNetwork(wide, "step"), x
    ) <= evaluation_error(ScalarNetwork(wide, "step"), [0, 0], [1, 1])


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "ripple"])
def test_only_units_near_one_x_count(activation: str) -> None:
    """A thousand steps a thousandth wide: what one of them loses, and not what all of them do."""
    w, places = 1e9, np.linspace(0, 1, 1001)
    network = line(np.full(1001, w), -w * places, np.ones(1001), 0.0, activation)
    alone = evaluation_error(line([w], [-0.5 * w], [1.0], 0.0, activation), 0.0, 1.0)
    bound = evaluation_error(network, 0.0, 1.0)
    assert bound <= 3 * alone + 1e-9
    assert lost(network, np.concatenate([around(p, 2) for p in (0.25, 0.5)])) <= bound


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numbers_that_overflow_are_never_bounded(activation: str) -> None:
    assert evaluation_error(line([1e308], [0.0], [1.0], 0.0, activation), 0.0, 100.0) == math.inf
    assert (
        evaluation_error(
            line(
                [1.0],
                [0.0],
                [
                    1e308,
                ],
                1e308,
                activation,
            ),
            0.0,
            100.0,
        )
        == math.inf
    )
    assert evaluation_error(line([1e30], [0.0], [1.0], 0.0, activation).float(), 0.0, 1e9) == math.inf
    assert evaluation_error(line([1e30], [0.0], [1.0], 0.0, activation), 0.0, 1e9) < math.inf
    deep = ScalarNetwork([([[1e308]], [0.0]), ([[1.0]], [0.0]), ([[1.0]], [0.0])], activation)
    assert evaluation_error(deep, [0.0], [100.0]) == math.inf


def test_values_keep_the_type_of_points_apart_from_that_of_weights() -> None:
    network = line([3.0], [-0.7], [1.0], 0.0, "tanh")
    x = np.linspace(0, 1, 9)[:, None]
    double, single = network.values(x), network.float().values(x)
    assert double.dtype == single.dtype == np.float64
    assert 1e-9 < np.abs(double - single).max() < 1e-6
    assert all(w.dtype == b.dtype == np.float64 for w, b in network.weights())
