"""The page's parser in JavaScript against Python's: graphs, values, gradients, and words on mistakes."""

import json
import math
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nnlab.expressions import ExpressionError, parse
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.nodes import Graph
from nnlab.expressions.parser import FUNCTIONS
from nnlab.expressions.passes import backpropagate, forward
from nnlab.page.build import TEMPLATES
from nnlab.page.expressions import script

VARIABLES = ("x", "y", "z", "w0")
AT = {"x": 0.7, "y": -1.3, "z": 2.0, "w0": 0.25}

POWERS = ["^2", "**3", "²", "^-1", "⁻²", "^(1/2)", "^(2/3)", "^0.5", "^y", "^(x*2)"]

SIGNS = [*"(),^*x 2|<=%√².qé½𝑥", "sin"]

READ = """([texts, variables, at]) => texts.map((text) => {
  const word = (p) => (p === null ? null : p.n === undefined ? String(p) : `${p.n}/${p.d}`);
  const number = (v) => (v === null ? null : typeof v === "boolean" ? Number(v) : String(v));
  try {
    const graph = nnlab.parse(text, variables);
    const values = nnlab.forward(graph, at);
    const { arrived, passed } = nnlab.backpropagate(graph, values);
    return {
      nodes: graph.nodes.map((n) => [n.operation, n.arguments, word(n.parameter), n.span, word(n.exact)]),
      values: values.map(number), arrived: arrived.map(number), passed: passed.map((one) => one.map(number)),
    };
  } catch (error) {
    if (!(error instanceof nnlab.ExpressionError)) throw error;
    return { reason: error.reason, position: error.position };
  }
})"""


@pytest.fixture(scope="module")
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page()
    page.add_script_tag(content="window.nnlab = {};")
    page.add_script_tag(content=script())
    for name in ("mistakes.js", "expressions.js"):
        page.add_script_tag(path=TEMPLATES / name)
    yield page
    page.close()


def read(page: Any, texts: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.evaluate(READ, [texts, VARIABLES, AT])
    return found


def expected(text: str) -> Graph | dict[str, Any]:
    try:
        return parse(text, VARIABLES)
    except ExpressionError as error:
        return {"reason": error.reason, "position": error.position}


def nodes_of(graph: Graph) -> list[Any]:
    def word(value: Any) -> str | None:
        if isinstance(value, Fraction):
            return f"{value.numerator}/{value.denominator}"
        return None if value is None else str(value)

    return [
        [node.operation, list(node.arguments), word(node.parameter), list(node.span), word(node.exact)]
        for node in graph.nodes
    ]


# --- expressions by chance ---


def term(chance: random.Random, depth: int) -> str:
    """An expression of the grammar, with spaces, signs of slides and brackets of all kinds."""
    if depth == 0:
        return chance.choice([*VARIABLES, *VARIABLES, "2", "0.5", "3", "1e-1", ".25", "pi", "e", "π", "½"])
    inner = lambda: term(chance, depth - 1)  # noqa: E731
    kind = chance.randrange(12)
    space = chance.choice(["", " "])
    if kind < 4:
        return f"{inner()}{space}{chance.choice(['+', '-', '*', '/', '·', '−', '×'])}{space}{inner()}"
    if kind < 6:
        return f"({inner()})"
    if kind == 6:
        return f"{chance.choice(['-', '+', '−'])}{inner()}"
    if kind == 7:
        return f"({inner()}){chance.choice(POWERS)}"
    if kind == 8:
        name = chance.choice([name for name, (least, _) in FUNCTIONS.items() if least == 1])
        return f"{name}({inner()})"
    if kind == 9:
        return (
            f"{chance.choice(['min', 'max'])}({', '.join(inner() for _ in range(chance.choice([2, 2, 3])))})"
        )
    if kind == 10:
        sign = chance.choice(["<", "<=", ">", ">=", "≤"])
        return f"where({inner()} {sign} {inner()}, {inner()}, {inner()})"
    return chance.choice(["|{}|", "⌊{}⌋", "√({})", "∛({})", "sigmoid({})", "relu({})"]).format(inner())


def damaged(chance: random.Random, text: str) -> str:
    """The expression with one to three letters left out, doubled, swapped or put in."""
    letters = list(text)
    for _ in range(chance.choice([1, 1, 2, 3])):
        at = chance.randrange(len(letters) + 1)
        kind = chance.randrange(3)
        if kind == 0 and at < len(letters) > 1:
            del letters[at]
        elif kind == 1 and at < len(letters):
            letters.insert(at, letters[at])
        else:
            letters.insert(at, chance.choice(SIGNS))
    return "".join(letters)


CHANCE = random.Random(19)
VALID = [term(CHANCE, depth) for depth in (1, 2, 2, 3, 3, 4) for _ in range(100)]
DAMAGED = [damaged(CHANCE, text) for text in VALID]
TYPED = (
    """
2x|sinx|sin x|x^2^3|√x^2|(x|x)|x+|max(x,y,z,2)|x**-1|x²y|1,5*x|x=3|f(x)=x^2|np.sin(x)|sin(x,y)
foo(x)|foo|tnah(x)|sinn(x)|³√x|3√x|x^2 y|1/2x|x 2|1 2|1.2.3|log(x,2)|\\frac{1}{2}|\\sin(\\pi x)^{2}
x^{2}|$x$|x % 2|x'|𝑥₁+1|é|sin^2(x)|sin^2 x|sin²x|d/dx|maximum(x,y)|x!|1e400|1e-400||(1,2)|1,000
x if y|where(x,1,2)|x<y<z|sec(x)|x and y|[x]|x^2(y)|sin2πx|()|sin()|pow(x,2)|x²²|x ^ ²|xy|2(x)|x(3)
cosh^-1(x)|min x|x__y|_x|x_|y = x^2|2,5|x;y|∂x|x → y|😀|x😀|leaky_relu(x)|erfc(x)|softmax(x)|x @ y
log_2(x)|e^xy|x^yz|√2x|1/xy|-x y|x mod 2|10%|x° |'x'|exp x^2|exp(x)^2|ln|sin|max(x)|1e5e5|x..y
""".strip()
    .replace("\n", "|")
    .split("|")
)
"""Mistakes that students make, and signs that they paste."""


@pytest.mark.parametrize("texts", [VALID, DAMAGED, TYPED], ids=["written", "damaged", "typed"])
def test_it_reads_what_python_reads_and_says_what_python_says(page: Any, texts: list[str]) -> None:
    kinds = {"read": 0, "refused": 0}
    for text, found in zip(texts, read(page, texts), strict=True):
        graph = expected(text)
        if isinstance(graph, Graph):
            assert found.get("nodes") == nodes_of(graph), text
        else:
            assert found == graph, text
        kinds["read" if isinstance(graph, Graph) else "refused"] += 1
    least = {"written": (550, 0), "damaged": (50, 300), "typed": (0, 80)}
    assert kinds["read"] + kinds["refused"] == len(texts)
    wanted = least["written" if texts is VALID else "damaged" if texts is DAMAGED else "typed"]
    assert kinds["read"] >= wanted[0]
    assert kinds["refused"] >= wanted[1]


def same(found: str | None, exact: Any) -> bool:
    """True for one number within rounding that grows over thirty operations; both may be none."""
    if found is None or exact is None:
        return found is None and exact is None
    a, b = float(found.replace("Infinity", "inf")), float(exact)
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (math.isnan(a) and math.isnan(b))
    return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def test_values_and_gradients_are_those_of_python(page: Any) -> None:
    finite = 0
    texts = [text for text in VALID if isinstance(expected(text), Graph)]
    for text, found in zip(texts, read(page, texts), strict=True):
        graph = parse(text, VARIABLES)
        inputs = {name: np.asarray(value) for name, value in AT.items()}
        with np.errstate(all="ignore"):
            values = forward(graph, FLOATS, inputs)
            back = backpropagate(graph, FLOATS, values)
        if not all(np.isfinite(value).all() for value in values):
            continue  # the page says where the first value fails, and takes no gradient
        for node, value, number in zip(graph.nodes, values, found["values"], strict=True):
            wanted = float(value) > 0 if node.operation.startswith("less") else value
            assert same(str(number), wanted), f"{text}: {node}"
        assert all(map(same, found["arrived"], back.arrived)), text
        finite += 1
    assert finite >= 300


def test_special_functions_keep_their_digits(page: Any) -> None:
    names = ["erf(x)", "softplus(x)", "sigmoid(x)"]
    for x in np.linspace(-7, 7, 57):
        values = page.evaluate(
            "([names, x]) => names.map((t) => nnlab.forward(nnlab.parse(t), { x }).at(-1))", [names, x]
        )
        exact = [math.erf(x), math.log1p(math.exp(-abs(x))) + max(x, 0), 1 / (1 + math.exp(-x))]
        np.testing.assert_allclose(values, exact, rtol=1e-13, atol=1e-16)


def test_variables_are_the_names_that_are_not_called(page: Any) -> None:
    found = page.evaluate(
        "(texts) => texts.map((t) => nnlab.variablesOf(t))", ["w0*x0 + sin(w1) + e^pi*w0", "f(x) + 𝑥₁", "2"]
    )
    assert found == [["w0", "x0", "w1"], ["x", "x1"], []]


def test_tables_are_written_so_that_no_tag_can_begin_in_them() -> None:
    assert "<" not in script()
    assert json.loads(script().split("=", 1)[1].strip().rstrip(";"))["constants"] == ["pi", "e"]
