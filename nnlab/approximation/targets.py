"""The functions to be approximated: expressions, or tables of points with straight lines between them."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.approximation.points import read_points_file
from nnlab.errors import InputError
from nnlab.expressions import Graph, Interval, enclose, evaluate, parse, slopes
from nnlab.expressions.signs import plain

Array = NDArray[np.float64]

NAMED = {
    "lecture": "0.5 + 0.25*sin(2*pi*x) + 0.1*sin(7*pi*x + 1)",
    "line": "x",
    "sine": "sin(2*pi*x)",
    "tent": "1 - abs(2*x - 1)",
    "runge": "1/(1 + 25*(2*x - 1)^2)",
    "parabola": "4*x*(1 - x)",
    "bump": "exp(-50*(x - 0.5)^2)",
    "weierstrass": " + ".join(f"{0.5**k}*cos({3**k}*pi*x)" for k in range(8)),
    "step": "where(x < 0.5, 0, 1)",
    "root": "sqrt(x)",
    "hill": "sin(pi*x1)*sin(pi*x2)",
    "ripples": "0.5 + 0.5*cos(2*pi*(x1 + x2^2))",
}
"""The targets that have a name; all of them on [0, 1], the last two on [0, 1]²."""
TABLES = (".csv", ".tsv", ".txt", ".dat")
"""The endings of files of points."""


@dataclass(frozen=True)
class ExpressionTarget:
    """A target written as an expression in x, or in x1, …, xd.

    Attributes:
        text: as the user wrote it.
        graph: the parsed expression.
        variables: the names of its d variables.
    """

    text: str
    graph: Graph
    variables: tuple[str, ...]

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.variables)

    def values(self, x: Array) -> Array:
        """(n, d) points to (n,) values in float64."""
        return np.array(evaluate(self.graph, dict(zip(self.variables, x.T, strict=True))))

    def enclose(self, lo: Array, hi: Array) -> Interval:
        """(k, d) corners of boxes to (k,) intervals that hold every value in them."""
        return enclose(self.graph, self._box(lo, hi))

    def slopes(self, lo: Array, hi: Array) -> tuple[Interval, tuple[Interval, ...]]:
        """(k, d) corners of boxes to (k,) intervals of the values, and of each partial derivative."""
        value, partials = slopes(self.graph, self._box(lo, hi), self.variables)
        return value, tuple(partials[name] for name in self.variables)

    def knots(self, low: float, high: float) -> Array:
        """(j,) places of R¹ strictly between low and high where pieces meet; an expression has none."""
        return np.zeros(0)

    def _box(self, lo: Array, hi: Array) -> dict[str, Interval]:
        return {name: Interval(lo[:, i], hi[:, i]) for i, name in enumerate(self.variables)}


@dataclass(frozen=True)
class PointsTarget:
    """Points (xᵢ, yᵢ) with straight lines between them; its methods are those of `ExpressionTarget`.

    Attributes:
        text: the file that they came from.
        x: (n,) ascending.
        y: (n,).
    """

    text: str
    x: Array
    y: Array

    dimension = 1

    def values(self, x: Array) -> Array:
        return np.asarray(np.interp(x[:, 0], self.x, self.y))

    def enclose(self, lo: Array, hi: Array) -> Interval:
        return self.slopes(lo, hi)[0]

    def slopes(self, lo: Array, hi: Array) -> tuple[Interval, tuple[Interval, ...]]:
        """The enclosures of cells in one piece by its line; of wider ones by all pieces that they touch."""
        a, b = np.clip(lo[:, 0], self.x[0], self.x[-1]), np.clip(hi[:, 0], self.x[0], self.x[-1])
        first = np.clip(np.searchsorted(self.x, a, "right") - 1, 0, len(self.x) - 2)
        last = np.maximum(np.clip(np.searchsorted(self.x, b, "left") - 1, 0, len(self.x) - 2), first)
        pieces = self._pieces()
        steep = Interval(_over(np.minimum, pieces.lo, first, last), _over(np.maximum, pieces.hi, first, last))
        beyond = (lo[:, 0] < self.x[0]) | (hi[:, 0] > self.x[-1])  # where the curve goes on level
        steep = Interval(
            np.where(beyond, np.minimum(steep.lo, 0.0), steep.lo),
            np.where(beyond, np.maximum(steep.hi, 0.0), steep.hi),
        )
        left, right = self._line(a, first, pieces), self._line(b, last, pieces)
        inner = last > first
        low, high = np.minimum(left.lo, right.lo), np.maximum(left.hi, right.hi)
        middle = np.minimum(first + 1, len(self.y) - 1)
        low = np.where(
            inner, np.minimum(low, _over(np.minimum, self.y, middle, np.maximum(last, middle))), low
        )
        high = np.where(
            inner, np.maximum(high, _over(np.maximum, self.y, middle, np.maximum(last, middle))), high
        )
        return Interval(low, high), (steep,)

    def knots(self, low: float, high: float) -> Array:
        return self.x[(low < self.x) & (self.x < high)]

    def _pieces(self) -> Interval:
        """(n − 1,) the slope of each piece."""
        x, y = Interval.point(self.x), Interval.point(self.y)
        return (_part(y, slice(1, None)) - _part(y, slice(-1))) / (
            _part(x, slice(1, None)) - _part(x, slice(-1))
        )

    def _line(self, at: Array, piece: NDArray[np.int64], pieces: Interval) -> Interval:
        """The piece's line from its nearer end, so that it is exact at both."""
        near = np.where(at - self.x[piece] <= self.x[piece + 1] - at, piece, piece + 1)
        away = Interval.point(at) - Interval.point(self.x[near])
        return Interval.point(self.y[near]) + _part(pieces, piece) * away


Target = ExpressionTarget | PointsTarget
"""A function on R^d that can be evaluated and enclosed."""


def _part(interval: Interval, where: slice | NDArray[np.int64]) -> Interval:
    return Interval(interval.lo[where], interval.hi[where])


def _over(ufunc: np.ufunc, values: Array, first: NDArray[np.int64], last: NDArray[np.int64]) -> Array:
    """(k,) the least or largest of values[first..last], ends included."""
    padded = np.append(values, values[-1])  # reduceat wants ends that exist
    pairs = np.stack([first, last + 1], axis=1).ravel()
    return np.asarray(ufunc.reduceat(padded, pairs)[::2])


def make_target(text: str, dimension: int | None = None) -> Target:
    """The target of that name, expression or CSV file.

    Args:
        text: a name of NAMED, an expression in x or x1 … x4, or a path that ends in one of TABLES.
        dimension: d; by default the highest index that occurs.

    Raises:
        InputError: what does not parse (an ExpressionError that points at the character), a dimension that
            does not fit, a file that cannot be read.
    """
    if text.strip().lower().endswith(TABLES):
        if dimension not in (None, 1):
            raise InputError(
                f"target: {text}: a table of points is a function of one variable, not {dimension}"
            )
        return read_points(text.strip())
    indices = [int(i) for i in re.findall(r"\bx([1-4])\b", plain(NAMED.get(text.strip(), text)))]
    d = max(indices, default=1) if dimension is None else dimension
    if max(indices, default=1) > d:
        raise InputError(f"target: {text}: has the variable x{max(indices)}, but the dimension is {d}")
    names = tuple(f"x{i}" for i in range(1, d + 1)) if indices or d > 1 else ("x",)
    return ExpressionTarget(text, parse(text, names, NAMED), names)


def read_points(path: str) -> PointsTarget:
    """A file of points, as `read_points_file` reads it.

    Raises:
        InputError: what that refuses, an x that stands twice, fewer than two points.
    """
    points = read_points_file(path)
    if len(points) < 2:
        raise InputError(f"target: {path}: has {len(points)} points; a curve needs at least 2")
    x, y = (np.array(column, np.float64) for column in zip(*points, strict=True))
    twice = np.flatnonzero(np.diff(x) <= 0)
    if len(twice):
        raise InputError(f"target: {path}: x = {x[twice[0]]:g} stands twice; a function has one value there")
    return PointsTarget(path, x, y)
