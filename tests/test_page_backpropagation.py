"""The figures of backpropagation: their numbers are Python's, their wires run through no number."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from nnlab.chapters.backpropagation.worked import CHAIN, PRESETS, SUM
from nnlab.chapters.backpropagation.worked import graph as graph_of
from nnlab.expressions import gradient, parse
from tests.test_page_expressions import term
from tests.widget_page import opened

SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened(browser, tmp_path_factory.mktemp("page") / "page.html", [graph_of(SUM), CHAIN]) as page:
        page.locator("figure.widget .says").nth(1).wait_for()
        yield page


@pytest.fixture
def graph(page: Any) -> Any:
    return page.locator("figure.widget").first


def shown(figure: Any, kind: str) -> list[str]:
    texts: list[str] = figure.locator(f"text.{kind}").all_text_contents()
    return [text for text in texts if text]


def gradients(figure: Any) -> dict[str, float]:
    """The gradients that the last step says."""
    words = figure.locator(".says").inner_text().partition("; ")[2].rstrip(".")
    pairs = (pair.replace(":", " =").split(" = ") for pair in words.split(", "))
    return {
        name.removeprefix("∂f/∂").translate(SUBSCRIPTS): float(value.replace("−", "-"))
        for name, value in pairs
    }


@pytest.mark.parametrize("number", range(len(PRESETS)))
def test_the_presets_step_back_to_the_gradients_of_python(graph: Any, number: int) -> None:
    preset = PRESETS[number]
    graph.locator("select").select_option(str(number))
    values: dict[str, float] = preset["values"]
    _, exact = gradient(parse(preset["expression"], tuple(values)), values)
    assert gradients(graph) == pytest.approx({name: float(v) for name, v in exact.items()}, rel=1e-3)
    slider = graph.get_by_label("step", exact=True)
    slider.press("Home")
    assert len(shown(graph, "value")) == len(values)
    assert shown(graph, "gradient") == []
    nodes = graph.locator("text.name").count() - 1  # beside "= f"
    operations = nodes - len(values)
    for _ in range(operations + 1):
        graph.get_by_role("button", name="a step on ▶").click()
    assert len(shown(graph, "value")) == nodes
    assert shown(graph, "gradient") == ["1"]
    slider.press("End")
    assert len(shown(graph, "gradient")) == nodes


def test_what_is_typed_is_computed_and_what_is_wrong_is_said(graph: Any) -> None:
    field = graph.get_by_label("f =", exact=True)
    field.fill("a*b^2 + sin(a)")
    graph.get_by_label("a =", exact=True).fill("2")
    graph.get_by_label("b =", exact=True).fill("-3")
    assert gradients(graph) == pytest.approx({"a": 9 - 0.4161, "b": -12}, rel=1e-3)
    assert graph.locator("select").input_value() == "own"
    field.fill("a*b^2 + sinn(a)")
    assert "did you mean sin? (letter 9)" in graph.locator(".wrong").inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("log(a - 2)")
    assert graph.locator(".wrong").inner_text() == ""
    assert "log(a - 2) has no finite value here" in graph.locator(".says").inner_text()
    field.fill("2 + 3")
    assert "no variable" in graph.locator(".wrong").inner_text()


LARGE = [
    "(a + b)*(b + c)*(c + d)*(d + a)*exp(-(a*b + c*d)/2) + sin(a)*cos(b)",
    "sigmoid(v1*tanh(w1*x + b1) + v2*tanh(w2*x + b2) + v3*tanh(w3*x + b3) + c)",
    "max(x, y, z) + min(x, y, z) + where(x < y, x*y, y/z)",
    "((((((x + 1)^2 + 1)^2 + 1)/2 + 1)/2 + x)/3 + x)/4 + x",
]


FAULTS = """(figure) => {
  const svg = figure.querySelector("svg[role=img]");
  const [boxes, whole, faults] = [[...svg.querySelectorAll("rect.node")].map((r) => r.getBBox()), svg.getBoundingClientRect(), []];
  const end = (b) => [b.x + b.width, b.y + b.height];
  const inside = (p, b) => p.x > b.x + 1 && p.x < end(b)[0] - 1 && p.y > b.y + 1 && p.y < end(b)[1] - 1;
  const meet = (a, b) => a.x < end(b)[0] && b.x < end(a)[0] && a.y < end(b)[1] && b.y < end(a)[1];
  for (const wire of svg.querySelectorAll("path.wire")) {
    for (let s = 0; s <= wire.getTotalLength(); s += 3) {
      if (boxes.some((b) => inside(wire.getPointAtLength(s), b))) { faults.push(`wire ${wire.getAttribute("d")}`); break; }
    }
  }
  boxes.forEach((a, i) => { if (boxes.slice(i + 1).some((b) => meet(a, b))) faults.push("two nodes meet"); });
  for (const text of [...svg.querySelectorAll("text")].filter((t) => t.textContent)) {
    const [box, seen] = [text.getBBox(), text.getBoundingClientRect()];
    const held = boxes.some((b) => box.x >= b.x - 1 && end(box)[0] <= end(b)[0] + 1) || text.textContent === "= f";
    if (!held || seen.left < whole.left - 1 || seen.right > whole.right + 1) faults.push(`text ${text.textContent}`);
  }
  return faults;
}"""  # noqa: E501
"""What is wrong with a drawing: a wire in a node, two nodes in one place, text beside its node or cut."""


@pytest.mark.parametrize("width", [400, 1280])
def test_no_wire_runs_through_a_number_or_another_node(page: Any, graph: Any, width: int) -> None:
    chance = random.Random(3)
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(100)
    texts = [preset["expression"] for preset in PRESETS] + LARGE + [term(chance, 3) for _ in range(15)]
    drawn = 0
    for text in texts:
        graph.get_by_label("f =", exact=True).fill(str(text))
        if graph.locator(".wrong").inner_text():
            continue
        drawn += 1
        found = graph.evaluate(FAULTS)
        assert found == [], text
    assert drawn > 15
    page.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize(
    ("node", "says"),
    [
        ("product ab", "To a: b = −4, times 2, is −8. To b: a = 3, times 2, is 6."),
        ("sum a + b", "To a: 1 = 1, times 2, is 2. To b: 1 = 1, times 2, is 2."),
        ("1/a", "To a: −1/a² = −0.111, times 2, is −0.222."),
        ("square a²", "To a: 2a = 6, times 2, is 12."),
    ],
)
def test_a_node_passes_on_its_local_derivative_times_what_arrives(page: Any, node: str, says: str) -> None:
    chain = page.locator("figure.widget").nth(1)
    chain.locator("select").select_option(label=node)
    assert chain.locator(".says").inner_text() == says


def test_the_state_of_the_graph_comes_back(page: Any, graph: Any) -> None:
    graph.get_by_label("f =", exact=True).fill("a*b + sin(a)")
    graph.get_by_label("a =", exact=True).fill("2.5")
    graph.get_by_label("step", exact=True).press("ArrowLeft")
    said, state = (
        graph.locator(".says").inner_text(),
        graph.evaluate("(figure) => nnlab.stateOf(figure)"),
    )
    graph.locator("select").select_option("1")
    assert graph.locator(".says").inner_text() != said
    graph.evaluate("(figure, state) => nnlab.setState(figure, state)", state)
    assert graph.locator(".says").inner_text() == said
