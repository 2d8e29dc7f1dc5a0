"""Two inputs: histograms over a rectangle, by a second hidden layer that thresholds.

n₁ × n₂ cells of sides h₁, h₂ with heights H_ij = f(centre). The first hidden layer is the lecture's steps,
aᵢ = σ(w₁(x₁ − sᵢ)) and bⱼ = σ(w₁(x₂ − tⱼ)) at the grid lines inside the rectangle; a₀ = b₀ = 1, and beyond
the last line 0: the outer edges lie outside. Unlike on the line, products of steps are no sums of steps, so
the second layer has to say "and": it compares sums of steps with 3/2.

Two ways to say it, `isolated_towers` and `quadrant_thresholds`; the first has holes that no steepness closes.

Words for both: r = ½√(h₁² + h₂²) is half the diagonal of a cell, |f(x) − f(y)| ≤ L‖x − y‖₂, so that L bounds
‖∇f‖₂, and L r is the cell bound, what the histogram of hard edges achieves.

δ = (δ₁, δ₂) is the half-width of the window around a grid line outside of which a step is saturated: there
|step − (0 or 1)| ≤ ρ = e^{−w₁δ}.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.approximation.network import ScalarNetwork
from nnlab.approximation.targets import Target
from nnlab.errors import InputError
from nnlab.memory import free_bytes, in_words

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Grid:
    """n₁ × n₂ equal cells of a rectangle.

    Attributes:
        lo, hi: the rectangle's corners.
        cells: (n₁, n₂), at least 2 each.
    """

    lo: tuple[float, float] = (0.0, 0.0)
    hi: tuple[float, float] = (1.0, 1.0)
    cells: tuple[int, int] = (8, 8)

    def __post_init__(self) -> None:
        if min(self.cells) < 2:
            raise InputError(f"cells: {self.cells}: must be at least 2 in each direction")
        for low, high in zip(self.lo, self.hi, strict=True):
            if not low < high:
                raise InputError(f"rectangle: side ({low:g}, {high:g}) is empty or reversed")

    @property
    def sides(self) -> tuple[float, float]:
        """(h₁, h₂) of a cell."""
        (a, c), (b, d), (n, m) = self.lo, self.hi, self.cells
        return (b - a) / n, (d - c) / m

    @property
    def area(self) -> float:
        """The area of the rectangle."""
        return math.prod(b - a for a, b in zip(self.lo, self.hi, strict=True))

    def lines(self, axis: int) -> Array:
        """(nᵢ − 1,) positions of the grid lines inside the rectangle."""
        n = self.cells[axis]
        return self.lo[axis] + self.sides[axis] * np.arange(1, n, dtype=np.float64)

    def centres(self) -> Array:
        """(n₁ n₂, 2), the second index running faster."""
        axes = [self.lo[i] + self.sides[i] * (np.arange(self.cells[i]) + 0.5) for i in (0, 1)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)

    def corners(self) -> Array:
        """((n₁ − 1)(n₂ − 1), 2) points where four cells meet."""
        return np.stack(np.meshgrid(self.lines(0), self.lines(1), indexing="ij"), axis=-1).reshape(-1, 2)

    @property
    def radius(self) -> float:
        """r, half the diagonal of a cell."""
        return math.hypot(*self.sides) / 2

    def corner_squares(self, window: Sequence[float]) -> tuple[Array, Array]:
        """Corners (j, 2), (j, 2) of the boxes of half-widths δ around the points where four cells meet."""
        return self.corners() - np.array(window), self.corners() + np.array(window)

    def corner_measure(self, window: Sequence[float]) -> float:
        """Area of the corner squares: (n₁ − 1)(n₂ − 1) · 2δ₁ · 2δ₂."""
        return (self.cells[0] - 1) * (self.cells[1] - 1) * 4 * window[0] * window[1]


@dataclass(frozen=True)
class Surface:
    """A histogram over a rectangle as a network with two hidden layers.

    Attributes:
        network: n₁ + n₂ − 2 steps, then one threshold per cell.
        grid: its cells.
        heights: (n₁, n₂).
        steepness: w₁ in each direction.
        threshold: w₂.
        window: (δ₁, δ₂).
        leak: what all thresholds together may be off, outside the windows, by not being hard.
    """

    network: ScalarNetwork
    grid: Grid
    heights: Array
    steepness: tuple[float, float]
    threshold: float
    window: tuple[float, float]
    leak: float


def centre_heights(target: Target, grid: Grid) -> Array:
    """(n₁, n₂) values of f at the centres of the cells.

    Raises:
        InputError: f has not two variables, or more cells than memory.
    """
    if target.dimension != 2:
        raise InputError(f"{target.text} has {target.dimension} variables; a surface is over 2")
    check_memory(grid)
    return target.values(grid.centres()).reshape(grid.cells)


def check_memory(grid: Grid) -> None:
    """Refuses more cells than fit into memory: n₁n₂ thresholds read n₁ + n₂ − 2 steps each.

    Raises:
        InputError: says how many bytes are needed, and how many there are.
    """
    n1, n2 = grid.cells
    size, free = 8 * n1 * n2 * (n1 + n2), free_bytes()
    if 3 * size > free:  # the weights, and what building them takes
        raise InputError(
            f"cells: {n1} × {n2} make a matrix of {in_words(size)}, and {in_words(free)} are free; use fewer"
        )


def isolated_towers(grid: Grid, heights: ArrayLike, tolerance: float = 0.05) -> Surface:
    """The lecture's bins in the plane: each cell a tower of its own.

    Σ_ij H_ij σ(w₂(uᵢ + vⱼ − 3/2)), uᵢ = aᵢ − aᵢ₊₁, vⱼ = bⱼ − bⱼ₊₁: uᵢ is a bin in x₁, and a tower stands
    where both bins do, 1 + 1 > 3/2 > 1 + 0.

    Where it works. Near a grid line, and in row j, the two towers beside the line are σ(w₂(½ − a)) and
    σ(w₂(a − ½)), which add up to 1: the output is a convex combination of two heights, halfway on the line,
    where ½ + 1 = 3/2. So is it in the cells. The scores are off by at most 3ρ w₂, which moves a tower by at
    most ¾ρ w₂, and saturated ones by at most e^{−w₂(½ − 4ρ)}. So outside the corner squares of half-width δ,
    an area of 4δ₁δ₂(n₁ − 1)(n₂ − 1), the error is at most

        L (r + max δ) + Σ|H_ij| max(¾ρ w₂, e^{−w₂(½ − 4ρ)}).

    Where it cannot work. At a point where four cells meet all steps are ½, so each of the four bins in x₁ and
    x₂ is ½ up to ρ and the scores are w₂(½ + ½ − 3/2 ± 2ρ) → −∞: all four towers vanish. For f ≡ 1 the
    output there is 4σ(−w₂/2) and drops to 0, however steep: the error is |f| at every interior corner.

    In the mean square this costs little. Beside a corner the four scores are w₂(±α ± β − ½), and as
    σ(s − ½w₂) + σ(−s − ½w₂) ≤ 1, all four towers together are at most 2: see `l2_bound`.

    Args:
        grid: the cells.
        heights: (n₁, n₂).
        tolerance: τ: δ = τh/2, and w₁ and w₂ such that the last term above is at most τ/2 of the largest
            difference V between neighbouring heights: with m = τV/(2Σ|H_ij|), w₂ = 2(ln(1/m) + 6m),
            ρ = 4m/(3w₂), w₁ = ln(1/ρ)/δ.

    Raises:
        InputError: heights that do not fit, a tolerance outside (0, 1), more weights than memory.
    """
    h = _checked(grid, heights, tolerance)
    m = _share(h, float(np.abs(h).sum()), tolerance)
    w2 = 2 * (math.log(1 / m) + 6 * m)
    window, w1 = _steep(grid, tolerance, rho=4 * m / (3 * w2))
    n1, n2 = grid.cells
    u, v = _bins(n1), _bins(n2)  # (n, n − 1) and (n,): bin i as a combination of steps, and a constant
    i, j = np.indices(grid.cells).reshape(2, -1)
    weight = w2 * np.concatenate([u[0][i], v[0][j]], axis=1)
    bias = w2 * (u[1][i] + v[1][j] - 1.5)
    network = _network(grid, w1, weight, bias, h.ravel(), 0.0)
    return Surface(network, grid, h, w1, w2, window, float(np.abs(h).sum()) * m)


def quadrant_thresholds(grid: Grid, heights: ArrayLike, tolerance: float = 0.05) -> Surface:
    """Cumulative thresholds: a surface that is built up from quadrants, without holes.

    Σ_ij D_ij θ_ij, θ_ij = σ(w₂(aᵢ + bⱼ − 3/2)): θ_ij is 1 where x₁ > sᵢ and x₂ > tⱼ, and the D_ij are mixed
    second differences, D_ij = H_ij − H_{i−1,j} − H_{i,j−1} + H_{i−1,j−1} with H = 0 outside, so that
    Σ_{k≤i, l≤j} D_kl = H_ij. The first row and column have the constants a₀ = b₀ = 1; θ₀₀ = 1 is the output's
    bias. n₁n₂ − 1 thresholds.

    Error. A saturated step is off by at most ρ. So θ_ij of two saturated steps is 0 or 1 up to
    e^{−w₂(½ − 2ρ)}; that of one saturated at 1 is p = σ(w₂(aᵢ − ½)), or q = σ(w₂(bⱼ − ½)), up to ¼ρ w₂; only
    the one of two steps near the point is left, t = σ(w₂(aᵢ + bⱼ − 3/2)) ≤ min(p, q). Summed up, near a point
    where four cells meet (−− below both lines, +− right of the first only, …) the output is

        (1 − p − q + t) H₋₋ + (p − t) H₊₋ + (q − t) H₋₊ + t H₊₊,

    local: nothing but the four heights around. The weights add up to 1, but the first may be negative. Over
    0 ≤ t ≤ min(p, q), p, q ≤ 1 the error is convex, so largest in one of the five corners of that set. In
    four of them it is one height's, at most L r at the meeting point c; in the fifth, p = q = 1 and t = 0,

        |H₊₋ + H₋₊ − H₋₋ − f(c)| ≤ |H₊₋ − f(c)| + |H₋₊ − H₋₋| ≤ L (r + min(h₁, h₂)),

    either difference along the shorter side. (Three times the triangle inequality would give 3 L r.) Hence

        sup |network − f| ≤ L (r + min(h₁, h₂) + ‖δ‖) + Σ|D_ij| max(¼ρ w₂, e^{−w₂(½ − 2ρ)}),

    `quadrant_bound`, on square cells 1 + √2 times the cell bound L r. That is sharp: heights +L r, +L r and
    L r − L min(h₁, h₂) beside f(c) = 0 belong to a Lipschitz function (McShane's extension), and a = b
    between ½ and ¾ reaches the fifth corner as w₂ → ∞. For f with bounded second derivatives the factor tends
    to 1: a plane has H₊₋ + H₋₊ − H₋₋ = H₊₊.

    Args:
        grid: the cells.
        heights: (n₁, n₂).
        tolerance: τ: δ = τh/2, and w₁ and w₂ such that the last term above is at most τ/2 of the largest
            difference V between neighbouring heights: with m = τV/(2Σ|D_ij|), w₂ = 2(ln(1/m) + 8m),
            ρ = 4m/w₂, w₁ = ln(1/ρ)/δ. As V ≤ L max(h₁, h₂), on square cells the error is at
            most (1 + √2 + 2τ) L r.

    Raises:
        InputError: heights that do not fit, a tolerance outside (0, 1), more weights than memory.
    """
    h = _checked(grid, heights, tolerance)
    d = mixed_differences(h)
    size = float(np.abs(d).sum() - abs(d[0, 0]))
    m = _share(h, size, tolerance)
    w2 = 2 * (math.log(1 / m) + 8 * m)
    window, w1 = _steep(grid, tolerance, rho=4 * m / w2)
    i, j = np.indices(grid.cells).reshape(2, -1)[:, 1:]
    steps = [np.eye(n)[:, 1:] for n in grid.cells]  # row 0 has no unit: its step is the constant 1
    weight = w2 * np.concatenate([steps[0][i], steps[1][j]], axis=1)
    bias = w2 * ((i == 0) * 1.0 + (j == 0) - 1.5)
    network = _network(grid, w1, weight, bias, d.ravel()[1:], float(d[0, 0]))
    return Surface(network, grid, h, w1, w2, window, size * m)


def mixed_differences(heights: Array) -> Array:
    """(n₁, n₂) D with Σ_{k≤i, l≤j} D_kl = H_ij."""
    padded = np.pad(heights, ((1, 0), (1, 0)))
    d: Array = np.diff(np.diff(padded, axis=0), axis=1)
    return d


def quadrant_bound(surface: Surface, lipschitz: float) -> float:
    """L (r + min(h₁, h₂) + ‖δ‖) + leak: what `quadrant_thresholds` proves for heights from the centres.

    Args:
        surface: made by `quadrant_thresholds`.
        lipschitz: L.
    """
    grid = surface.grid
    reach = grid.radius + min(grid.sides) + math.hypot(*surface.window)
    return lipschitz * reach + surface.leak


def tower_bound(surface: Surface, lipschitz: float) -> float:
    """L (r + max δ) + leak: what `isolated_towers` proves outside the corner squares.

    Args:
        surface: made by `isolated_towers`.
        lipschitz: L.
    """
    return lipschitz * (surface.grid.radius + max(surface.window)) + surface.leak


def l2_bound(surface: Surface, outside_error: float, largest: float) -> float:
    """√(mean over the rectangle of (network − f)²) of isolated towers, at most.

    √(e² + (3 max|f| + leak)² · share of the corner squares): inside them |network| ≤ 2 max|H| + leak.

    Args:
        surface: made by `isolated_towers`.
        outside_error: e, a bound on the error outside the corner squares.
        largest: max |f| over the rectangle.
    """
    share = surface.grid.corner_measure(surface.window) / surface.grid.area
    return math.sqrt(outside_error**2 + (3 * largest + surface.leak) ** 2 * share)


def _checked(grid: Grid, heights: ArrayLike, tolerance: float) -> Array:
    check_memory(grid)
    h = np.asarray(heights, np.float64)
    if h.shape != grid.cells or not np.isfinite(h).all():
        raise InputError(f"heights {h.shape}: must be finite and {grid.cells}, one for each cell")
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance: {tolerance:g} is not allowed: must lie between 0 and 1")
    return h


def _share(heights: Array, size: float, tolerance: float) -> float:
    """m: how far each threshold may be off if all together may be off by τ/2 of the largest difference."""
    steps = max(np.abs(np.diff(heights, axis=axis)).max() for axis in (0, 1))
    if steps == 0:
        steps = max(float(np.abs(heights).max()), 1.0)
    return min(tolerance * float(steps) / (2 * max(size, 1e-300)), tolerance / 8)


def _steep(grid: Grid, tolerance: float, rho: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The windows δ = τh/2, and the w₁ that are saturated up to ρ outside them."""
    d1, d2 = (tolerance * h / 2 for h in grid.sides)
    return (d1, d2), (math.log(1 / rho) / d1, math.log(1 / rho) / d2)


def _bins(n: int) -> tuple[Array, Array]:
    """Bins i = 0 … n − 1 as weights (n, n − 1) of the steps 1 … n − 1 and a constant (n,)."""
    steps = np.eye(n + 1)[:, 1:n]  # rows 0 and n are the constants 1 and 0
    constant = np.eye(n)[0]
    return steps[:-1] - steps[1:], constant


def _network(
    grid: Grid, steepness: tuple[float, float], weight: Array, bias: Array, outer: Array, constant: float
) -> ScalarNetwork:
    first = np.repeat(np.diag(steepness), [n - 1 for n in grid.cells], axis=0)
    position = np.concatenate([-w * grid.lines(axis) for axis, w in enumerate(steepness)])
    return ScalarNetwork([(first, position), (weight, bias), (outer[None], [constant])], "sigmoid")
