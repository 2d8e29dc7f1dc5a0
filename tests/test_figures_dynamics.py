"""Figures of training beside its prediction show both as they were given."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray

from nnlab.chapters.kernels.figures.functions import functions_on_line
from nnlab.chapters.kernels.figures.training import (
    class_probabilities,
    flow_gap,
    loss_prediction,
    mode_trajectories,
    residual_error,
    step_sizes,
)
from nnlab.plot.style import INK, MUTED, PALETTE
from tests.figure_checks import (
    assert_finite_limits,
    assert_readable,
    data,
    drawn_in,
    lines,
    marks,
    texts,
    title,
)

Array = NDArray[np.float64]
BLUE, VERMILLION = PALETTE[:2]
STEPS = np.array([0.0, 1, 2, 4, 8, 16, 32])


def curves(flow: Array, descent: Array, network: Array, linearized: Array) -> dict[str, Array]:
    return {"flow": flow, "descent": descent, "network": network, "linearized": linearized}


def modes(eigenvalues: Array, lr: float, start: Array) -> tuple[Array, Array]:
    """(r, K) coefficients of gradient flow and of gradient descent at STEPS."""
    rate = lr * eigenvalues[:, None]
    return start[:, None] * np.exp(-rate * STEPS), start[:, None] * (1 - rate) ** STEPS


def verticals(axes: Axes) -> list[float]:
    return [data(line)[0, 0] for line in axes.lines if len(set(data(line)[:, 0])) == 1]


# --- modes ----------------------------------------------------------------------------------------------


def test_modes_show_both_predictions_and_both_measurements() -> None:
    eigenvalues, start = np.array([2.0, 0.5]), np.array([3.0, -4.0])
    flow, descent = modes(eigenvalues, 0.1, start)
    network, linearized = descent + 0.5, descent + 0.25
    figure = mode_trajectories(STEPS, eigenvalues, curves(flow, descent, network, linearized), lr=0.1)
    for axes, row in zip(figure.axes, range(2), strict=True):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
        for color, values in ((INK, descent), (MUTED, flow), (BLUE, linearized), (VERMILLION, network)):
            shown = max(drawn_in(axes, color), key=len)
            np.testing.assert_allclose(shown, np.stack([STEPS, values[row] / start[row]], axis=1)[1:])
        half = np.log(2) / (0.1 * eigenvalues[row])
        assert half == pytest.approx(min(verticals(axes), key=lambda x: abs(x - half)))
        assert axes.get_title(loc="left") == (f"λ{'₁₂'[row]} = {eigenvalues[row]:g}, {half:.3g} steps")
    assert title(figure) == (  # 0.5 of ‖u₀‖ = 5
        "In every mode the residual stays within 10.0 % of ‖u₀‖ of the predicted one"
    )


def test_of_many_modes_the_strongest_are_shown_in_their_order() -> None:
    eigenvalues, start = np.exp2(-np.arange(9.0)), np.array([1, 9, 2, 8, 0.0, 7, 3, 6, -5.0])
    flow, descent = modes(eigenvalues, 0.5, start)
    figure = mode_trajectories(STEPS, eigenvalues, curves(flow, descent, descent, descent), lr=0.5)
    headings = [axes.get_title(loc="left").split(" ")[0] for axes in figure.axes]
    assert headings == ["λ₂", "λ₄", "λ₆", "λ₇", "λ₈", "λ₉"]
    assert figure.axes[0].get_title(loc="left").endswith(f"{np.log(2) / 0.25:.3g} steps")
    assert title(figure).endswith("(6 of 9 modes are drawn)")
    assert_readable(figure)


def test_a_mode_that_leaves_its_panel_says_so() -> None:
    eigenvalues = np.array([1.0])
    flow, descent = modes(eigenvalues, 0.5, np.array([1.0]))
    network = descent.copy()
    network[0, 3] = 40.0
    figure = mode_trajectories(STEPS, eigenvalues, curves(flow, descent, network, descent), lr=0.5)
    assert "network leaves the panel" in texts(figure)
    assert figure.axes[0].get_ylim()[1] < 3
    steady = mode_trajectories(STEPS, eigenvalues, curves(flow, descent, descent, descent), lr=0.5)
    assert "network leaves the panel" not in texts(steady)


def test_long_trajectories_keep_a_few_marks_that_are_measured() -> None:
    steps = np.arange(3000.0)
    descent = 0.999 ** steps[None]
    figure = mode_trajectories(steps, np.ones(1), curves(descent, descent, descent, descent), lr=1e-3)
    for color in (BLUE, VERMILLION):
        (points,) = drawn_in(figure.axes[0], color)
        assert 8 <= len(points) <= 12
        np.testing.assert_allclose(points[:, 1], 0.999 ** points[:, 0])
        gaps = np.diff(np.log(points[4:, 0]))
        assert gaps.max() < 1.5 * gaps.min()


# --- losses and residuals -------------------------------------------------------------------------------


def test_the_loss_lies_beside_its_prediction() -> None:
    predicted = np.exp(-STEPS / 8)
    figure = loss_prediction(STEPS, curves(0.9 * predicted, predicted, 2 * predicted, 1.1 * predicted))
    (axes,) = figure.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    expected = {INK: predicted, MUTED: 0.9 * predicted, VERMILLION: 2 * predicted, BLUE: 1.1 * predicted}
    for color, values in expected.items():
        (line,) = drawn_in(axes, color)
        np.testing.assert_allclose(line, np.stack([STEPS, values], axis=1)[1:])
    assert title(figure) == "The network's loss stays within a factor of 2 of the predicted one"
    faster = loss_prediction(STEPS, curves(predicted, predicted, 0.4 * predicted, predicted))
    assert "within a factor of 2.5 of" in title(faster)
    assert_readable(figure)


def test_losses_at_the_level_of_rounding_are_not_compared() -> None:
    predicted = np.power(10.0, -(np.arange(7) ** 1.5))
    network = np.maximum(1.5 * predicted, 1e-7)
    words = title(loss_prediction(STEPS, curves(predicted, predicted, network, network)))
    assert (
        "within a factor of 1.5 of the predicted one, until it has fallen to 10⁻⁸ of its initial value"
        in words
    )


def test_a_network_that_diverges_is_marked() -> None:
    predicted = np.exp(-STEPS)
    network = np.where(STEPS > 4, np.nan, 100 * predicted)
    figure = loss_prediction(STEPS, curves(predicted, predicted, network, predicted))
    assert "diverges" in title(figure)
    assert [list(data(mark)[:, 0]) for mark in marks(figure.axes[0])] == [[8]]


def test_residual_errors_fall_with_the_width() -> None:
    shape = STEPS / (1 + STEPS)
    errors = {256: np.outer([0.01, 0.02, 0.03], shape), 64: np.outer([0.1, 0.2, 0.3], shape)}
    figure = residual_error(STEPS, errors)
    (axes,) = figure.axes
    narrow, wide = (data(line) for line in lines(axes))
    np.testing.assert_allclose(narrow, np.stack([STEPS, 0.2 * shape], axis=1)[1:])
    np.testing.assert_allclose(wide, np.stack([STEPS, 0.02 * shape], axis=1)[1:])
    assert {"m = 64", "m = 256"} <= set(texts(figure))
    assert title(figure) == (
        "Wide networks train as predicted: "
        "the residual is off by at most 19.4 % at m = 64, and by at most 1.9 % at m = 256"
    )
    assert_readable(figure)
    same = residual_error(STEPS, {64: errors[256], 256: errors[64]})
    assert title(same).startswith("Width does not help here")


# --- functions ------------------------------------------------------------------------------------------


def test_functions_are_means_with_bands_under_the_points() -> None:
    x = np.linspace(-1, 1, 11)
    network = np.stack([x**2, x**2 + 0.2, x**2 + 0.4])
    points = np.array([-0.5, 0.5]), np.array([0.25, 0.3])
    learned = {
        m: {"network": network, "kernel regression": network - gap} for m, gap in ((64, 0.1), (256, 0))
    }
    figure = functions_on_line(x, x**2, points, learned)
    first, second = figure.axes
    (mean,) = drawn_in(first, VERMILLION)
    np.testing.assert_allclose(mean, np.stack([x, x**2 + 0.2], axis=1))
    corners = first.findobj(PolyCollection)[0].get_paths()[0].vertices
    for end in (network[0], network[2]):
        assert np.isclose(corners, [x[3], end[3]]).all(axis=1).any()
    target, dots = drawn_in(first, INK)
    np.testing.assert_allclose(target, np.stack([x, x**2], axis=1))
    np.testing.assert_array_equal(dots, [[-0.5, 0.25], [0.5, 0.3]])
    assert first.get_ylim() == second.get_ylim()
    assert title(figure) == ("Network and kernel regression differ by up to 0.1 at m = 64, 0 at m = 256")
    assert_readable(figure)


def test_functions_that_run_away_do_not_flatten_the_others() -> None:
    x = np.linspace(-1, 1, 5)
    kinds = {"network": np.stack([x, 1000 * x**3]), "kernel regression": np.stack([x, x])}
    figure = functions_on_line(x, x, (x, x), {4: kinds})
    low, high = figure.axes[0].get_ylim()
    assert -4 < low < -2 < 2 < high < 4
    assert figure.axes[0].get_title(loc="left") == "m = 4"


def test_functions_at_eight_widths_stay_readable() -> None:
    x = np.linspace(-1, 1, 7)
    kinds = dict.fromkeys(["network", "linearization", "kernel regression"], np.tile(x, (2, 1)))
    figure = functions_on_line(x, x, (x, x), {2**k: kinds for k in range(4, 12)})
    assert_readable(figure)


# --- step sizes -----------------------------------------------------------------------------------------


def test_step_sizes_show_losses_and_sharpness_around_the_edge() -> None:
    down, up = np.exp(-STEPS / 9), np.exp(STEPS)
    losses = {0.9: (down, 0.9 * down), 1.1: (up, np.where(STEPS < 3, 1 + STEPS, 0.5))}
    sharpness = {
        0.9: (np.array([0, 16]), np.array([1.8, 1.7])),
        1.1: (np.array([0, 16, 32]), np.array([2.2, 2.4, 1.9])),
    }
    figure = step_sizes(STEPS, losses, sharpness)
    panels = dict(zip(losses, zip(figure.axes[:2], figure.axes[2:], strict=True), strict=True))
    for multiple, (upper, lower) in panels.items():
        assert upper.get_title(loc="left") == f"{multiple:g} ηₘₐₓ"
        for color, values in zip((BLUE, VERMILLION), losses[multiple], strict=True):
            (line,) = drawn_in(upper, color)
            np.testing.assert_allclose(line, np.stack([STEPS, values], axis=1)[1:])
        (line,) = drawn_in(lower, VERMILLION)
        np.testing.assert_allclose(line, np.transpose(sharpness[multiple])[1:])
        assert [2, 2] in [list(data(level)[:, 1]) for level in lower.lines]
        assert lower.get_xlabel() == "step k"
    assert figure.axes[0].get_ylim()[1] < 1e6  # e³² leaves the panel
    assert title(figure) == (
        "Training lowers the loss of the linearization at 0.9 ηₘₐₓ, that of the network at 0.9 and 1.1 ηₘₐₓ"
    )
    assert_readable(figure)


def test_a_step_size_without_sharpness_leaves_the_others_theirs() -> None:
    losses = {multiple: (STEPS, np.where(STEPS > 4, np.nan, STEPS)) for multiple in (1.0, 2.0)}
    figure = step_sizes(STEPS, losses, {1.0: (STEPS, STEPS), 2.0: (np.zeros(0), np.zeros(0))})
    assert "not measured" in texts(figure)
    assert len(figure.axes[2].get_yticks()) > 1
    assert "× no longer finite" in figure.axes[2].get_xlabel()
    assert title(figure).endswith("of the linearization at no step size, that of the network at no step size")


def test_many_step_sizes_stay_readable() -> None:
    multiples = [0.5, 0.95, 1.05, 1.23456, 1.5, 20.0]
    loss = (1 / (1 + STEPS), np.zeros(7))
    sharpness = dict.fromkeys(multiples, (STEPS, STEPS))
    assert_readable(step_sizes(STEPS, dict.fromkeys(multiples, loss), sharpness))


def test_the_gap_to_the_flow_lies_beside_both_laws() -> None:
    x = np.array([0.4, 0.2, 0.1])
    law, square = 3 * x, 2 * x**2
    figure = flow_gap(x, 1.1 * law, square, law)
    (axes,) = figure.axes
    for color, values in ((VERMILLION, 1.1 * law), (BLUE, square), (INK, law)):
        (line,) = drawn_in(axes, color)
        np.testing.assert_allclose(line, np.stack([x, values], axis=1))
    assert title(figure) == (
        "Small steps follow the flow: at ηλₘₐₓ = 0.1 the gap is its first order to within 10 %"
    )
    assert_readable(figure)


# --- logits ---------------------------------------------------------------------------------------------


def test_outputs_are_lines_and_marks_of_one_colour_per_class() -> None:
    t = np.linspace(0, 3, 7)
    predicted = np.random.default_rng(0).random((6, 3, 7))
    measured = predicted + 0.25
    figure = class_probabilities(t, predicted, measured)
    assert len(figure.axes) == 6
    for index, axes in enumerate(figure.axes):
        assert axes.get_title(loc="left") == f"example {index + 1}"
        for label in range(3):
            line, points = drawn_in(axes, PALETTE[label])
            np.testing.assert_allclose(line, np.stack([t, predicted[index, label]], axis=1))
            np.testing.assert_allclose(points, np.stack([t, measured[index, label]], axis=1))
    assert title(figure).endswith("differ by at most 0.25")
    assert {"0", "1", "2"} <= set(texts(figure))
    assert_readable(figure)


# --- strange numbers ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("lost", [np.nan, np.inf, 1e308, 0.0])
@pytest.mark.parametrize("steps", [np.arange(2.0), STEPS])
def test_strange_numbers_are_drawn_without_a_warning(lost: float, steps: Array) -> None:
    """A network and a linearization that are lost after their first step, and a start at the targets."""
    predicted, values = np.exp(-steps), np.where(steps > 0, lost, 1.0)
    modes, zeros, one = np.tile(predicted, (2, 1)), np.zeros((1, len(steps))), np.ones(1)
    strange = [
        mode_trajectories(
            steps, np.array([1.0, 0.0]), curves(modes, modes, np.tile(values, (2, 1)), modes), lr=0.1
        ),
        mode_trajectories(steps, np.zeros(1), curves(zeros, zeros, zeros, zeros), lr=0.1),
        loss_prediction(steps, curves(predicted, predicted, values, values)),
        loss_prediction(steps, curves(zeros[0], zeros[0], zeros[0], zeros[0])),
        residual_error(steps, {16: np.stack([steps, np.nan_to_num(values, nan=np.inf)]), 64: zeros}),
        residual_error(steps, {16: zeros}),
        functions_on_line(steps, predicted, (one, one), {8: {"network": modes, "kernel regression": modes}}),
        step_sizes(steps, {0.5: (values, values)}, {0.5: (steps[:1], one)}),
        class_probabilities(steps, np.tile(predicted, (2, 3, 1)), np.tile(np.minimum(values, 1), (2, 3, 1))),
    ]
    for figure in strange:
        assert_finite_limits(figure)
