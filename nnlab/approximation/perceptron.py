"""The perceptron: its learning rule and mistake bound, and the proof that a line separates or that none does.

A perceptron answers sign(w·x + b). Here x̃ = (x, 1) is the extended input, w̃ = (w, b), and z = y x̃ with labels
y = ±1: a point is right where w̃·z > 0.

Rule (Rosenblatt 1958): w̃ ← w̃ + z at every mistake, from w̃ = 0.

Bound (Novikoff 1962): with R = max ‖x̃‖ and γ = max_{‖w̃‖ = 1} min w̃·z > 0 there are at most (R/γ)² mistakes.
Let u attain γ. Each mistake adds u·z ≥ γ to u·w̃, and at most R² to ‖w̃‖², since w̃·z ≤ 0. After M of them
Mγ ≤ u·w̃ ≤ ‖w̃‖ ≤ √M R.

Alternative (Gordan 1873): either some w̃ has w̃·z > 0 for all points, or there are weights λ ≥ 0 of sum 1 with
Σ λᵢ zᵢ = 0, never both. By the last coordinate each class then has weight ½, and by the others both classes
have the same weighted mean: a point in the convex hulls of both. A linear program finds one or the other;
its answer is then checked in rational arithmetic, so that the result is a proof and not a solver's word.
Every float64 is a rational number: this is no approximation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, nnls

from nnlab.errors import InputError

Array: TypeAlias = NDArray[np.float64]
Rationals: TypeAlias = list[Fraction]

CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
"""The inputs of a gate of two variables."""
GATES: dict[str, tuple[float, ...]] = {
    "and": (-1.0, -1.0, -1.0, 1.0),
    "or": (-1.0, 1.0, 1.0, 1.0),
    "xor": (-1.0, 1.0, 1.0, -1.0),
}
"""Their outputs at CORNERS, 1 for true and −1 for false."""

WEIGHT = 1e-9  # a smaller λ is what a solver says for 0
EPS = 2.0**-52
LEAST = 1e-300  # what products near the end of float64's range may lose
SMALLEST = 1e-100  # a coordinate that varies by less counts as constant in the linear programs
LARGEST = 1e100  # of a coordinate: its square is a float64, and so is every sum of them


# --- the learning rule ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Learned:
    """The outcome of the learning rule.

    Attributes:
        weights: (d,) w at the end.
        bias: b at the end.
        updates: (M,) the point of each mistake, in order.
        path: (M + 1, d + 1) w̃ = (w, b) at the start and after each of them.
        converged: True where all points are right: a whole pass went by without a mistake.
    """

    weights: Array
    bias: float
    updates: NDArray[np.int64]
    path: Array
    converged: bool

    @property
    def mistakes(self) -> int:
        """M."""
        return len(self.updates)


def learn(points: ArrayLike, labels: ArrayLike, most: int = 10_000) -> Learned:
    """The perceptron learning rule, through the points in their order, again and again.

    Args:
        points: (n, d).
        labels: (n,) of 1 and −1.
        most: mistakes after which it stops; on points that no hyperplane separates it would go on forever.

    Raises:
        InputError: shapes or labels that do not fit.
    """
    z = _signed(points, labels)
    path, right, i = [np.zeros(z.shape[1])], 0, 0
    updates: list[int] = []
    while right < len(z) and len(updates) < most:
        if path[-1] @ z[i] > 0:
            right += 1
        else:
            path.append(path[-1] + z[i])
            updates.append(i)
            right = 0  # every point has to be seen again
        i = (i + 1) % len(z)
    last = path[-1]
    return Learned(last[:-1], float(last[-1]), np.array(updates, np.int64), np.array(path), right == len(z))


def _signed(points: ArrayLike, labels: ArrayLike) -> Array:
    """z = y x̃, (n, d + 1), of checked points and labels."""
    x, y = np.asarray(points, np.float64), np.asarray(labels, np.float64)
    if x.ndim != 2 or len(x) == 0 or y.shape != (len(x),):
        raise InputError(f"points {x.shape} and labels {y.shape}: must be (n, d) and (n,) with n ≥ 1")
    if not (np.abs(x) <= LARGEST).all():
        raise InputError(f"points: hold a number that is not finite, or beyond ±{LARGEST:g}")
    if not np.isin(y, (-1.0, 1.0)).all():
        odd = y[~np.isin(y, (-1.0, 1.0))][0]
        raise InputError(f"labels: {odd:g}: must be 1 or −1")
    return np.asarray(y[:, None] * np.column_stack([x, np.ones(len(x))]))


# --- the best margin and the mistake bound ----------------------------------------------------------


@dataclass(frozen=True)
class Margin:
    """γ and what follows from it.

    Attributes:
        squared: γ², a rational number; proved to be the best one.
        radius_squared: R², likewise.
        direction: (d + 1,) the unit w̃ that attains γ.
        weights: (n,) the convex weights λ ≥ 0 whose Σ λᵢ zᵢ has the length γ, so that nothing exceeds it.
    """

    squared: Fraction
    radius_squared: Fraction
    direction: Array
    weights: tuple[Fraction, ...]

    @property
    def value(self) -> float:
        """γ, to the last digit."""
        return math.sqrt(self.squared)

    @property
    def most_mistakes(self) -> int:
        """(R/γ)², rounded down to a whole number: by Novikoff there are no more mistakes."""
        return math.floor(self.radius_squared / self.squared)


def best_margin(points: ArrayLike, labels: ArrayLike) -> Margin:
    """γ = max_{‖w̃‖ = 1} min w̃·z, the hard-margin support vector machine through the origin of the z.

    γ is the distance of the origin from the convex hull of the z: the shortest p = Σ λᵢ zᵢ is the best w̃, up
    to its length. By Lawson & Hanson 1974, ch. 23, it is a problem of non-negative least squares: the λ ≥ 0
    of ‖Σ λᵢ zᵢ‖² + (Σ λᵢ − 1)² → min, scaled to sum 1. That gives the support, the i with λᵢ > 0. On it the
    λ are solved for once more, in rational numbers: zᵢ·p must be one and the same for all i there. Then
    λ ≥ 0 proves that no margin exceeds ‖p‖, and zᵢ·p ≥ p·p for all i that p attains it; both are checked
    exactly.

    Args:
        points: (n, d).
        labels: (n,) of 1 and −1.

    Raises:
        InputError: shapes or labels that do not fit, points that no hyperplane separates, or ones whose
            support float64 cannot resolve.
    """
    z = _signed(points, labels)
    size = np.linalg.norm(z, axis=1).max()
    equations = np.vstack([z.T / size, np.ones(len(z))])
    solution, _ = nnls(equations, np.append(np.zeros(z.shape[1]), 1.0), maxiter=100 * sum(z.shape))
    support = np.flatnonzero(solution > WEIGHT * solution.sum())
    rows = _rationals(z)
    solved = _shortest([rows[i] for i in support])
    if solved is None or min(solved[0]) < 0 or not any(solved[1]):
        raise InputError(_no_margin(points, labels))
    share, p = solved
    squared = _dot(p, p)
    if any(_dot(row, p) < squared for row in rows):
        raise InputError(_no_margin(points, labels))
    weights = _spread(share, support, len(z))
    direction = np.array([float(value) for value in p]) / math.sqrt(squared)
    return Margin(squared, max(_dot(row, row) for row in rows), direction, tuple(weights))


def _no_margin(points: ArrayLike, labels: ArrayLike) -> str:
    if separate(points, labels).separable is False:
        return "points: no hyperplane separates the two classes, so there is no margin"
    return "points: the margin is too small against the points to be resolved in float64"


def _shortest(z: Sequence[Rationals]) -> tuple[Rationals, Rationals] | None:
    """(λ, p) of the shortest p = Σ λᵢ zᵢ with Σ λᵢ = 1, λ of any sign: (Σ_j zᵢ·zⱼ λⱼ) = μ for all i."""
    count = len(z)
    gram = [[_dot(a, b) for b in z] for a in z]
    # p ≠ 0 has μ = ‖p‖² > 0: solve for λ/μ
    scaled = _solve(gram, [Fraction(1)] * count)
    if scaled is None or sum(scaled) <= 0:
        return None
    total = sum(scaled)
    share = [value / total for value in scaled]
    return share, _combine(share, z)


# --- separable or not --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Separation:
    """A hyperplane, or the certificate that there is none.

    Attributes:
        separable: True or False, both proved exactly; None where the answers of the solver prove neither,
            since the classes come too near to each other for float64.
        weights: (d,) w of a hyperplane that separates, else None.
        bias: b of it, else NaN.
        margin: min y(w·x + b)/‖w‖, the distance of the nearest point from it; infinite for w = 0, which may
            be where there is one class only; NaN where none separates.
        certificate: (n,) rational λ ≥ 0, each class of sum ½, whose weighted means coincide, where no
            hyperplane separates; else empty.
        common: (d,) that mean, a point of both convex hulls; else empty.
        residual: the largest number of |Σ λᵢ zᵢ| for weights that prove nothing, where separable is None;
            else 0.
    """

    separable: bool | None
    weights: Array | None = None
    bias: float = math.nan
    margin: float = math.nan
    certificate: tuple[Fraction, ...] = ()
    common: tuple[Fraction, ...] = ()
    residual: float = 0.0


def separate(points: ArrayLike, labels: ArrayLike) -> Separation:
    """Decides by linear programs whether a hyperplane separates the classes, and proves what it says.

    First, with coordinates scaled to [−1, 1], the hyperplane with the largest t ≤ y(w·x + b), |wᵢ| ≤ 1; its
    signs are checked exactly. If one is wrong, λ ≥ 0 with Σ λᵢ zᵢ = 0 and Σ λᵢ = 1; the solver's answer is a
    vertex, so that the zᵢ with λᵢ > 0 determine λ, and λ is solved for once more in rational numbers. λ ≥ 0
    then proves that there is none.

    Args:
        points: (n, d).
        labels: (n,) of 1 and −1.

    Raises:
        InputError: shapes or labels that do not fit.
    """
    z = _signed(points, labels)
    rows = _rationals(z)
    weights, bias = _hyperplane(z)
    if _all_positive(z, rows, np.append(weights, bias)):
        return Separation(True, weights, bias, _nearest(z, weights, bias))
    solution = _common_weights(z)
    for threshold in (WEIGHT, 0.0):
        certificate = _balanced(rows, np.flatnonzero(solution > threshold))
        if certificate is not None:
            positive = [
                value if sign > 0 else Fraction(0) for value, sign in zip(certificate, z[:, -1], strict=True)
            ]
            common = [2 * value for value in _combine(positive, rows)]
            return Separation(False, certificate=tuple(certificate), common=tuple(common[:-1]))
    return Separation(None, residual=float(np.abs(solution @ z).max()))


def is_certificate(points: ArrayLike, labels: ArrayLike, certificate: Sequence[Fraction]) -> bool:
    """Tells whether λ proves that no hyperplane separates: λ ≥ 0, Σ λᵢ = 1, Σ λᵢ yᵢ (xᵢ, 1) = 0 exactly.

    Args:
        points: (n, d).
        labels: (n,) of 1 and −1.
        certificate: (n,) λ.

    Raises:
        InputError: shapes or labels that do not fit.
    """
    rows = _rationals(_signed(points, labels))
    if len(certificate) != len(rows):
        raise InputError(f"certificate: {len(certificate)} weights for {len(rows)} points")
    return min(certificate) >= 0 and sum(certificate) == 1 and not any(_combine(certificate, rows))


def _normalized(z: Array) -> tuple[Array, Array, Array]:
    """z of the points (x − c)/s, coordinate by coordinate in [−1, 1], with c and s, (d,) both.

    It changes neither whether a hyperplane separates nor the λ, since Σ λᵢ yᵢ = 0.
    """
    x = z[:, :-1] * z[:, -1:]
    centre = x.min(axis=0) / 2 + x.max(axis=0) / 2
    scale = np.abs(x - centre).max(axis=0)
    scale = np.where(scale > SMALLEST, scale, 1.0)
    return z[:, -1:] * np.column_stack([(x - centre) / scale, np.ones(len(x))]), centre, scale


def _hyperplane(z: Array) -> tuple[Array, float]:
    """(w, b) with the largest t, found for points in [−1, 1]ᵈ."""
    scaled, centre, scale = _normalized(z)
    d = len(scale)
    answer = linprog(
        np.append(np.zeros(d + 1), -1.0),
        A_ub=np.column_stack([-scaled, np.ones(len(z))]),
        b_ub=np.zeros(len(z)),
        bounds=[(-1, 1)] * d + [(None, None), (None, 1)],
        method="highs",
    )
    weights = np.asarray(answer.x[:d] / scale)
    return weights, float(answer.x[d] - weights @ centre)


def _nearest(z: Array, weights: Array, bias: float) -> float:
    length = float(np.linalg.norm(weights))
    return float((z @ np.append(weights, bias)).min()) / length if length else math.inf


def _all_positive(z: Array, rows: Sequence[Rationals], weights: Array) -> bool:
    """Tells whether z·w̃ > 0 for all rows: by the bound (d + 1)ε Σ|z||w̃| on rounding, else exactly."""
    values, sizes = z @ weights, np.abs(z) @ np.abs(weights)
    rounding = 2 * z.shape[1] * (EPS * sizes + LEAST)
    exact = [Fraction(value) for value in weights.tolist()]
    return all(_dot(rows[i], exact) > 0 for i in np.flatnonzero(values <= rounding).tolist())


def _common_weights(z: Array) -> Array:
    """A vertex of λ ≥ 0, Σ λᵢ zᵢ = 0, Σ λᵢ = 1, as well as a solver can; where there is none, its nearest."""
    scaled, _, _ = _normalized(z)
    # slack in every equation, at a cost: there is a solution always
    equations = np.vstack([scaled.T, np.ones(len(z))])
    slack = np.vstack([np.eye(z.shape[1]), np.zeros(z.shape[1])])
    answer = linprog(
        np.append(np.zeros(len(z)), np.ones(2 * z.shape[1])),
        A_eq=np.column_stack([equations, slack, -slack]),
        b_eq=np.append(np.zeros(z.shape[1]), 1.0),
        method="highs-ds",  # simplex: a vertex
    )
    return np.asarray(answer.x[: len(z)])


def _balanced(rows: Sequence[Rationals], support: NDArray[np.int64]) -> Rationals | None:
    """The (n,) λ ≥ 0 with Σ λᵢ zᵢ = 0 and Σ λᵢ = 1 on a support, if there is exactly one."""
    if len(support) == 0:
        return None
    equations = [list(column) for column in zip(*(rows[i] for i in support.tolist()), strict=True)]
    equations.append([Fraction(1)] * len(support))
    share = _solve(equations, [Fraction(0)] * (len(equations) - 1) + [Fraction(1)])
    if share is None or min(share) < 0:
        return None
    return _spread(share, support, len(rows))


# --- rational arithmetic -----------------------------------------------------------------------------


def _rationals(z: Array) -> list[Rationals]:
    return [[Fraction(value) for value in row] for row in z.tolist()]


def _dot(a: Rationals, b: Rationals) -> Fraction:
    return sum((p * q for p, q in zip(a, b, strict=True) if p and q), Fraction(0))


def _combine(weights: Sequence[Fraction], rows: Sequence[Rationals]) -> Rationals:
    """Σ λᵢ zᵢ."""
    used = [(value, row) for value, row in zip(weights, rows, strict=True) if value]
    return [sum((value * row[j] for value, row in used), Fraction(0)) for j in range(len(rows[0]))]


def _spread(share: Rationals, support: NDArray[np.int64], count: int) -> Rationals:
    """(count,) the shares at their places, 0 elsewhere."""
    whole = [Fraction(0)] * count
    for i, value in zip(support, share, strict=True):
        whole[i] = value
    return whole


def _solve(matrix: Sequence[Rationals], right: Rationals) -> Rationals | None:
    """The solution of a linear system with at least as many equations as unknowns, if there is exactly one.

    Gauss-Jordan elimination in whole numbers, without fractions (Bareiss 1968): every number that occurs is a
    minor of the system, and the division by the pivot before leaves no remainder.
    """
    rows = [_whole([*row, value]) for row, value in zip(matrix, right, strict=True)]
    unknowns, before = len(rows[0]) - 1, 1
    for column in range(unknowns):
        pivot = next((r for r in range(column, len(rows)) if rows[r][column]), None)
        if pivot is None:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column]
        for r, row in enumerate(rows):
            if r != column:
                rows[r] = [
                    (head[column] * value - row[column] * lead) // before
                    for value, lead in zip(row, head, strict=True)
                ]
        before = head[column]
    if any(row[-1] for row in rows[unknowns:]):
        return None
    return [Fraction(rows[r][-1], rows[r][r]) for r in range(unknowns)]


def _whole(row: Rationals) -> list[int]:
    """The row times its common denominator."""
    factor = math.lcm(*(value.denominator for value in row))
    return [value.numerator * (factor // value.denominator) for value in row]


# --- points with a known margin ----------------------------------------------------------------------


def planted(
    pairs: int, dimension: int, margin: float, spread: float, generator: torch.Generator
) -> tuple[Array, Array]:
    """Random separable points whose best margin is known: γ = `margin`.

    Half of the pairs are (γ, v) and (γ, −v) with label 1, the others (−γ, v) and (−γ, −v) with label −1, v
    random in the remaining coordinates. Each z then has γ as its first coordinate, which the unit w̃ = e₁
    attains; and as both classes have as many pairs, the mean of the z is γ e₁, so that nothing exceeds it.

    Args:
        pairs: an even number, at least 2; there are n = 2 · pairs points.
        dimension: d ≥ 2.
        margin: γ > 0.
        spread: the standard deviation of the coordinates of v.
        generator: a CPU generator.

    Returns:
        (points (n, d), labels (n,)), in random order.
    """
    v = spread * torch.randn(pairs, dimension - 1, dtype=torch.float64, generator=generator).numpy()
    y = np.tile(np.repeat([1.0, -1.0], pairs // 2), 2)
    points = np.column_stack([margin * y, np.concatenate([v, -v])])
    order = torch.randperm(2 * pairs, generator=generator).numpy()
    return points[order], y[order]


def tight(doublings: int) -> tuple[Array, Array]:
    """Points on which the rule makes exactly (R/γ)² mistakes: the bound cannot be improved.

    The rows of Sylvester's Hadamard matrix of order n = 2ᵏ without its column of ones are n points in n − 1
    dimensions whose extended inputs are orthogonal, of length R = √n. With any labels the z are orthogonal
    too: each is a mistake once, and then right forever. The shortest mean has λᵢ = 1/n and the length
    γ = √(n · n)/n = 1, so that (R/γ)² = n.

    Args:
        doublings: k ≥ 1.

    Returns:
        (points (n, n − 1), labels (n,) that alternate).
    """
    matrix = np.ones((1, 1))
    for _ in range(doublings):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix[:, 1:], np.where(np.arange(len(matrix)) % 2, -1.0, 1.0)
