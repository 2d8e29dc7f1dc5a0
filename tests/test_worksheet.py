"""The worksheet: the lecture's examples, checks, kinks, faults, the picture and the LaTeX."""

import math
import re
import time
from collections.abc import Mapping
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from matplotlib.patches import Ellipse
from numpy.typing import ArrayLike

from nnlab.chapters.backpropagation import checks as checks_module
from nnlab.chapters.backpropagation.autograd import autograd
from nnlab.chapters.backpropagation.checks import Checks, check
from nnlab.chapters.backpropagation.examples import EXAMPLES, example_at, scores_rows, stability_rows
from nnlab.chapters.backpropagation.latex import ENTRIES, latex
from nnlab.chapters.backpropagation.notation import notation_of
from nnlab.chapters.backpropagation.picture import MAX_NODES, computational_graph, layout
from nnlab.chapters.backpropagation.sentences import kink_sentence, local, rule
from nnlab.chapters.backpropagation.worksheet import Worksheet, build, with_sigmoids
from nnlab.display import lowered
from nnlab.errors import InputError
from nnlab.expressions import evaluate, parse
from nnlab.expressions.parser import FUNCTIONS
from tests import figure_checks
from tests import graph_reference as scalar_reference
from tests import torch_reference as reference
from tests.plain_tex import pdflatex

NEURON = EXAMPLES["neuron"]


def sheet_of(text: str, **at: ArrayLike) -> Worksheet:
    return build(parse(text, tuple(at), tensors=True), at)


def sheet_of_example(name: str, *, fuse: bool = False) -> Worksheet:
    example = EXAMPLES[name]
    graph = parse(example.expression, tuple(example.at), tensors=True)
    return build(with_sigmoids(graph) if fuse else graph, example.at)


# --- the slides ---


def test_the_sum_and_product_of_the_slide() -> None:
    sheet = sheet_of_example("sum")
    assert sheet.value == -12
    assert {name: float(g) for name, g in sheet.gradients.items()} == {"x": -4, "y": -4, "z": 3}
    assert [(line.name, line.operation, float(line.value)) for line in sheet.lines] == [
        ("x", "x", -2), ("y", "y", 5), ("q1", "x + y", 3), ("z", "z", -4), ("f", "q1 · z", -12),
    ]  # fmt: skip
    product, total = sheet.lines[4], sheet.lines[2]
    assert [rule(sheet, product, edge) for edge in product.edges] == ["∂f/∂q1 = z = −4", "∂f/∂z = q1 = 3"]
    assert [rule(sheet, total, edge) for edge in total.edges] == [
        "∂f/∂x = ∂f/∂q1 · ∂q1/∂x = (−4) · 1 = −4",
        "∂f/∂y = ∂f/∂q1 · ∂q1/∂y = (−4) · 1 = −4",
    ]


@pytest.mark.parametrize("fuse", [False, True])
def test_the_neuron_of_the_slide(fuse: bool) -> None:
    sheet = sheet_of_example("neuron", fuse=fuse)
    sigma = 1 / (1 + math.exp(-1))
    assert round(sheet.value, 2) == 0.73
    assert sheet.value == pytest.approx(sigma, rel=1e-15)
    slope = sigma * (1 - sigma)
    expected = {"w0": -slope, "x0": 2 * slope, "w1": -2 * slope, "x1": -3 * slope, "w2": slope}
    for name, value in expected.items():
        assert float(sheet.gradients[name]) == pytest.approx(value, rel=1e-14)
    rounded = [round(float(sheet.gradients[name]), 2) for name in ("w0", "x0", "w1", "x1", "w2")]
    assert rounded == [-0.20, 0.39, -0.39, -0.59, 0.20]
    assert len(sheet.lines) == (10 if fuse else 13)
    assert check(sheet).agree


def test_fusing_finds_the_sigmoid_in_either_order_and_nothing_else() -> None:
    for text in ("1/(1 + exp(-x))", "1/(exp(-x) + 1)", "1/(1 + exp(-(x)))"):
        assert [n.operation for n in with_sigmoids(parse(text, ("x",))).nodes] == ["variable", "sigmoid"]
    for text in ("1/(1 + exp(x))", "2/(1 + exp(-x))", "1/(1 - exp(-x))", "1/(2 + exp(-x))"):
        assert all(n.operation != "sigmoid" for n in with_sigmoids(parse(text, ("x",))).nodes)


def test_scores_have_the_gradient_p_minus_y() -> None:
    rows = dict(scores_rows(EXAMPLES["scores"]))
    scores = torch.tensor(rows["scores s = W x + b"], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(scores[None], torch.tensor([0]))
    loss.backward()
    assert scores.grad is not None
    assert np.allclose(rows["gradient in s, from the graph"], scores.grad.numpy(), rtol=1e-12, atol=1e-15)
    assert np.allclose(rows["p − y"], scores.grad.numpy(), rtol=1e-12, atol=1e-15)
    assert float(rows["loss −Σ y log p"]) == pytest.approx(float(loss.detach()), rel=1e-12)
    assert sheet_of_example("scores").value == pytest.approx(float(loss.detach()), rel=1e-12)


def test_logsumexp_is_stable_where_the_naive_form_overflows() -> None:
    rows = stability_rows(EXAMPLES["logsumexp"])
    for _, stable, naive, _ in rows[:-1]:
        assert float(stable) == pytest.approx(float(naive), rel=1e-13)
    _, stable, naive, slope = rows[-1]
    assert np.isinf(naive)
    assert np.all(np.isnan(slope))
    scores = EXAMPLES["logsumexp"].at["s"]
    assert float(stable) == pytest.approx(1001 + math.log(np.exp(scores - 1001).sum()), rel=1e-15)


def test_an_example_at_other_values_is_told_with_those() -> None:
    """The rows are those of torch's cross-entropy with soft targets, for what was given and what was not."""
    pixels, targets = np.array([1.0, -2.0, 0.5, 3.0]), np.array([0.1, 0.2, 0.7])
    example = example_at("scores", {"x": pixels, "y": targets})
    rows = dict(scores_rows(example))
    scores = torch.tensor(example.at["W"] @ pixels + example.at["b"], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(scores[None], torch.tensor(targets)[None])
    loss.backward()
    assert scores.grad is not None
    assert np.allclose(rows["scores s = W x + b"], scores.detach().numpy(), rtol=1e-15)
    assert np.allclose(rows["gradient in s, from the graph"], scores.grad.numpy(), rtol=1e-12)
    assert float(rows["loss −Σ y log p"]) == pytest.approx(float(loss.detach()), rel=1e-12)
    far = example_at("scores", {"b": np.array([0.0, 1000.0, 0.0])})
    assert float(dict(scores_rows(far))["loss −Σ y log p"]) > 990


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_agrees_with_autograd_and_differences(name: str) -> None:
    checks = check(sheet_of_example(name), torch=True)
    assert checks.agree
    assert checks.value_error is not None
    assert checks.value_error < 1e-12
    assert all(variable.differences for variable in checks.variables)


# --- what is written ---


def test_what_reaches_a_node_from_several_is_added_up() -> None:
    sheet = sheet_of("x*x + x", x=3.0)
    texts = [rule(sheet, line, edge) for line in sheet.lines for edge in line.edges]
    assert texts.count("∂f/∂x += ∂f/∂q1 · ∂q1/∂x = 1 · 3 = 3") == 2
    assert texts[-1] == "∂f/∂x += 1"
    assert float(sheet.gradients["x"]) == 7


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("x/y", {"x": 3.0, "y": 2.0}, ["1/y = 0.5", "−f/y = −0.75"]),
        ("x/x", {"x": 4.0}, ["1/x = 0.25", "−f/x = −0.25"]),
        ("x^3", {"x": 2.0}, ["3 · x^2 = 12"]),
        ("x^2", {"x": 3.0}, ["2 · x = 6"]),
        ("x^-1", {"x": 2.0}, ["(−1) · x^(−2) = −0.25"]),
        ("x^y", {"x": 2.0, "y": 3.0}, ["y · x^(y − 1) = 12", "f · log x = 5.545"]),
        ("x^x", {"x": 2.0}, ["x · x^(x − 1) = 4", "f · log x = 2.773"]),
        ("exp(x)", {"x": 0.0}, ["f = 1"]),
        ("log(x)", {"x": 4.0}, ["1/x = 0.25"]),
        ("sqrt(x)", {"x": 4.0}, ["1/(2f) = 0.25"]),
        ("tanh(x)", {"x": 0.5}, ["1 − f² = 0.7864"]),
        ("sigmoid(x)", {"x": 0.0}, ["f(1 − f) = 0.25"]),
        ("tan(x)", {"x": 1.0}, ["1 + f² = 3.426"]),
        ("max(x, y)", {"x": 1.0, "y": 1.0}, ["0.5 (1 if x > y, ½ if equal, else 0)"] * 1),
        ("relu(x)", {"x": 2.0}, ["1 (1 if x > 0, else 0)"]),
        ("abs(x)", {"x": -2.0}, ["sign x = −1"]),
        ("x^2.5", {"x": 1.0}, ["(5/2) · x^(3/2) = 2.5"]),
        ("x^(10^30)", {"x": 1.0}, ["(1e+30) · x^(1e+30) = 1e+30"]),
        ("x^0.123", {"x": 1.0}, ["0.123 · x^(−0.877) = 0.123"]),
        ("(-2)*x", {"x": 1.0}, ["−2"]),
        ("x*(1 + 2)", {"x": 1.0}, ["q1 = 3"]),
    ],
)
def test_local_derivatives_stand_with_their_formulas(
    text: str, at: dict[str, float], expected: list[str]
) -> None:
    sheet = sheet_of(text, **at)
    line = sheet.lines[-1]
    checks = [local(sheet, line, edge).partition(" = ")[2] for edge in line.edges]
    assert checks[: len(expected)] == expected


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(reference.expressions(), st.integers(0, 2**32 - 1))
def test_worksheets_of_made_expressions_hold_together(text: str, seed: int) -> None:
    """The gradient of a node is the sum of those that its users pass on; the checks raise no false alarm."""
    generator = np.random.default_rng(seed)
    at = {n: np.asarray(generator.uniform(-1.5, 1.5, shape)) for n, shape in reference.SHAPES.items()}
    leaves = {name: torch.tensor(value) for name, value in at.items()}
    seen = reference.Seen()
    value = reference.evaluate(text, leaves, seen)
    assume(torch.isfinite(value) and seen.largest < 1e4 and seen.gap > 1e-3)
    try:
        sheet = sheet_of(text, **at)
    except InputError as error:
        assume("slope" not in str(error) and "division by zero" not in str(error))
        raise
    for line in sheet.lines[:-1]:
        shares = [e.passed for user in sheet.lines for e in user.edges if e.argument == line.index]
        if line.gradient is not None:
            assert np.allclose(line.gradient, sum(shares), rtol=1e-12, atol=1e-12), text
    assume(max((float(np.abs(g).max()) for g in sheet.gradients.values()), default=0) < 1e4)
    assert check(sheet).agree, text


def test_a_constant_that_is_computed_is_a_node_and_a_number_is_none() -> None:
    sheet = sheet_of("x*(1 + 2) - 2^10*x/(2*3) + sin(2*pi*x) - (-1)*1e-3", x=2.0)
    assert [line.operation for line in sheet.lines if not line.is_given] == [
        "1 + 2", "x · q1", "2^10", "q3 · x", "2 · 3", "q4 / q5", "q2 − q6", "2 · pi", "q8 · x", "sin q9",
        "q7 + q10", "(−1) · 0.001", "q11 − q12",
    ]  # fmt: skip
    assert [line.name for line in sheet.lines if line.is_given] == ["x"]
    assert all(line.gradient is None for line in sheet.lines if line.name in ("q1", "q3", "q5", "q8"))


def value_of(formula: str, names: Mapping[str, float]) -> float:
    """The value of a formula of the worksheet, by the parser of expressions."""
    text = formula.replace("−", "-").replace("≤", "<=")
    text = re.sub(rf"\b({'|'.join(FUNCTIONS)}) (\S+)", r"\1(\2)", text)
    text = re.sub(r"^(\S+) (<=?) (\S+)$", r"where(\1 \2 \3, 1, 0)", text)
    text = re.sub(r"^where\(([^ ]+),", r"where(\1 > 0,", text)  # the name of a comparison
    text = re.sub(r"\((2)(\w+)\)", r"(\1*\2)", text)  # 1/(2q1)
    text = re.sub(r"(\w)\(1 -", r"\1*(1 -", text)  # q1(1 − q1)
    return float(evaluate(parse(text, tuple(names)), names))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(scalar_reference.expressions(("x", "y")), st.floats(-3, 3), st.floats(0.1, 3))
def test_every_formula_says_what_its_node_is(text: str, x: float, y: float) -> None:
    """Read back by the parser, formulas have the values of their nodes, and slopes those of their edges."""
    at = {name: value for name, value in (("x", x), ("y", y)) if name in re.findall("[xy]+", text)}
    try:
        sheet = sheet_of(text, **at)
    except InputError:
        assume(False)
    names: dict[str, float] = {}
    for line in sheet.lines:
        value = float(line.value)
        names[line.name] = value
        if not line.is_given:
            expected = max(value, 0) if line.is_condition else value
            arguments = {k: v for k, v in names.items() if k != line.name}
            evaluated = value_of(line.operation, arguments)  # in a branch that is not taken, it may be nan
            assert evaluated == pytest.approx(expected, rel=1e-9, nan_ok=True), text
        for edge in line.edges:
            if edge.derivative is not None and " if " not in edge.local and "sign" not in edge.local:
                expected = float(edge.derivative)
                size = abs(expected) + abs(value)  # 1 − f² has rounding errors of the size of 1
                assert value_of(edge.local, names) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size), text


def test_a_slope_that_depends_on_the_place_is_passed_on_as_a_number() -> None:
    sheet = sheet_of("max(x, y) + 0*x", x=2.0, y=1.0)
    passed = [rule(sheet, line, edge) for line in sheet.lines for edge in line.edges]
    assert passed[:2] == ["∂f/∂x += ∂f/∂q1 · ∂q1/∂x = 1 · 1 = 1", "∂f/∂y = ∂f/∂q1 · ∂q1/∂y = 1 · 0 = 0"]
    sheet = sheet_of("relu(x)", x=2.0)
    assert rule(sheet, sheet.lines[1], sheet.lines[1].edges[0]) == "∂f/∂x = 1"


def test_the_result_has_a_name_that_no_variable_has() -> None:
    sheet = sheet_of("f*x", f=2.0, x=3.0)
    assert [line.name for line in sheet.lines] == ["f", "x", "g"]
    assert [rule(sheet, sheet.lines[2], edge) for edge in sheet.lines[2].edges] == [
        "∂g/∂f = x = 3", "∂g/∂x = f = 2",
    ]  # fmt: skip
    text = latex(sheet)
    assert r"$g$ = {\ttfamily f*x}" in text
    assert r"$\partial g / \partial f = 3$" in text
    taken = dict.fromkeys(("f", "g", "F", "result", "q", "v1", "u", "h", "s", "t", "node1"), 1.0)
    lines = sheet_of("+".join(taken), **taken).lines
    assert len({line.name for line in lines}) == len(lines)
    assert lines[-1].name == "result_"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sum(s*u)", "∂f/∂s = Σ ∂f/∂q1 ∘ ∂q1/∂s over entries = 3"),
        ("sum(u - s)", "∂f/∂s = Σ ∂f/∂q1 ∘ ∂q1/∂s over entries = −2"),
        ("sum(A*u)", "∂f/∂u = Σ ∂f/∂q1 ∘ ∂q1/∂u over rows = [5, 7]"),
        ("sum(A*c)", "∂f/∂c = Σ ∂f/∂q1 ∘ ∂q1/∂c over columns = [3; 9]"),
        ("sum(A*s)", "∂f/∂s = Σ ∂f/∂q1 ∘ ∂q1/∂s over entries = 12"),
        ("sum(u*u)", "∂f/∂u += ∂f/∂q1 ∘ ∂q1/∂u = [1, 2]"),
        ("sum(c*r)", "∂f/∂r = Σ ∂f/∂q1 ∘ ∂q1/∂r over rows = [3, 3]"),
    ],
)
def test_where_an_argument_is_repeated_the_sum_over_its_copies_is_told(text: str, expected: str) -> None:
    at: dict[str, ArrayLike] = {
        "s": 3.0, "u": [1.0, 2.0], "A": [[1.0, 2.0], [4.0, 5.0]], "c": [[1.0], [2.0]], "r": [[5.0, 6.0]],
    }  # fmt: skip
    sheet = sheet_of(text, **{name: value for name, value in at.items() if name in text[4:]})
    assert expected in [rule(sheet, line, edge) for line in sheet.lines for edge in line.edges]
    over = expected.split("over ")[-1].split()[0]
    assert (rf"\textstyle\sum_{{\mathrm{{{over}}}}} " in latex(sheet)) == ("Σ" in expected)


def of_columns(formula: str, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a product of matrices whose operands are names, ∂f/∂q1 and transposes of these."""
    text = re.sub(r"\(?∂f/∂q1\)?", "g", re.sub(r"(?<=[\w)])ᵀ", ".T", formula))
    checks: np.ndarray = eval(text.replace(" · ", "*").replace(" ", "@"), dict(columns))
    return checks


@pytest.mark.parametrize(
    ("text", "tex"),
    [
        ("sum(M @ N)", r"M\, N"), ("sum(M @ u)", r"M\, u"), ("sum(v @ M)", r"M^{\top} v"),
        ("3*(u @ w)", r"u^{\top} w"), ("sum(transpose(M))", r"M^{\top}"),
        ("sum(transpose(u))", r"\mathrm{transpose}\, u"),
    ],
)  # fmt: skip
def test_products_are_right_where_vectors_are_columns(text: str, tex: str) -> None:
    """Formulas read as products of matrices give the gradients that are passed on."""
    at = {
        "M": np.arange(6.0).reshape(2, 3),
        "N": np.arange(9.0, 21).reshape(3, 4),
        "u": np.array([2.0, 3, 5]),
    }
    at |= {"v": np.array([7.0, 11]), "w": np.array([13.0, 17, 19])}
    sheet = sheet_of(text, **{name: at[name] for name in re.findall(r"\b[MNuvw]\b", text)})
    product = next(line for line in sheet.lines if line.name == "q1")
    assert product.gradient is not None
    columns = {name: value if value.ndim == 2 else value[:, None] for name, value in at.items()}
    columns["g"] = product.gradient if product.gradient.ndim == 2 else product.gradient.reshape(-1, 1)
    for edge in product.edges:
        passed = of_columns(edge.local, columns)
        assert passed.reshape(edge.passed.shape).tolist() == edge.passed.tolist()
        assert passed.shape[0] == edge.passed.shape[0]
    assert f"$q_{{1}}$ & ${tex}$ &" in latex(sheet)


def test_products_of_entries_are_no_dot_products() -> None:
    at: dict[str, ArrayLike] = {"u": [1.0, 2.0], "w": [3.0, 4.0], "s": 2.0}
    sheet = sheet_of("sum(s*u*w) + sum(u^w)", **at)
    assert [line.operation for line in sheet.lines][2:5] == ["s · u", "w", "q1 ∘ w"]
    power = next(line for line in sheet.lines if line.operation == "u^w")
    assert [edge.local for edge in power.edges] == ["w ∘ u^(w − 1)", f"{power.name} ∘ log u"]
    assert r"q_{1} \circ w" in latex(sheet)
    assert "∘" in [place.label for place in layout(sheet)[0]]


def test_softmax_and_logsumexp_of_a_matrix_go_by_its_rows() -> None:
    sheet = sheet_of("sum(softmax(A)*A) + sum(logsumexp(A))", A=[[1.0, 2.0], [3.0, 5.0]])
    texts = [rule(sheet, line, edge) for line in sheet.lines for edge in line.edges]
    assert any("q1 ∘ (∂f/∂q1 − row sums of q1 ∘ ∂f/∂q1)" in text for text in texts)
    assert any("diag(∂f/∂q4) softmax A" in text for text in texts)


# --- kinks and differences ---


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("relu(x)", {"x": 0.0}, "relu has a kink at x = 0"),
        ("abs(x - y)", {"x": 2.0, "y": 2.0}, "abs has a kink at q1 = 0"),
        ("max(x, y)", {"x": 1.0, "y": 1.0}, "max has a kink where x = y: each gets half"),
        ("min(x, 3)", {"x": 3.0}, "min has a kink where x = 3"),
        ("max(w)", {"w": [1.0, 5.0, 5.0]}, "2 entries of w are equal: each gets 1/2"),
        ("where(x < y, x, 2*x - y)", {"x": 1.0, "y": 1.0}, "where changes branch at x = y"),
    ],
)
def test_kinks_are_recognized_and_said(text: str, at: dict[str, ArrayLike], words: str) -> None:
    sheet = sheet_of(text, **at)
    checks = check(sheet)
    sentences = [kink_sentence(sheet, index, sheet.notation) for index in checks.kinks]
    assert any(words in sentence for sentence in sentences)
    assert checks.agree
    bends = [result for variable in checks.variables for result in variable.differences if result.bends]
    assert bends
    assert bends[0].left != pytest.approx(bends[0].right)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("relu(x)", {"x": 1e-3}), ("abs(x)", {"x": -2.0}), ("x^2", {"x": 0.0}), ("sin(x)", {"x": 0.0}),
        ("relu(x)^2", {"x": 0.0}), ("max(x, x)", {"x": 1.0}), ("relu(x - x)", {"x": 2.0}),
        ("0*abs(x)", {"x": 0.0}), ("x*relu(x)", {"x": 0.0}), ("abs(x^3)", {"x": 0.0}),
        ("where(y > 0, abs(x), x)", {"x": 0.0, "y": -1.0}), ("where(x < 1, x^2, 2*x - 1)", {"x": 1.0}),
        ("abs(relu(-x)*x)", {"x": 0.0}), ("where(y < 1, x, 3*x)", {"x": 0.0, "y": 2.0}),
        ("max(x + y, y + x)", {"x": 1.0, "y": 2.0}), ("relu(exp(x))", {"x": -800.0}),
    ],
)  # fmt: skip
def test_where_the_function_is_smooth_no_kink_is_said(text: str, at: dict[str, ArrayLike]) -> None:
    checks = check(sheet_of(text, **at))
    assert not any(d.bends for v in checks.variables for d in v.differences)
    assert (checks.kinks, checks.sides) == ({}, {})
    assert checks.agree
    assert all(v.unchecked == 0 for v in checks.variables)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("relu(x)", {"x": 0.0}, {"x": (0, 1)}),
        ("3*abs(x) + y", {"x": 0.0, "y": 1.0}, {"x": (-3, 3)}),
        ("relu(x) - relu(-x)", {"x": 0.0}, {"x": (1, 1)}),
        ("abs(relu(x))", {"x": 0.0}, {"x": (0, 1)}),
        ("max(x, y, z)", {"x": 1.0, "y": 1.0, "z": 1.0}, {"x": (0, 1), "y": (0, 1), "z": (0, 1)}),
        ("x*where(x > 0, 1, 2)", {"x": 0.0}, {"x": (2, 1)}),
        ("max(x^2, 3*x)", {"x": 0.0}, {"x": (0, 3)}),
        ("where(abs(x) > 0, x, 2*x)", {"x": 0.0}, {"x": (1, 1)}),
        ("relu((x + 1) - y)", {"x": 0.0, "y": 1.0}, {"x": (0, 1), "y": (-1, 0)}),
        ("relu(min(x, y))", {"x": 0.0, "y": 0.0}, {}),  # along no axis, but along x = y
    ],
)
def test_kinks_of_the_function_are_told_by_the_slopes_to_either_side(
    text: str, at: dict[str, ArrayLike], expected: dict[str, tuple[float, float]]
) -> None:
    checks = check(sheet_of(text, **at))
    assert {name: (sides.left, sides.right) for (name, _), sides in checks.sides.items()} == expected
    assert checks.kinks
    assert all(checks.kinks.values())
    assert not any(sides.jumps for sides in checks.sides.values())
    assert checks.agree


@pytest.mark.parametrize(
    ("text", "below", "above"),
    [
        ("where(x < 1, x, 3*x)", 1, 3), ("where(x <= 1, x, 3*x)", 1, 3), ("2 + where(x >= 1, 5*x, x)", 3, 7),
        ("where(x > 1, log(x - 1), x)", 1, -math.inf), ("where(abs(x - 1) > 0, 5, x)", 5, 5),
    ],
)  # fmt: skip
def test_a_jump_is_told_by_the_values_to_either_side(text: str, below: float, above: float) -> None:
    checks = check(sheet_of(text, x=1.0))
    (sides,) = checks.sides.values()
    assert (sides.below, sides.above) == (below, above)
    assert sides.jumps
    assert checks.agree


@pytest.mark.parametrize(("text", "x"), [("where(x^2 > 0, x, 2*x)", 0.0), ("where(x > 0, sin(x)/x, 1)", 0.0)])
def test_what_cannot_be_decided_is_only_a_possible_kink(text: str, x: float) -> None:
    checks = check(sheet_of(text, x=x))
    assert list(checks.kinks.values()) == [False]
    assert checks.agree


def test_differences_know_how_a_sum_of_many_terms_is_rounded() -> None:
    """A step of 1e-18 from 0 vanishes beside 1 and −1."""
    for text in ("sum(u)", "mean(u)", "u @ w"):
        at = {"u": [0.0, 1.0, -1.0], **({"w": [1.0, 1.0, 1.0]} if "w" in text else {})}
        assert check(sheet_of(text, **at)).agree, text


def test_ties_of_entries_that_do_not_move_are_kinks_as_well() -> None:
    checks = check(sheet_of("sum(min(where(1 >= s, u, 1)))", u=[0.5, 1.0, 0.5], s=0.75))
    assert {entry: (s.left, s.right) for (_, entry), s in checks.sides.items()} == {
        (0,): (1, 0),
        (2,): (1, 0),
    }
    assert check(sheet_of("min(where(1 >= s, u, 1))", u=[0.5, 1.0, 0.5], s=2.0)).agree


def test_a_comparison_with_what_is_no_number_gives_no_difference() -> None:
    checks = check(sheet_of("where(0.5 >= sqrt(x), 3*x, x)", x=0.0))
    assert math.isnan(checks.variables[0].differences[0].derivative)
    assert checks.agree


def test_a_kink_nearer_than_the_smallest_step_is_not_held_against_the_gradient() -> None:
    checks = check(sheet_of("relu(x + 0.2 - 0.3)", x=0.1))  # in floats 5.6e-17 beside its kink
    assert checks.variables[0].differences[0].bends
    assert checks.agree


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("exp(x)", 300.0), ("exp(x)", -300.0), ("log(x)", 1e-8), ("sqrt(x)", 1e-12), ("1/x", 1e-9),
        ("sin(1000*x)", 1.0), ("x^20", 1e-3), ("x*1e200", 3.0), ("x*1e-200", 3.0), ("(x + 1e8) - 1e8", 1.0),
        ("tanh(x)", 40.0), ("sigmoid(x)", -700.0), ("x^0.5", 1e-10), ("tan(x)", 1.5707),
        ("sin(x)", 1e10), ("tanh(1e11*x)", 0.0), ("sin(1e5*x)", 1.0), ("abs(sin(1e6*x))", 1.0),
        ("relu(x - 1)", 1 + 1e-10), ("exp(x)", -745.0), ("x^20", 1e-10), ("tan(x)", 1.57079632679),
        ("x", 1e308),
        ("x^(10^30)", 1.0), ("sqrt(1 - x^2)", 0.99999999999), ("x^1.5", 0.0), ("exp(exp(x))", 6.0),
        ("where(x > 0, sin(x)/x, 1)", 0.0), ("sin(x)", 1e-307), ("sqrt(abs(x))", 1e-320), ("relu(x)", 5e-324),
        ("sin(x)", 1e300), ("x", -1.7e308), ("x + relu(x - 1)", 1 + 1e-10), ("x^2", 1e-300),
        ("x^1.5", 1e-310), ("relu(x)^1.5", 0.0),
    ],
)  # fmt: skip
def test_differences_raise_no_false_alarm_on_steep_functions(text: str, x: float) -> None:
    checks = check(sheet_of(text, x=x))
    assert checks.agree, checks


@pytest.mark.parametrize(
    ("text", "x", "slope"),
    [("abs(x)", -1e-320, -1.0), ("sin(x)", 1e-307, 1.0), ("x", 1.7e308, 1.0), ("1e-300*x", 1e300, 1e-300)],
)
def test_differences_tell_at_the_ends_of_float64(text: str, x: float, slope: float) -> None:
    (variable,) = check(sheet_of(text, x=x)).variables
    (difference,) = variable.differences
    assert difference.derivative == pytest.approx(slope, rel=1e-12)
    assert difference.error < 1e-2 * abs(slope)  # at 1e-320 floats have three digits


def test_a_wrong_gradient_is_found_by_both_checks() -> None:
    sheet = sheet_of("sin(x)*y", x=0.7, y=2.0)
    checks = check(sheet)
    (difference,) = checks.variables[0].differences
    right = float(sheet.gradients["x"])
    assert difference.agrees(right)
    assert not difference.agrees(right * (1 + 1e-6))
    assert abs(difference.derivative - right) < 1e-9


def test_what_neither_torch_nor_a_difference_tells_is_not_checked() -> None:
    """torch's gradient of the branch not taken is 0 · ∞; to the right of 0 the logarithm goes to −∞."""
    (checks,) = check(sheet_of("sum(where(x > 0, log(x), x))", x=[0.0, 1.0, -1.0])).variables
    assert (checks.checked, checks.unchecked, checks.agrees) == (2, 1, True)
    assert checks.autograd_error == 0
    (checks,) = check(sheet_of("where(x > 0, log(x), x)", x=0.0)).variables
    assert (checks.checked, checks.unchecked, checks.agrees) == (0, 1, True)
    (checks,) = check(sheet_of("where(x > 0, x^2, 1/(x - 3))", x=3.0), torch=True).variables
    assert checks.autograd is not None
    assert math.isnan(checks.autograd)
    assert (checks.checked, checks.agrees) == (1, True)  # by differences


@pytest.mark.parametrize("text", ["sin(x)*y", "where(x > 0, sin(x)*y, 1/(x - 0.75))"])
def test_a_wrong_gradient_disagrees(text: str) -> None:
    """The second has no number for x in torch, so that only the difference can see it."""
    sheet = sheet_of(text, x=0.75, y=2.0)
    assert check(sheet).agree
    sheet.gradients["x"] *= 1 + 1e-6
    checks = check(sheet)
    assert [variable.agrees for variable in checks.variables] == [False, True]
    assert not checks.agree


def verdicts(checks: Checks) -> tuple[bool, bool, bool]:
    allowed = checks_module.AUTOGRAD_TOLERANCE
    assert checks.value_error is not None
    return checks.value_error <= allowed, checks.forward_error <= allowed, checks.agree


def test_a_wrong_value_or_forward_mode_disagrees(monkeypatch: pytest.MonkeyPatch) -> None:
    sheet = sheet_of("sin(x)*y", x=0.75, y=2.0)
    value, gradients = autograd(sheet.graph, sheet.at)
    with monkeypatch.context() as patch:
        patch.setattr(
            "nnlab.chapters.backpropagation.autograd.autograd", lambda *_: (value * (1 + 1e-9), gradients)
        )
        checks = check(sheet, torch=True)
        assert verdicts(checks) == (False, True, False)
    monkeypatch.setattr(checks_module, "directional", lambda *_: (sheet.value, np.asarray(0.0)))
    checks = check(sheet, torch=True)
    assert verdicts(checks) == (True, False, False)


def test_saturated_units_raise_no_false_alarm() -> None:
    """Near σ = 1 and tanh = 1 one rounding is a large part of 1 − σ and of 1 − tanh²."""
    for x in np.arange(6.0, 20.0, 0.25):
        for text in ("sigmoid(x)", "tanh(x)", "1e3*tanh(x)", "tanh(-x*y)"):
            at = {"x": x, "y": 1.0} if "y" in text else {"x": x}
            assert check(sheet_of(text, **at)).agree, (text, x)


def test_of_large_arrays_some_entries_of_each_variable_are_checked() -> None:
    generator = np.random.default_rng(0)
    at = {"W": generator.standard_normal((200, 300)), "v": generator.standard_normal(300)}
    started = time.process_time()
    checks = check(sheet_of("sum(relu(W @ v)^2)", **at))
    assert time.process_time() - started < 10
    assert checks.agree
    counts = [len(variable.differences) for variable in checks.variables]
    assert min(counts) >= 1
    assert sum(counts) < 60_300


# --- faults ---


@pytest.mark.parametrize(
    ("text", "at", "words", "place"),
    [
        ("1 + x/y", {"x": 1.0, "y": 0.0}, "division by zero: 1 / 0", 4),
        ("x^-1", {"x": 0.0}, "division by zero: 0^-1", 0),
        ("log(x)", {"x": -1.0}, "log has no value at -1", 0),
        ("log(x)", {"x": 0.0}, "log has no value at 0", 0),
        ("sqrt(x)", {"x": -4.0}, "sqrt has no value at -4", 0),
        ("exp(x)", {"x": 1000.0}, "overflow: exp at 1000", 0),
        ("2 * exp(x)^9", {"x": 300.0}, "overflow: the power 9 at 1.9", 4),
        ("x^y", {"x": 0.0, "y": -1.0}, "division by zero: 0^-1", 0),
        ("x^y", {"x": 0.0, "y": 0.5}, "the slope of the power 0.5 at 0 is not finite", 0),
        ("x^y", {"x": 0.0, "y": 0.0}, "the slope of the power 0 at 0 in its exponent is not finite", 0),
        ("x^y", {"x": -2.0, "y": 2.0}, "the slope of the power 2 at -2 in its exponent", 0),
        ("x^(-1/2)", {"x": 0.0}, "division by zero: 0^(-1/2)", 0),
        ("sum(w^y)", {"w": [-1.0, -4.0], "y": [2.0, 0.5]}, "the power 0.5 has no value at -4", 4),
        ("1e200*(1e200*x)", {"x": 1e-100}, "overflow: the gradient that the product passes on", 7),
        ("1e308*x + 1.7e308*x", {"x": 1e-5}, "overflow: the gradient in x", 6),
        ("sum(where(w > 0, 1/w, 1/(w + 1)))", {"w": [0.0, -1.0]}, "division by zero: 1 / 0", 22),
        ("x^0.5", {"x": 0.0}, "slope of sqrt at 0 is not finite", 0),
        ("sum(log(w))", {"w": [1.0, 0.0, 2.0]}, "log has no value at 0", 4),
        ("w + 1", {"w": [1.0, 2.0]}, "the result has the shape (2,)", None),
    ],
)
def test_where_there_is_no_value_or_slope_the_operation_is_named(
    text: str, at: dict[str, ArrayLike], words: str, place: int | None
) -> None:
    with pytest.raises(InputError) as caught:
        sheet_of(text, **at)
    message = str(caught.value)
    assert words in message
    if place is not None:
        assert message.splitlines()[-1].index("^") == 2 + place


def test_a_branch_that_is_not_taken_may_have_no_value() -> None:
    sheet = sheet_of("where(x > 0, x^2, log(x) + 1/x)", x=3.0)
    assert sheet.value == 9
    assert float(sheet.gradients["x"]) == 6
    assert sheet_of("where(x > 0, 2, log(x)*sqrt(x))", x=-1.0 + 2).value == 2


def test_entries_of_a_branch_that_are_not_taken_may_have_no_value_either() -> None:
    sheet = sheet_of("sum(where(x > 0, y*log(x), x*z))", x=[0.0, 2.0, -3.0], y=[5.0, 6.0, 7.0], z=4.0)
    assert sheet.value == 6 * math.log(2) - 12
    assert sheet.gradients["x"].tolist() == [4.0, 3.0, 4.0]
    assert sheet.gradients["y"].tolist() == [0.0, math.log(2), 0.0]
    assert float(sheet.gradients["z"]) == -3.0
    assert check(sheet).agree


def test_powers_at_zero_have_the_slopes_of_their_limits() -> None:
    assert float(sheet_of("x^0", x=0.0).gradients["x"]) == 0
    sheet = sheet_of("sum(x^y)", x=[0.0, 0.0, 2.0], y=[2.0, 1.0, 0.0])
    assert sheet.gradients["x"].tolist() == [0.0, 1.0, 0.0]
    assert sheet.gradients["y"].tolist() == [0.0, 0.0, math.log(2)]
    assert check(sheet).agree


# --- the picture ---


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (NEURON.expression, dict(NEURON.at)),
        (EXAMPLES["sum"].expression, dict(EXAMPLES["sum"].at)),
        (EXAMPLES["scores"].expression, dict(EXAMPLES["scores"].at)),
        ("max(abs(x-y), relu(z)^2, sin(x)/3) + x^y*where(x<y, 2, exp(z))", {"x": 1.5, "y": -2.0, "z": 1e-3}),
        ("x*x*x", {"x": 123456.789}),
        ("x", {"x": 1.0}),
        ("sum(A @ A) + mean(A)", {"A": np.arange(9.0).reshape(3, 3)}),
        ("weight_of_first_layer*x - temperature/a", {"weight_of_first_layer": 2.0, "x": 1.0,
         "temperature": 3e-10, "a": 1.0}),
        ("s*s*s + exp(s)*s", {"s": -1234.5}),
        ("sum(v*v*v) + v @ v", {"v": [-1234.5, 0.000123456, 5]}),
        ("x*(1 + 2) - max(x, -1.2345)^x - sqrt(2)*mean(u)", {"x": 3.0, "u": [1.0, 2.0]}),
    ],
)  # fmt: skip
def test_the_picture_is_readable(text: str, at: dict[str, ArrayLike]) -> None:
    sheet = sheet_of(text, **at)
    circles, _ = layout(sheet)
    figure = computational_graph(sheet, "f = " + text)
    figure_checks.assert_readable(figure, spoken=False)
    words = figure_checks.texts(figure)
    for line in sheet.lines:
        assert line.kind != "variable" or lowered(line.name) in words
    ellipses = [patch.get_extents() for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    assert not any(one.overlaps(other) for one, other in combinations(ellipses, 2))
    assert len({(place.x, place.y) for place in circles}) == len(circles)


def test_the_picture_shows_value_and_gradient_of_every_edge() -> None:
    sheet = sheet_of_example("neuron")
    words = figure_checks.texts(computational_graph(sheet, "f"))
    for number in ("0.731", "1.37", "0.368", "−0.534", "−0.197", "0.393", "−0.393", "−0.59"):
        assert number in words
    assert len(layout(sheet)[1]) == 13  # an edge for each of 12 operands, and the result


def test_before_a_fork_the_picture_has_the_whole_gradient_and_behind_it_the_shares() -> None:
    sheet = sheet_of("sin(x)*exp(sin(x)) + x*y", x=2.0, y=5.0)
    circles, wires = layout(sheet)
    at = {(place.x, place.y): place.label for place in circles}
    stubs = {at[wire.points[0]]: wire for wire in wires if wire.points[-1] not in at and wire.points[0] in at}
    assert {*stubs} == {"x", "sin", "+"}  # the last goes out to the right
    sine, x = (next(line for line in sheet.lines if line.operation == text) for text in ("sin x", "x"))
    for label, line in (("x", x), ("sin", sine)):
        assert (stubs[label].value, stubs[label].gradient) == (
            f"{line.value:.3g}",
            f"{line.gradient:.3g}".replace("-", "−"),
        )
        branches = [wire for wire in wires if wire.points[0] == stubs[label].points[-1]]
        shares = [edge.passed for user in sheet.lines for edge in user.edges if edge.argument == line.index]
        assert sorted(wire.gradient for wire in branches) == sorted(
            f"{share:.3g}".replace("-", "−") for share in shares
        )
        assert len(branches) == 2


def test_a_picture_writes_numbers_out_and_to_as_many_digits_as_are_wanted() -> None:
    _, wires = layout(sheet_of_example("logsumexp"))
    texts = {text for wire in wires for text in (wire.value, wire.gradient)}
    assert {"[1000, 1001, 998]", "[−1000, −1001, −998]", "0.349"} <= texts
    circles, wires = layout(sheet_of("x*0.123456 + 12345.678*x", x=1 / 3), digits=2)
    assert {"□·0.12", "12346·□"} <= {place.label for place in circles}
    assert {wire.value for wire in wires} == {"0.33", "0.041", "4115"}
    assert {wire.gradient for wire in wires} == {"0.12", "12346", "1"}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(reference.expressions())
@example("min(where(tanh(2) < min(t, t), max(A), tanh(2)), s)")
def test_no_two_things_of_a_picture_stand_closer_than_a_row(text: str) -> None:
    at = {name: np.full(shape, 0.7) for name, shape in reference.SHAPES.items()}
    try:
        circles, wires = layout(sheet_of(text, **at))
    except InputError:
        assume(False)
    points = {point for wire in wires for point in wire.points}
    assert len({wire.label for wire in wires}) == len(wires), text
    columns: dict[float, list[float]] = {}
    for x, y in points | {(place.x, place.y) for place in circles}:
        columns.setdefault(x, []).append(y)
    for rows in columns.values():
        assert all(low + 1 <= high for low, high in pairwise(sorted(rows))), text


@pytest.mark.parametrize(
    ("text", "label", "marks"),
    [
        ("x - y", "①−②", ["① 2", "② 3"]),
        ("x / y", "①÷②", ["① 2", "② 3"]),
        ("x ^ y", "①^②", ["① 2", "② 3"]),
        ("x + y", "+", ["2", "3"]),
        ("x * y", "×", ["2", "3"]),
        ("max(x, y)", "max", ["2", "3"]),
        ("x - 1", "□−1", ["2"]),
        ("1 / x", "1÷□", ["2"]),
        ("x*0.123456", "□·0.123", ["2"]),
        ("max(-1, x)", "max(−1,□)", ["2"]),
        ("x^2", "□²", ["2"]),
        ("x^20", "□²⁰", ["2"]),
        ("x^-2", "□⁻²", ["2"]),
        ("x^2.5", "□^(5/2)", ["2"]),
        ("2^x", "2^□", ["2"]),
        ("(x - 2)^(10^16)", "□^(1e+16)", ["2", "0"]),
        ("where(x < y, x, 1)", "①?②:1", ["2", "① 2", "② 3", "① true", "② 2"]),
        ("where(x < -1, 1, y)", "□<−1", ["2", "① false", "② 3"]),
        ("sin(1)", "sin 1", []),
    ],
)
def test_circles_show_what_is_done_and_to_which_operand(text: str, label: str, marks: list[str]) -> None:
    at = {name: value for name, value in (("x", 2.0), ("y", 3.0)) if name in text.replace("max", "")}
    circles, wires = layout(sheet_of(text, **at))
    assert label in [place.label for place in circles]
    assert sorted(wire.value for wire in wires[:-1]) == sorted(marks)


def test_a_constant_that_is_computed_stands_in_the_picture_once() -> None:
    for text, labels in (("x*(1 + 2)", ["x", "1+2", "×"]), ("2*pi*x", ["2·pi", "x", "×"])):
        circles, wires = layout(sheet_of(text, x=2.0))
        assert [place.label for place in circles] == labels
        assert len(wires) == 3


def test_a_picture_of_too_many_nodes_is_refused() -> None:
    with pytest.raises(InputError, match=f"at most {MAX_NODES} are drawn"):
        layout(sheet_of("sin(" * 70 + "x" + ")" * 70, x=1.0))


# --- LaTeX ---

TEX = [
    (NEURON.expression, dict(NEURON.at)),
    (EXAMPLES["scores"].expression, dict(EXAMPLES["scores"].at)),
    ("max(abs(x-y), relu(z)^2, sin(x)/3) + x^y*where(x<y, 2, exp(z))", {"x": 1.5, "y": -2.0, "z": 1e-3}),
    ("mean(softmax(transpose(A))) + min(A) + logsumexp(w_out)^-2", {"A": np.eye(3), "w_out": [1.0, 2.0]}),
    ("sqrt(long_name) + tanh(tan(cos(log(x2_b)))) + pi", {"long_name": 4.0, "x2_b": 3.0}),
    ("2^3", {}),
    ("where(x > 0, x, log(x) + 1/(x - x))", {"x": 2.0}),
]


def test_latex_tells_the_chain_rule() -> None:
    text = latex(sheet_of_example("neuron"))
    assert r"$q_{6}$ & $\exp q_{5}$ & $0.3679$" in text
    assert r"\partial f / \partial w_{0} = 0.1966 \cdot (-1) = -0.1966" in text
    assert r"\ttfamily 1/(1 + exp(-(w0*x0 + w1*x1 + w2)))" in text


@given(st.lists(st.from_regex("[ab][ab1_]{0,4}", fullmatch=True), min_size=2, max_size=6, unique=True))
def test_no_two_variables_look_alike_in_latex(names: list[str]) -> None:
    graph = parse("+".join(names), names)
    checks = notation_of(graph, ((),) * len(graph.nodes), tex=True)
    variables = [checks.names[i] for i, node in enumerate(graph.nodes) if node.operation == "variable"]
    assert len(set(variables)) == len(names)


def test_names_of_variables_have_an_index_in_latex() -> None:
    text = latex(sheet_of("x_1*x2*W_out*theta*a_b_c", x_1=1.0, x2=2.0, W_out=3.0, theta=4.0, a_b_c=5.0))
    for name in ("x_{1}", "x_{2}", r"W_{\mathrm{out}}", r"\mathrm{theta}", r"\mathtt{a\_b\_c}"):
        assert f"${name}$ & given" in text
    text = latex(sheet_of("x_1*x1", x_1=1.0, x1=2.0))
    assert r"$\mathtt{x\_1} \cdot \mathtt{x1}$" in text


def test_numbers_are_set_as_numbers_in_latex() -> None:
    text = latex(sheet_of("2^10*x + 1e30*x^-20 + (1.5e-7)^x - x*(-4)", x=1.0))
    for formula in ("2^{10}", r"(10^{30}) \cdot q_{", "x^{-20}", r"(1.5 \cdot 10^{-7})^{x}", r"x \cdot (-4)"):
        assert formula in text


@pytest.mark.parametrize(("text", "at"), TEX)
def test_latex_compiles(tmp_path: Path, text: str, at: dict[str, ArrayLike]) -> None:
    pdflatex(tmp_path, latex(sheet_of(text, **at)))


def test_matrices_of_every_shape_compile_and_fit(tmp_path: Path) -> None:
    shapes = [(m, n) for m in range(1, 18) for n in range(1, 18) if m * n <= ENTRIES + 1]
    at: dict[str, np.ndarray] = {f"A{i}": np.full(shape, 10.0 + i) for i, shape in enumerate(shapes)}
    at |= {f"b{n}": np.full(n, -1e-9) for n in range(1, ENTRIES + 2)}
    log = pdflatex(tmp_path, latex(sheet_of("+".join(f"sum({name}*1.5)" for name in at), **at)))
    assert "Overfull" not in log


def test_wide_matrices_stay_readable_and_rows_stand_apart(tmp_path: Path) -> None:
    """TeX tells of each matrix that it sets smaller how wide it is, and what room it has."""
    document = latex(sheet_of("sum(relu(M*1.5)*M)", M=np.linspace(-3.4567, 9.8765, 16).reshape(2, 8)))
    marked = document.replace(r"\resizebox", r"\typeout{matrix \the\wd0 \the\linewidth}\resizebox")
    widths = re.findall(r"matrix ([\d.]+)pt([\d.]+)pt", pdflatex(tmp_path, marked))
    assert widths
    assert all(float(room) > 0.7 * float(width) for width, room in widths)  # 8 points of 11
    rows = [line for line in document.splitlines() if " & " in line and "endhead" not in line]
    assert sum(line.endswith(r"\noalign{\smallskip}") for line in rows) == len(rows) - 1  # the last is no row


def test_nothing_leaves_the_page(tmp_path: Path) -> None:
    long = "the_weight_of_the_first_unit_of_the_first_layer_of_the_network"
    text = f"max({long}, {long}^2)*exp({long}*x)/(({long}-1)*({long}+2)*x)" + "+x*1.23456789" * 30
    sheet = sheet_of(f"{text} + abs({long} - 1/3)", **{long: 1 / 3, "x": 1e-5 / 7})
    log = pdflatex(tmp_path, latex(sheet, digits=17, checks=check(sheet)))
    assert "Overfull" not in log


@pytest.mark.slow
def test_the_longest_expressions_compile(tmp_path: Path) -> None:
    """TeX reads no line of 200,000 characters."""
    terms = "+".join(f"x*{i}" for i in range(5_000))
    spaced = " + ".join(["x"] * 5_000)
    long = "a" * 20_000
    for name, text in (("x", f"x{'^1' * 20_000}"), ("x", terms), ("x", spaced), (long, f"{long} * {long}")):
        document = latex(sheet_of(text, **{name: 1.0}))
        assert max(map(len, document.splitlines())) < 1_000
    pdflatex(tmp_path, latex(sheet_of(terms, x=1.0)))
