"""The band of the infinite ensemble shows what it was given, and stays readable."""

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nnlab.chapters.kernels.figures.functions import infinite_ensemble
from nnlab.plot.style import INK, MUTED, PALETTE
from tests.figure_checks import assert_finite_limits, assert_readable, drawn_in, texts, title

Array = NDArray[np.float64]
X = np.linspace(-1.25, 1.25, 11)
MEAN, STD = X**3, 0.1 + 0.2 * X**2


def draw(functions: Array) -> Figure:
    points = np.array([-1.0, 0.5]), np.array([0.2, 0.4])
    return infinite_ensemble(X, np.sin(X), points, functions, (MEAN, STD), (MEAN + 0.1, STD / 2), width=512)


def test_band_functions_and_rival_are_those_given() -> None:
    functions = MEAN + np.array([[-1.0], [0.0], [1.0]]) * STD
    figure = draw(functions)
    left, right = figure.axes
    for axes, taken in ((left, np.zeros(11)), (right, MEAN)):
        (band,) = [c for c in axes.collections if isinstance(c, PolyCollection)]
        corners = band.get_paths()[0].vertices
        for end in (MEAN - 2 * STD, MEAN + 2 * STD):
            for point in np.stack([X, end - taken], axis=1):
                assert np.abs(corners - point).sum(1).min() < 1e-12
        drawn = drawn_in(axes, MUTED)
        assert len(drawn) == 3
        for line, function in zip(drawn, functions, strict=True):
            np.testing.assert_allclose(line, np.stack([X, function - taken], axis=1))
        rivals = drawn_in(axes, PALETTE[1])
        for line, sign in zip(rivals, (-1, 1), strict=True):
            np.testing.assert_allclose(line[:, 1], MEAN + 0.1 + sign * STD - taken)
        target, points = drawn_in(axes, INK)
        np.testing.assert_allclose(target[:, 1], np.sin(X) - taken)
        np.testing.assert_allclose(points, [[-1.0, 0.2 - taken[1]], [0.5, 0.4 - taken[7]]])
    assert title(figure) == (  # of deviations −1, 0 and 1
        "3 networks of width 512 have 1 times the variance that the infinite ensemble predicts"
    )
    assert_readable(figure)


def test_of_many_networks_some_are_drawn_and_all_are_counted() -> None:
    functions = MEAN + np.random.default_rng(0).standard_normal((100, 11)) * STD
    figure = draw(functions)
    assert len(drawn_in(figure.axes[0], MUTED)) == 40
    assert "40 of 100 networks" in texts(figure)
    ratio = functions.var(axis=0, ddof=1).mean() / np.square(STD).mean()
    assert f"{ratio:.3g} times" in figure.get_suptitle()
    assert_readable(figure)


def test_a_function_that_runs_away_or_is_lost_leaves_the_axes_as_they_are() -> None:
    calm = draw(MEAN + np.array([[-1.0], [1.0]]) * STD)
    wild = draw(np.stack([MEAN + 1e9 * X, np.full(11, np.nan)]))
    for a, b in zip(calm.axes, wild.axes, strict=True):
        assert a.get_ylim() == b.get_ylim()
    assert "times" not in wild.get_suptitle()


@pytest.mark.parametrize("std", [0.0, 1e-320, 1.0, 1e100])
def test_strange_numbers_are_drawn_without_a_warning(std: float) -> None:
    band, points = (X, np.full(11, std)), (X[:1], X[:1])
    functions = np.stack([X, np.full(11, np.inf)])
    figure = infinite_ensemble(X, X, points, functions, band, (X, np.zeros(11)), width=4)
    assert_finite_limits(figure)
    figure.canvas.draw()
