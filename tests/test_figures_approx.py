"""Figures of universal approximation show the lines, steps, bins, bounds and surfaces they were given."""

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch
from numpy.typing import NDArray

from nnlab.chapters.approximation.bins.figures import (
    error_curves,
    error_over_bins,
    histogram_fit,
    histogram_grid,
    sigmoid_output,
    towers_at_the_ends,
)
from nnlab.chapters.approximation.perceptron.figures import Problem, perceptron_mistakes, separating_lines
from nnlab.chapters.approximation.steps.figures import distance_to_step, single_bin, steps_over_steepness
from nnlab.chapters.approximation.sums.figures import constructed_and_trained
from nnlab.chapters.approximation.surfaces.figures import furthest, surfaces
from nnlab.plot.lines import thinned
from nnlab.plot.powerlaws import scaling_laws
from nnlab.plot.style import INK, MUTED, PALETTE
from nnlab.plot.text import at_least, at_most
from tests.figure_checks import (
    HOSTILE,
    assert_finite_limits,
    assert_readable,
    data,
    drawn_in,
    lines,
    texts,
    title,
)

Array = NDArray[np.float64]

CORNERS = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
AND, OR, XOR = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0])
X = np.linspace(0, 1, 501)


def sigmoid(z: Array) -> Array:
    return 0.5 * (1 + np.tanh(z / 2))


def wave(x: Array) -> Array:
    return 0.3 + np.sin(5 * x)


def perceptron(labels: Array, passes: int = 30) -> Array:
    """The line (w₁, w₂, b) after each change of the perceptron's rule, (k, 3)."""
    line, history = np.zeros(3), []
    for _ in range(passes):
        for point, label in zip(np.c_[CORNERS, np.ones(4)], 2 * labels - 1, strict=True):
            if label * (point @ line) <= 0:
                line = line + label * point
                history.append(line)
    return np.array(history)


def band() -> tuple[Array, NDArray[np.int64]]:
    """Where x₁ + x₂ is between ½ and 3/2: XOR by two hidden units."""
    g = np.linspace(-0.45, 1.45, 60)
    total = g[:, None] + g
    return g, ((total > 0.5) & (total < 1.5)).astype(int)


def staircase(x: Array, bins: int) -> tuple[Array, Array, Array]:
    """Output, edges and heights of the histogram of `wave` with heights from midpoints."""
    edges = np.linspace(0, 1, bins + 1)
    heights = wave((edges[1:] + edges[:-1]) / 2)
    return heights[np.clip((x * bins).astype(int), 0, bins - 1)], edges, heights


def logic(names: tuple[str, ...] = ("AND", "OR", "XOR", "XOR, 2 units")) -> Figure:
    first, second, third, network = names
    units = np.array([[1, 1, -0.5], [-1, -1, 1.5]])
    return separating_lines(
        {
            first: Problem(CORNERS, AND, perceptron(AND)),
            second: Problem(CORNERS, OR, perceptron(OR)),
            third: Problem(CORNERS, XOR, perceptron(XOR)),
            network: Problem(CORNERS, XOR, units, band()),
        }
    )


def steps(names: tuple[str, ...] = ("sigmoid", "tanh", "ReLU")) -> Figure:
    kinds: tuple[Callable[[Array], Array], ...] = (sigmoid, np.tanh, lambda z: np.maximum(z, 0))
    panels = {
        name: {w: kind(w * (X - 0.4)) for w in (5.0, 20.0, 200.0)}
        for name, kind in zip(names, kinds, strict=True)
    }
    return steps_over_steepness(X, panels, 0.4)


def distances(name: str = "sigmoid") -> Figure:
    w, fine = np.array([10.0, 100, 1000]), np.linspace(10, 1000, 50)
    return distance_to_step({name: (w, sigmoid(-0.05 * w), fine, sigmoid(-0.05 * fine))}, 0.05)


def one_bin(height: float = 0.8) -> Figure:
    panels = {
        w: (height * sigmoid(w * (X - 0.3)), -height * sigmoid(w * (X - 0.6))) for w in (20.0, 60.0, 400.0)
    }
    return single_bin(X, panels, (0.3, 0.6), height)


def fit(bins: int, x: Array = X) -> Figure:
    output, edges, heights = staircase(x, bins)
    upper = 5 / (2 * bins)
    close = (x[:50], wave(x[:50]), output[:50])
    return histogram_fit(
        x, wave(x), output, edges, heights, hidden_units=bins - 1, error_upper=upper, epsilon=2 * upper,
        close_up=close,
    )  # fmt: skip


def histograms(names: tuple[str, ...] = ("5 bins, 10 hidden units", "20 bins", "50 bins")) -> Figure:
    panels = {}
    for name, bins in zip(names, (5, 20, 50), strict=True):
        output, edges, heights = staircase(X, bins)
        panels[name] = ((X, wave(X), output), edges, heights, 5 / 2 / bins)
    return histogram_grid(panels)


def ends(name: str = "left end") -> Figure:
    x = np.linspace(-0.05, 0.2, 300)
    inside = sigmoid(800 * x)
    return towers_at_the_ends({name: (x, np.ones(300), inside, np.ones(300))}, (0, 1), errors=(0.5, 0.1))


BINS = np.array([5.0, 10, 20, 50, 100])


def rates(names: tuple[str, ...] = ("staircase", "towers", "ReLU hats")) -> Figure:
    errors = (5 / 2 / BINS, 5 / BINS, 25 / 8 / BINS**2)
    series = {name: (BINS, 0.99 * upper, upper) for name, upper in zip(names, errors, strict=True)}
    return error_over_bins(series, {"L/(2N)": (BINS, errors[0])}, epsilon=0.05, answer=50)


def curves(names: tuple[str, ...] = ("staircase", "left ends")) -> Figure:
    errors = [staircase(X, bins)[0] - wave(X) for bins in (10, 20)]
    panels = {
        name: (X, error, 0.9 * np.abs(error).max(), 1.01 * np.abs(error).max())
        for name, error in zip(names, errors, strict=True)
    }
    return error_curves(panels)


def with_sigmoid() -> Figure:
    target = 0.5 + 0.4 * np.sin(6 * X)
    logit = np.log(target / (1 - target))
    return sigmoid_output(X, (logit, logit + 0.1), (target, sigmoid(logit + 0.1)), 0.1)


def planes(names: tuple[str, ...] = ("isolated towers", "quadrant thresholds")) -> Figure:
    g = np.linspace(0, 1, 41)
    one = np.ones((41, 41))
    pits = one.copy()
    pits[20, 20] = 0.0
    cut = (0.5, g, one[20], {names[0]: pits[20], names[1]: one[20]})
    return surfaces(g, g, one, {names[0]: (pits, 1.0001), names[1]: (one, 0.0)}, cut, [0.5])


TERMS = np.array([4.0, 8, 16, 32, 64])


def scaling(names: tuple[str, ...] = ("sup, trained", "L₂, trained")) -> Figure:
    noise = np.exp(0.1 * np.random.default_rng(0).normal(size=(5, 6)))
    laws = {
        name: (TERMS, TERMS[:, None] ** slope * noise, slope, (slope - 0.1, slope + 0.1))
        for name, slope in zip(names, (-1.2, -0.6), strict=True)
    }
    bounds = {f"d = {d}": (TERMS, 9 / np.sqrt(TERMS)) for d in (1, 2, 3)}
    panels = {f"d = {d}": laws for d in (1, 2, 3)}
    return scaling_laws(panels, "error", x_label="terms N", bounds=("upper bound", bounds))


def side_by_side(names: tuple[str, ...] = ("constructed", "least squares", "Adam, then L-BFGS")) -> Figure:
    networks = {
        name: (wave(X) + size * np.sin(30 * X), 1.001 * size)
        for name, size in zip(names, (0.1, 1e-2, 1e-4), strict=True)
    }
    return constructed_and_trained(X, wave(X), networks, 19)


# --- numbers in words and on the screen -------------------------------------------------------------------


def as_fraction(words: str) -> Fraction:
    mantissa, _, power = words.replace("−", "-").partition("·10")
    back = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    return Fraction(mantissa) * Fraction(10) ** int(power.translate(back) or 0)


def test_written_bounds_are_bounds() -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=300) * 10.0 ** random.integers(-12, 12, 300)
    for value in values.tolist():
        exact, unit = Fraction(repr(value)), Fraction(10) ** (int(np.floor(np.log10(abs(value)))) - 2)
        assert exact <= as_fraction(at_most(value)) < exact + unit
        assert exact - unit < as_fraction(at_least(value)) <= exact
    assert (at_most(0.1), at_least(0.1), at_most(0.0)) == ("0.1", "0.1", "0")
    assert (at_most(float("inf")), at_least(float("nan"))) == ("∞", "not a number")


def test_a_thinned_curve_covers_what_the_whole_one_covers() -> None:
    random = np.random.default_rng(1)
    for length in (10, 999, 1000, 12_345):
        x, y = np.sort(random.random(length)), random.normal(size=length)
        y[random.random(length) < 0.1] = np.nan
        few = thinned(x, y, most=100)
        assert len(few[0]) <= 103 or length <= 100
        assert np.all(np.diff(few[0]) >= 0)
        np.testing.assert_array_equal(few[1], y[np.searchsorted(x, few[0])])
        assert (few[0][0], few[0][-1]) == (x[0], x[-1])
        size = -(-length // 50) if length > 100 else 1
        kept = set(few[1])
        for start in range(0, length, size):
            stretch = y[start : start + size]
            known = stretch[np.isfinite(stretch)]
            if known.size:
                assert {known.min(), known.max()} <= kept


def test_a_stretch_without_numbers_stays_a_gap() -> None:
    y = np.ones(10_000)
    y[4000:6000] = np.nan
    x, kept = thinned(np.arange(10_000.0), y, most=100)
    assert np.isnan(kept[(x > 4300) & (x < 5700)]).all()
    assert np.isfinite(kept[(x < 3700) | (x > 6300)]).all()


# --- the perceptron ---------------------------------------------------------------------------------------


def test_drawn_lines_are_the_lines() -> None:
    figure = logic()
    for axes, labels in zip(figure.axes, (AND, OR), strict=False):
        expected = perceptron(labels)
        (last,) = drawn_in(axes, INK)
        np.testing.assert_allclose(last @ expected[-1][:2] + expected[-1][2], 0, atol=1e-12)
        for drawn in drawn_in(axes, MUTED):
            offsets = [np.abs(drawn @ w[:2] + w[2]).max() for w in expected if np.any(w[:2])]
            assert min(offsets) < 1e-12
    first, second = drawn_in(figure.axes[3], INK)
    np.testing.assert_allclose(first.sum(axis=1), 0.5)
    np.testing.assert_allclose(second.sum(axis=1), 1.5)
    assert (
        title(figure)
        == "One line separates AND and OR, the perceptron finds none for XOR, 2 hidden units suffice"
    )


def test_half_planes_are_tinted_like_their_class() -> None:
    left = logic().axes[0]
    picture = np.asarray(left.images[0].get_array())
    low, high = picture[5, 5], picture[-5, -5]
    assert low[0] > low[2]  # vermillion like class 0 around the origin
    assert high[2] > high[0]  # blue like class 1 beyond (1, 1)
    assert len(logic().axes[2].images) == 0  # XOR: no line, no half-planes


def test_captions_count_changes_and_wrong_points() -> None:
    figure = logic()
    labels = [axes.get_xlabel().replace("\n", " ") for axes in figure.axes[:4]]
    assert f"separated after {len(perceptron(AND))} changes" in labels[0]
    assert "of 4 points wrong" in labels[2]
    assert "2 hidden units: all right" in labels[3]
    wrong = separating_lines({"a": Problem(CORNERS, XOR, np.ones((2, 3)), (band()[0], 1 - band()[1]))})
    assert "4 of 4 points wrong" in wrong.axes[0].get_xlabel().replace("\n", " ")
    problem = Problem(CORNERS, XOR, perceptron(XOR), caption="no line separates")
    assert "no line separates" in separating_lines({"a": problem}).axes[0].get_xlabel()


def test_a_point_on_the_line_is_not_called_wrong() -> None:
    line = np.array([[0.0, 1.0, 0.0]])  # x₂ = 0: through two corners, with the others on its positive side
    for labels, words in (
        (XOR, "1 of 4 points wrong, 2 on the line"),
        (1 - XOR, "1 of 4 points wrong, 2 on"),
    ):
        problem = Problem(CORNERS, labels, line)
        assert (problem.wrong, problem.on_the_line) == (1, 2)
        figure = separating_lines({"a": problem})
        assert words in figure.axes[0].get_xlabel().replace("\n", " ")
        assert not figure.axes[0].images
        assert title(figure) == "The perceptron finds no line for a"


def test_mistakes_are_counted_beside_the_bound() -> None:
    figure = perceptron_mistakes({"AND": [5, 7, 7], "OR": [4]}, {"AND": 54.0, "OR": 22.5})
    (axes,) = figure.axes
    dots = np.concatenate([data(line)[:, 0] for line in lines(axes) if line.get_marker() == "o"])
    bounds = [data(line)[0].tolist() for line in lines(axes) if line.get_marker() == "|"]
    assert sorted(dots) == [4, 5, 7, 7]
    assert bounds == [[54, 0], [22.5, 1]]
    assert title(figure) == (
        "The perceptron stays within its bound of (R/γ)² mistakes: at most 7 of 54 on AND, 4 of 22.5 on OR"
    )
    assert "makes more mistakes than (R/γ)² on AND" in title(perceptron_mistakes({"AND": [60]}, {"AND": 54}))


# --- steps and one bin ------------------------------------------------------------------------------------


def test_steps_are_drawn_for_every_weight_and_relu_leaves() -> None:
    figure = steps()
    first, _, relu = figure.axes
    shown = [data(line) for line in lines(first) if len(data(line)) == len(X)]
    for line, w in zip(shown, (5, 20, 200), strict=True):
        np.testing.assert_allclose(line, np.stack([X, sigmoid(w * (X - 0.4))], axis=1))
    low, high = first.get_ylim()
    assert low < -1
    assert 1 < high < 2
    assert "ReLU never becomes one" in title(figure)
    words = [text for text in texts(figure) if "no step" in text]
    assert words == ["↑ to 120:\nno step"]
    assert [text.get_text() for text in relu.texts if "no step" in text.get_text()] == words
    assert {"s = 0.4", "w = 5", "w = 20", "w = 200"} <= set(texts(figure))


def test_distances_are_points_on_the_prediction() -> None:
    (axes,) = distances().axes
    curve, points = lines(axes)
    np.testing.assert_allclose(data(points)[:, 0], [10, 100, 1000])  # in order of the weight
    np.testing.assert_allclose(data(points)[:, 1], sigmoid(-0.05 * data(points)[:, 0]))
    assert points.get_linestyle() == "None"
    assert len(data(curve)) == 50
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert "with w = 1000 is within 0 of a step" in title(distances())


@pytest.mark.parametrize("height", [0.8, -0.8])
def test_a_bin_is_the_sum_of_its_steps(height: float) -> None:
    figure = one_bin(height)
    for column, w in enumerate((20, 60, 400)):
        (total,) = [d for d in drawn_in(figure.axes[3 + column], INK) if len(d) == len(X)]
        np.testing.assert_allclose(
            total[:, 1], height * (sigmoid(w * (X - 0.3)) - sigmoid(w * (X - 0.6))), atol=1e-15
        )
    assert texts(figure).count("h") == 3
    assert f"of height h = {height}".replace("-", "−") in title(figure)
    low, high = figure.axes[3].get_ylim()
    assert min(low, high) < min(0, height)
    assert max(low, high) > max(0, height)


# --- histograms -------------------------------------------------------------------------------------------


def test_a_histogram_shows_bins_error_and_bounds() -> None:
    figure = fit(5)
    upper, close, lower = figure.axes
    output, edges, heights = staircase(X, 5)
    (stairs,) = upper.findobj(StepPatch)
    values, ends, _ = stairs.get_data()
    np.testing.assert_array_equal(values, heights)
    np.testing.assert_array_equal(ends, edges)
    error = next(d for d in drawn_in(lower, PALETTE[1]))
    np.testing.assert_allclose(error[:, 1], output - wave(X))
    levels = {data(line)[0, 1] for line in lower.lines if len(data(line)) == 2}
    assert levels == {0, 0.5, -0.5, 1, -1}
    assert {"certified: ± 0.5", "requested: ε = 1"} <= set(texts(figure))
    assert title(figure) == "5 bins, 4 hidden units: the network is nowhere more than 0.5 from the function"
    assert close.get_title(loc="left") == "close-up"


def test_a_close_up_of_a_short_piece_is_counted_from_a_point_on_it() -> None:
    x = 0.3 + np.linspace(0, 9e-6, 50)
    figure = histogram_fit(
        X, X, X, [0, 1], [0.5], hidden_units=1, error_upper=0.5, close_up=(x, 2 + x, 2 + x)
    )
    close = figure.axes[1]
    assert close.get_xlabel() == "input x − 0.3"
    assert close.get_ylabel() == "both − 2.3"
    np.testing.assert_allclose(data(lines(close)[0]), np.stack([x - 0.3, x - 0.3], axis=1), atol=1e-15)


def test_a_million_bins_keep_the_extremes() -> None:
    count = 10**6
    edges = np.linspace(0, 1, count + 1)
    heights = wave(edges[:-1])
    x = (edges[1:] + edges[:-1]) / 2
    output = heights.copy()
    output[123_456] = 9.0
    figure = histogram_fit(x, wave(x), output, edges, heights, hidden_units=count - 1, error_upper=9.0)
    figure.canvas.draw()
    drawn = drawn_in(figure.axes[0], PALETTE[0])[0]
    assert len(drawn) < 5000
    assert drawn[:, 1].max() == 9.0
    assert title(figure).startswith("1,000,000 bins, 999,999 hidden units")


def test_histograms_side_by_side_name_their_certified_errors() -> None:
    figure = histograms()
    assert len(figure.axes) == 3
    for axes, bound in zip(figure.axes, ("0.5", "0.125", "0.05"), strict=True):
        assert [text.get_text() for text in axes.texts] == [f"error ≤ {bound}"]
    assert title(figure) == "The certified error falls from 0.5 with 5 bins to 0.05 with 50 bins"


def test_towers_that_end_at_the_end_are_off_by_half() -> None:
    figure = ends()
    (error,) = [text for text in texts(figure) if text.startswith("error ")]
    assert float(error.removeprefix("error ")) == pytest.approx(0.5, abs=0.2)  # at the input nearest to 0
    assert title(figure).endswith("drop to half there, error 0.5; with edges outside 0.1")
    assert figure.axes[0].get_xlim() == (-0.05, 0.2)


def test_the_sigmoid_output_has_two_panels() -> None:
    figure = with_sigmoid()
    left, right = figure.axes
    (before,), (after,) = drawn_in(left, PALETTE[0]), drawn_in(right, PALETTE[0])
    np.testing.assert_allclose(sigmoid(before[:, 1]), after[:, 1])
    levels = sorted(data(line)[0, 1] for line in right.lines if len(data(line)) == 2)
    assert levels == [0.1, 0.9]


# --- certified errors -------------------------------------------------------------------------------------


def test_errors_over_bins_write_the_last_slope_at_the_line() -> None:
    figure = rates()
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert {"N⁻¹·⁰⁰⁰", "N⁻²·⁰⁰⁰"} <= set(texts(figure))
    assert (
        title(figure)
        == "The certified error falls like N⁻¹·⁰⁰ (staircase), N⁻¹·⁰⁰ (towers), N⁻²·⁰⁰ (ReLU hats)"
    )
    (staircase_line,) = [d for d in drawn_in(axes, PALETTE[0]) if len(d) == 5]
    np.testing.assert_allclose(staircase_line, np.stack([BINS, 2.5 / BINS], axis=1))
    bands = axes.findobj(PolyCollection)
    corners = bands[0].get_paths()[0].vertices
    for bins in BINS:
        for share in (0.99, 1.0):
            assert np.isclose(corners, [bins, share * 2.5 / bins]).all(axis=1).any()
    assert "ε = 0.05 takes N = 50 bins" in texts(figure)
    assert "theory: L/(2N)" in texts(figure)


def test_the_slope_is_that_of_the_last_octave() -> None:
    bent = {"a": ([1, 10, 20], [0.0, 0, 0], [5.0, 1.0, 0.25])}
    assert "N⁻²·⁰⁰⁰" in texts(error_over_bins(bent, {}))
    assert "one point" in texts(error_over_bins({"a": ([7], [0.1], [0.2])}, {}))


def test_error_curves_say_whether_they_stay_in_their_band() -> None:
    figure = curves()
    error = drawn_in(figure.axes[0], PALETTE[1])[0]
    np.testing.assert_allclose(error[:, 1], staircase(X, 10)[0] - wave(X))
    assert title(figure) == "No error leaves its certified band; each comes to 99 % of it or more"
    assert "lower to upper bound" in texts(figure)
    outside = error_curves({"a": (X, X, 0.1, 0.5)})
    assert title(outside) == "The error leaves its certified band: a"
    inside = error_curves({"a": (X, X, 1.0, 1.5)})
    assert title(inside) == "No error leaves its certified band; each comes to 66.6 % of it or more"
    assert [text.get_text() for text in inside.axes[0].texts] == ["1 to 1.5"]


def test_alike_errors_share_a_scale() -> None:
    alike, apart = ({"a": (X, X, 1.0, 1.0), "b": (X, X / size, 1 / size, 1 / size)} for size in (3, 300))
    assert len({axes.get_ylim() for axes in error_curves(alike).axes}) == 1
    assert len({axes.get_ylim() for axes in error_curves(apart).axes}) == 2


# --- two inputs -------------------------------------------------------------------------------------------


def test_a_coarser_surface_keeps_the_value_furthest_from_the_target() -> None:
    random = np.random.default_rng(2)
    places = np.linspace(0, 1, 37), np.linspace(0, 2, 23)
    values, reference = random.normal(size=(37, 23)), random.normal(size=(37, 23))
    values[3, 4] = np.nan
    x, y, coarse = furthest(places, values, reference, most=10)
    assert coarse.shape == (10, 8)  # blocks of 4 × 3
    for i, j in itertools.product(range(10), range(8)):
        block = np.s_[4 * i : 4 * i + 4, 3 * j : 3 * j + 3]
        gaps = np.abs(values[block] - reference[block])
        assert coarse[i, j] == values[block].flat[np.nanargmax(gaps)]
    np.testing.assert_allclose([x[0], x[-1], y[0]], [places[0][[0, 3]].mean(), 1.0, places[1][[0, 2]].mean()])
    same = furthest(places, values, reference, most=40)
    np.testing.assert_array_equal(same[2], values)


def test_surfaces_show_the_corner_and_its_cut() -> None:
    figure = planes()
    cut = next(axes for axes in figure.axes if "x₂ = 0.5" in axes.get_xlabel())
    (towers,), (thresholds,) = drawn_in(cut, PALETTE[1]), drawn_in(cut, PALETTE[0])
    assert towers[20].tolist() == [0.5, 0]
    assert np.all(thresholds[:, 1] == 1)
    assert title(figure) == (
        "At the corners of the cells the error is 1 with isolated towers, 0 with quadrant thresholds"
    )
    assert "isolated towers\nerror ≤ 1.01" in texts(figure)


# --- sums -------------------------------------------------------------------------------------------------


def test_terms_scale_with_their_exponents_below_the_bound() -> None:
    figure = scaling()
    left = figure.axes[0]
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert {"N⁻¹·²⁰", "N⁻⁰·⁶⁰"} <= set(texts(figure))  # the intervals have room beside a single panel
    fitted = [d for d in drawn_in(left, PALETTE[0]) if len(d) == 2 and d[0, 0] < d[1, 0]]
    for (a, low), (b, high) in fitted:
        assert np.log(high / low) / np.log(b / a) == pytest.approx(-1.2)
    (bound,) = [d for d in drawn_in(left, INK) if len(d) == len(TERMS)]
    np.testing.assert_allclose(bound[:, 1], 9 / np.sqrt(TERMS))
    assert left.get_xlabel() == "terms N"
    assert "N⁻¹·²⁰" in title(figure)
    assert "N⁻⁰·⁶⁰" in title(figure)


def test_values_without_a_logarithm_are_counted() -> None:
    law = ([1.0, 2, 4], [[1.0, np.nan], [0.0, 0.5], [0.2, 0.3]], -1.0, (None, None))
    (axes,) = scaling_laws({"d": {"a": law}}, "error", x_label="terms N").axes
    assert "left out: 2 values ≤ 0 or not finite" in axes.get_xlabel()


def test_networks_of_equal_size_stand_side_by_side() -> None:
    figure = side_by_side()
    assert title(figure) == (
        "Largest error with 19 hidden units, certified: 0.11 (constructed), 0.00011 (Adam, then L-BFGS)"
    )
    lower = figure.axes[3:6]
    for axes, size in zip(lower, (0.1, 1e-2, 1e-4), strict=True):
        (error,) = drawn_in(axes, PALETTE[1])
        np.testing.assert_allclose(error[:, 1], np.abs(size * np.sin(30 * X)), atol=1e-12)
        assert axes.get_yscale() == "log"


# --- every figure -----------------------------------------------------------------------------------------

FIGURES: dict[str, Callable[[], Figure]] = {
    "lines": logic,
    "mistakes": lambda: perceptron_mistakes({"AND": [5, 7, 7], "OR": [4, 9]}, {"AND": 54.0, "OR": 22.5}),
    "steps": steps,
    "distances": distances,
    "bin": one_bin,
    "negative bin": lambda: one_bin(-0.8),
    "one bin": lambda: fit(1),
    "five bins": lambda: fit(5),
    "many bins": lambda: fit(300),
    "histograms": histograms,
    "ends": ends,
    "rates": rates,
    "one rate": lambda: error_over_bins({"a": (BINS, 1 / BINS, 1 / BINS)}, {}, epsilon=0.05),
    "curves": curves,
    "sigmoid": with_sigmoid,
    "surfaces": planes,
    "scaling": scaling,
    "networks": side_by_side,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_readable(name: str) -> None:
    assert_readable(FIGURES[name]())


def test_users_strings_are_shown_letter_by_letter() -> None:
    names = (*HOSTILE[:4],)
    hostile = [
        logic(names),
        steps(names[:3]),
        distances(HOSTILE[1]),
        histograms(names[:3]),
        ends(HOSTILE[0]),
        rates(names[:3]),
        curves(names[:2]),
        planes(names[:2]),
        scaling(names[:2]),
        side_by_side(names[:3]),
        perceptron_mistakes({HOSTILE[0]: [3]}, {HOSTILE[0]: 9.0}),
    ]
    for figure in hostile:
        assert_readable(figure)
        assert any("$x$" in text or "<script>" in text for text in texts(figure))


@pytest.mark.slow
@pytest.mark.parametrize(
    "values", [[], [0.0], [2.0, 2.0], [np.nan, np.inf, -np.inf], [-1.0, 0.0, 1.0], [1e-320, 1.0, 1e308]]
)
def test_strange_numbers_are_drawn_without_a_warning(values: list[float]) -> None:
    v = np.array(values)
    edges = np.arange(len(v) + 1.0)
    bound = float(v[-1]) if len(v) else 0.0
    grid = np.linspace(0, 1, max(2, len(v)))
    plane = np.resize(v, (len(grid), len(grid))) if len(v) else np.zeros((2, 2))
    law = (v, v[:, None], bound, (None, bound))
    fitted: dict[str, Any] = {"hidden_units": 1, "error_upper": bound}
    strange = [
        histogram_fit(v, v, v[::-1], edges, v, epsilon=bound, close_up=(v, v, v), **fitted),
        histogram_grid({"a": ((v, v, v), edges, v, bound), "b": ((v, v, v), edges, v, bound)}),
        error_over_bins({"a": (grid, grid, grid)}, {"t": (v, v)}, epsilon=bound, answer=3),
        error_over_bins({"a": (1 + np.arange(len(v)), v, v)}, {}, epsilon=bound),
        error_curves({"a": (v, v, bound, bound), "b": (v, v, 0.0, 1.0)}),
        sigmoid_output(v, (v, v), (v, v), 0.1),
        surfaces(grid, grid, plane, {"a": (plane, bound)}, (bound, v, v, {"a": v}), v),
        scaling_laws({"a": {"b": law}}, "error", bounds=("bound", {"a": (v, v)})),
        constructed_and_trained(v, v, {"a": (v[::-1], bound)}, 1),
    ]
    for figure in strange:
        assert_finite_limits(figure)


def test_lost_values_are_counted_in_a_note() -> None:
    broken = wave(X)
    broken[[3, 4]] = np.inf, np.nan
    output, edges, heights = staircase(X, 5)
    figure = histogram_fit(X, broken, output, edges, heights, hidden_units=4, error_upper=1.0)
    assert "left out: 2 values that are not finite" in figure.axes[1].get_xlabel()
