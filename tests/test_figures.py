"""The figures show the numbers that they were given, in words that nobody's class name can break."""

import doctest
import errno
import importlib
import itertools
import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, cast

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from scipy.optimize import minimize

from nnlab.chapters.approximation.perceptron.figures import success_rate
from nnlab.chapters.classification.figures import (
    convergence,
    gradient_noise,
    regression_fit,
    regularization_paths,
    separable_growth,
)
from nnlab.errors import ExperimentError, InputError, RunFolderError
from nnlab.plot.activations import activation_functions
from nnlab.plot.confusion import confusion_matrix
from nnlab.plot.curves import compare_curves, learning_curves
from nnlab.plot.fitting import fit_labels
from nnlab.plot.images import as_picture, weight_templates, worst_mistakes
from nnlab.plot.lines import spread_apart
from nnlab.plot.regions import decision_regions, region_colours
from nnlab.plot.save import save
from nnlab.plot.style import NEGATIVE, PALETTE, POSITIVE, darker, line_look
from nnlab.plot.text import literal, paragraph, plain, width_in_points
from tests.figure_checks import HOSTILE, assert_readable, bars, data, lines, marks, pixels, texts, title

Curves = dict[str, dict[str, list[float]]]


def history(epochs: int = 30) -> dict[str, dict[str, np.ndarray]]:
    t = np.arange(epochs, dtype=float)
    train = {
        "step": 10 * t,
        "epoch": t,
        "loss": 2.3 * np.exp(-t / 5) + 0.01,
        "accuracy": 1 - 0.9 * np.exp(-t / 4),
    }
    val = {
        "step": 10 * t,
        "epoch": t,
        "loss": 2.3 * np.exp(-t / 7) + 0.09,
        "accuracy": 0.97 - 0.87 * np.exp(-t / 4),
    }
    return {"train": train, "val": val}


def xor_grid() -> tuple[np.ndarray, np.ndarray]:
    """A grid and, on it, the probabilities of a logistic model whose boundary is the line x₁ = 0.3."""
    grid = np.linspace(-1, 1, 41)
    second = 1 / (1 + np.exp(-4 * (grid - 0.3)))
    return grid, np.repeat(np.stack([1 - second, second], axis=1)[:, None, :], 41, axis=1)


def every_figure() -> dict[str, Figure]:
    """One figure of each kind, with realistic numbers, and hostile names where names are asked for."""
    generator = np.random.default_rng(0)
    names = list(HOSTILE)
    count = len(names)
    steps = np.unique(np.logspace(0, 4, 40).astype(int))
    sizes = 2.0 ** np.arange(9)
    predicted = 3 * (256 - sizes) / (sizes * 255)
    grid, probabilities = xor_grid()
    z = np.linspace(-4, 4, 81)
    strengths = np.array([1e-5, 1e-4, 1e-3, 1e-2])
    path = {"accuracy": [0.9, 0.92, 0.91, 0.5], "sparsity": [0, 0.1, 0.5, 1.0], "norm": [30, 10, 2, 0.0]}
    points = generator.normal(size=(30, 2)) / 3
    wrong: dict[str, Any] = {
        "true": [0] * 7,
        "predicted": list(range(1, 8)),
        "probability": np.linspace(0.5, 1, 7),
    }
    return {
        "learning": learning_curves(history(), best_epoch=28, final_test={"loss": 0.09, "accuracy": 0.97}),
        "compare": compare_curves({name: history()["val"] for name in names}),
        "confusion": confusion_matrix(generator.integers(0, 99, (count, count)), names),
        "weights": weight_templates(generator.normal(size=(count, 1, 8, 8)), names),
        "mistakes": worst_mistakes(list(generator.random((7, 8, 8))), class_names=names, **wrong),
        "activations": activation_functions(z, {name: (np.tanh(z), 1 - np.tanh(z) ** 2) for name in names}),
        "regions": decision_regions(grid, grid, {"": probabilities}, points, [0] * 30, ["$x$", "<b>"]),
        "models": decision_regions(
            grid, grid, dict.fromkeys(HOSTILE[:3], probabilities), points, [1] * 30, ["$x$", "<b>"]
        ),
        "fit": regression_fit(z, np.sin(z), np.sin(z) + 0.1, z[::8], np.sin(z[::8])),
        "noise": gradient_noise(
            sizes, predicted * 1.01, predicted, np.stack([predicted, 1.02 * predicted], 1), 3 / sizes
        ),
        "paths": regularization_paths(strengths, dict.fromkeys(HOSTILE[:3], path)),
        "separable": separable_growth(steps, 1 / steps, np.log(1 + steps), np.log(1 + steps) / 2),
        "convergence": convergence(
            np.arange(50), {name: 0.5 ** np.arange(50) for name in names}, {"$x$": 0.5}
        ),
        "success": success_rate(
            names, np.linspace(0, 1, count), np.tile([0.2, 0.4], (count, 1)), x_label="runs (%)"
        ),
    }


KINDS = (
    *("activations", "compare", "confusion", "convergence", "fit", "learning", "mistakes", "models"),
    *("noise", "paths", "regions", "separable", "success", "weights"),
)


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    """Every figure, laid out and drawn once."""
    figures = every_figure()
    assert tuple(sorted(figures)) == KINDS
    for figure in figures.values():
        fit_labels(figure)
        figure.canvas.draw()
    return figures


# --- the package ---------------------------------------------------------------------------------------


def test_torch_is_not_imported() -> None:
    code = (
        "import sys, nnlab.plot.curves, nnlab.plot.regions, nnlab.plot.images; "
        "sys.exit('torch' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False).returncode == 0


@pytest.mark.parametrize("module", ["canvas", "lines", "powerlaws", "text"])
def test_examples_in_docstrings(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"nnlab.plot.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


# --- words ---------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
@settings(max_examples=60, deadline=None)
def test_any_string_is_shown_letter_by_letter(text: str) -> None:
    shown = plain(text)
    assert not is_math_text(shown)
    assert cast(Any, Text(0, 0, shown))._preprocess_math(shown) == (literal(text), False)
    assert literal(text).isprintable()
    literal(text).encode("utf-8")
    if text.isascii() and text.isprintable():
        assert literal(text) == text


@given(st.text(max_size=60), st.floats(60, 500))
@settings(max_examples=30, deadline=None)
def test_a_paragraph_keeps_its_words_and_its_width(text: str, width: float) -> None:
    wrapped = paragraph(text, width, 12).replace(r"\$", "$")
    assert wrapped.replace("\n", "").replace(" ", "") == "".join(map(literal, text.splitlines())).replace(
        " ", ""
    )
    for line in wrapped.split("\n"):
        assert len(line) <= 1 or width_in_points(line, 12) <= 1.35 * width


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_read_as_mathematics(drawn: dict[str, Figure], kind: str) -> None:
    for text in drawn[kind].findobj(Text):
        assert not is_math_text(text.get_text())


@pytest.mark.parametrize("kind", ["compare", "confusion", "weights", "activations", "convergence", "success"])
def test_hostile_names_stand_in_the_figure(drawn: dict[str, Figure], kind: str) -> None:
    shown = texts(drawn[kind])
    for name in ("$x$", r"a\nb", "$", r"\ud800"):
        assert name in shown
    assert any(text.startswith("<scr") and text.endswith("ipt>") for text in shown)


def test_a_title_is_shown_literally() -> None:
    figure = compare_curves(history(), "costs $5$ & <b>")
    assert figure.get_suptitle() == r"costs \$5\$ & <b>"


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_readable(drawn: dict[str, Figure], kind: str) -> None:
    assert_readable(drawn[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_axes_are_labelled_and_the_title_is_a_sentence(drawn: dict[str, Figure], kind: str) -> None:
    figure = drawn[kind]
    assert len(figure.get_suptitle().split()) >= 3
    if kind in ("weights", "mistakes"):
        return
    assert figure.get_supxlabel() or any(axes.get_xlabel() for axes in figure.axes)
    if kind not in ("success", "regions", "models"):  # bars, and planes with one name for all axes
        assert all(axes.get_ylabel() or axes.get_title(loc="left") for axes in figure.axes)


def test_darkened_palette_can_be_read_as_text_on_white() -> None:
    for color in PALETTE:
        channels = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in darker(color)]
        luminance = float(np.dot(channels, [0.2126, 0.7152, 0.0722]))
        assert 1.05 / (luminance + 0.05) >= 4.5


def test_thirty_lines_look_different_without_colour() -> None:
    looks = {(line_look(index).dash, line_look(index).marker) for index in range(30)}
    assert len(looks) == 30


# --- labels at line ends -------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_spread_labels_are_the_nearest_that_do_not_touch(wanted: list[float]) -> None:
    target, gap = np.array(wanted), 0.15
    placed = spread_apart(target, gap)
    order = np.argsort(target, kind="stable")
    assert np.all(np.diff(placed[order]) >= gap - 1e-9)
    assert placed.min() >= -1e-9
    assert placed.max() <= 1 + 1e-9
    fences = [
        {"type": "ineq", "fun": lambda p, a=a, b=b: p[b] - p[a] - gap} for a, b in itertools.pairwise(order)
    ]
    start = np.empty_like(target)
    start[order] = np.linspace(0, gap * (len(target) - 1), len(target))
    best = minimize(
        lambda p: np.sum((p - target) ** 2),
        start,
        bounds=[(0, 1)] * len(target),
        constraints=fences,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert np.sum((placed - target) ** 2) <= best.fun + 1e-6


# --- curves --------------------------------------------------------------------------------------------


def test_learning_curves_show_the_history() -> None:
    run = history()
    figure = learning_curves(run, best_epoch=12, final_test={"loss": 0.2, "accuracy": 0.955})
    loss, accuracy = figure.axes
    assert loss.get_yscale() == "log"
    assert accuracy.get_yscale() == "linear"
    for axes, metric, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        curves = lines(axes)
        for line, split in zip(curves, ("train", "val"), strict=False):
            np.testing.assert_array_equal(data(line)[:, 0], run[split]["epoch"])
            np.testing.assert_allclose(data(line)[:, 1], scale * run[split][metric], rtol=1e-15)
        verticals = [line for line in axes.lines if list(data(line)[:, 0]) == [12, 12]]
        assert len(verticals) == 1
    assert {"training", "validation", "test 0.2", "test 95.5 %", "best epoch 12"} <= set(texts(figure))
    levels = [list(data(line)[:, 1]) for axes in (loss, accuracy) for line in axes.lines]
    assert [0.2, 0.2] in levels
    assert [95.5, 95.5] in levels


def test_loss_within_a_decade_stays_linear() -> None:
    flat: Curves = {"train": {"epoch": [1, 2, 3], "loss": [2.0, 1.0, 0.5]}}
    figure = learning_curves(flat)
    assert len(figure.axes) == 1
    assert figure.axes[0].get_yscale() == "linear"
    assert figure.axes[0].get_xlabel() == "epoch"
    negative: Curves = {"train": {"epoch": [1, 2, 3], "loss": [-100.0, 1.0, 100.0]}}
    assert learning_curves(negative).axes[0].get_yscale() == "linear"


def test_zeros_and_lost_values_are_marked_and_explained() -> None:
    losses = [10.0, 0.0, 0.0, 0.1, np.inf, np.nan]
    figure = learning_curves({"train": {"epoch": np.arange(6), "loss": losses}})
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    zero, lost = marks(axes)
    assert list(data(zero)[:, 0]) == [1]
    assert list(data(lost)[:, 0]) == [4]
    assert list(data(zero)[:, 1]) == [0]
    assert list(data(lost)[:, 1]) == [1]
    assert "below a log scale" in axes.get_xlabel()
    assert "no longer finite" in axes.get_xlabel()


def test_a_gap_in_the_middle_was_not_measured() -> None:
    figure = learning_curves({"val": {"epoch": [0, 1, 2], "loss": [3.0, np.nan, 2.0]}})
    np.testing.assert_array_equal(data(lines(figure.axes[0])[0]), [[0, 3], [2, 2]])
    assert not marks(figure.axes[0])


@pytest.mark.parametrize("empty", [{}, {"train": {}}, {"train": {"epoch": [], "loss": []}}])
def test_an_empty_history_says_so(empty: dict[str, dict[str, list[float]]]) -> None:
    figure = learning_curves(empty)
    assert "nothing was measured" in texts(figure)


def test_a_single_point_has_a_marker() -> None:
    figure = learning_curves({"train": {"epoch": [1], "loss": [0.5]}})
    line = lines(figure.axes[0])[0]
    np.testing.assert_array_equal(data(line), [[1, 0.5]])
    assert line.get_marker() not in ("none", None, "")


def test_compared_curves_keep_order_and_data() -> None:
    t = np.arange(5.0)
    runs = {f"run {i}": {"epoch": t, "loss": (i + 1) * np.exp(-t)} for i in range(4)}
    figure = compare_curves(runs, y_label="training loss")
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "training loss"
    for line, run in zip(lines(axes), runs.values(), strict=True):
        np.testing.assert_array_equal(data(line), np.stack([t, run["loss"]], axis=1))
    assert compare_curves(runs, log=False).axes[0].get_yscale() == "linear"
    assert title(figure) == "Training loss ends lowest with run 0 (0.0183), highest with run 3 (0.0733)"


def test_labels_stand_in_the_order_of_the_line_ends() -> None:
    levels = {"low": 0.10, "middle": 0.11, "high": 0.12, "far": 5.0}
    runs: Curves = {name: {"epoch": [0, 1], "loss": [1.0, level]} for name, level in levels.items()}
    figure = compare_curves(runs)
    heights = {text.get_text(): text.get_position()[1] for text in figure.axes[0].texts}
    assert heights["low"] < heights["middle"] < heights["high"] < heights["far"]


def test_many_runs_get_a_legend() -> None:
    runs: Curves = {f"$run_{i}$": {"epoch": [0, 1], "loss": [0.1, i / 20]} for i in range(20)}
    figure = compare_curves(runs)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [rf"\$run_{i}\$" for i in range(20)]
    assert not figure.axes[0].texts


# --- confusion matrix ----------------------------------------------------------------------------------


def cells(axes: Axes) -> dict[tuple[int, int], str]:
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text() for t in axes.texts}


def test_confusion_matrix_prints_counts_and_colours_rows() -> None:
    counts = np.array([[8, 2, 0], [0, 0, 0], [1, 0, 3]])
    figure = confusion_matrix(counts, ["cat", "dog", "owl"])
    axes = figure.axes[0]
    assert cells(axes) == {index: str(count) for index, count in np.ndenumerate(counts)}
    shown = pixels(axes.images[0])
    np.testing.assert_allclose(shown[0], [80, 20, 0])
    np.testing.assert_allclose(shown[2], [25, 0, 75])
    assert np.ma.getmaskarray(shown)[1].all()  # no examples: no share
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first class on top
    assert figure.get_suptitle() == "78.6 % right; most frequent mistake: cat taken for dog, 2 of 10"


def test_large_counts_fit_their_cells() -> None:
    counts = np.full((10, 10), 123456)
    figure = confusion_matrix(counts, [str(i) for i in range(10)])
    assert not figure.axes[0].texts  # they would be too small to read
    counts = np.full((4, 4), 12345)
    figure = confusion_matrix(counts, [str(i) for i in range(4)])
    figure.canvas.draw()
    axes = figure.axes[0]
    width = axes.bbox.width / 4
    assert len(axes.texts) == 16
    assert max(text.get_window_extent().width for text in axes.texts) < width


def test_a_hundred_classes_keep_colours_and_drop_counts() -> None:
    names = [f"class {i}" for i in range(100)]
    figure = confusion_matrix(np.eye(100), names)
    axes = figure.axes[0]
    assert not axes.texts
    assert pixels(axes.images[0]).shape == (100, 100)
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    assert 10 <= len(ticks) <= 40
    assert [names[round(place)] for place in axes.get_yticks()] == ticks
    assert figure.get_suptitle() == "Every example is classified right"


# --- images --------------------------------------------------------------------------------------------


def test_weight_templates_share_symmetric_limits() -> None:
    weights = np.random.default_rng(1).normal(size=(5, 1, 4, 6))
    weights[2, 0, 1, 3] = -7.5
    figure = weight_templates(weights, list("abcde"))
    *images, scale = figure.axes[0].images
    for image, template in zip(images, weights, strict=True):
        np.testing.assert_array_equal(image.get_array(), template[0])
        assert image.get_clim() == (-7.5, 7.5)
        left, right, bottom, top = image.get_extent()
        assert abs(bottom - top) / (right - left) == pytest.approx(4 / 6)
    assert scale.get_clim() == (-7.5, 7.5)
    assert [text.get_text() for text in figure.axes[0].texts] == [*"abcde", "weight", "−7.5", "0", "7.5"]


def test_colour_templates_put_zero_at_grey_and_the_limit_at_white() -> None:
    weights = np.zeros((1, 3, 2, 2))
    weights[0, 0, 0, 0], weights[0, 1, 0, 1], weights[0, 2, 1, 0] = 4.0, -4.0, 2.0
    picture = pixels(weight_templates(weights, ["a"]).axes[0].images[0])
    np.testing.assert_allclose(picture[1, 1], [0.5, 0.5, 0.5])
    np.testing.assert_allclose(picture[0, 0], [1, 0.5, 0.5])
    np.testing.assert_allclose(picture[0, 1], [0.5, 0, 0.5])
    np.testing.assert_allclose(picture[1, 0], [0.5, 0.5, 0.75])


@pytest.mark.parametrize("weights", [np.zeros((2, 1, 3, 3)), np.full((2, 1, 3, 3), np.nan)])
def test_weights_without_contrast_are_drawn(weights: np.ndarray) -> None:
    figure = weight_templates(weights, ["a", "b"])
    assert figure.axes[0].images[0].get_clim() == (-1, 1)


def test_worst_mistakes_show_pixels_classes_and_probability() -> None:
    images = list(np.arange(8, dtype=float).reshape(2, 2, 2) / 8)
    figure = worst_mistakes(images, [3, 0], [1, 2], [0.871, 0.9999], ["a", "b", "$c$", "d"])
    axes = figure.axes[0]
    for image, picture in zip(axes.images, images, strict=True):
        np.testing.assert_array_equal(pixels(image), picture)
        assert image.get_clim() == (0, 1)
    assert [text.get_text() for text in axes.texts] == ["d → b\n87 %", "a → \\$c\\$\n> 99.9 %"]


def test_pictures_have_their_channels_last_and_values_from_0_to_1() -> None:
    pixels = np.random.default_rng(2).uniform(-0.5, 1.5, (3, 4, 5))
    np.testing.assert_array_equal(as_picture(pixels), pixels.clip(0, 1).transpose(1, 2, 0))
    np.testing.assert_array_equal(as_picture(pixels[:1]), pixels[0].clip(0, 1))


def test_no_mistakes() -> None:
    assert "no mistakes" in texts(worst_mistakes([], [], [], [], ["a"]))


# --- activations, regions, regression ------------------------------------------------------------------


def test_activation_functions_draw_value_and_derivative() -> None:
    z = np.linspace(-3, 3, 7)
    figure = activation_functions(z, {"relu": (np.maximum(z, 0), z > 0), "tanh": (np.tanh(z), z)})
    for axes, (value, derivative) in zip(
        figure.axes, [(np.maximum(z, 0), z > 0), (np.tanh(z), z)], strict=True
    ):
        solid, dashed = [line for line in lines(axes) if len(data(line)) == 7]
        np.testing.assert_array_equal(data(solid), np.stack([z, value], axis=1))
        np.testing.assert_array_equal(data(dashed), np.stack([z, derivative], axis=1))
        assert solid.get_linestyle() != dashed.get_linestyle()
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_regions_lie_where_the_grid_says() -> None:
    x1, x2 = np.array([0.0, 1.0, 2.0]), np.array([5.0, 7.0])
    classes = np.array([[0, 1], [2, 0], [1, 1]])
    figure = decision_regions(x1, x2, {"": np.eye(3)[classes]}, [[1, 5]], [2], ["a", "b", "c"])
    axes = figure.axes[0]
    image = axes.images[0]
    assert list(image.get_extent()) == [-0.5, 2.5, 4, 8]
    picture = pixels(image)  # rows go up: origin "lower"
    assert image.origin == "lower"
    for (i, j), label in np.ndenumerate(classes):
        tints = [np.dot(1 - picture[j, i], 1 - np.array(to_rgb(color))) for color in PALETTE[:3]]
        norms = [np.linalg.norm(1 - np.array(to_rgb(color))) for color in PALETTE[:3]]
        assert int(np.argmax(np.array(tints) / norms)) == label
    points = [line for line in axes.lines if len(data(line)) == 1]
    assert [data(line).tolist() for line in points] == [[[1.0, 5.0]]]
    assert to_rgb(points[0].get_color()) == to_rgb(PALETTE[2])


def test_tint_deepens_with_confidence() -> None:
    shares = np.linspace(0.5, 1, 11)
    colours = region_colours(np.stack([shares, 1 - shares], axis=1))
    distance = np.linalg.norm(1 - colours, axis=1)
    assert np.all(np.diff(distance) > 0)
    np.testing.assert_array_equal(region_colours(np.full((1, 2), np.nan)), [[1, 1, 1]])
    np.testing.assert_allclose(region_colours(np.full((1, 4), 0.25)), region_colours(np.full((1, 3), 1 / 3)))


def test_of_two_classes_the_second_is_the_positive_one() -> None:
    first, second = region_colours(np.eye(2))
    for tint, colour in ((first, NEGATIVE), (second, POSITIVE)):
        ink = 1 - np.array(to_rgb(colour))
        np.testing.assert_allclose((1 - tint) / ink, (1 - tint)[0] / ink[0])


def test_the_title_counts_the_points_in_their_region() -> None:
    grid, probabilities = xor_grid()  # class 1 where x₁ > 0.3
    points, labels = [[-0.5, 0], [0.2, 0], [0.4, 0], [0.9, 0]], [0, 1, 1, 1]
    figure = decision_regions(grid, grid, {"": probabilities}, points, labels, ["a", "b"])
    assert title(figure).startswith("3 of 4 points lie in their class's region")
    both = {"relu": probabilities, "other way": probabilities[..., ::-1]}
    figure = decision_regions(grid, grid, both, points, labels, ["a", "b"])
    assert title(figure) == "In their class's region: 3 of 4 points (ReLU), 1 (other way)"


def test_boundary_of_a_logistic_model_is_its_line() -> None:
    grid, probabilities = xor_grid()
    axes = decision_regions(grid, grid, {"": probabilities}, np.zeros((0, 2)), [], ["a", "b"]).axes[0]
    vertices = np.concatenate([path.vertices for c in axes.collections for path in c.get_paths()])
    np.testing.assert_allclose(vertices[:, 0], 0.3, atol=1e-3)  # linear interpolation on steps of 0.05
    assert vertices[:, 1].min() == pytest.approx(-1)
    assert vertices[:, 1].max() == pytest.approx(1)


def test_models_side_by_side_share_axes_and_points() -> None:
    grid, probabilities = xor_grid()
    points = [[0, 0], [0, 1], [1, 0], [1, 1]]
    models = {"linear": probabilities, "2 hidden units": probabilities[::-1]}
    figure = decision_regions(grid, grid, models, points, [0, 1, 1, 0], ["0", "1"])
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(models)
    first, second = (pixels(axes.images[0]) for axes in figure.axes)
    np.testing.assert_allclose(first, second[:, ::-1])
    for axes in figure.axes:
        drawn_points = np.concatenate([data(line) for line in axes.lines])
        assert sorted(map(tuple, drawn_points.tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_regression_fit_draws_target_prediction_and_points() -> None:
    x = np.linspace(0, 1, 5)
    figure = regression_fit(x, x**2, x**2 - 0.25 * x, [0.5], [0.7])
    points, target, prediction = lines(figure.axes[0])
    np.testing.assert_array_equal(data(points), [[0.5, 0.7]])
    np.testing.assert_array_equal(data(target), np.stack([x, x**2], axis=1))
    np.testing.assert_array_equal(data(prediction), np.stack([x, x**2 - 0.25 * x], axis=1))
    assert "0.25" in figure.get_suptitle()


# --- sweeps and rates ----------------------------------------------------------------------------------


def test_gradient_noise_shows_prediction_rival_and_ratio() -> None:
    sizes = np.array([1.0, 4, 16, 64])
    predicted = 2 * (64 - sizes) / (sizes * 63)
    measured = predicted * np.array([1.01, 0.99, 1.0, 1.0])
    interval = np.stack([0.98 * measured, 1.02 * measured], axis=1)
    figure = gradient_noise(sizes, measured, predicted, interval, 2 / sizes)
    top, bottom = figure.axes
    assert (top.get_xscale(), top.get_yscale(), bottom.get_yscale()) == ("log", "log", "linear")
    curves = [data(line) for line in lines(top) if len(data(line)) == 4]
    for expected in (predicted, 2 / sizes, measured):
        assert any(np.array_equal(curve, np.stack([sizes, expected], axis=1)) for curve in curves)
    (ratio,) = [data(line) for line in lines(bottom) if len(data(line)) == 3]
    np.testing.assert_allclose(ratio, [[1, 1.01], [4, 0.99], [16, 1.0]])
    assert list(data(marks(top)[0])[:, 0]) == [64]  # the full batch has no noise, and 0 no place
    assert [label.get_text() for label in bottom.get_xticklabels()] == ["64", "16", "4", "1"]
    bars = [data(line)[:, 1].tolist() for line in lines(top) if len(data(line)) == 2]
    np.testing.assert_allclose(bars, interval)


def test_regularization_paths_show_what_was_measured() -> None:
    strengths = np.array([1e-4, 1e-3, 1e-2, 1e-1])
    path = {"accuracy": [0.9, 0.8, 0.7, 0.6], "sparsity": [0, 0.25, 0.5, 1], "norm": [100, 10, 1, 0.0]}
    figure = regularization_paths(strengths, {"L1": path})
    scales = {"accuracy": 100, "sparsity": 100, "norm": 1}
    for axes, (key, scale) in zip(figure.axes, scales.items(), strict=True):
        assert axes.get_xscale() == "log"
        curve = data(lines(axes)[0])
        np.testing.assert_allclose(curve[:, 0], strengths)
        np.testing.assert_allclose(curve[:, 1], scale * np.array(path[key]))
    assert [axes.get_yscale() for axes in figure.axes] == ["linear", "linear", "log"]
    assert list(data(marks(figure.axes[2])[0])[:, 0]) == [0.1]


def test_separable_growth_has_the_reference_slope_through_the_end() -> None:
    steps = np.arange(1, 2001)
    figure = separable_growth(steps, 3 / steps, np.log(steps), np.log(steps) / 2)
    left, right = figure.axes
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    assert (right.get_xscale(), right.get_yscale()) == ("log", "linear")
    measured, reference = (data(line) for line in lines(left))
    np.testing.assert_array_equal(measured, np.stack([steps, 3 / steps], axis=1))
    (x0, y0), (x1, y1) = reference
    assert np.log(y1 / y0) / np.log(x1 / x0) == pytest.approx(-1)
    assert (x1, y1) == (2000, pytest.approx(3 / 2000))
    norm, least = (data(line) for line in sorted(lines(right), key=lambda line: -len(data(line))))
    np.testing.assert_array_equal(least, norm[1:] * [1, 0.5])  # the least norm of the first step is 0
    assert right.get_ylim()[0] == 0
    assert title(figure) == (
        "Separable data have no minimizer: the loss falls like t⁻¹·⁰⁰, and ‖W‖ has grown to 7.6"
    )


def test_convergence_draws_the_predicted_rate() -> None:
    steps = np.arange(0, 60, 3)
    distance = 2 * 0.9**steps + 0.5 * 0.6**steps
    axes = convergence(steps, {"gd": distance}, {"gd": 0.9}).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    measured, dashed = (data(line) for line in lines(axes))
    np.testing.assert_array_equal(measured, np.stack([steps, distance], axis=1))
    np.testing.assert_allclose(np.diff(np.log(dashed[:, 1])), 3 * np.log(0.9))
    np.testing.assert_allclose(dashed[-1], measured[-1])


def test_success_rate_bars_and_intervals() -> None:
    intervals = [[0.0, 0.05], [0.85, 0.95]]
    figure = success_rate(["linear", "2 units"], [0.0, 0.9], intervals, x_label="runs (%)")
    axes = figure.axes[0]
    assert [bar.get_width() for bar in bars(axes)] == [0, 90]
    np.testing.assert_allclose([data(line)[:, 0] for line in axes.lines], [[0, 5], [85, 95]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["linear", "2 units"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert {"0 %", "90 %"} <= set(texts(figure))
    assert title(figure) == "2 units succeed in 90 %, linear in 0 %"


@pytest.mark.parametrize(
    "values", [[], [0.0], [np.nan, np.inf, -np.inf], [-1.0, 0.0, 1.0], [1e-320, 1.0, 1e308]]
)
def test_strange_numbers_are_drawn_without_a_warning(values: list[float]) -> None:
    x = np.arange(len(values))
    strange = [
        compare_curves({"a": {"epoch": x, "loss": values}}, log=True),
        gradient_noise(values, values, values, np.stack([values, values], 1), values),
        regularization_paths(values, {"L1": dict.fromkeys(("accuracy", "sparsity", "norm"), values)}),
        separable_growth(values, values, values, values),
        convergence(x, {"a": values}, {"a": 0.5}),
        regression_fit(x, values, values, x, values),
        activation_functions(x, {"f": (values, values)}),
    ]
    for figure in strange:
        figure.draw_without_rendering()
        for axes in figure.axes:
            assert np.isfinite([*axes.get_xlim(), *axes.get_ylim()]).all()


# --- saving --------------------------------------------------------------------------------------------


def small() -> Figure:
    return learning_curves(history(5), best_epoch=3)


def test_saved_files_are_pictures_of_the_declared_size(tmp_path: Path) -> None:
    figure = small()
    png, svg = save(figure, tmp_path / "figures", "loss")
    assert (png, svg) == (tmp_path / "figures" / "loss.png", tmp_path / "figures" / "loss.svg")
    with Image.open(png) as image:
        assert image.size == (1150, 700)
        assert "Software" not in image.info
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
    assert not figure.axes
    assert sorted(path.name for path in png.parent.iterdir()) == ["loss.png", "loss.svg"]


def test_hostile_names_make_valid_svg(tmp_path: Path) -> None:
    figure = confusion_matrix(np.eye(len(HOSTILE)), HOSTILE)
    _, svg = save(figure, tmp_path, "hostile")
    root = ElementTree.parse(svg).getroot()
    assert not [element for element in root.iter() if str(element.tag).endswith("script")]


def test_the_same_figure_gives_the_same_bytes_in_any_thread(tmp_path: Path) -> None:
    salt = matplotlib.rcParams["svg.hashsalt"]
    failures: list[BaseException] = []

    def work(folder: Path) -> None:
        try:
            save(small(), folder, "loss")
        except BaseException as error:
            failures.append(error)

    folders = [tmp_path / str(index) for index in range(3)]
    threads = [threading.Thread(target=work, args=(folder,)) for folder in folders[1:]]
    for thread in threads:
        thread.start()
    work(folders[0])
    for thread in threads:
        thread.join()
    assert not failures
    for name in ("loss.png", "loss.svg"):
        assert len({(folder / name).read_bytes() for folder in folders}) == 1
    assert matplotlib.rcParams["svg.hashsalt"] == salt


def test_a_failed_write_leaves_the_old_picture_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(small(), tmp_path, "loss")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ExperimentError, match=r"loss\.png: the disk is full"):
        save(small(), tmp_path, "loss")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_made_and_a_name_that_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(RunFolderError, match=r"cannot be written"):
        save(small(), tmp_path / "file", "loss")
    for name in ("", "..", "a/b", "a\\b"):
        with pytest.raises(InputError, match="bare file name"):
            save(Figure(), tmp_path, name)
