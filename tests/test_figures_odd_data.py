"""Figures of what nobody plans for: a thousand classes, no mistakes, numbers that are none, any names."""

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from nnlab.chapters.classification.figures import (
    convergence,
    gradient_noise,
    regression_fit,
    regularization_paths,
    separable_growth,
)
from nnlab.chapters.convolution.figures.classes import class_accuracy, class_probabilities, representation
from nnlab.chapters.convolution.figures.filters import filter_images, sliding_filter
from nnlab.chapters.lecture.figures import graph_of
from nnlab.plot.activations import activation_functions
from nnlab.plot.confusion import confusion_matrix
from nnlab.plot.curves import compare_curves, learning_curves
from nnlab.plot.images import weight_templates, worst_mistakes
from nnlab.plot.regions import decision_regions
from nnlab.plot.save import render
from tests.figure_checks import assert_finite_limits

NAMES = [
    "$x$", "a_{b}^%&#\\", "name\nof two", "很长的名字" * 6, "Название класса", "عربى", "x" * 200, "🙂", "",
    "\ud800",
]  # fmt: skip


def names(count: int) -> list[str]:
    return [*itertools.islice(itertools.cycle(NAMES), count)]


def history(epochs: int, loss: float, accuracy: float) -> dict[str, Any]:
    arrays = {"epoch": np.arange(1, epochs + 1), "loss": np.full(epochs, loss)}
    return {"train": arrays | {"accuracy": np.full(epochs, accuracy)}, "val": arrays}


def regions(classes: int) -> Figure:
    probabilities = np.full((2, 2, classes), 1 / classes)
    return decision_regions(
        [0.0, 1.0], [0.0, 1.0], {"$a_b$": probabilities}, np.zeros((1, 2)), np.zeros(1, int), names(classes)
    )


def accuracies(classes: int, value: float) -> Figure:
    return class_accuracy(np.full(classes, value), names(classes), np.full((classes, 2), value), value)


def hidden(classes: int, value: float) -> Figure:
    return representation(
        np.full((3, 2), value), [0, 0, 0], names(classes), [0.0, value], [np.zeros((2, 2))] * 3
    )


def fit(values: np.ndarray, prediction: np.ndarray | None = None) -> Figure:
    return regression_fit(
        values, values, values if prediction is None else prediction, values[:1], values[:1]
    )


CASES: dict[str, Callable[[], Figure]] = {
    "one class": lambda: confusion_matrix([[5]], ["a"]),
    "any names": lambda: confusion_matrix(3 * np.eye(10), NAMES),
    "a thousand classes": lambda: confusion_matrix(np.eye(1000), names(1000)),
    "nothing classified": lambda: confusion_matrix(np.zeros((3, 3)), ["", "", ""]),
    "an empty row": lambda: confusion_matrix([[0, 0], [1, 2]], ["a", "b"]),
    "no mistakes": lambda: worst_mistakes([], [], [], [], ["a"]),
    "mistakes of any names": lambda: worst_mistakes(
        [np.zeros((8, 8))] * 10, [*range(10)], [*range(10)], [np.nan] * 10, NAMES
    ),
    "one pixel": lambda: worst_mistakes([np.zeros((1, 1))], [0], [0], [1.0], ["a"]),
    "a tall image": lambda: worst_mistakes([np.zeros((400, 2))], [0], [0], [1.0], ["a"]),
    "many templates": lambda: weight_templates(np.zeros((40, 1, 4, 4)), names(40)),
    "a template without numbers": lambda: weight_templates(np.full((1, 1, 1, 1), np.nan), ["a"]),
    "filters without numbers": lambda: filter_images(np.full((3, 1, 2, 2), np.nan)),
    "an infinite filter": lambda: sliding_filter(
        np.zeros((4, 4)), np.full((1, 4, 4), np.inf), np.full((1, 2, 2), np.inf), np.inf,
        np.full((3, 3), np.inf), [(0, 0)], stride=1, padding=0, name="f",
    ),
    "one region": lambda: regions(1),
    "a thousand regions": lambda: regions(1000),
    "no accuracy": lambda: accuracies(3, np.nan),
    "the accuracy of one class": lambda: accuracies(1, 1.0),
    "the accuracy of a thousand": lambda: accuracies(1000, 0.0),
    "features without spread": lambda: hidden(1, 0.0),
    "features that are no numbers": lambda: hidden(2, np.nan),
    "features of a thousand classes": lambda: hidden(1000, 1.0),
    "one epoch": lambda: learning_curves(history(1, 0.0, 1.0), best_epoch=1, final_test={"loss": np.inf}),
    "two epochs": lambda: learning_curves(history(2, np.nan, np.nan), final_test={"accuracy": np.nan}),
    "no epochs": lambda: learning_curves({"train": {"epoch": [], "loss": []}}),
    "zeros on a log scale": lambda: compare_curves(
        {name: history(2, 0.0, 0.0)["train"] for name in NAMES}, log=True
    ),
    "a fit of one point": lambda: fit(np.ones(1)),
    "a fit of large times": lambda: fit(1.7e9 + np.arange(5.0)),
    "a fit beyond all axes": lambda: fit(np.array([1e300, 1.5e300])),
    "a constant fit": lambda: fit(np.full(5, 1e9), np.full(5, np.nan)),
    "a probability of one": lambda: class_probabilities(
        np.zeros((3, 3)), np.zeros((3, 3)), [1.0], ["$"], "a_$" * 50, "w" * 500
    ),
    "growth without a loss": lambda: separable_growth([0, 1], [0, 0], [0, 0], [np.nan, np.nan]),
    "distances of zero": lambda: convergence([0, 1], {"$": [0, 0]}, {"$": 0.0}),
    "noise of zero": lambda: gradient_noise([1], [0], [0], [[0, 0]], [0]),
    "one strength": lambda: regularization_paths(
        [1.0], {"$": {"accuracy": [np.nan], "sparsity": [0], "norm": [np.inf]}}
    ),
    "an activation without numbers": lambda: activation_functions(
        [0.0, 1.0], {"$": ([np.nan] * 2, [np.inf] * 2)}
    ),
    "a graph of one variable": lambda: graph_of("x", {"x": 1e300}, "f = x"),
}  # fmt: skip


QUICK = """one class, an empty row, no mistakes, one pixel, a template without numbers, an infinite filter,
one region, no accuracy, features that are no numbers, one epoch, a fit beyond all axes,
growth without a loss"""
ALL = [
    pytest.param(case, marks=() if case in QUICK.replace("\n", " ").split(", ") else pytest.mark.slow)
    for case in CASES
]


@pytest.mark.parametrize("case", ALL)
def test_odd_data_are_drawn_without_a_warning(case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = CASES[case]()
        assert_finite_limits(figure)
        assert render(figure, "png", "x").startswith(b"\x89PNG")
        assert b"</svg>" in render(figure, "svg", "x")
    assert figure.get_suptitle()


def test_large_numbers_leave_short_ticks() -> None:
    figure = CASES["a fit of large times"]()
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert axes.get_xlabel() == "input x − 1,700,000,000"
    assert {label.get_text() for label in axes.get_xticklabels()} >= {"0", "1", "2", "3", "4"} or all(
        len(label.get_text()) <= 4 for label in axes.get_xticklabels()
    )


def test_a_thousand_classes_are_not_all_named() -> None:
    words = {text.get_text() for text in CASES["a thousand regions"]().findobj(Text)}
    assert "and 990 more" in words
