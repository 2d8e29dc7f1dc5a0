"""The figures beyond the lecture are fit for a slide, too, and no figure function goes without this check."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import nnlab.chapters
import nnlab.plot
from nnlab.chapters.beyond.catapult.figures import catapult
from nnlab.chapters.beyond.double_descent.figures import double_descent
from nnlab.chapters.beyond.edge_of_stability.figures import edge_of_stability
from nnlab.chapters.beyond.ensembles.figures import functions_on_the_circle
from nnlab.chapters.beyond.max_margin.figures import max_margin
from nnlab.chapters.beyond.minimal_norm.figures import distance_from_start
from nnlab.chapters.beyond.rich.figures import best_steps, features_over_width
from nnlab.chapters.beyond.spectral_bias.figures import decay_of_harmonics
from nnlab.chapters.convolution.figures.classes import shuffled_pixels
from nnlab.chapters.kernels.figures.finite_width import spread_and_shift
from nnlab.chapters.lecture.figures import graph_of, loss_of_probability
from nnlab.chapters.widths.figures import growth_at_the_edge
from nnlab.record.figures import NotRepeatable, function_of
from tests.figure_checks import assert_readable, title

RANDOM = np.random.default_rng(0)
STEPS = np.arange(200.0)
WIDTHS = [64, 256, 1024]


def catapults() -> Figure:
    sweep = np.linspace(0.5, 4.5, 50)
    peaks = np.where(sweep > 2, np.exp(2 * (sweep - 2)), 1.0)
    products = np.array([1.0, 2.5, 3.5])
    return catapult(sweep, np.minimum(sweep, 1.9), peaks, products, [1.0, 1.5, 1.0], [1.0, 2.7, 20.0])


def descents() -> Figure:
    p = np.array([10.0, 50, 90, 150, 400])
    risk = np.array([1.0, 2, 9, 3, 1.5])
    curve = np.geomspace(10, 400, 90)
    formula = 100 / np.abs(curve - 100)
    bounds = np.stack([0.9 * risk, 1.1 * risk], axis=1)
    return double_descent(100, p, risk, bounds, curve, formula, p, 1.2 * risk, "99.99%")


def edges() -> Figure:
    sharpness = np.stack([np.minimum(start + STEPS / 60, 2.0) for start in (0.3, 0.6)])
    loss = np.exp(-STEPS / 80) + 0 * sharpness
    return edge_of_stability(
        STEPS, [0.3, 0.6], sharpness, loss, np.linspace(1, 12, 50), np.geomspace(1, 0.01, 50)
    )


def ensembles() -> Figure:
    angles, functions = np.linspace(0, 360, 60), RANDOM.normal(size=(50, 60))
    panel = functions, np.zeros(60), np.ones(60)
    panels = dict.fromkeys(("start", "all_layers", "last_layer"), panel)
    return functions_on_the_circle(
        angles, (np.array([90.0]), np.array([1.0])), panels, np.array([1.01, 0.98, 1.0])
    )


def margins() -> Figure:
    steps = np.geomspace(1, 1e5, 60)
    vectors, points = np.tile([2.0, 1.0], (60, 1)), RANDOM.normal(size=(20, 2))
    angle = 40 / np.log(2 + steps)
    return max_margin(steps, angle, 0.98 * angle, vectors, points, [1, 0], [1, 1])


def harmonics() -> Figure:
    k, lives = np.array([1.0, 2, 3, 4]), np.array([5.0, 20, np.inf, 80])
    shares = 0.5 ** (np.arange(201) / lives[:, None]) * np.ones((3, 1, 1))
    return decay_of_harmonics({"without_bias": (k, lives, shares), "with_bias": (k, lives / 2, shares)}, 1024)


def edge_factors() -> Figure:
    x = np.array([0.75, 1.25, 2.25, 3.25])
    factors = np.abs(1 - x) * np.ones((3, 4, 1))
    families = (
        f"{kind}, {depth}" for kind in ("ntk", "standard") for depth in ("1 hidden layer", "2 hidden layers")
    )
    return growth_at_the_edge(x, dict.fromkeys(families, factors))


def norms() -> Figure:
    share = 1 - np.exp(-STEPS / 9)
    return distance_from_start(STEPS, share, share, np.array(WIDTHS, float), 1 + RANDOM.random((3, 8)) / 9)


def spreads() -> Figure:
    measured = {"relu": np.outer([0.4, 0.1, 0.03], [1, 0.9, 1.1])}
    return spread_and_shift(WIDTHS, measured, {"relu": 30.0}, {"relu": [[1, 0.9, 1.1]] * 3})


def pixels() -> Figure:
    accuracies = {"fully connected": ([0.95, 0.96], [0.95, 0.94]), "convolutional": ([1.0, 0.99], [0.8, 0.9])}
    return shuffled_pixels(RANDOM.random((8, 8)), RANDOM.random((8, 8)), accuracies, 0.1)


FIGURES: dict[str, Callable[[], Figure]] = {
    "catapult": catapults,
    "double descent": descents,
    "edge of stability": edges,
    "pixels": pixels,
    "ensembles": ensembles,
    "margin": margins,
    "norm": norms,
    "features": lambda: features_over_width(
        WIDTHS, {"mup": np.ones((3, 4)), "ntk": np.outer([8, 4, 2], np.ones(4))}
    ),
    "steps": lambda: best_steps(
        WIDTHS, {f"{o}/{p}": np.outer([3, 2, 1], np.ones(2)) for o in ("sgd", "adam") for p in ("mup", "ntk")}
    ),
    "spectral bias": harmonics,
    "finite width": spreads,
    "factors": edge_factors,
    "loss of a probability": lambda: loss_of_probability(
        np.linspace(0.01, 1, 50), -np.log(np.linspace(0.01, 1, 50)), 0.13
    ),
    "sum": lambda: graph_of("(x + y) * z", {"x": -2.0, "y": 5.0, "z": -4.0}, "f = (x + y) * z"),
}


@pytest.mark.parametrize("kind", FIGURES)
def test_it_is_fit_for_a_slide(kind: str) -> None:
    assert_readable(FIGURES[kind]())


def test_titles_have_the_numbers_of_the_figure() -> None:
    assert "climbs to 20 times its start" in title(catapults())
    assert title(FIGURES["sum"]()) == "f = (x + y) · z = −12: steepest in x, gradient −4"
    assert "within 2.4 %" in title(FIGURES["finite width"]())  # 0.03 · 1024 / 30
    assert (
        title(FIGURES["features"]())
        == "The last layer's features move like m⁰·⁰⁰ (µP), m⁻⁰·⁵⁰ (NTK parameterization)"
    )


def test_every_figure_function_is_drawn_in_a_test() -> None:
    """A function that returns a figure, but is in no test of figures, would go without the checks."""
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_figures*.py"))
    names = []
    for package in (nnlab.plot, nnlab.chapters):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            parts = module.name.split(".")
            if "figures" not in parts and parts[:2] != ["nnlab", "plot"]:
                continue
            for name in vars(importlib.import_module(module.name)):
                try:
                    function_of(f"{module.name}:{name}")
                except NotRepeatable:
                    continue
                names.append(name)
    assert len(names) > 40
    parts_of_figures = {"new_figure", "fixed_figure", "overlay"}
    assert not [name for name in names if name not in tests and name not in parts_of_figures]
