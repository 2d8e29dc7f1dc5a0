"""What the figures of section 6 compute in the browser, against nnlab.approximation."""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nnlab.approximation import ScalarNetwork, build_bins, certify, make_target
from nnlab.approximation.perceptron import CORNERS, GATES, separate
from nnlab.approximation.surfaces import Grid, centre_heights, isolated_towers, quadrant_thresholds
from nnlab.approximation.xor_units import exact_xor
from nnlab.chapters.approximation.widget import PAGE
from nnlab.chapters.approximation.worked import HAND_BINS
from nnlab.page.widget import Widget
from tests.widget_page import opened

EXPRESSIONS = {  # and the largest |f'| on [0, 1] where it is known
    "0.5 + 0.25*sin(2*pi*x) + 0.1*sin(7*pi*x + 1)": None,
    "sin(2*pi*x)": 2 * math.pi,
    "1 - abs(2*x - 1)": 2.0,
    "1/(1 + 25*(2*x - 1)^2)": 10 * 3**1.5 / 8,
    "4*x*(1 - x)": 4.0,
    "exp(-50*(x - 0.5)^2)": 10 * math.exp(-0.5),
    "x^3 - x^2 + tanh(5*x)": 5.0,
    "max(x, 0.8 - x) + min(x^2, 0.25)": None,  # kinks in two places: in one, both slopes would count
    "sigmoid(9*x - 4) - relu(x - 0.3)": 1.25,
    "sqrt(1 + x) * log(2 + x) / cosh(x)": None,
    "cos(40*x)*x^1.5": None,
    "arctan(8*x) - cbrt(x + 0.1) + softplus(3*x)": None,
}


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page with every figure of the section that needs no run."""
    widgets = [idea.figure for idea in PAGE.ideas if isinstance(idea.figure, Widget)]
    with opened(browser, tmp_path_factory.mktemp("page") / "page.html", widgets) as found:
        yield found


def known_error(edges: list[float], heights: list[float], text: str) -> tuple[float, float]:
    """The certificate of the network of hard steps at these edges, with these heights."""
    hidden = np.ones((len(edges) - 2, 1)), -np.array(edges[1:-1])
    network = ScalarNetwork([hidden, (np.diff(heights)[None], np.array(heights[:1]))], "step")
    found = certify(network, make_target(text), relative=1e-6)
    return found.lower, found.upper


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_ranges_hold_every_value_and_little_more(page: Any, text: str) -> None:
    cells = [(0.0, 1.0), (0.0, 0.03), (0.21, 0.4), (0.5, 0.5), (0.49, 0.51), (0.9, 1.0)]
    script = """([text, cells]) => {
      const f = nnlab.enclosure(text);
      return cells.map(([a, b]) => f.range(a, b, 1e-6));
    }"""
    ranges = page.evaluate(script, [text, cells])
    target = make_target(text)
    for (a, b), (low, high) in zip(cells, ranges, strict=True):
        values = target.values(np.linspace(a, b, 20_001)[:, None])
        assert low <= values.min()
        assert values.max() <= high
        assert high - low <= np.ptp(values) + 1e-5  # 10⁻⁶ twice, and what 20,000 places miss of a crest
        cell = target.enclose(np.array([[a]]), np.array([[b]]))  # both hold the range, so they meet
        assert float(cell.lo[0]) <= high
        assert low <= float(cell.hi[0])


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_lipschitz_constants_are_the_largest_slopes(page: Any, text: str) -> None:
    found = page.evaluate("(text) => nnlab.enclosure(text).lipschitz()", text)
    values = make_target(text).values(np.linspace(0, 1, 200_001)[:, None])
    steepest = np.abs(np.diff(values)).max() * 200_000
    assert steepest * (1 - 1e-9) <= found <= 1.002 * steepest
    if EXPRESSIONS[text] is not None:
        assert found >= EXPRESSIONS[text]


@pytest.mark.parametrize("text", ["sqrt(x)", "where(x < 0.5, 0, 1)", "floor(3*x)"])
def test_a_function_without_a_lipschitz_constant_has_none(page: Any, text: str) -> None:
    assert page.evaluate("(text) => nnlab.enclosure(text).lipschitz() > 1e4", text)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_the_certified_error_of_bins_is_that_of_their_network(page: Any, text: str) -> None:
    random = np.random.default_rng(len(text))
    edges = [0.0, *np.sort(random.uniform(0.02, 0.98, 6)).tolist(), 1.0]
    heights = random.uniform(-1, 1, 7).tolist()
    script = """([text, edges, heights]) => {
      const f = nnlab.enclosure(text);
      const bins = { edges, heights };
      return [Math.max(...nnlab.bins.certified(f, bins)), nnlab.bins.sampled(f, bins).error];
    }"""
    certified, sampled = page.evaluate(script, [text, edges, heights])
    lower, upper = known_error(edges, heights, text)
    assert lower <= certified <= upper * (1 + 1e-9) + 2e-5  # 10⁻⁵ is what a range may be too wide
    assert sampled <= upper


def test_best_heights_leave_half_of_the_range_and_no_heights_less(page: Any) -> None:
    text, edges = "sin(2*pi*x)", [0.0, 0.2, 0.7, 1.0]
    script = """([text, edges]) => {
      const f = nnlab.enclosure(text);
      return nnlab.bins.certified(f, nnlab.bins.best(f, edges));
    }"""
    values = [make_target(text).values(np.linspace(a, b, 10_001)[:, None]) for a, b in pairwise(edges)]
    np.testing.assert_allclose(
        page.evaluate(script, [text, edges]), [np.ptp(v) / 2 for v in values], atol=2e-5
    )


@pytest.mark.parametrize("epsilon", [0.5, 0.1, 0.03])
@pytest.mark.parametrize("text", ["x", "sin(2*pi*x)", "1 - abs(2*x - 1)", "sqrt(x)"])
def test_enough_bins_are_enough_and_the_fewest_are_fewest(page: Any, text: str, epsilon: float) -> None:
    script = """([text, e]) => {
      const f = nnlab.enclosure(text);
      const [needed, few] = [nnlab.bins.needed(f, e), nnlab.bins.fewest(f, e, 200)];
      const error = (bins) => Math.max(...nnlab.bins.certified(f, bins));
      const equal = needed < 1e4 ? error(nnlab.bins.equal(f, needed)) : null;
      return { needed: [needed < 1e4 ? needed : null, equal], few: [few.heights.length, error(few)] };
    }"""
    found = page.evaluate(script, [text, epsilon])
    rise = {"x": 1.0, "sqrt(x)": 1.0, "sin(2*pi*x)": 4.0, "1 - abs(2*x - 1)": 2.0}[text]  # up and down in all
    if text != "sqrt(x)":
        needed, error = found["needed"]
        slope = {"x": 1.0, "sin(2*pi*x)": 2 * math.pi, "1 - abs(2*x - 1)": 2.0}[text]
        assert needed in (math.ceil(slope / (2 * epsilon) - 1e-9), math.ceil(1.001 * slope / (2 * epsilon)))
        assert error <= epsilon * (1 + 1e-4)  # the range of a bin is known to 10⁻⁵
    count, error = found["few"]
    assert error <= epsilon
    assert count <= math.ceil(rise / (2 * epsilon)) + 1


def test_a_drawn_function_is_certified_from_its_straight_pieces(page: Any, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    ys = random.uniform(-1, 1, 21)
    table = tmp_path / "points.csv"
    table.write_text("x,y\n" + "\n".join(f"{i / 20!r},{y!r}" for i, y in enumerate(ys.tolist())))
    edges, heights = [0.0, 0.13, 0.5, 0.81, 1.0], random.uniform(-1, 1, 4).tolist()
    script = """([ys, edges, heights]) => {
      const f = nnlab.polyline(ys);
      return [Math.max(...nnlab.bins.certified(f, { edges, heights })), f.lipschitz()];
    }"""
    certified, lipschitz = page.evaluate(script, [ys.tolist(), edges, heights])
    lower, upper = known_error(edges, heights, str(table))
    assert lower <= certified <= upper * (1 + 1e-6)
    assert lipschitz == pytest.approx(20 * np.abs(np.diff(ys)).max(), rel=1e-12)


@pytest.mark.parametrize("text", ["1/(x - 0.5)", "log(x - 1)", "y", "2*", "erf(x)", "f(x)"])
def test_what_cannot_be_enclosed_is_refused_with_a_reason(page: Any, text: str) -> None:
    script = """(text) => {
      try {
        nnlab.enclosure(text);
        return "";
      } catch (error) {
        return error.reason ?? error.message;
      }
    }"""
    assert len(page.evaluate(script, text)) > 10


def test_towers_are_the_networks_of_the_library(page: Any) -> None:
    script = """([bins, w, xs]) => {
      const { value, outer, edges } = nnlab.towers((x) => Math.sin(2 * Math.PI * x), bins, w);
      return [xs.map(value), outer, edges];
    }"""
    xs = np.linspace(0, 1, 57)
    for bins, w in ((1, 30.0), (5, 100.0), (8, 25.0)):
        values, outer, edges = page.evaluate(script, [bins, w, xs.tolist()])
        network = build_bins(make_target("sin(2*pi*x)"), bins, construction="towers", steepness=w).network
        (weight, bias), (output, _) = network.weights()
        np.testing.assert_allclose(values, network.values(xs[:, None]), atol=1e-12)
        np.testing.assert_allclose(outer, output[0], atol=1e-15)
        np.testing.assert_allclose(edges, -bias / weight[:, 0], atol=1e-12)


@pytest.mark.parametrize("steepness", [2.0, 6.0, None])
def test_two_hidden_units_are_those_of_the_library(page: Any, steepness: float | None) -> None:
    script = """([w, corners]) => corners.map((corner) => (
      nnlab.perceptron.twoUnits(corner, [0.5, 1.5], w ?? Infinity).output + 0.5))"""
    found = np.array(page.evaluate(script, [steepness, CORNERS]))
    network, margin = exact_xor("step") if steepness is None else exact_xor("sigmoid", steepness)
    with torch.no_grad():
        values = network(torch.tensor(CORNERS, dtype=torch.float64))[:, 0].numpy()
    np.testing.assert_allclose(found - (found.max() + found.min()) / 2, values, atol=1e-12)
    assert (found.max() - found.min()) / 2 == pytest.approx(margin)


def test_a_perceptron_counts_what_its_line_gets_right(page: Any) -> None:
    script = """([degrees, distance, gate]) => {
      const { w, b } = nnlab.perceptron.weightsOf(degrees, distance);
      const scores = nnlab.perceptron.CORNERS.map(([p, q]) => w[0] * p + w[1] * q + b);
      return nnlab.perceptron.counts(scores, nnlab.perceptron.GATES[gate]);
    }"""
    most = {"XOR": 0, "AND": 0, "OR": 0}
    for gate in most:
        for degrees in range(-180, 180, 15):
            for distance in np.linspace(-0.8, 0.8, 9):
                counts = page.evaluate(script, [degrees, float(distance), gate])
                assert sum(counts.values()) == 4
                most[gate] = max(most[gate], counts["right"])
    assert most == {"XOR": 3, "AND": 4, "OR": 4}
    assert separate(np.array(CORNERS), GATES["xor"]).separable is False
    assert page.evaluate(script, [45, 0.0, "XOR"]) == {"right": 1, "wrong": 1, "onLine": 2}


def test_sums_are_least_squares(page: Any) -> None:
    script = """() => {
      const { unitsOf, fitted, UNITS } = nnlab.sums;
      const units = unitsOf(24, 5);
      const f = (x) => Math.sin(6 * x);
      return [units, [6, 24].map((n) => [...fitted(f, UNITS.sigmoid, units.slice(0, n)).alpha])];
    }"""
    units, both = page.evaluate(script)
    x = np.linspace(0, 1, 241)
    for alpha in both:
        some = units[: len(alpha) - 1]
        columns = [np.ones_like(x), *(1 / (1 + np.exp(-(u["w"] * x + u["b"]))) for u in some)]
        a = np.concatenate([np.stack(columns, 1), 1e-7 * math.sqrt(241) * np.eye(len(alpha))])
        y = np.concatenate([np.sin(6 * x), np.zeros(len(alpha))])
        known = np.linalg.lstsq(a, y, rcond=None)[0]
        assert np.linalg.norm(a @ np.array(alpha) - y) <= np.linalg.norm(a @ known - y) * (1 + 1e-6) + 1e-12
        np.testing.assert_allclose(a @ np.array(alpha), a @ known, atol=1e-7)


@pytest.mark.parametrize("kind", ["isolated towers", "quadrants that add up"])
@pytest.mark.parametrize("cells", [2, 5])
def test_surfaces_are_the_networks_of_the_library(page: Any, kind: str, cells: int) -> None:
    build = isolated_towers if kind == "isolated towers" else quadrant_thresholds
    grid = Grid(cells=(cells, cells))
    surface = build(grid, centre_heights(make_target("sin(pi*x1)*sin(pi*x2)"), grid), 0.2)
    points = np.random.default_rng(0).uniform(0, 1, (40, 2))
    script = """([kind, n, points]) => {
      const f = nnlab.surface.FUNCTIONS["sin πx₁ sin πx₂"];
      const { value, first, second } = nnlab.surface.build(f, n, kind, 0.2);
      return [points.map(([a, b]) => value(a, b)), first, second];
    }"""
    values, first, second = page.evaluate(script, [kind, cells, points.tolist()])
    assert (first, second) == (pytest.approx(surface.steepness[0]), pytest.approx(surface.threshold))
    np.testing.assert_allclose(values, surface.network.values(points), atol=1e-10)


def test_bins_are_dragged_by_mouse_and_by_keys_and_kept_in_the_address(page: Any) -> None:
    figure = page.locator("figure[data-kind=hand_bins]")
    figure.scroll_into_view_if_needed()
    says = figure.locator(".says")
    says.filter(has_text="5 bins").wait_for()
    before = says.inner_text()
    height = figure.get_by_label("height of bin 3")
    height.focus()
    page.keyboard.press("Shift+ArrowUp")
    by_keys = says.inner_text()
    assert by_keys != before
    box = figure.get_by_label("edge 2").locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 30, y, steps=4)
    page.mouse.up()
    assert says.inner_text() != by_keys
    state = page.evaluate("nnlab.stateOf(document.querySelector('figure[data-kind=hand_bins]'))")
    assert list(state) == ["bins"]
    figure.get_by_role("button", name="best heights").click()
    after = says.inner_text()
    page.evaluate("(s) => nnlab.setState(document.querySelector('figure[data-kind=hand_bins]'), s)", state)
    assert says.inner_text() != after
    assert page.evaluate("nnlab.stateOf(document.querySelector('figure[data-kind=hand_bins]'))") == state


def test_a_typed_function_is_certified_or_refused(page: Any) -> None:
    figure = page.locator("figure[data-kind=hand_bins]")
    field = figure.get_by_label("f(x) =")
    field.fill("x^2 +")
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("x/2")
    assert field.get_attribute("aria-invalid") == "false"
    figure.get_by_role("button", name="as many as ε needs").click()
    said = figure.locator(".says").inner_text()
    assert "3 bins: error ≤ 0.08334," in said  # ½ · ½ · ⅓ = 0.08333, rounded up
    assert "Within ε." in said


def test_a_function_is_drawn_by_mouse_and_by_keys(page: Any) -> None:
    figure = page.locator("figure[data-kind=hand_bins]")
    figure.scroll_into_view_if_needed()  # it is drawn when it is near
    figure.locator("select").select_option("drawn")
    says = figure.locator(".says")
    assert "straight pieces" in says.inner_text()
    middle = figure.get_by_role("slider", name="f(0.5)")
    before = middle.get_attribute("aria-valuetext")
    middle.focus()
    page.keyboard.press("Shift+ArrowDown")
    assert middle.get_attribute("aria-valuetext") != before
    marks = figure.get_by_role("slider", name="f(0.25)")
    box = marks.locator("circle").last.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 60, steps=6)
    page.mouse.up()
    state = page.evaluate("nnlab.stateOf(document.querySelector('figure[data-kind=hand_bins]'))")
    assert state["drawn"].count("_") == 20


def test_the_functions_to_choose_are_expressions(page: Any) -> None:
    for _, text in HAND_BINS.data["functions"]:
        assert page.evaluate("(text) => nnlab.enclosure(text).range(0, 1)[1] > 0", text)
