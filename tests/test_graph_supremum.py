"""Branch and bound against suprema that are known in closed form."""

import math
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nnlab.rigorous.supremum import BLOCK, Bound, supremum

Array = NDArray[np.float64]
ROUNDING = 1e-13  # more than what float64 does to the functions below


def bound_of(f: Callable[[Array], Array], lipschitz: float) -> Bound:
    """f at the middle, and a Lipschitz constant (for the largest coordinate) times the radius."""

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        middle = lo + (hi - lo) / 2
        values = f(middle)
        return values - ROUNDING, values + lipschitz * (hi - lo).max(axis=1) / 2 + ROUNDING, middle

    return bound


def box(low: list[float], high: list[float]) -> tuple[Array, Array]:
    return np.array([low]), np.array([high])


def waves(x: Array) -> Array:
    """Largest where every coordinate is π/10."""
    return np.asarray(np.sin(5 * x).sum(axis=1))


def bell(x: Array) -> Array:
    """1 at (⅓, …, ⅓), and less the farther away."""
    return np.asarray(1 / (1 + ((x - 1 / 3) ** 2).sum(axis=1)))


def slope(x: Array) -> Array:
    """Largest in a corner."""
    return np.asarray(x[:, 0] - x[:, 1:].sum(axis=1))


KNOWN = [
    (waves, 5.0, 1, 1.0, [math.pi / 10]),
    (waves, 10.0, 2, 2.0, [math.pi / 10] * 2),
    (waves, 15.0, 3, 3.0, [math.pi / 10] * 3),
    (bell, 1.0, 1, 1.0, [1 / 3]),
    (bell, 1.5, 2, 1.0, [1 / 3] * 2),
    (bell, 2.0, 3, 1.0, [1 / 3] * 3),
    (slope, 2.0, 2, 1.0, [1.0, 0.0]),
    (slope, 3.0, 3, 1.0, [1.0, 0.0, 0.0]),
]


@pytest.mark.parametrize(("f", "lipschitz", "dimension", "known", "where"), KNOWN)
def test_known_maxima(
    f: Callable[[Array], Array], lipschitz: float, dimension: int, known: float, where: list[float]
) -> None:
    gap = [1e-9, 1e-4, 2e-2][dimension - 1]
    result = supremum(bound_of(f, lipschitz), *box([0.0] * dimension, [1.0] * dimension), absolute=gap)
    assert result.complete
    assert known - gap <= result.lower <= known <= result.upper <= result.lower + gap
    assert result.at.shape == (dimension,)
    assert f(result.at[None])[0] >= result.lower
    assert np.abs(result.at - where).max() <= 2 * math.sqrt(gap) + gap * lipschitz


def test_the_relative_gap_counts_where_it_is_larger() -> None:
    bound = bound_of(lambda x: 1000 * bell(x), 1000.0)
    rough = supremum(bound, *box([0.0], [1.0]), relative=1e-2)
    fine = supremum(bound, *box([0.0], [1.0]), relative=1e-6, absolute=1e-9)
    assert rough.complete
    assert fine.complete
    assert rough.boxes < fine.boxes
    assert rough.upper - rough.lower <= 10
    assert fine.upper - fine.lower <= 1e-3
    for result in (rough, fine):
        assert result.lower <= 1000 <= result.upper


def test_a_negative_supremum() -> None:
    result = supremum(bound_of(lambda x: bell(x) - 3, 1.0), *box([0.0], [1.0]), absolute=1e-6)
    assert result.complete
    assert -2 - 1e-6 <= result.lower <= -2 <= result.upper <= -2 + 1e-6
    rough = supremum(bound_of(lambda x: bell(x) - 3, 1.0), *box([0.0], [1.0]), relative=0.01)
    assert rough.complete
    assert rough.boxes < result.boxes


@given(
    st.integers(1, 3), st.integers(1, 300), st.floats(0.5, 20), st.floats(-3, 3), st.sampled_from([0.0, 1e-3])
)
@settings(max_examples=80, deadline=None)
def test_incomplete_searches_stay_valid(
    dimension: int, most: int, frequency: float, shift: float, gap: float
) -> None:
    def f(x: Array) -> Array:
        return np.asarray(np.sin(frequency * x + shift).sum(axis=1))

    top = (math.pi / 2 - shift) / frequency  # and every 2π/frequency from there
    first = top + math.ceil(-top / (2 * math.pi / frequency)) * 2 * math.pi / frequency
    known = dimension * (1.0 if first <= 1 else max(math.sin(shift), math.sin(frequency + shift)))
    start = box([0.0] * dimension, [1.0] * dimension)
    result = supremum(bound_of(f, frequency * dimension), *start, absolute=gap, max_boxes=most)
    assert result.lower <= known + ROUNDING
    assert known <= result.upper + ROUNDING
    assert result.boxes <= max(most, 1)
    assert f(result.at[None])[0] >= result.lower
    assert result.complete == (result.upper - result.lower <= gap)


def test_points() -> None:
    """Boxes without width cannot be split: their own bounds are all that can be known."""
    points = np.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.1]])
    result = supremum(bound_of(slope, 2.0), points, points, absolute=1e-9)
    assert result.complete
    assert result.lower == pytest.approx(0.4, abs=1e-12)
    assert result.upper == pytest.approx(0.4, abs=1e-12)
    assert result.at.tolist() == [0.5, 0.1]
    assert result.boxes == 3


def test_points_whose_bounds_are_far_apart() -> None:
    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        return lo[:, 0] - 1, hi[:, 0] + 1, lo

    points = np.array([[0.0], [0.5], [0.25]])
    result = supremum(bound, points, points)
    assert (result.lower, result.upper, result.boxes, result.complete) == (-0.5, 1.5, 3, False)
    assert result.at.tolist() == [0.5]


def test_boxes_that_do_not_touch() -> None:
    """The hole between them is not searched: x(1 − x) on [0, 0.4] and [0.7, 1] is largest at 0.4."""
    lo, hi = np.array([[0.0], [0.7]]), np.array([[0.4], [1.0]])
    result = supremum(bound_of(lambda x: x[:, 0] * (1 - x[:, 0]), 1.0), lo, hi, absolute=1e-7)
    assert result.lower <= 0.24 <= result.upper <= 0.24 + 1e-7


def test_flat_boxes_are_split_along_the_sides_that_they_have() -> None:
    result = supremum(bound_of(waves, 15.0), *box([0.0, 0.2, 0.0], [1.0, 0.2, 1.0]), absolute=1e-4)
    assert result.complete
    assert result.lower <= 2 + math.sin(1) <= result.upper


def test_a_jump_stays_open_and_is_counted() -> None:
    """The cell with the jump at ½ cannot be told from one that reaches 2, however narrow it is."""

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        a, b = lo[:, 0], hi[:, 0]
        return np.where(a >= 0.5, 1 - a, 0.0), np.where(b < 0.5, 0.0, np.where(a > 0.5, 0.5, 2.0)), lo

    result = supremum(bound, *box([0.0], [1.0]), absolute=1e-3)
    assert not result.complete
    assert result.lower == 0.5
    assert result.upper == 2.0


def test_unbounded_boxes_are_split_until_they_are_bounded() -> None:
    """A bound that knows nothing of wide boxes."""
    inner = bound_of(bell, 1.0)

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        lower, upper, at = inner(lo, hi)
        wide = (hi - lo)[:, 0] > 0.01
        return np.where(wide, -np.inf, lower), np.where(wide, np.inf, upper), at

    result = supremum(bound, *box([0.0], [1.0]), absolute=1e-6)
    assert result.complete
    assert result.lower <= 1 <= result.upper <= 1 + 1e-6


def test_what_is_never_bounded_stays_infinite() -> None:
    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        return np.full(len(lo), -np.inf), np.full(len(lo), np.inf), lo

    result = supremum(bound, *box([0.0], [1.0]), max_boxes=1000)
    assert (result.lower, result.upper, result.complete) == (-np.inf, np.inf, False)
    assert result.boxes <= 1000


def test_an_infinite_upper_bound_is_never_complete() -> None:
    """The sufficient gap overflows, too."""

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        return np.full(len(lo), 1.7e308), np.full(len(lo), np.inf), lo

    assert not supremum(bound, *box([0.0], [1.0]), relative=0.1, max_boxes=100).complete


def test_a_bound_that_is_reached_later_counts() -> None:
    """A point whose bound is 1 is left open at first; the box beside it turns out to reach 1."""

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        point, width = lo[:, 0] == 5, (hi - lo)[:, 0]
        return np.where(point, 0.0, 1 - width), np.where(point, 1.0, 1 + width), lo

    result = supremum(bound, np.array([[5.0], [0.0]]), np.array([[5.0], [1.0]]), absolute=1e-3)
    assert result.upper - result.lower <= 1e-3
    assert result.complete


def test_children_are_never_worse_than_the_box_they_came_from() -> None:
    """Interval bounds of a half may be looser than those of the whole: the better one holds."""

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        width = (hi - lo)[:, 0]
        return np.zeros(len(lo)), np.where(width == 1, 0.5, 2.0), lo

    assert supremum(bound, *box([0.0], [1.0]), max_boxes=200).upper == 0.5


def test_many_boxes_are_bounded_in_blocks_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer as from one large block; numpy's warnings are switched off in every thread."""
    sizes, names, states = [], set(), set()
    inner = bound_of(waves, 10.0)

    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        sizes.append(len(lo))
        names.add(threading.current_thread().name)
        states.add(np.geterr()["divide"])
        return inner(lo, hi)

    side = np.linspace(0, 1, 513)
    low = np.stack(np.meshgrid(side[:-1], side[:-1]), axis=-1).reshape(-1, 2)
    high = np.stack(np.meshgrid(side[1:], side[1:]), axis=-1).reshape(-1, 2)
    result = supremum(bound, low, high, absolute=1e-4)
    assert max(sizes) <= BLOCK < len(low) <= sum(sizes) == result.boxes
    assert names - {threading.current_thread().name}
    assert states == {"ignore"}
    assert result.complete
    assert result.lower <= 2 <= result.upper <= result.lower + 1e-4
    monkeypatch.setattr("nnlab.rigorous.supremum.BLOCK", 10**9)
    again = supremum(inner, low, high, absolute=1e-4)
    assert (again.lower, again.upper, again.boxes) == (result.lower, result.upper, result.boxes)
    assert np.array_equal(again.at, result.at)


def test_errors_of_the_bound_arrive() -> None:
    def bound(lo: Array, hi: Array) -> tuple[Array, Array, Array]:
        if lo[0, 0] > 0:
            raise RuntimeError("no bound here")
        return lo[:, 0], hi[:, 0], lo

    ends = np.linspace(0, 1, 2 * BLOCK + 1)[:, None]
    with pytest.raises(RuntimeError, match="no bound here"):
        supremum(bound, ends[:-1], ends[1:])
