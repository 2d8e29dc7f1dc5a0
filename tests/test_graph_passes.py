"""The reverse and the forward pass, shapes and costs, against torch and against counts by hand."""

import math
import sys
from collections.abc import Callable
from types import FrameType

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.expressions import ExpressionError, Graph, parse
from nnlab.expressions.passes import (
    directional,
    forward_cost,
    gradient,
    hessian_vector,
    reverse_cost,
)
from nnlab.expressions.shapes import shapes
from tests import torch_reference as reference

Arrays = dict[str, np.ndarray]
SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def point(seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    return {name: np.asarray(generator.uniform(-1.5, 1.5, shape)) for name, shape in reference.SHAPES.items()}


def graph_of(text: str) -> Graph:
    return parse(text, tuple(reference.SHAPES), tensors=True)


def by_torch(text: str, at: Arrays) -> tuple[float, Arrays, reference.Seen]:
    leaves = {name: torch.tensor(value, requires_grad=True) for name, value in at.items()}
    seen = reference.Seen()
    value = reference.evaluate(text, leaves, seen)
    result = (
        torch.autograd.grad(value, list(leaves.values()), allow_unused=True) if value.requires_grad else ()
    )
    gradients = {
        name: np.zeros(at[name].shape) if g is None else g.numpy()
        for name, g in zip(at, result or [None] * len(at), strict=True)
    }
    return float(value.detach()), gradients, seen


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None, suppress_health_check=SLOW)
@given(reference.expressions(), st.integers(0, 2**32 - 1))
def test_gradients_of_any_expression_are_those_of_torch(text: str, seed: int) -> None:
    at = point(seed)
    value, theirs, seen = by_torch(text, at)
    sizes = [abs(value), seen.largest, *(np.abs(g).max() for g in theirs.values())]
    assume(np.all(np.isfinite(sizes)) and max(sizes) < 1e4 and seen.gap > 1e-6)
    graph = graph_of(text)
    ours, gradients = gradient(graph, at)
    assert ours == pytest.approx(value, rel=1e-10, abs=1e-12 * max(1.0, seen.largest))
    scale = max(float(np.abs(g).max()) for g in theirs.values())
    direction = {name: np.random.default_rng(seed).standard_normal(a.shape) for name, a in at.items()}
    for name in at:
        assert np.abs(gradients[name] - theirs[name]).max() <= 1e-10 * scale + 1e-13, (text, name)
    along = float(directional(graph, at, direction)[1])
    terms = [float(np.sum(gradients[name] * direction[name])) for name in at]
    size = sum(float(np.sum(np.abs(gradients[name] * direction[name]))) for name in at)
    assert abs(along - sum(terms)) <= 1e-12 * size + 1e-13, text


@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
@given(reference.expressions(smooth=True, depth=2), st.integers(0, 2**32 - 1))
def test_hessian_vector_products_are_those_of_torch_func(text: str, seed: int) -> None:
    at = point(seed)
    value, theirs, seen = by_torch(text, at)
    assume(
        math.isfinite(value) and seen.largest < 100 and max(np.abs(g).max() for g in theirs.values()) < 100
    )
    direction = {name: np.random.default_rng(seed).standard_normal(a.shape) for name, a in at.items()}
    primal, tangent = ({k: torch.tensor(v) for k, v in d.items()} for d in (at, direction))
    quiet = reference.Seen(tracks=False)

    def scalar(leaves: dict[str, torch.Tensor]) -> torch.Tensor:
        zero = sum((leaf * 0).sum() for leaf in leaves.values())  # so that every leaf takes part
        return reference.evaluate(text, leaves, quiet) + zero

    def along(leaves: dict[str, torch.Tensor]) -> torch.Tensor:
        slopes = torch.func.grad(scalar)(leaves)
        return torch.stack([(slopes[name] * tangent[name]).sum() for name in leaves]).sum()

    expected = torch.func.grad(along)(primal)
    result = hessian_vector(graph_of(text), at, direction)
    scale = max(float(e.abs().max()) for e in expected.values())
    assume(scale < 1e4)
    for name in at:
        assert np.abs(result[name] - expected[name].numpy()).max() <= 1e-10 * scale + 1e-11, (text, name)


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("x*x", {"x": 3.0}, {"x": 6.0}),
        ("x/x", {"x": 3.0}, {"x": 0.0}),
        ("x^x", {"x": 2.0}, {"x": 4 * (1 + math.log(2))}),
        ("x^y", {"x": 2.0, "y": 3.0}, {"x": 12.0, "y": 8 * math.log(2)}),
        ("x^-2", {"x": 2.0}, {"x": -0.25}),
        ("(-x)^3", {"x": 2.0}, {"x": -12.0}),
        ("max(x, x)", {"x": 2.0}, {"x": 1.0}),
        ("max(x, y, z)", {"x": 1.0, "y": 3.0, "z": 2.0}, {"x": 0.0, "y": 1.0, "z": 0.0}),
        ("max(x, y)", {"x": 1.0, "y": 1.0}, {"x": 0.5, "y": 0.5}),
        ("min(w)", {"w": [2.0, 1.0, 1.0]}, {"w": [0.0, 0.5, 0.5]}),
        ("relu(x)", {"x": 0.0}, {"x": 0.0}),
        ("abs(x)", {"x": 0.0}, {"x": 0.0}),
        ("where(x < y, x^2, y)", {"x": 1.0, "y": 2.0}, {"x": 2.0, "y": 0.0}),
        ("where(x > y, x^2, sum(w))", {"x": 1.0, "y": 2.0, "w": [1.0, 2.0]}, {"x": 0.0, "w": [1.0, 1.0]}),
        ("sum(x*w)", {"x": 2.0, "w": [[1.0], [4.0]]}, {"x": 5.0, "w": [[2.0], [2.0]]}),
        ("w @ w", {"w": [1.0, 2.0]}, {"w": [2.0, 4.0]}),
        ("sum(w @ w)", {"w": [[1.0, 2.0], [3.0, 4.0]]}, {"w": [[7.0, 11.0], [9.0, 13.0]]}),
        ("2^3", {}, {}),
    ],
)
def test_gradients_by_hand(text: str, at: dict[str, ArrayLike], expected: dict[str, ArrayLike]) -> None:
    _, result = gradient(parse(text, tuple(at), tensors=True), at)
    for name, value in expected.items():
        assert np.allclose(result[name], value, rtol=1e-14, atol=0), name
        assert np.shape(result[name]) == np.shape(at[name])


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (3, 1), (2, 3)])
@pytest.mark.parametrize("other", [(), (1,), (3,), (1, 3), (2, 1), (2, 3)])
@pytest.mark.parametrize("sign", ["+", "*", "/", "^"])
def test_what_is_repeated_gathers_its_gradient(
    shape: tuple[int, ...], other: tuple[int, ...], sign: str
) -> None:
    try:
        np.broadcast_shapes(shape, other)
    except ValueError:
        with pytest.raises(ExpressionError, match="do not fit"):
            shapes(parse(f"x {sign} y", ("x", "y"), tensors=True), {"x": shape, "y": other})
        return
    generator = np.random.default_rng(0)
    at = {
        "x": np.asarray(generator.uniform(0.5, 2, shape)),
        "y": np.asarray(generator.uniform(0.5, 2, other)),
    }
    _, result = gradient(parse(f"sum(x {sign} y)", ("x", "y"), tensors=True), at)
    x, y = (torch.tensor(value, requires_grad=True) for value in at.values())
    torch.sum({"+": x + y, "*": x * y, "/": x / y, "^": x**y}[sign]).backward()
    for name, leaf in (("x", x), ("y", y)):
        assert leaf.grad is not None
        assert result[name].shape == at[name].shape
        assert np.allclose(result[name], leaf.grad.numpy(), rtol=1e-13)


def test_products_with_a_hessian_of_zero_have_the_shape_of_their_variable() -> None:
    for shape in ((), (1,), (1, 3), (2, 1)):
        graph = parse("sum(x) + sum(y*y)", ("x", "y"), tensors=True)
        at = {"x": np.ones(shape), "y": np.ones(2)}
        result = hessian_vector(graph, at, {"x": np.ones(shape), "y": np.ones(2)})
        assert result["x"].shape == shape
        assert result["y"].tolist() == [2.0, 2.0]


def test_a_power_with_exponent_0_keeps_its_mixed_derivative() -> None:
    """∂²x^y/∂x∂y = x^(y − 1) (1 + y log x), which is 1/x at y = 0; torch's second pass gives 0 there."""
    graph = parse("x^y", ("x", "y"), tensors=True)
    result = hessian_vector(graph, {"x": 2.0, "y": 0.0}, {"y": 1.0})
    assert float(result["x"]) == 0.5
    assert float(result["y"]) == pytest.approx(math.log(2) ** 2)


@pytest.mark.parametrize(
    ("text", "x", "slope", "curvature"),
    [
        ("sum(where(x > 0, 1/x, x^2))", [0.0, 2.0, -1.0], [0.0, -0.25, -2.0], [2.0, 0.25, 2.0]),
        ("sum(where(x > 0, where(x > 1, log(x - 1), sqrt(x)), 3*x))", [0.0, 1.0, 3.0], [3.0, 0.5, 0.5],
         [0.0, -0.25, -0.25]),
        ("sum(where(x > 0, 2, x)*where(x > 0, log(x), x))", [0.0, 2.0], [0.0, 1.0], [2.0, -0.5]),
        ("sum(transpose(where(x > 0, x^-2, x)))", [0.0, 1.0], [1.0, -2.0], [0.0, 6.0]),
    ],
)  # fmt: skip
def test_entries_that_are_not_taken_stay_out_of_both_passes(
    text: str, x: list[float], slope: list[float], curvature: list[float]
) -> None:
    graph, at = parse(text, ("x",), tensors=True), {"x": x}
    assert np.allclose(gradient(graph, at)[1]["x"], slope, rtol=1e-14)
    assert float(directional(graph, at, {"x": np.ones(len(x))})[1]) == pytest.approx(sum(slope), rel=1e-14)
    assert np.allclose(hessian_vector(graph, at, {"x": np.ones(len(x))})["x"], curvature, rtol=1e-14)


def test_powers_at_zero_have_their_second_derivatives() -> None:
    """∂²x^y/∂x² = y(y − 1) x^(y − 2) and ∂²x^y/∂x∂y = x^(y − 1) (1 + y log x)."""
    graph = parse("x^y", ("x", "y"), tensors=True)
    result = hessian_vector(graph, {"x": 0.0, "y": 2.0}, {"x": 1.0, "y": 1.0})
    assert (float(result["x"]), float(result["y"])) == (2.0, 0.0)
    assert float(hessian_vector(parse("x^1", ("x",)), {"x": 0.0}, {"x": 1.0})["x"]) == 0


def test_forward_mode_gives_derivatives_of_vectors_too() -> None:
    graph = parse("softmax(A @ u)", ("A", "u"), tensors=True)
    at, generator = point(1), np.random.default_rng(2)
    at = {"A": at["A"], "u": at["u"]}
    direction = {name: generator.standard_normal(a.shape) for name, a in at.items()}
    value, along = directional(graph, at, direction)
    step = 1e-6
    ends = [
        directional(graph, {n: a + sign * step * direction[n] for n, a in at.items()}, {})[0]
        for sign in (1, -1)
    ]
    assert value.shape == along.shape == (2,)
    assert np.allclose(along, (ends[0] - ends[1]) / (2 * step), atol=1e-9)


def calls(work: Callable[[], object]) -> int:
    """The number of functions that a piece of work calls: the same on every machine, however busy it is."""
    count = 0

    def event(frame: FrameType, kind: str, value: object) -> None:
        nonlocal count
        count += kind in ("call", "c_call")

    sys.setprofile(event)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def chain(length: int) -> float:
    """The slope of a chain of multiplications and subtractions."""
    text = "(" * length + "x" + "*1.01 - 1)" * length
    return float(gradient(parse(text, ("x",), tensors=True), {"x": 10.0})[1]["x"])


def test_the_work_of_a_chain_grows_with_its_length_alone() -> None:
    assert chain(5_000) == pytest.approx(1.01**5_000, rel=1e-9)
    assert calls(lambda: chain(2_000)) < 2.1 * calls(lambda: chain(1_000))


def test_a_chain_of_nested_calls_needs_no_recursion() -> None:
    depth = 10_000
    text = "sin(" * depth + "x" + ")" * depth
    value, result = gradient(parse(text, ("x",), tensors=True), {"x": 1.0})
    expected, slope = 1.0, 1.0
    for _ in range(depth):
        expected, slope = math.sin(expected), slope * math.cos(expected)
    assert value == pytest.approx(expected, rel=1e-12)
    assert float(result["x"]) == pytest.approx(slope, rel=1e-9)


def weighted_sum(terms: int) -> dict[str, np.ndarray]:
    """The gradient of a sum of so many terms, with the weights 1 to 7 in turn."""
    names = tuple(f"x{i}" for i in range(terms))
    text = " + ".join(f"{name}*{i % 7 + 1}" for i, name in enumerate(names))
    at = {name: float(i % 3) for i, name in enumerate(names)}
    return gradient(parse(text, names, tensors=True), at)[1]


def test_the_work_of_a_sum_grows_with_its_terms_alone() -> None:
    assert all(slope == i % 7 + 1 for i, slope in enumerate(weighted_sum(5_000).values()))
    assert calls(lambda: weighted_sum(2_000)) < 2.1 * calls(lambda: weighted_sum(1_000))


# --- shapes ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A @ u", (2,)),
        ("v @ A", (3,)),
        ("u @ u", ()),
        ("A @ B", (2, 2)),
        ("transpose(A) + B", (3, 2)),
        ("transpose(u)", (3,)),
        ("A * u + s", (2, 3)),
        ("softmax(A)", (2, 3)),
        ("logsumexp(A)", (2,)),
        ("logsumexp(u)", ()),
        ("max(A)", ()),
        ("max(A, s)", (2, 3)),
        ("where(u < s, 1, u)", (3,)),
        ("mean(A) + 1", ()),
    ],
)
def test_shapes_are_inferred(text: str, expected: tuple[int, ...]) -> None:
    graph = graph_of(text)
    assert shapes(graph, reference.SHAPES)[-1] == expected
    assert directional(graph, point(0), {})[0].shape == expected


@pytest.mark.parametrize(
    ("text", "words", "place"),
    [
        ("A @ v", r"\(2, 3\) @ \(2,\) do not fit: the last length of the left side, 3", 2),
        ("s @ A", r"left side of @ is a number, the other is \(2, 3\)", 2),
        ("u + v", r"the shapes \(3,\) and \(2,\) do not fit", 2),
        ("1 + (A*v)", r"the shapes \(2, 3\) and \(2,\) do not fit", 6),
        ("softmax(s)", "softmax takes a vector or a matrix, and has a number here", 0),
    ],
)
def test_shapes_that_do_not_fit_are_both_shown(text: str, words: str, place: int) -> None:
    with pytest.raises(ExpressionError, match=words) as caught:
        shapes(graph_of(text), reference.SHAPES)
    assert str(caught.value).splitlines()[-1].index("^") == 2 + place


def test_names_without_a_value_and_values_without_a_name_are_refused() -> None:
    graph = parse("x*y", ("x", "y"), tensors=True)
    with pytest.raises(InputError, match="no value is given for y"):
        gradient(graph, {"x": 1.0})
    with pytest.raises(InputError, match="has no variable z"):
        gradient(graph, {"x": 1.0, "y": 1.0, "z": 1.0})


# --- costs ---


def test_costs_of_a_chain_by_hand() -> None:
    """f = sin(cos(x)): an edge is one multiply-add in either mode; values and gradients of 3 nodes wait."""
    graph = parse("sin(cos(x))", ("x",), tensors=True)
    result = shapes(graph, {"x": ()})
    reverse, forward = reverse_cost(graph, result), forward_cost(graph, result)
    assert (reverse.passes, reverse.multiply_adds, reverse.stored) == (1, 2, 6)
    assert (forward.passes, forward.multiply_adds) == (1, 2)
    assert forward.stored == 4  # a node and the one after it, each with its derivative


def test_forward_mode_costs_a_pass_for_each_input() -> None:
    """f = Σ wᵢ xᵢ over n: 3n multiply-adds back; forward, n or 2n inputs along each edge."""
    n = 7
    graph = parse("sum(w * x)", ("w", "x"), tensors=True)
    result = shapes(graph, {"w": (n,), "x": (n,)})
    reverse, forward = reverse_cost(graph, result), forward_cost(graph, result)
    assert reverse.multiply_adds == 3 * n
    assert forward.passes == 2 * n
    assert forward.multiply_adds == n * n + n * n + n * 2 * n


def test_a_matrix_product_costs_what_it_multiplies() -> None:
    m, n, k = 3, 4, 5
    graph = parse("sum(A @ B)", ("A", "B"), tensors=True)
    result = shapes(graph, {"A": (m, k), "B": (k, n)})
    assert reverse_cost(graph, result).multiply_adds == 2 * m * n * k + m * n


def test_reverse_mode_wins_where_inputs_are_many_and_not_on_a_chain_of_one() -> None:
    wide = " + ".join(f"x{i}^2" for i in range(50))
    graph = parse(wide, tuple(f"x{i}" for i in range(50)), tensors=True)
    result = shapes(graph, {f"x{i}": () for i in range(50)})
    assert reverse_cost(graph, result).multiply_adds * 8 < forward_cost(graph, result).multiply_adds
    chain = parse("sin(" * 30 + "x" + ")" * 30, ("x",), tensors=True)
    result = shapes(chain, {"x": ()})
    assert forward_cost(chain, result).multiply_adds == reverse_cost(chain, result).multiply_adds
    assert forward_cost(chain, result).stored < reverse_cost(chain, result).stored
