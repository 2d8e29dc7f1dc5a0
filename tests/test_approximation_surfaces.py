"""Histograms in the plane: against their formulas, closed forms at corners, and certified errors."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nnlab.approximation.boxes import certify_boxes, remainder
from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.surfaces import (
    Grid,
    Surface,
    centre_heights,
    isolated_towers,
    l2_bound,
    mixed_differences,
    quadrant_bound,
    quadrant_thresholds,
    tower_bound,
)
from nnlab.approximation.targets import ExpressionTarget, make_target
from nnlab.errors import InputError

Array = NDArray[np.float64]

# f, and L = max ‖∇f‖₂ on the unit square
LIPSCHITZ = {
    "sin(pi*x1)*sin(pi*x2)": math.pi,
    "abs(x1 - 0.5) + abs(x2 - 0.5)": math.sqrt(2),
    "x1 - 2*x2": math.sqrt(5),
    "max(abs(x1 - 0.5), abs(x2 - 0.4))": 1.0,
}


def values(network: ScalarNetwork, x: Array) -> Array:
    with torch.no_grad():
        found: Array = network(torch.from_numpy(x))[:, 0].numpy()
    return found


def cone_target(at: Array, heights: Array, lipschitz: float) -> ExpressionTarget:
    """McShane's extension max_k (v_k − L|x − p_k|), a function with Lipschitz constant L."""
    cones = [
        f"{v!r} - {lipschitz!r}*sqrt((x1 - {p[0]!r})^2 + (x2 - {p[1]!r})^2)"
        for p, v in zip(at.tolist(), heights.tolist(), strict=True)
    ]
    text = cones[0]
    for cone in cones[1:]:
        text = f"max({text}, {cone})"
    target = make_target(text, 2)
    assert isinstance(target, ExpressionTarget)
    return target


@pytest.mark.parametrize("make", [isolated_towers, quadrant_thresholds])
def test_heights_stand_in_the_middle_of_the_cells(make: type) -> None:
    grid = Grid((-1.0, 2.0), (3.0, 3.0), (5, 3))
    heights = np.random.default_rng(0).standard_normal((5, 3))
    surface: Surface = make(grid, heights)
    assert surface.network.hidden_units == 4 + 2 + (15 if make is isolated_towers else 14)
    assert [layer.in_features for layer in surface.network.layers] == [
        2,
        6,
        len(surface.network.layers[1].bias),
    ]
    off = values(surface.network, grid.centres()) - heights.ravel()
    assert np.abs(off).max() <= surface.leak
    assert surface.leak < 0.2 * np.abs(np.diff(heights)).max()


@pytest.mark.parametrize("tolerance", [0.5, 0.05, 1e-4])
def test_steepness_is_what_the_proofs_ask_for(tolerance: float) -> None:
    """Their last terms, from w₁, w₂ and δ, are at most the leak, and that τ/2 of the largest difference."""
    grid = Grid((0.0, 0.0), (2.0, 1.0), (4, 6))
    heights = np.random.default_rng(5).standard_normal((4, 6))
    differences = max(np.abs(np.diff(heights, axis=axis)).max() for axis in (0, 1))
    sizes = np.abs(heights).sum(), np.abs(mixed_differences(heights)).sum() - abs(heights[0, 0])
    makers = (isolated_towers, 0.75, 4), (quadrant_thresholds, 0.25, 2)
    for (make, moved, lost), size in zip(makers, sizes, strict=True):
        surface = make(grid, heights, tolerance)
        w2 = surface.threshold
        for w1, delta, h in zip(surface.steepness, surface.window, grid.sides, strict=True):
            rho = math.exp(-w1 * delta)
            term = size * max(moved * rho * w2, math.exp(-w2 * (0.5 - lost * rho)))
            assert 0.9 * surface.leak < term <= surface.leak * (1 + 1e-9)
            assert delta == pytest.approx(tolerance * h / 2)
        assert surface.leak <= tolerance / 2 * differences * (1 + 1e-9)


def test_mixed_differences_add_up_to_the_heights() -> None:
    heights = np.random.default_rng(1).standard_normal((4, 6))
    np.testing.assert_allclose(mixed_differences(heights).cumsum(axis=0).cumsum(axis=1), heights, atol=1e-14)


@pytest.mark.parametrize("tolerance", [0.3, 0.05, 1e-3, 1e-6])
def test_towers_drop_to_zero_at_every_corner_however_steep(tolerance: float) -> None:
    grid = Grid(cells=(4, 3))
    surface = isolated_towers(grid, np.ones((4, 3)), tolerance)
    at_corners = values(surface.network, grid.corners())
    # four scores of w₂(½ + ½ − 3/2), and saturated towers
    np.testing.assert_allclose(at_corners, 4 / (1 + math.exp(surface.threshold / 2)), atol=surface.leak)
    assert at_corners.max() < 2 * tolerance
    edges = np.array([[0.25, 0.5], [0.5, 1 / 6], [0.6, 1 / 3]])  # between corners: two halves
    np.testing.assert_allclose(values(surface.network, edges), 1, atol=surface.leak)


def test_towers_are_certified_outside_the_corner_squares_and_nowhere_else() -> None:
    target, grid = make_target("sin(pi*x1)*sin(pi*x2)", 2), Grid(cells=(6, 6))
    surface = isolated_towers(grid, centre_heights(target, grid))
    outside = certify_boxes(
        surface.network, target, grid.lo, grid.hi, relative=0.03, outside=grid.corner_squares(surface.window)
    )
    everywhere = certify_boxes(surface.network, target, grid.lo, grid.hi, relative=0.03)
    bound = tower_bound(surface, math.pi)
    assert outside.complete
    assert outside.upper <= bound
    assert outside.upper > 0.5 * bound
    assert everywhere.lower > 0.97  # f(½, ½) = 1 is a corner
    assert grid.corner_measure(surface.window) == pytest.approx(25 * (0.05 / 6) ** 2)
    x = np.random.default_rng(2).random((400_000, 2))
    error = values(surface.network, x) - target.values(x)
    l2 = math.sqrt(np.mean(error**2))
    limit = l2_bound(surface, outside.upper, 1.0)
    assert l2 <= limit < 5 * l2


def test_the_mean_square_of_towers_is_that_of_their_corner_squares() -> None:
    grid = Grid(cells=(5, 5))
    surface = isolated_towers(grid, np.ones((5, 5)), 0.5)
    x = np.random.default_rng(6).random((400_000, 2))
    l2 = math.sqrt(np.mean((values(surface.network, x) - 1) ** 2))
    share = 16 * (2 * 0.05) ** 2
    assert surface.leak < 0.3
    assert 0.2 * math.sqrt(share) < l2 <= l2_bound(surface, 0.0, 1.0) < 4 * math.sqrt(share)


@pytest.mark.parametrize("text", LIPSCHITZ)
def test_quadrants_keep_their_bound(text: str) -> None:
    target, grid = make_target(text, 2), Grid(cells=(5, 7))
    surface = quadrant_thresholds(grid, centre_heights(target, grid))
    found = certify_boxes(surface.network, target, grid.lo, grid.hi, relative=0.03)
    assert found.complete
    assert found.upper <= quadrant_bound(surface, LIPSCHITZ[text])
    # inside a cell the network is a constant: half of what f varies there is its error at least
    inner = grid.centres()[:, None] + 0.48 * np.array(grid.sides) * np.array(
        [[i, j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    varies = np.ptp(target.values(inner.reshape(-1, 2)).reshape(35, 9), axis=1).max()
    assert found.upper >= varies / 2 - surface.leak


def test_near_a_corner_the_output_is_a_combination_of_four_heights() -> None:
    grid, rng = Grid(cells=(4, 4)), np.random.default_rng(3)
    heights = rng.standard_normal((4, 4))
    surface = quadrant_thresholds(grid, heights, 1e-6)
    x = 0.5 + np.array(surface.window) * rng.uniform(-1, 1, (20_000, 2))

    def sigmoid(z: Array) -> Array:
        return np.asarray(1 / (1 + np.exp(-z)))

    a, b = sigmoid(surface.steepness[0] * (x - 0.5)).T
    w2 = surface.threshold
    p, q, t = sigmoid(w2 * (a - 0.5)), sigmoid(w2 * (b - 0.5)), sigmoid(w2 * (a + b - 1.5))
    weights = np.stack([1 - p - q + t, q - t, p - t, t])
    expected = weights.T @ heights[1:3, 1:3].ravel()
    np.testing.assert_allclose(values(surface.network, x), expected, atol=surface.leak)
    assert weights[0].min() < -0.9  # the fifth corner of the proof is reached
    assert (t <= np.minimum(p, q)).all()


def test_the_constant_of_quadrants_is_reached() -> None:
    """1 + √2 times the cell bound on square cells: the extension of the proof's heights."""
    grid, lipschitz = Grid(cells=(2, 2)), 1.0
    r, h = grid.radius, grid.sides[0]
    heights = np.array([[r - h, r], [r, 0.0]]) * lipschitz
    at = np.concatenate([grid.centres()[:3], [[0.5, 0.5]]])
    target = cone_target(at, np.array([r - h, r, r, 0.0]) * lipschitz, lipschitz)
    np.testing.assert_allclose(centre_heights(target, grid).ravel()[:3], heights.ravel()[:3], atol=1e-12)
    surface = quadrant_thresholds(grid, centre_heights(target, grid), 1e-8)
    found = certify_boxes(surface.network, target, grid.lo, grid.hi, relative=0.005)
    constant = (1 + math.sqrt(2)) * lipschitz * r
    assert found.upper <= quadrant_bound(surface, lipschitz)
    assert quadrant_bound(surface, lipschitz) == pytest.approx(constant, rel=1e-6)
    assert found.lower >= 0.97 * constant


def test_random_lipschitz_functions_stay_below_the_constant() -> None:
    """Cones at random places, sampled around the corners: above the cell bound, below 2.414 of it."""
    rng, grid = np.random.default_rng(4), Grid(cells=(3, 3))
    ratios = []
    for _ in range(60):
        at = rng.random((12, 2))
        target = cone_target(at, rng.random(12) * 0.6, 1.0)
        surface = quadrant_thresholds(grid, centre_heights(target, grid), 1e-5)
        around = grid.corners()[:, None] + np.array(surface.window) * rng.uniform(-1, 1, (1, 2000, 2))
        x = np.concatenate([around.reshape(-1, 2), rng.random((2000, 2))])
        error = np.abs(values(surface.network, x) - target.values(x)).max()
        ratios.append(error / grid.radius)
        assert error <= quadrant_bound(surface, 1.0)
    assert 1.2 < max(ratios) < 1 + math.sqrt(2)


def test_for_smooth_functions_a_corner_costs_no_more_than_a_cell() -> None:
    """To first order the error at a corner is that in a cell's, ½ h (|∂₁f| + |∂₂f|), here ½ h π at most."""
    target = make_target("sin(pi*x1)*sin(pi*x2)", 2)
    ratios = []
    for n in (4, 8, 16):
        grid = Grid(cells=(n, n))
        surface = quadrant_thresholds(grid, centre_heights(target, grid), 0.01)
        found = certify_boxes(surface.network, target, grid.lo, grid.hi, relative=0.01)
        ratios.append(found.upper / (math.pi / (2 * n)))
    assert ratios[0] > ratios[1] > ratios[2]
    assert ratios[0] - 1 > 2 * (ratios[2] - 1)


def test_the_excluded_area_is_what_the_formula_says() -> None:
    grid, window = Grid((-1.0, 0.0), (2.0, 1.0), (5, 3)), (0.02, 0.05)
    lo, hi = remainder(np.array([grid.lo]), np.array([grid.hi]), *grid.corner_squares(window))
    assert grid.area - np.prod(hi - lo, axis=1).sum() == pytest.approx(grid.corner_measure(window))


@pytest.mark.parametrize(
    ("cells", "heights", "tolerance", "message"),
    [
        ((1, 4), np.ones((1, 4)), 0.1, "at least 2 in each direction"),
        ((2, 3), np.ones((3, 2)), 0.1, r"heights \(3, 2\): must be finite and \(2, 3\)"),
        ((2, 2), np.full((2, 2), np.nan), 0.1, "must be finite"),
        ((2, 2), np.ones((2, 2)), 0.0, "between 0 and 1"),
        ((100_000, 100_000), np.broadcast_to(1.0, (100_000, 100_000)), 0.1, "make a matrix of"),
    ],
)
def test_wrong_input_is_refused(
    cells: tuple[int, int], heights: Array, tolerance: float, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        quadrant_thresholds(Grid(cells=cells), heights, tolerance)


def test_a_surface_needs_two_variables() -> None:
    with pytest.raises(InputError, match="has 1 variables; a surface is over 2"):
        centre_heights(make_target("x"), Grid())
