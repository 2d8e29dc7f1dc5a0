"""Networks over boxes, held against autograd, 60-digit arithmetic, dense sampling and closed forms."""

import math
from itertools import combinations, pairwise

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nnlab.approximation import enclosures
from nnlab.approximation.boxes import certify_boxes, remainder
from nnlab.approximation.enclosures import BoxNetwork
from nnlab.approximation.evaluation import evaluation_error
from nnlab.approximation.network import ACTIVATIONS, Output, ScalarNetwork
from nnlab.approximation.targets import make_target
from nnlab.errors import InputError

Array = NDArray[np.float64]

SMOOTH = ("sigmoid", "tanh", "ripple")
SHAPES = ([2, 7, 1], [2, 6, 5, 1], [2, 4, 5, 3, 1], [1, 9, 1], [3, 8, 1])


def random_network(
    shape: list[int], activation: str, output: Output = "identity", scale: float = 3.0
) -> ScalarNetwork:
    rng = np.random.default_rng(len(shape) + shape[1])
    layers = [
        (scale * rng.standard_normal((m, n)) / np.sqrt(n), rng.standard_normal(m)) for n, m in pairwise(shape)
    ]
    return ScalarNetwork(layers, activation, output)


def exact_value(network: ScalarNetwork, x: Array) -> mpmath.mpf:
    """One point in the working precision of mpmath."""
    phi = {
        "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
        "tanh": mpmath.tanh,
        "ripple": lambda z: 1 / (1 + mpmath.exp(-z)) + z * mpmath.exp(-(z**2)),
        "relu": lambda z: max(z, mpmath.mpf(0)),
        "step": lambda z: mpmath.mpf(z >= 0),
    }
    h = [mpmath.mpf(float(v)) for v in x]
    *hidden, (c, c0) = network.weights()
    for w, b in hidden:
        h = [
            phi[network.activation](mpmath.fdot(map(float, row), h) + float(bias))
            for row, bias in zip(w, b, strict=True)
        ]
    y = mpmath.fdot(map(float, c[0]), h) + float(c0[0])
    return phi["sigmoid"](y) if network.output_activation == "sigmoid" else y


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_boxes_hold_the_values_and_slopes_of_their_points(
    shape: list[int], activation: str, output: Output
) -> None:
    network = random_network(shape, activation, output)
    d = shape[0]
    rng = np.random.default_rng(1)
    lo = rng.uniform(-1, 1, (60, d))
    hi = lo + 10 ** rng.uniform(-6, 0, (60, 1)) * rng.random((60, d))
    value, slopes = BoxNetwork.of(network).slopes(lo, hi)
    inside = lo + (hi - lo) * rng.choice([0, 1, 0.5, 0.3, 0.9], (200, 60, d))
    x = torch.from_numpy(inside.reshape(-1, d)).requires_grad_()
    y = network(x)
    (gradient,) = torch.autograd.grad(y.sum(), x, allow_unused=True, materialize_grads=True)
    found = y.detach().numpy().reshape(200, 60)
    assert (value.lo <= found).all()
    assert (found <= value.hi).all()
    steep = gradient.numpy().reshape(200, 60, d)
    for i in range(d):
        # autograd rounds as well
        assert (slopes[i].lo <= steep[..., i] + 1e-12).all()
        assert (steep[..., i] <= slopes[i].hi + 1e-12).all()


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_one_unit_is_enclosed_around_its_turning_points(activation: str) -> None:
    """φ itself over intervals with ends in steps of 0.05: against its values and slopes at 100 points."""
    network = ScalarNetwork([([[1.0]], [0.0]), ([[1.0]], [0.0])], activation)
    ends = np.arange(-60, 61) / 20 + 0.0125  # no end at a jump or a kink
    lo, hi = (np.array(pair)[:, None] for pair in zip(*combinations(ends, 2), strict=True))
    value, (slope,) = BoxNetwork.of(network).slopes(lo, hi)
    x = torch.from_numpy(lo + (hi - lo) * np.linspace(0, 1, 100)).requires_grad_()
    y = network(x.reshape(-1, 1))
    (gradient,) = torch.autograd.grad(y.sum(), x, allow_unused=True, materialize_grads=True)
    found, steep = y.detach().numpy().reshape(x.shape), gradient.numpy()
    assert (value.lo <= found.min(axis=1)).all()
    assert (found.max(axis=1) <= value.hi).all()
    assert (slope.lo <= steep.min(axis=1)).all()
    assert (steep.max(axis=1) <= slope.hi).all()
    if activation in ("sigmoid", "tanh", "relu"):  # where that is exact, the enclosure is as well
        np.testing.assert_allclose(value.lo, found.min(axis=1), atol=1e-12)
        np.testing.assert_allclose(value.hi, found.max(axis=1), atol=1e-12)
        np.testing.assert_allclose(slope.hi, steep.max(axis=1), atol=1e-3)


@pytest.mark.parametrize("activation", SMOOTH)
def test_enclosures_shrink_with_the_box(activation: str) -> None:
    network = BoxNetwork.of(random_network([2, 6, 5, 1], activation))
    lo = np.random.default_rng(2).uniform(-1, 1, (100, 2))
    widths = []
    for size in (1e-2, 1e-4):
        value, slopes = network.slopes(lo, lo + size)
        widths.append([value.hi - value.lo, *(s.hi - s.lo for s in slopes)])
    ratio = np.array(widths[0]) / np.array(widths[1])
    assert np.median(ratio) == pytest.approx(100, rel=0.3)
    at_a_point = network.values(lo, lo)
    assert (at_a_point.hi - at_a_point.lo).max() < 1e-12


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_points_hold_the_exact_value_and_the_computed_one(activation: str) -> None:
    network = random_network([2, 30, 20, 1], activation, scale=30.0)
    x = np.random.default_rng(3).uniform(-1, 1, (40, 2))
    found = BoxNetwork.of(network).values(x, x)
    with torch.no_grad():
        computed = network(torch.from_numpy(x))[:, 0].numpy()
    with mpmath.workdps(60):
        for k, point in enumerate(x):
            assert float(found.lo[k]) <= exact_value(network, point) <= float(found.hi[k])
    assert (found.lo <= computed).all()
    assert (computed <= found.hi).all()


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "ripple", "relu"])
def test_evaluation_error_is_above_what_float64_loses_and_not_far(activation: str) -> None:
    network = random_network([2, 40, 1], activation, scale=100.0)
    x = np.random.default_rng(4).uniform(-1, 1, (300, 2))
    with torch.no_grad():
        computed = network(torch.from_numpy(x))[:, 0].tolist()
    with mpmath.workdps(60):
        lost = max(abs(y - exact_value(network, p)) for y, p in zip(computed, x, strict=True))
    bound = evaluation_error(network, [-1, -1], [1, 1])
    assert lost <= bound < 1e4 * lost


@pytest.mark.parametrize("output", ["identity", "sigmoid"])
@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("shape", [[2, 30, 1], [2, 30, 20, 1], [1, 30, 20, 10, 1]], ids=str)
def test_a_restricted_network_stands_for_the_whole_one(
    shape: list[int], activation: str, output: Output
) -> None:
    """Steep and with units that become the same: values and slopes of the whole one lie inside."""
    rng = np.random.default_rng(6)
    steps = 3000 * rng.choice([-1, 1], 30)
    first = np.zeros((30, shape[0]))
    first[np.arange(30), rng.integers(shape[0], size=30)] = steps
    whole = random_network([30, *shape[2:]], activation) if len(shape) > 3 else None
    later = whole.weights() if whole else [(rng.standard_normal((1, 30)), np.zeros(1))]
    if whole:  # units that differ only by what they read of saturated ones
        later[0][0][1] = later[0][0][0]
        later[0][0][1, 5:] += 1.0
        later[0][0][1, :5] = later[0][0][0, :5]
    bias = -steps * np.concatenate([[0.5] * 5, rng.uniform(0, 0.4, 25)])
    network = ScalarNetwork([(first, bias), *later], activation, output)
    lo, hi = np.full(shape[0], 0.48), np.full(shape[0], 0.5005)
    small = BoxNetwork.of(network).restricted(lo, hi)
    assert len(small.weights[0][1]) == len(np.unique(first[:5], axis=0))  # the same step twice is one unit
    x = lo + (hi - lo) * rng.random((50, shape[0]))
    leaf = torch.from_numpy(x).requires_grad_()
    y = network(leaf)
    (gradient,) = torch.autograd.grad(y.sum(), leaf)
    value, slopes = small.slopes(x, x)
    assert (value.lo <= y.detach().numpy()[:, 0]).all()
    assert (y.detach().numpy()[:, 0] <= value.hi).all()
    assert (value.hi - value.lo).max() < 1e-8
    with mpmath.workdps(60):
        for k, point in enumerate(x):
            assert float(value.lo[k]) <= exact_value(network, point) <= float(value.hi[k])
    for i, slope in enumerate(slopes):
        assert (slope.lo <= gradient[:, i].numpy() + 1e-9).all()
        assert (gradient[:, i].numpy() - 1e-9 <= slope.hi).all()
        assert (slope.hi - slope.lo).max() < 1e-2 * max(1.0, np.abs(gradient.numpy()).max())


@pytest.mark.parametrize("activation", SMOOTH)
@pytest.mark.parametrize("shape", [[2, 12, 1], [2, 12, 8, 1], [2, 12, 8, 6, 1]], ids=str)
def test_what_a_restricted_network_leaves_out_is_in_its_error(
    shape: list[int], activation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Units count as constants that vary by a hundredth: the errors are large, and they are needed."""
    monkeypatch.setattr(enclosures, "FIXED", 0.02)
    network = random_network(shape, activation, scale=2.0)
    rng, needed = np.random.default_rng(7), False
    for _ in range(40):
        lo = rng.uniform(-1, 1, 2)
        hi = lo + 0.01
        small = BoxNetwork.of(network).restricted(lo, hi)
        x = lo + (hi - lo) * rng.random((40, 2))
        leaf = torch.from_numpy(x).requires_grad_()
        y = network(leaf)
        (gradient,) = torch.autograd.grad(y.sum(), leaf)
        found = np.column_stack([y.detach().numpy(), gradient.numpy()])
        value, slopes = small.slopes(x, x)
        low, high = (
            np.column_stack([getattr(interval, end) for interval in (value, *slopes)]) for end in ("lo", "hi")
        )
        assert (low <= found).all()
        assert (found <= high).all()
        away = np.abs(found - (low + high) / 2).max(axis=0)
        needed |= bool((away > 1e-4).all())
    assert needed


def test_evaluation_error_sees_what_a_steep_unit_loses() -> None:
    """wx + b cancels: at w = 10⁹ its rounding, far above that of φ, is what the output shows."""
    network = ScalarNetwork([([[1e9]], [-3e8]), ([[1.0]], [0.0])], "sigmoid")
    x = 0.3 + np.linspace(-1e-9, 1e-9, 200)[:, None]
    with torch.no_grad():
        computed = network(torch.from_numpy(x))[:, 0].tolist()
    with mpmath.workdps(60):
        lost = max(abs(y - exact_value(network, p)) for y, p in zip(computed, x, strict=True))
    assert 1e-10 < lost <= evaluation_error(network, [0], [1]) < 1e3 * lost


def test_a_monotone_error_is_done_with_one_box() -> None:
    network = ScalarNetwork([([[0.0, 0.0]], [0.0]), ([[0.0]], [0.0])], "tanh")
    found = certify_boxes(network, make_target("exp(x1) + x1*x2 - 2*x2", 2), [0, 0], [1, 1], relative=1e-9)
    assert found.boxes == 1
    np.testing.assert_array_equal(found.at, [1, 0])
    assert found.lower <= math.e <= found.upper


@pytest.mark.parametrize(
    ("network", "text", "d", "expected"),
    [
        # nothing but the bias: sup |f − ½|
        (ScalarNetwork([([[0.0, 0.0]], [0.0]), ([[0.0]], [0.5])], "tanh"), "x1*x2", 2, 0.5),
        (
            ScalarNetwork([([[1.0]], [0.0]), ([[1.0]], [0.0])], "sigmoid"),
            "0*x",
            1,
            1 / (1 + np.exp(-1)),
        ),
        # σ(x) − σ(−x) = tanh(x/2), one minus the other largest at x = 1
        (
            ScalarNetwork([([[1.0], [-1.0]], [0.0, 0.0]), ([[1.0, -1.0]], [0.0])], "sigmoid"),
            "0*x",
            1,
            np.tanh(0.5),
        ),
        # |x₁ − 0.25| + 2 max(0, x₂) from ReLUs
        (
            ScalarNetwork(
                [([[1, 0], [-1, 0], [0, 1]], [-0.25, 0.25, 0]), ([[1.0, 1.0, 2.0]], [0.0])], "relu"
            ),
            "abs(x1 - 0.25) + 2*max(0, x2) + 0.125*x1*x2",
            2,
            0.125,
        ),
        # a hard step, 3 where x ≥ ½, against a line through its middle
        (ScalarNetwork([([[1.0]], [-0.5]), ([[3.0]], [0.0])], "step"), "3*x", 1, 1.5),
    ],
)
def test_suprema_that_are_known(network: ScalarNetwork, text: str, d: int, expected: float) -> None:
    target = make_target(text, d)
    found = certify_boxes(network, target, np.zeros(d), np.ones(d), relative=1e-6)
    assert found.complete
    assert found.lower <= expected * (1 + 1e-15)
    assert expected * (1 - 1e-15) <= found.upper <= expected * (1 + 2e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("d", "text"),
    [(1, "sin(5*x)"), (2, "exp(-x1^2)*cos(3*x2) + abs(x1 - x2)"), (3, "x1*x2*x3 + max(x1, x2)")],
)
def test_the_bounds_hold_all_samples_and_are_close(activation: str, d: int, text: str) -> None:
    target = make_target(text, d)
    network = random_network([d, 6, 4, 1], activation, scale=2.0)
    found = certify_boxes(network, target, -np.ones(d), np.ones(d), relative=0.02, max_boxes=300_000)
    x = torch.rand((60_000, d), generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    with torch.no_grad():
        error = np.abs(network(x)[:, 0].numpy() - target.values(x.numpy()))
        here = network(torch.from_numpy(found.at[None]))[0, 0].item()
    assert error.max() <= found.upper
    assert found.lower >= 0.8 * error.max()
    assert found.upper <= 1.02 * found.lower + 1e-9
    assert abs(here - target.values(found.at[None])[0]) >= found.lower - 1e-12


def test_a_list_of_boxes_is_their_union() -> None:
    network, target = random_network([2, 6, 1], "tanh"), make_target("x1 - x2^2", 2)
    whole = certify_boxes(network, target, [0, 0], [1, 1], relative=1e-3)
    parts = certify_boxes(network, target, [[0.0, 0.0], [0.3, 0.0]], [[0.3, 1.0], [1.0, 1.0]], relative=1e-3)
    assert parts.lower == pytest.approx(whole.lower, rel=2e-3)
    assert parts.upper == pytest.approx(whole.upper, rel=2e-3)


def test_a_jump_at_zero_counts_down_to_the_smallest_floats() -> None:
    """sign x is 0 at 0 alone: boxes beside it become narrower than 10⁻³⁰⁰, their slopes stay unbounded."""
    network = ScalarNetwork([([[0.0]], [1.0]), ([[0.0]], [1.0]), ([[0.75]], [0.0])], "relu")
    found = certify_boxes(network, make_target("sign(x)"), [0.0], [0.1], relative=1e-3)
    assert found.lower <= 0.75 <= found.upper <= 0.76
    deep = ScalarNetwork([([[1.0]], [0.0]), ([[1.0]], [-0.5]), ([[0.75]], [0.0])], "step")  # 1 where x ≥ 0
    found = certify_boxes(deep, make_target("0.5"), [-0.1], [0.1], relative=1e-3)
    assert found.lower <= 0.5 <= found.upper


def test_what_is_outside_is_left_out() -> None:
    # the error is x₁, largest in the strip that is left out
    network = ScalarNetwork([([[0.0, 0.0]], [0.0]), ([[0.0]], [0.0])], "tanh")
    found = certify_boxes(
        network, make_target("x1", 2), [0, 0], [1, 1], relative=1e-9, outside=([0.75, -1], [2, 2])
    )
    assert found.upper == pytest.approx(0.75, rel=1e-8)


def test_the_remainder_tiles_what_is_left() -> None:
    rng = np.random.default_rng(5)
    out_lo = rng.uniform(-0.2, 1, (6, 2))
    out_hi = out_lo + rng.uniform(0.01, 0.4, (6, 2))
    lo, hi = remainder(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [1.5, 0.5]]), out_lo, out_hi)
    x = rng.uniform(-0.1, 1.6, (20_000, 2))

    def count(low: Array, high: Array) -> NDArray[np.int64]:
        within: NDArray[np.int64] = ((low < x[:, None]) & (x[:, None] < high)).all(axis=2).sum(axis=1)
        return within

    domain = count(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [1.5, 0.5]]))
    np.testing.assert_array_equal(count(lo, hi), (domain > 0) & (count(out_lo, out_hi) == 0))


def test_steep_steps_cost_few_boxes() -> None:
    """Without coordinates that widen them, steps a millionth wide would be cut into squares."""
    w = 1e6
    layers = [([[w, 0], [0, w]], [-0.3 * w, -0.6 * w]), ([[1.0, 1.0]], [0.0])]
    network, target = ScalarNetwork(layers, "sigmoid"), make_target("x1 + x2", 2)
    found = certify_boxes(network, target, [0, 0], [1, 1], relative=0.01)
    assert found.complete
    assert found.boxes < 3000
    assert found.lower == pytest.approx(1.1, rel=0.01)  # beside (0.3, 0.6), where both steps are done


@pytest.mark.parametrize(
    ("lo", "hi", "message"),
    [
        ([0, 1], [1, 1], r"side 2 is \(1, 1\), empty or reversed"),
        ([0, 0, 0], [1, 1, 1], "2 inputs, x1 has 2 variables, the box 3 sides"),
        ([0, 0], [1, 1, 1], "must both be"),
    ],
)
def test_wrong_boxes_are_refused(lo: list[float], hi: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        certify_boxes(random_network([2, 3, 1], "tanh"), make_target("x1", 2), lo, hi)


def test_a_domain_that_is_all_left_out_is_refused() -> None:
    with pytest.raises(InputError, match="cover the whole domain"):
        certify_boxes(
            random_network([2, 3, 1], "tanh"),
            make_target("x1", 2),
            [0, 0],
            [1, 1],
            outside=([-1, -1], [2, 2]),
        )
