"""The figures of convolutional networks show what was computed, and can be read."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.offsetbox import AnnotationBbox
from matplotlib.patches import Rectangle
from scipy.signal import correlate2d

from nnlab.chapters.convolution.figures.classes import class_accuracy, class_probabilities, representation
from nnlab.chapters.convolution.figures.filters import filter_images, pooling_step, sliding_filter
from nnlab.chapters.convolution.figures.layers import (
    LayerMaps,
    activation_maps,
    amount,
    grouped,
    layer_stack,
)
from nnlab.models.summary import LayerRow as Layer
from nnlab.plot.canvas import cell_font, ink_on, short
from nnlab.plot.images import weight_templates, weights_as_colours
from nnlab.plot.style import GRID, PALETTE
from nnlab.plot.text import width_in_points
from tests.figure_checks import HOSTILE, assert_readable, bars, data, pixels, texts, title

MARK_A = PALETTE[1]


def correlation(inputs: np.ndarray, weights: np.ndarray, bias: float, padding: int = 1) -> np.ndarray:
    """An activation map by scipy, channel by channel."""
    padded = np.pad(inputs, ((0, 0), (padding, padding), (padding, padding)))
    return sum(correlate2d(x, w, "valid") for x, w in zip(padded, weights, strict=True)) + bias


def sliding(channels: int = 3, side: int = 3, size: int = 12, **changes: Any) -> Figure:
    generator = np.random.default_rng(0)
    inputs, weights = (
        generator.normal(size=(channels, size, size)),
        generator.normal(size=(channels, side, side)),
    )
    arguments: dict[str, Any] = {
        "picture": generator.random((size, size, 3)) if channels == 3 else generator.random((size, size)),
        "inputs": inputs, "weights": weights, "bias": 0.25,
        "activation_map": correlation(inputs, weights, 0.25, padding=1),
        "places": [(2, 3), (8, 9), (6, 1)], "padding": 1,
    }  # fmt: skip
    return sliding_filter(**(arguments | changes))


def speed_layers() -> list[Layer]:
    """As many layers as the fast network has."""
    layers, maps, side = [Layer("whitening", "convolution 2×2", (24, 31, 31), 288, 0, 276_768)], 24, 31
    for width in (64, 256, 256):
        held = 9 * maps * width
        layers.append(Layer("c", "convolution 3×3", (width, side, side), held, held, 10**8))
        side //= 2
        for kind in ("max-pool 2×2", "batch norm", "gelu", "convolution 3×3", "batch norm", "gelu"):
            held = 9 * width**2 if "conv" in kind else 2 * width if "norm" in kind else 0
            layers.append(Layer("x", kind, (width, side, side), held, held // 2, held * side**2))
        maps = width
    return [
        *layers,
        Layer("pool", "max over places", (256,), 0, 0, 0),
        Layer("o", "linear", (10,), 2560, 2560, 2560),
    ]


def layer_maps(count: int) -> list[LayerMaps]:
    maps = [LayerMaps(f"block1.convolution{i}", (32, 9, 7), normal(8, 9, 7)) for i in range(count - 1)]
    return [*maps, LayerMaps("output", (10,), normal(10))]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).random(shape)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).normal(size=shape)


NAMES = list(HOSTILE)
LARGE = random(30, 30)
KINDS: dict[str, Callable[[], Figure]] = {
    "sliding, colour": sliding,
    "sliding, grey": lambda: sliding(channels=1, size=8, places=[(1, 1), (6, 6), (4, 3)]),
    "sliding, 2×2": lambda: sliding(side=2, places=[(11, 11), (2, 2)]),
    "sliding, 7×7": lambda: sliding(channels=1, side=7, places=[(1, 1)], size=28),
    "sliding, large numbers": lambda: sliding(bias=-12345.0),
    "filters, grey": lambda: filter_images(normal(16, 1, 3, 3)),
    "filters, colour": lambda: filter_images(normal(100, 3, 5, 5)),
    "filters, own scales": lambda: filter_images(normal(24, 3, 2, 2) ** 7),
    "filters, one": lambda: filter_images(np.ones((1, 1, 3, 3))),
    "maps": lambda: activation_maps(random(32, 32, 3), layer_maps(18), NAMES[:2], "Maps"),
    "maps, few": lambda: activation_maps(random(8, 8), layer_maps(3), ["a" * 200], "Maps"),
    "pooling": lambda: pooling_step(LARGE, LARGE.reshape(15, 2, 15, 2).max((1, 3)), (3, 4)),
    "pooling, signs": lambda: pooling_step(-100 - random(6, 6), np.ones((2, 2)), (0, 0), kernel=3),
    "pooling, to one": lambda: pooling_step(np.ones((2, 2)), np.ones((1, 1)), (0, 0), kind="mean"),
    "stack": lambda: layer_stack(speed_layers(), (3, 32, 32)),
    "stack, mlp": lambda: layer_stack([Layer("a", "linear", (10,), 7850, 7850, 7840)], (1, 28, 28)),
    "classes": lambda: class_accuracy(random(8), NAMES, [[0.1, 0.9]] * 8, 0.5),
    "classes, many": lambda: class_accuracy(
        random(100), [f"c{i}" for i in range(100)], [[0.1, 0.9]] * 100, 0.5
    ),
    "representation": lambda: representation(
        normal(200, 2), [i % 8 for i in range(200)], NAMES, [0.5, 0.25], list(random(200, 8, 8))
    ),
    "probabilities": lambda: class_probabilities(
        random(40, 60, 3), random(8, 8), np.full(8, 0.125), NAMES, "$x$", "resized"
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_is_readable(kind: str) -> None:
    assert_readable(KINDS[kind]())


# --- a filter slides -----------------------------------------------------------------------------------


def frames(figure: Figure, colour: str) -> list[Rectangle]:
    """The unfilled rectangles of one colour."""
    unfilled = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and not p.get_fill()]
    return [p for p in unfilled if p.get_edgecolor() == to_rgba(colour)]


def pictures(figure: Figure) -> list[AxesImage]:
    return list(figure.axes[0].images)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_dot_product_is_written_out(channels: int) -> None:
    """The numbers of window and filter, the sum of products of each channel, and the map's value."""
    generator = np.random.default_rng(3)
    inputs, weights = generator.normal(size=(channels, 9, 9)), generator.normal(size=(channels, 3, 3))
    answers = correlation(inputs, weights, -0.5)
    picture = np.zeros((9, 9, 3)) if channels == 3 else np.zeros((9, 9))
    figure = sliding_filter(picture, inputs, weights, -0.5, answers, [(4, 5)], padding=1)
    shown = texts(figure)
    window = inputs[:, 3:6, 4:7]  # one row and column before the centre, as padding 1 centres the filter
    for value in (*window.flat, *weights.flat) if channels == 1 else ():
        assert short(value) in shown
    sums = [np.vdot(window[c], weights[c]) for c in range(channels)]
    assert any(text.endswith(f"(bias) = {short(answers[4, 5])}") for text in shown)
    if channels == 3:
        assert all(any(text.startswith(f"= {short(value)} (") for text in shown) for value in sums)
    else:
        assert f"their sum: {short(sums[0])}" in shown
        assert all(short(value) in shown for value in (window * weights).flat)


def test_windows_and_map_places_are_where_the_numbers_come_from() -> None:
    """With stride 2 and padding 1, place (r, c) looks at rows 2r − 1 … 2r + 1."""
    inputs = np.random.default_rng(4).normal(size=(1, 10, 10))
    weights = np.ones((1, 3, 3))
    answers = correlation(inputs, weights, 0.0)[::2, ::2]
    figure = sliding_filter(inputs[0], inputs, weights, 0.0, answers, [(2, 3)], stride=2, padding=1)
    window, place = sorted(frames(figure, MARK_A), key=lambda p: p.get_y())
    image, activation = (
        pictures(figure)[0],
        next(i for i in pictures(figure) if pixels(i).shape == (5, 5)),
    )
    for patch, picture, (top, left, side) in ((window, image, (3, 5, 3)), (place, activation, (2, 3, 1))):
        x0, x1, _, y0 = picture.get_extent()
        pixel = (x1 - x0) / pixels(picture).shape[1]
        assert patch.get_x() == pytest.approx(x0 + left * pixel)
        assert patch.get_y() == pytest.approx(y0 + top * pixel)
        assert patch.get_width() == pytest.approx(side * pixel)


@given(st.floats(-1e30, 1e30))
def test_numbers_in_cells_are_short_and_right(value: float) -> None:
    text = short(value)
    assert len(text) <= 9
    if abs(value) < 99_999:
        digits = 2 if abs(value) < 9.99 else 1 if abs(value) < 99.9 else 0
        assert float(text.replace("−", "-")) == pytest.approx(value, abs=0.501 * 10.0**-digits)
        assert text.strip("0.") or "−" not in text  # no minus zero


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=9), st.floats(0.2, 0.8))
@settings(max_examples=50)
def test_numbers_fit_into_their_cells(values: list[float], side: float) -> None:
    size = cell_font(side, np.array(values))
    assert all(width_in_points(short(value), size) <= 72 * side for value in values)


@pytest.mark.parametrize(("ground", "ink"), [((1, 1, 1, 1), "#222222"), ((0, 0, 0.5, 1), "#FFFFFF")])
def test_ink_stands_out(ground: tuple[float, float, float, float], ink: str) -> None:
    assert ink_on(ground) == ink


# --- pooling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [2, 3])
def test_pooling_writes_out_four_windows_and_stresses_the_largest(kernel: int) -> None:
    large = np.random.default_rng(5).permutation(36 * kernel**2).reshape(6 * kernel, 6 * kernel) / 10
    small = large.reshape(6, kernel, 6, kernel).max((1, 3))
    figure = pooling_step(large, small, (2, 3), kernel=kernel)
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_fontweight() == "bold"]
    wanted = [short(value) for value in small[2:4, 3:5].flat]
    assert sorted(bold) == sorted(2 * wanted)
    crop = large[2 * kernel : 4 * kernel, 3 * kernel : 5 * kernel]
    assert all(short(value) in texts(figure) for value in crop.flat)


def test_a_pixel_is_as_large_before_and_after_pooling() -> None:
    figure = pooling_step(np.random.default_rng(6).random((8, 12)), np.zeros((4, 6)), (0, 0))
    sizes = {pixels(i).shape: i.get_extent() for i in pictures(figure)}
    sides = [(x1 - x0) / shape[1] for shape, (x0, x1, _, _) in sizes.items() if shape in ((8, 12), (4, 6))]
    assert len(sides) == 2
    assert sides[0] == pytest.approx(sides[1])


# --- filters and maps ----------------------------------------------------------------------------------


def test_colours_of_a_filter_are_its_weights() -> None:
    weights = np.array([1.0, 0.0, -2.0]).reshape(3, 1, 1)
    np.testing.assert_allclose(weights_as_colours(weights, 2.0), [[[0.75, 0.5, 0.0]]])


def test_filters_share_one_scale_unless_they_differ_too_much() -> None:
    generator = np.random.default_rng(7)
    weights = generator.uniform(-1, 1, (4, 1, 3, 3))
    weights[:, 0, 0, 0] = [1, 2, 3, 4]
    limits = {image.norm.vmax for image in pictures(filter_images(weights))}
    assert limits == {4.0}
    weights[3, 0, 0, 0] = 40
    own = filter_images(weights)
    assert [image.norm.vmax for image in pictures(own)] == [1, 2, 3, 40]
    assert {"1.00", "2.00", "3.00", "40.0"} <= set(texts(own))


def test_blue_is_positive_and_vermillion_negative_in_every_picture_of_weights() -> None:
    weights = np.array([[[[1.0, -1.0]]]])
    for figure in (filter_images(weights), weight_templates(weights, ["a"])):
        image = pictures(figure)[0]
        colours = np.asarray(image.to_rgba(np.array([[1.0, -1.0]])))[0, :, :3]
        np.testing.assert_allclose(colours, [to_rgb("#0072B2"), to_rgb("#D55E00")])


def test_of_many_filters_the_first_64_are_shown_and_counted() -> None:
    figure = filter_images(np.random.default_rng(8).normal(size=(100, 3, 3, 3)))
    assert len([i for i in pictures(figure) if pixels(i).shape == (3, 3, 3)]) == 64
    assert "first 64 of 100 filters" in figure.get_suptitle()


def test_maps_have_their_own_colours_and_a_dead_one_is_grey() -> None:
    maps = np.zeros((2, 3, 3))
    maps[0] = np.arange(9).reshape(3, 3)
    figure = activation_maps(np.zeros((3, 3)), [LayerMaps("layer", (2, 3, 3), maps)], [], "Maps")
    strip = np.asarray(pixels(pictures(figure)[1]))
    assert strip.shape[2] == 4
    np.testing.assert_array_equal(strip[0, 0], [68, 1, 84, 255])  # the two ends of viridis
    wide = next(i for i in range(strip.shape[1]) if strip[0, i, 3] == 0)  # where the gap begins
    np.testing.assert_array_equal(strip[-1, wide - 1], [253, 231, 36, 255])
    np.testing.assert_array_equal(strip[0, -1], [round(255 * part) for part in to_rgba(GRID)])


def test_a_map_keeps_its_proportions_and_its_pixels() -> None:
    maps = np.random.default_rng(9).normal(size=(1, 4, 8))
    figure = activation_maps(np.zeros((3, 3)), [LayerMaps("layer", (1, 4, 8), maps)], [], "Maps")
    image = pictures(figure)[1]
    x0, x1, y1, y0 = image.get_extent()
    assert (x1 - x0) == pytest.approx(2 * (y1 - y0))
    strip = np.asarray(pixels(image))
    rows, columns = ((np.arange(n) + 0.5) * strip.shape[axis] // n for axis, n in ((0, 4), (1, 8)))
    bands = np.flatnonzero(np.any(np.diff(strip[:, 0].astype(int), axis=0), axis=1)) + 1
    np.testing.assert_allclose(bands, np.array([0.25, 0.5, 0.75]) * len(strip), atol=1)
    green = strip[rows.astype(int)][:, columns.astype(int), 1].astype(int)  # it rises all along viridis
    assert np.all(np.diff(green.ravel()[np.argsort(maps[0].ravel())]) >= 0)


# --- the stack of layers -------------------------------------------------------------------------------


def test_every_box_has_the_numbers_of_its_layer() -> None:
    layers = [
        Layer("c", "convolution 3×3", (16, 32, 32), 448, 448, 442_368),
        Layer("a", "relu", (16, 32, 32), 0, 0, 0),
        Layer("p", "max-pool 2×2", (16, 16, 16), 0, 0, 0),
        Layer("o", "linear", (10,), 40_970, 0, 40_960),
    ]
    figure = layer_stack(layers, (3, 32, 32))
    shown = texts(figure)
    assert {"3×32×32", "16×32×32", "16×16×16", "10", "448", "442 k", "41.0 k fixed"} <= set(shown)
    assert "41.4 k parameters and 483 k multiply-adds" in title(figure)
    assert any(text.split() == ["conv.", "3×3", "ReLU"] for text in shown)


kinds = st.sampled_from(["convolution 3×3", "relu", "batch norm", "max-pool 2×2", "linear", "dropout 0.5"])


@given(st.lists(st.tuples(kinds, st.integers(1, 3), st.integers(0, 99)), min_size=1, max_size=30))
def test_joining_layers_loses_no_number(drawn: list[tuple[str, int, int]]) -> None:
    layers = [Layer("n", kind, (size,), count, count // 2, 3 * count) for kind, size, count in drawn]
    joined = grouped(layers)
    for field in ("parameters", "trainable", "multiply_adds"):
        assert sum(getattr(x, field) for x in joined) == sum(getattr(x, field) for x in layers)
    assert [k for x in joined for k in x.kind.split(" + ")] == [x.kind for x in layers]
    for first, second in itertools.pairwise(joined):
        assert first.output_shape != second.output_shape or re.search("convolution|linear|pool", second.kind)


@given(st.integers(0, 10**13))
def test_amounts_keep_three_digits(count: int) -> None:
    text = amount(count)
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    value = float(text.split()[0].replace(",", "")) * units.get(text.split()[-1], 1.0)
    assert value == pytest.approx(count, rel=5.1e-3)
    assert len(text) <= 9


# --- classes -------------------------------------------------------------------------------------------


def test_classes_are_bars_from_the_best_to_the_worst() -> None:
    figure = class_accuracy(
        [0.5, np.nan, 0.9], ["a", "b", "c"], [[0.4, 0.6], [np.nan, np.nan], [0.8, 0.95]], 0.7
    )
    axes = figure.axes[0]
    assert [bar.get_width() for bar in bars(axes)] == [90, 50, 0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["c", "a", "b"]
    (intervals,) = axes.collections
    assert isinstance(intervals, LineCollection)
    np.testing.assert_allclose([s[:, 0] for s in intervals.get_segments()], [[80, 95], [40, 60]])
    assert {"all: 70.00 %", "chance: 33.3 %", "no examples"} <= set(texts(figure))
    np.testing.assert_allclose([data(line)[0, 0] for line in axes.lines], [70, 100 / 3])
    assert figure.get_suptitle() == "Easiest class: c, 90.0 %; hardest: a, 50.0 %"


def test_of_many_classes_the_best_and_the_worst_are_shown() -> None:
    accuracy = np.arange(100) / 100
    figure = class_accuracy(accuracy, [f"c{i}" for i in range(100)], np.stack([accuracy] * 2, 1), 0.5)
    widths = [bar.get_width() for bar in bars(figure.axes[0])]
    np.testing.assert_allclose(widths, [*range(99, 93, -1), *range(5, -1, -1)])


def test_classes_keep_their_points_and_thumbnails_their_room() -> None:
    generator = np.random.default_rng(10)
    labels = np.repeat(np.arange(4), 30)
    middles = np.array([[0, 0], [0.4, 0], [10, 0], [0, 10]])
    points = middles[labels] + generator.normal(size=(120, 2)) / 20
    figure = representation(
        points, labels.tolist(), list("abcd"), [0.6, 0.4], list(generator.random((120, 8, 8)))
    )
    axes = figure.axes[0]
    for index, line in enumerate(axes.lines):
        np.testing.assert_array_equal(line.get_xydata(), points[labels == index])
    figure.canvas.draw()
    boxes = [a.get_window_extent() for a in axes.artists if isinstance(a, AnnotationBbox)]
    assert len(boxes) == 3  # the classes a and b lie over each other: one of them has no thumbnail
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert "component 1: 60.0 % of the variance" in texts(figure)
    assert "Two directions hold 100 % of" in title(figure)


def test_the_five_most_probable_classes_are_bars() -> None:
    chances = np.array([0.05, 0.4, 0.1, 0.02, 0.3, 0.13])
    names = list("abcdef")
    figure = class_probabilities(np.zeros((9, 9)), np.zeros((4, 4)), chances, names, "cat.png", "resized")
    bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle) and p.get_fill()]
    widths = np.array([bar.get_width() for bar in bars])
    np.testing.assert_allclose(widths / widths[0], np.array([0.4, 0.3, 0.13, 0.1, 0.05]) / 0.4)
    assert figure.get_suptitle() == "cat.png: the model says b, 40 %"
