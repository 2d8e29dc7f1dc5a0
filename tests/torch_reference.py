"""A second evaluator of expressions of vectors and matrices: torch on Python's own syntax tree."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

SHAPES = {"s": (), "t": (), "u": (3,), "v": (2,), "A": (2, 3), "B": (3, 2)}
"""The variables of made expressions."""

ELEMENTWISE = ("sin", "cos", "exp", "tanh", "sigmoid", "relu", "abs")
REDUCTIONS = ("sum", "mean", "max", "min")


@dataclass
class Seen:
    """What an evaluation came by: the largest value, and how near it was to a kink."""

    largest: float = 0.0
    gap: float = float("inf")
    tracks: bool = field(default=True)

    def note(self, value: Tensor) -> Tensor:
        if self.tracks and value.dtype == torch.float64:
            self.largest = max(self.largest, float(value.detach().abs().max()))
        return value

    def near(self, gaps: Tensor) -> None:
        if self.tracks:
            self.gap = min(self.gap, float(gaps.detach().abs().min()))


def evaluate(text: str, values: Mapping[str, Tensor], seen: Seen) -> Tensor:
    """The value of an expression in torch, differentiable."""
    return _walk(ast.parse(text.replace("^", "**"), mode="eval").body, values, seen)


def _walk(node: ast.expr, values: Mapping[str, Tensor], seen: Seen) -> Tensor:
    match node:
        case ast.Constant(int() | float() as value):
            return torch.tensor(float(value), dtype=torch.float64)
        case ast.Name(name):
            return values[name]
        case ast.UnaryOp(ast.USub(), inside):
            return -_walk(inside, values, seen)
        case ast.BinOp(left, sign, right):
            return seen.note(_binary(sign, _walk(left, values, seen), _walk(right, values, seen)))
        case ast.Call(ast.Name(name), arguments):
            return seen.note(_call(name, [_walk(a, values, seen) for a in arguments], seen))
        case ast.Compare(left, [ast.Lt()], [right]):
            a, b = _walk(left, values, seen), _walk(right, values, seen)
            seen.near(a - b)
            return a < b
    raise TypeError(ast.dump(node))


def _binary(sign: ast.operator, a: Tensor, b: Tensor) -> Tensor:
    match sign:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.Pow():
            return a**b
        case ast.MatMult():
            return a @ b
    raise TypeError(sign)


def _call(name: str, arguments: list[Tensor], seen: Seen) -> Tensor:
    x = arguments[0]
    if name in ("relu", "abs"):
        seen.near(x)
    if name in ("max", "min") and len(arguments) == 1 and x.numel() > 1:
        top = x.flatten().topk(2, largest=name == "max").values
        seen.near(top[0] - top[1])
    if name in ("max", "min") and len(arguments) == 2:
        seen.near(arguments[0] - arguments[1])
    functions: dict[str, Any] = {
        "transpose": lambda x: x.T if x.ndim == 2 else x,
        "softmax": lambda x: torch.exp(x) / torch.exp(x).sum(-1, keepdim=True),
        "logsumexp": lambda x: torch.log(torch.exp(x).sum(-1)),
        "max": lambda *xs: torch.maximum(*xs) if len(xs) == 2 else xs[0].max(),
        "min": lambda *xs: torch.minimum(*xs) if len(xs) == 2 else xs[0].min(),
        "where": torch.where,
        "sum": torch.sum,
        "mean": torch.mean,
    }
    return functions[name](*arguments) if name in functions else getattr(torch, name)(x)


numbers = st.sampled_from(["0.5", "2", "1.5", "0.25", "3"])


def expressions(*, smooth: bool = False, depth: int = 3) -> st.SearchStrategy[str]:
    """Texts of scalar expressions in the variables of SHAPES."""
    made: dict[tuple[int, ...], st.SearchStrategy[str]] = {
        shape: _leaves(shape) for shape in ((), (3,), (2,), (2, 3), (3, 2))
    }
    for _ in range(depth):
        made = {shape: _larger(shape, made, smooth) for shape in made}
    return made[()]


def _leaves(shape: tuple[int, ...]) -> st.SearchStrategy[str]:
    names = st.sampled_from([name for name, its in SHAPES.items() if its == shape])
    return st.one_of(names, numbers) if shape == () else names


def _larger(
    shape: tuple[int, ...], made: dict[tuple[int, ...], st.SearchStrategy[str]], smooth: bool
) -> st.SearchStrategy[str]:
    same, scalar = made[shape], made[()]
    functions = [name for name in ELEMENTWISE if not (smooth and name in ("relu", "abs"))]
    signs = st.sampled_from(["+", "-", "*", "/"])
    kinds = [
        st.builds("({0} {1} {2})".format, same, signs, same),
        st.builds("({0} {1} {2})".format, same, signs, scalar),
        st.builds("{0}({1})".format, st.sampled_from(functions), same),
        st.builds("({0})^{1}".format, same, st.sampled_from(["2", "3", "-1"])),
        st.builds("-{0}".format, same),
    ]
    if not smooth:
        kinds += [
            st.builds("{0}({1}, {2})".format, st.sampled_from(["min", "max"]), same, same),
            st.builds("where({0} < {1}, {2}, {0})".format, scalar, same, same),
        ]
    any_array = st.one_of(*(part for its, part in made.items() if its))
    reductions = ["sum", "mean"] if smooth else list(REDUCTIONS)
    if shape == ():
        kinds += [
            st.builds("{0}({1})".format, st.sampled_from(reductions), any_array),
            st.builds("logsumexp({0})".format, st.one_of(made[(3,)], made[(2,)])),
            st.builds("({0} @ {1})".format, made[(3,)], made[(3,)]),
        ]
    if shape == (3,):
        kinds += [
            st.builds("({0} @ {1})".format, made[(3, 2)], made[(2,)]),
            st.builds("({0} @ {1})".format, made[(2,)], made[(2, 3)]),
            st.builds("logsumexp({0})".format, made[(3, 2)]),
        ]
    if shape == (2,):
        kinds += [
            st.builds("({0} @ {1})".format, made[(2, 3)], made[(3,)]),
            st.builds("({0} @ {1})".format, made[(3,)], made[(3, 2)]),
        ]
    if len(shape) == 2:
        kinds += [
            st.builds("transpose({0})".format, made[shape[::-1]]),
            st.builds("({0} * {1})".format, same, made[shape[1:]]),  # broadcast over the rows
            st.builds("({0} @ {1} @ {0})".format, same, made[shape[::-1]]),
        ]
    if shape:
        kinds.append(st.builds("softmax({0})".format, same))
    return st.one_of(same, *kinds)
