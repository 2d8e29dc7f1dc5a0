"""Figures over the width show the medians, spreads and exponents that they were given."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb

from nnlab.chapters.widths.figures import Panel, Training, training_over_widths
from nnlab.plot.bands import lost_as_infinite, over_seeds, quantile, width_looks
from nnlab.plot.powerlaws import Law, scaling_laws
from tests.figure_checks import (
    HOSTILE,
    assert_finite_limits,
    assert_readable,
    data,
    lines,
    marks,
    texts,
    title,
)

STEPS = np.array([0.0, 1, 2, 3, 4, 5])


Run = tuple[np.ndarray, np.ndarray, np.ndarray]


def panel(runs: dict[int, Run]) -> Panel:
    return {width: Training.of(*run) for width, run in sorted(runs.items())}


def training(width: int, seeds: int = 3) -> Run:
    """Seed s has the loss 2ˢe⁻ᵏ and the change 2ˢ(1 − e⁻ᵏ)/m, so the median is the middle seed."""
    scale = 2.0 ** np.arange(seeds)[:, None]
    return STEPS, scale * np.exp(-STEPS), scale * (1 - np.exp(-STEPS)) / width


def law(slope: float, widths: list[float], seeds: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Values whose geometric mean over the seeds is m^slope exactly."""
    m = np.array(widths, dtype=float)
    return m, m[:, None] ** slope * 2.0 ** (np.arange(seeds) - (seeds - 1) / 2)


# --- bands ----------------------------------------------------------------------------------------------


@given(
    arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-9, 9)), st.floats(0, 1)
)
@settings(max_examples=50, deadline=None)
def test_quantiles_of_finite_values_are_those_of_numpy(values: np.ndarray, q: float) -> None:
    np.testing.assert_allclose(quantile(values, q), np.quantile(values, q, axis=0), atol=1e-12)


def test_quantiles_pass_over_gaps_and_keep_infinity() -> None:
    values = np.array([[1, 1, np.nan], [np.inf, 3, np.nan], [np.nan, np.inf, np.nan], [3, 2, np.nan]])
    np.testing.assert_array_equal(quantile(values, 0.5), [3, 2.5, np.nan])
    np.testing.assert_array_equal(quantile(values, 0.6), [np.inf, 2.8, np.nan])
    np.testing.assert_array_equal(quantile(values, 0.0), [1, 1, np.nan])
    np.testing.assert_array_equal(quantile(values, 1.0), [np.inf, np.inf, np.nan])
    assert np.isnan(quantile(np.zeros((0, 2)), 0.5)).all()


@given(arrays(float, (2, 6), elements=st.sampled_from([1.0, 2.0, np.nan, np.inf, -np.inf])))
@settings(max_examples=50, deadline=None)
def test_a_seed_is_lost_from_its_last_finite_value_on(values: np.ndarray) -> None:
    filled = lost_as_infinite(values)
    for row, kept in zip(values, filled, strict=True):
        for k in range(6):
            lost = not np.isfinite(row[k:]).any() or np.isinf(row[k])
            assert kept[k] == np.inf if lost else np.array_equal(kept[k], row[k], equal_nan=True)


@pytest.mark.parametrize(("seeds", "outer"), [(9, 0.0), (10, 0.1), (16, 0.1)])
def test_the_band_leaves_out_the_outer_tenths_of_many_seeds(seeds: int, outer: float) -> None:
    values = np.random.default_rng(seeds).normal(size=(seeds, 5))
    band = over_seeds(values)
    np.testing.assert_allclose(band.middle, np.median(values, axis=0))
    np.testing.assert_allclose(band.low, np.quantile(values, outer, axis=0))
    np.testing.assert_allclose(band.high, np.quantile(values, 1 - outer, axis=0))


def test_wider_is_darker_and_marked_otherwise() -> None:
    looks = width_looks([2048, 16, 32, 64, 128, 256, 512, 1024])
    assert list(looks) == sorted(looks)
    light = [float(np.dot(to_rgb(look.color), [0.2126, 0.7152, 0.0722])) for look in looks.values()]
    assert all(wide < narrow - 0.02 for narrow, wide in itertools.pairwise(light))
    assert len({look.marker for look in looks.values()}) == 8


# --- training over widths -------------------------------------------------------------------------------


def test_training_shows_medians_and_bands_of_every_width() -> None:
    runs = {width: training(width) for width in (256, 64)}
    figure = training_over_widths({"ntk, 1 hidden layer": panel(runs)})
    loss, change = figure.axes
    assert (loss.get_yscale(), change.get_yscale(), loss.get_xscale()) == ("log", "log", "linear")
    for axes, index, start in ((loss, 1, 0), (change, 2, 1)):  # at step 0 nothing has changed yet
        for line, band, width in zip(lines(axes), axes.findobj(PolyCollection), (64, 256), strict=True):
            values = runs[width][index][:, start:]
            np.testing.assert_allclose(data(line), np.stack([STEPS[start:], values[1]], axis=1))
            corners = band.get_paths()[0].vertices
            for x, low, high in zip(STEPS[start:], values[0], values[2], strict=True):
                assert np.isclose(corners, [x, low]).all(axis=1).any()
                assert np.isclose(corners, [x, high]).all(axis=1).any()
        assert not marks(axes)
    assert loss.get_title(loc="left") == "NTK,\n1 hidden layer"
    assert {"m = 64", "m = 256"} <= set(texts(figure))
    assert "smallest to largest of 3 seeds" in figure.get_supxlabel()


def test_the_title_says_how_far_narrow_and_wide_networks_moved() -> None:
    runs = {width: training(width) for width in (50, 200)}
    figure = training_over_widths({"a": panel(runs)})
    first, last = (100 * 2 * (1 - math.exp(-5)) / width for width in (50, 200))  # the middle seed at step 5
    assert title(figure) == (
        f"Wide networks move less: the weights change by {first:.2g} % at m = 50, by {last:.2g} % at m = 200"
    )
    grown = {width: (STEPS, loss, width**2 * change) for width, (_, loss, change) in runs.items()}
    assert "do not always move less" in training_over_widths({"a": panel(grown)}).get_suptitle()


def test_diverged_seeds_are_counted_and_leave_at_the_top() -> None:
    steps, loss, change = training(64, seeds=5)
    some, every = loss.copy(), np.full_like(loss, np.nan)
    some[3:, 2:] = np.nan
    every[:, 0] = loss[:, 0]
    figure = training_over_widths(
        {
            "standard": panel(
                {64: (steps, loss, change), 128: (steps, some, change), 256: (steps, every, change)}
            )
        }
    )
    upper = figure.axes[0]
    assert figure.get_supxlabel().endswith("× diverged (standard): m = 128 (2 of 5 seeds), m = 256 (all)")
    (lost,) = marks(upper)  # the median of width 128 is that of a seed that converges
    assert list(data(lost)[:, 0]) == [1]
    assert list(data(lost)[:, 1]) == [1]
    np.testing.assert_allclose(
        data(lines(upper)[1])[:, 1], np.median(np.where(np.isnan(some), np.inf, some), 0)
    )


def test_a_loss_on_its_way_to_infinity_does_not_flatten_the_others() -> None:
    steps, loss, change = training(64)
    climbing = loss * np.exp(30 * steps)
    figure = training_over_widths({"a": panel({64: (steps, loss, change), 128: (steps, climbing, change)})})
    low, high = figure.axes[0].get_ylim()
    assert low < 1.01 * loss.min()
    assert high < 1000 * loss[:, 0].max()


def test_steps_recorded_ever_more_rarely_get_a_logarithmic_axis() -> None:
    steps = np.array([0, 1, 2, 4, 8, 16, 32, 64, 128.0])
    loss = np.exp(-steps / 50)[None]
    figure = training_over_widths({"a": panel({64: (steps, loss, 1 - loss)})})
    assert {axes.get_xscale() for axes in figure.axes} == {"log"}
    assert [list(data(lines(axes)[0])[:, 0]) for axes in figure.axes] == [list(steps[1:])] * 2


@pytest.mark.parametrize("panels", [1, 8])
def test_many_widths_and_settings_stay_readable(panels: int) -> None:
    widths = [16, 32, 64, 128, 256, 512, 1024, 2048]
    runs = {width: training(width, seeds=2) for width in widths}
    steps, loss, change = runs[2048]
    runs[2048] = (steps, np.where(steps > 2, np.nan, loss), change)
    names = [f"standard, {i} hidden layers, constant step" for i in range(panels)]
    figure = training_over_widths(dict.fromkeys(names, panel(runs)))
    assert_readable(figure)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert len(drawn) == 2 * panels
    assert len({axes.get_ylim() for axes in drawn}) == 2  # all losses on one scale, all changes on another


# --- exponents ------------------------------------------------------------------------------------------


def test_scaling_draws_means_spread_fit_and_prediction() -> None:
    m, values = law(-0.5, [64, 256, 1024])
    figure = scaling_laws(
        {"ntk": {"whole vector": (m, values, -0.52, (-0.55, -0.49))}},
        "relative weight change",
        predicted={"whole vector": -1.0},
    )
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    *spread, points, dashed, fitted = [data(line) for line in lines(axes)]
    np.testing.assert_allclose(points, np.stack([m, m**-0.5], axis=1))
    np.testing.assert_allclose(
        spread, [[[x, low], [x, high]] for x, (low, *_, high) in zip(m, values, strict=True)]
    )
    for line, slope in ((dashed, -1.0), (fitted, -0.52)):
        (x0, y0), (x1, y1) = line
        assert (x0, x1) == (64, 1024)
        assert np.log(y1 / y0) / np.log(x1 / x0) == pytest.approx(slope)
        assert np.sqrt(y0 * y1) == pytest.approx(256**-0.5)  # through the mean of the logarithms
    assert {"m⁻⁰·⁵² (−0.55, −0.49)", "predicted: m⁻¹·⁰⁰", "NTK"} <= set(texts(figure))
    assert title(figure) == "Relative weight change scales like m⁻⁰·⁵² (−0.55, −0.49)"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1024", "256", "64"]


def test_scaling_names_the_extreme_exponents_and_shares_the_scale() -> None:
    widths = [16.0, 64, 256]
    panels: dict[str, dict[str, Law]] = {
        "ntk": {
            "first layer": (*law(-0.5, widths), -0.5, (None, None)),
            "H": (*law(-1, widths), -0.87, (-1, -0.8)),
        },
        "standard": {"first layer": (*law(-1.5, widths), -1.51, (-1.6, -1.4))},
    }
    figure = scaling_laws(panels, "change")
    assert title(figure) == "Change: from m⁻⁰·⁵⁰ (first layer, NTK) to m⁻¹·⁵¹ (first layer, standard)"
    assert {"m⁻⁰·⁵⁰", "m⁻⁰·⁸⁷", "m⁻¹·⁵¹"} <= set(texts(figure))
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    colours = [{line.get_color() for line in lines(axes)} for axes in figure.axes]
    assert colours[1] < colours[0]  # a quantity keeps its colour


def test_values_without_a_logarithm_are_left_out_and_counted() -> None:
    m, values = law(-1, [16, 64, 256])
    values[0, 0], values[1, 1], values[2] = 0.0, np.nan, [-1, np.inf, np.nan]
    figure = scaling_laws({"a": {"b": (m, values, np.nan, (None, None))}}, "change")
    (axes,) = figure.axes
    points = next(data(line) for line in lines(axes) if line.get_linestyle() == "None")
    means = [np.sqrt(values[0, 1] * values[0, 2]), np.sqrt(values[1, 0] * values[1, 2])]
    np.testing.assert_allclose(points, np.stack([m[:2], means], axis=1))
    assert "left out: 5 values ≤ 0 or not finite" in axes.get_xlabel()
    assert "no exponent fitted" in texts(figure)


def test_a_prediction_may_be_for_a_panel() -> None:
    panels = {name: {"b": (*law(-1, [16, 64]), -1.0, (None, None))} for name in ("ntk", "standard")}
    figure = scaling_laws(panels, "change", predicted={"standard": -0.5})
    dashes = [[line for line in lines(axes) if line.get_linestyle() == "--"] for axes in figure.axes]
    assert list(map(len, dashes)) == [0, 1]
    assert "predicted: m⁻⁰·⁵⁰" in texts(figure)


@pytest.mark.parametrize("panels", [1, 8])
def test_exponents_stay_readable(panels: int) -> None:
    widths = [16.0, 32, 64, 128, 256, 512, 1024, 2048]
    laws = {
        name: (*law(slope, widths), slope, (slope - 0.03, slope + 0.03))
        for name, slope in ((HOSTILE[0], -0.5), ("second layer, operator norm", -0.57), ("drift of H", -0.87))
    }
    names = [f"standard, {i} hidden layers, constant step" for i in range(panels)]
    figure = scaling_laws(dict.fromkeys(names, laws), HOSTILE[1], predicted={"drift of H": -0.5})
    assert_readable(figure)


# --- strange numbers ------------------------------------------------------------------------------------

STRANGE = [[np.nan, np.inf, -np.inf], [1.0, np.nan, np.inf], [0.0, 0.0, 1.0], [1e-320, 1.0, 1e308]]


@pytest.mark.parametrize("values", STRANGE)
def test_strange_numbers_are_drawn_without_a_warning(values: list[float]) -> None:
    x, rows = np.arange(3), np.tile(np.array(values), (2, 1))
    runs = panel({16: (x, rows, rows), 64: (x, 1 / (1 + np.tile(x, (2, 1))), rows)})
    assert_finite_limits(training_over_widths({"a": runs, "b": runs}))
    laws = {"q": (x, rows.T, -300.0, (None, 1.0)), "r": (x, rows.T, np.nan, (0.0, 1.0))}
    assert_finite_limits(scaling_laws({"a": laws, "b": laws}, "y", predicted={"q": -np.inf}))
