"""Diagrams of networks: which units and weights they draw, and where."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.widget_page import opened

XOR = {
    "layers": [2, 2, 1],
    "weights": [[[20, 20], [-20, -20]], [[20, 0]]],
    "biases": [[-10, 30], [-30]],
    "values": [[0, 1], [0.9999, 1], [0.998]],
    "labels": [["x₁", "x₂"], ["h₁", "h₂"], ["y"]],
    "titles": ["inputs", "hidden", "output"],
}

DRAW = """({ wide = 800, ...options }) => {
  const panel = document.querySelector("#panel") ?? document.body.appendChild(Object.assign(document.createElement("div"), { id: "panel", className: "widget" }));
  panel.style.width = `${wide}px`;
  const { at, r } = nnlab.network(panel, options);
  const lines = [...panel.querySelectorAll("line.edge")].map((line) => ({
    width: Number(line.getAttribute("stroke-width")), dash: line.getAttribute("stroke-dasharray"), colour: line.getAttribute("stroke"), classes: line.getAttribute("class"),
  }));
  const texts = [...panel.querySelectorAll("text")].filter((text) => text.textContent);
  const boxes = texts.map((text) => { const b = text.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; });
  const [, , width, height] = panel.querySelector("svg").getAttribute("viewBox").split(" ").map(Number);
  return {
    lines, boxes, width, height, r, texts: texts.map((text) => text.textContent), circles: panel.querySelectorAll("circle").length,
    label: panel.querySelector("svg").getAttribute("aria-label"), places: options.layers.map((n, l) => Array.from({ length: n }, (_, u) => at(l, u) ?? null)),
  };
}"""  # noqa: E501


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened(browser, tmp_path_factory.mktemp("diagram") / "page.html", []) as shown:
        yield shown


def test_every_weight_has_a_line_its_sign_and_its_number(page: Any) -> None:
    drawn = page.evaluate(DRAW, XOR)
    assert drawn["circles"] == 5
    assert len(drawn["lines"]) == 6
    positive, negative, zero = drawn["lines"][0], drawn["lines"][1], drawn["lines"][5]
    assert positive["dash"] is None
    assert negative["dash"]
    assert positive["colour"] != negative["colour"]
    assert positive["width"] == negative["width"] > zero["width"]
    assert "plain" in zero["classes"]
    for text in ("20", "−20", "b = −10", "b = 30", "x₁", "h₂", "y", "0.998", "inputs"):
        assert text in drawn["texts"]
    assert drawn["label"] == "a network: 2 inputs, 2 hidden units, 1 output"


def test_no_two_texts_are_on_top_of_each_other_and_none_is_cut(page: Any) -> None:
    for changes in ({}, {"biases": [[-1234.5, 30], [-30]]}, {"wide": 320}):
        drawn = page.evaluate(DRAW, {**XOR, **changes})
        boxes = np.array(drawn["boxes"])
        assert boxes[:, :2].min() >= 0
        assert boxes[:, 2].max() <= drawn["width"]
        assert boxes[:, 3].max() <= drawn["height"]
        for i, a in enumerate(boxes):
            for b in boxes[:i]:
                overlap = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
                assert overlap[0] < 1 or overlap[1] < 0.3 * (a[3] - a[1]), drawn["texts"]


def test_a_high_layer_is_cut_short_and_its_units_counted(page: Any) -> None:
    weights = [np.ones((100, 784)).tolist(), np.ones((10, 100)).tolist()]
    drawn = page.evaluate(
        DRAW, {"layers": [784, 100, 10], "weights": weights, "rows": 6, "path": [300, 7, None]}
    )
    assert drawn["circles"] == 15
    assert drawn["texts"].count("⋮") == 3
    assert {"784 units", "100 units", "10 units"} <= set(drawn["texts"])
    assert len(drawn["lines"]) == 50
    assert drawn["places"][0][300] is not None
    assert drawn["places"][0][299] is None
    assert sum("on" in line["classes"].split() for line in drawn["lines"]) == 1


def test_units_stand_in_columns_around_the_middle(page: Any) -> None:
    places = page.evaluate(DRAW, {"layers": [3, 4, 2]})["places"]
    for layer in places:
        assert len({x for x, _ in layer}) == 1
    assert [layer[0][0] for layer in places] == sorted(layer[0][0] for layer in places)
    middles = [np.mean([y for _, y in layer]) for layer in places]
    np.testing.assert_allclose(middles, middles[0], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([4, 6, None], [0, 1, 2, 3]),
        ([10, 5, None], [0, 1, 2, None, 9]),
        ([10, 5, 6], [0, 1, 6, None, 9]),
        ([10, 5, 9], [0, 1, 2, None, 9]),
    ],
)
def test_the_units_that_are_drawn(page: Any, arguments: list[Any], expected: list[Any]) -> None:
    assert page.evaluate("(a) => nnlab.network.shown(...a)", arguments) == expected
