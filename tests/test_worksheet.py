"""The worksheet: the lecture's examples, checks, kinks, faults, the picture and the LaTeX."""

import math
import shutil
import subprocess
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from matplotlib.patches import Circle

from nnlab.errors import InputError
from nnlab.figures.graph import computational_graph
from nnlab.graph import parse
from nnlab.worksheet import Worksheet, build
from nnlab.worksheet.checks import check
from nnlab.worksheet.examples import EXAMPLES, scores_rows, stability_rows
from nnlab.worksheet.fuse import with_sigmoids
from nnlab.worksheet.latex import latex
from nnlab.worksheet.layout import MAX_NODES, layout
from nnlab.worksheet.sentences import local, rule
from tests import figure_checks
from tests import torch_reference as reference

NEURON = EXAMPLES["neuron"]


def sheet_of(text: str, **at: object) -> Worksheet:
    return build(parse(text, tuple(at), tensors=True), at)  # type: ignore[arg-type]


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
    loss.backward()  # type: ignore[no-untyped-call]
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
    example = EXAMPLES["scores"].with_values({"x": pixels, "y": targets})
    rows = dict(scores_rows(example))
    scores = torch.tensor(example.at["W"] @ pixels + example.at["b"], requires_grad=True)
    loss = torch.nn.functional.cross_entropy(scores[None], torch.tensor(targets)[None])
    loss.backward()  # type: ignore[no-untyped-call]
    assert scores.grad is not None
    assert np.allclose(rows["scores s = W x + b"], scores.detach().numpy(), rtol=1e-15)
    assert np.allclose(rows["gradient in s, from the graph"], scores.grad.numpy(), rtol=1e-12)
    assert float(rows["loss −Σ y log p"]) == pytest.approx(float(loss.detach()), rel=1e-12)
    far = EXAMPLES["scores"].with_values({"b": np.array([0.0, 1000.0, 0.0])})
    assert float(dict(scores_rows(far))["loss −Σ y log p"]) > 990


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_agrees_with_autograd_and_differences(name: str) -> None:
    checks = check(sheet_of_example(name))
    assert checks.agree
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
        ("x^-1", {"x": 2.0}, ["(-1) · x^(-2) = −0.25"]),
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
    ],
)
def test_local_derivatives_stand_with_their_formulas(
    text: str, at: dict[str, float], expected: list[str]
) -> None:
    found = [local(edge) for edge in sheet_of(text, **at).lines[-1].edges]
    assert found[: len(expected)] == expected


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(reference.expressions(), st.integers(0, 2**32 - 1))
def test_worksheets_of_made_expressions_hold_together(text: str, seed: int) -> None:
    """What arrives at a node is the sum of what its users pass on; the checks raise no false alarm."""
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
def test_kinks_are_recognized_and_said(text: str, at: dict[str, object], words: str) -> None:
    checks = check(sheet_of(text, **at))
    assert [kink for kink in checks.kinks if words in kink.sentence]
    assert checks.agree
    bends = [found for variable in checks.variables for found in variable.differences if found.bends]
    assert bends
    assert bends[0].left != pytest.approx(bends[0].right)


def test_where_nothing_bends_no_kink_is_seen() -> None:
    for text, x in (("relu(x)", 1e-3), ("abs(x)", -2.0), ("x^2", 0.0), ("sin(x)", 0.0), ("relu(x)^2", 0.0)):
        found = check(sheet_of(text, x=x))
        assert not any(d.bends for v in found.variables for d in v.differences), text
        assert found.agree


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
        ("where(x > 0, sin(x)/x, 1)", 0.0),
    ],
)  # fmt: skip
def test_differences_raise_no_false_alarm_on_steep_functions(text: str, x: float) -> None:
    found = check(sheet_of(text, x=x))
    assert found.agree, found


def test_a_wrong_gradient_is_found_by_both_checks() -> None:
    sheet = sheet_of("sin(x)*y", x=0.7, y=2.0)
    checks = check(sheet)
    (difference,) = checks.variables[0].differences
    right = float(sheet.gradients["x"])
    assert difference.agrees(right)
    assert not difference.agrees(right * (1 + 1e-6))
    assert abs(difference.derivative - right) < 1e-9


def test_of_large_arrays_some_entries_of_each_variable_are_checked() -> None:
    generator = np.random.default_rng(0)
    at = {"W": generator.standard_normal((200, 300)), "v": generator.standard_normal(300)}
    started = time.process_time()
    found = check(sheet_of("sum(relu(W @ v)^2)", **at))
    assert time.process_time() - started < 10
    assert found.agree
    counts = [len(variable.differences) for variable in found.variables]
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
        ("2 * exp(x)^9", {"x": 300.0}, "overflow: the power", 4),
        ("x^0.5", {"x": 0.0}, "slope of sqrt at 0 is not finite", 0),
        ("sum(log(w))", {"w": [1.0, 0.0, 2.0]}, "log has no value at 0", 4),
        ("w + 1", {"w": [1.0, 2.0]}, "the result has the shape (2,)", None),
    ],
)
def test_where_there_is_no_value_or_slope_the_operation_is_named(
    text: str, at: dict[str, object], words: str, place: int | None
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
    ],
)
def test_the_picture_is_readable(text: str, at: dict[str, object]) -> None:
    sheet = sheet_of(text, **at)
    circles, wires = layout(sheet)
    figure = computational_graph("f = " + text, circles, wires)
    figure_checks.assert_readable(figure)
    words = figure_checks.texts(figure)
    for line in sheet.lines:
        assert line.kind != "variable" or line.name in words
    discs = [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]
    for one, other in combinations(discs, 2):
        assert math.dist(one.center, other.center) > one.radius + other.radius
    assert len({(place.x, place.y) for place in circles}) == len(circles)


def test_the_picture_shows_value_and_gradient_of_every_edge() -> None:
    sheet = sheet_of_example("neuron")
    circles, wires = layout(sheet)
    words = figure_checks.texts(computational_graph("f", circles, wires))
    for shown in ("0.731", "1.37", "0.368", "−0.534", "−0.197", "0.393", "−0.393", "−0.59"):
        assert shown in words
    assert len(wires) == 13  # an edge for each of 12 operands, and the result


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
]


def test_latex_tells_the_chain_rule() -> None:
    text = latex(sheet_of_example("neuron"))
    assert r"$q_{6}$ & $\exp q_{5}$ & $0.3679$" in text
    assert r"\partial f / \partial w_{0} = 0.1966 \cdot (-1) = -0.1966" in text
    assert r"\ttfamily 1/(1 + exp(-(w0*x0 + w1*x1 + w2)))" in text


@pytest.mark.parametrize(("text", "at"), TEX)
def test_latex_compiles(tmp_path: Path, text: str, at: dict[str, object]) -> None:
    program = shutil.which("pdflatex")
    if program is None:
        pytest.skip("no pdflatex on this machine")
    (tmp_path / "sheet.tex").write_text(latex(sheet_of(text, **at)))
    command = [program, "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2_000:]
    assert (tmp_path / "sheet.pdf").stat().st_size > 1_000
