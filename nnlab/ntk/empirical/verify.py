"""A check of a computed kernel against plain backward passes.

With random numbers u for some examples and scores, uᵀH u = ‖Jᵀu‖², and Jᵀu is the gradient of Σ u f: one
plain backward pass over the model as its user calls it, that knows nothing of layers, blocks or vmap. (Of a
wide weight's gradient A Gᵀ only the norm is formed, from the A and G that autograd gives.) Between two sets
of examples it is uᵀH w = ⟨Jᵀu, J'ᵀw⟩. For the trace and the diagonal u is the same for all scores, and there
is a backward pass for each of them.

What it finds: with Gaussian u, an error E of the examples that are drawn changes uᵀH u by uᵀE u, which is 0
with probability 0. What it can miss: errors below the tolerance, 1e-9 in float64 and 1e-4 in float32 of
‖Jᵀu‖²; errors that touch only examples that are not drawn, such as a single pair of thousands; and a model
that mixes examples without changing the scores of those drawn.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from nnlab.ntk.empirical.factors import Output
from nnlab.ntk.empirical.functional import FunctionalModule
from nnlab.ntk.empirical.graph import ordered
from nnlab.ntk.empirical.layers import MIXES, mixes, module_of

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}

# In float32 a unit whose input is 0 but for rounding may be on or off, and so change more than its digits
ROUNDING = 3e-2

# How many examples are drawn: few cost little, more see more; two of a network whose modules are all known.
LEAST_KNOWN, LEAST, MOST = 2, 6, 64

WIDE = 2**14  # numbers in a weight whose gradient is not written out

Part = str | None  # the module whose parameters a kernel is over, or None for all


@dataclass(frozen=True)
class Sketch:
    """Random numbers for some examples of both sides."""

    rows: Tensor  # numbers of the examples of x1
    columns: Tensor | None  # of x2; None where it is x1
    u: Tensor  # (k, C), or (k, 1) for the trace and the diagonal
    w: Tensor  # likewise for x2


@lru_cache(maxsize=64)
def draw(n1: int, n2: int | None, outputs: int, output: Output, count: int) -> Sketch:
    """Draws up to `count` examples of each side, one of each part and the last; always the same."""
    generator = torch.Generator().manual_seed(0)
    width = outputs if output == "full" else 1

    def some(n: int) -> tuple[Tensor, Tensor]:
        bounds = torch.linspace(0, n, min(n, count) + 1, dtype=torch.float64)
        places = torch.rand(len(bounds) - 1, generator=generator, dtype=torch.float64)
        rows = (bounds[:-1] + places * bounds.diff()).long()
        rows[-1] = n - 1
        return rows, _numbers(len(rows), width, generator)

    rows, u = some(n1)
    columns, w = (None, u) if n2 is None else some(n2)
    return Sketch(rows, columns, u, w)


def _numbers(count: int, width: int, generator: torch.Generator) -> Tensor:
    """(k, C) whose sum over the examples is not nearly 0, which would hide in rounding what they share."""
    while True:
        u = torch.randn(count, width, generator=generator, dtype=torch.float64)
        if float(u.sum(0).square().mean()) >= 0.1 * count:
            return u


@dataclass(frozen=True)
class Check:
    """The comparison of kernels of one network and its examples with autograd."""

    network: FunctionalModule  # the model
    x1: Tensor  # the examples
    x2: Tensor | None  # the others, or None
    output: Output  # which kernel
    by_module: bool  # whether there is a kernel for each module
    sketch: Sketch  # random numbers for some of the examples

    def drawn(self) -> list[Tensor]:
        """The examples of the sketch, of one or both sides."""
        sides = [(self.x1, self.sketch.rows), (self.x2, self.sketch.columns)]
        return [x[rows.to(x.device)] for x, rows in sides if x is not None and rows is not None]

    def measured(self, kernel: Tensor) -> list[float]:
        """Computes uᵀH w of a kernel as users see it: one number, or one for each output of a diagonal.

        NaN where a symmetric kernel is not symmetric, as uᵀE u = 0 for E = −Eᵀ.
        """
        sketch, output = self.sketch, self.output
        columns = sketch.rows if sketch.columns is None else sketch.columns
        part = kernel[sketch.rows.to(kernel.device)][:, columns.to(kernel.device)].double().cpu()
        if sketch.columns is None:
            mirrored = part.permute(1, 0, 3, 2) if output == "full" else part.transpose(0, 1)
            if not torch.equal(part, mirrored):
                part = part * math.nan
        if output == "full":
            return [float(torch.einsum("ic,ijcd,jd->", sketch.u, part, sketch.w))]
        part = part if output == "diagonal" else part[..., None]
        return torch.einsum("i,ijc,j->c", sketch.u[:, 0], part, sketch.w[:, 0]).tolist()

    def expected(self) -> dict[Part, tuple[list[float], list[float]]]:
        """Computes ⟨Jᵀu, J'ᵀw⟩ by autograd, and the size of its relative errors, for each part."""
        network, sketch, drawn = self.network, self.sketch, self.drawn()
        # of two sets of different sizes a weight might be thin in one alone
        thin = len(drawn[0]) == len(drawn[-1])
        left = right = _Gradients(network, drawn[0], sketch.u, self.output, thin)
        if len(drawn) == 2:
            right = _Gradients(network, drawn[1], sketch.w, self.output, thin)
        results: dict[Part, tuple[list[float], list[float]]] = {}
        for c in range(left.count):
            one = left.of_output(c)
            two = one if right is left else right.of_output(c)
            pairs = [(one, two)] if two is one else [(one, two), (one, one), (two, two)]
            parts: dict[Part, list[float]] = {}
            for name in network.trained:
                sums = parts.setdefault(module_of(name) if self.by_module else None, [0.0, 0.0, 0.0])
                for number, (a, b) in enumerate(pairs):
                    sums[number] += _inner(a[name], b[name])
            own = {
                key: product if two is one else (first * second) ** 0.5
                for key, (product, first, second) in parts.items()
            }
            # what is 0 but for rounding is compared with what it might have been
            least = (1000 * torch.finfo(network.dtype).eps) ** 2 * (sum(own.values()) + left.size)
            for key, (product, _, _) in parts.items():
                values, sizes = results.setdefault(key, ([], []))
                values.append(product)
                sizes.append(max(own[key], least))
        if self.output == "trace":
            return {key: ([sum(values)], [sum(sizes)]) for key, (values, sizes) in results.items()}
        return results


@dataclass(frozen=True)
class _Thin:
    """A gradient Σ A Gᵀ of a weight, kept as the inputs A (R, d) and gradients G (R, m) of its products.

    Of a few examples both are thin, where the weight of a wide layer is not.
    """

    parts: list[tuple[Tensor, Tensor]]


def _inner(one: Tensor | _Thin, two: Tensor | _Thin) -> float:
    """⟨·, ·⟩ of two gradients of one parameter."""
    if isinstance(one, _Thin) and isinstance(two, _Thin):  # ⟨A Gᵀ, A' G'ᵀ⟩ = Σ (A A'ᵀ) ∘ (G G'ᵀ)
        pairs = [(mine, theirs) for mine in one.parts for theirs in two.parts]
        return sum(float(((a @ b.T) * (g @ h.T)).sum()) for (a, g), (b, h) in pairs)
    assert isinstance(one, Tensor)
    assert isinstance(two, Tensor)
    if one is two:
        return float(torch.linalg.vector_norm(one)) ** 2
    return float(torch.dot(one.flatten(), two.flatten()))


class _Gradients:
    """The gradients Jᵀu of some examples, all scores at once or one after the other.

    Of a network whose modules are not all known each example goes alone: what it computes may depend on how
    many go together. It goes beside copies of itself, now one and now two, as torch is not at its best with
    a single one, and so a backward pass that divides by their number is noticed.
    """

    def __init__(self, network: FunctionalModule, x: Tensor, u: Tensor, output: Output, thin: bool) -> None:
        self._network = network
        self._leaves = network.leaves(network.trained)
        self._u = u.to(x.device, network.dtype)
        self._full = output == "full"
        self._groups = (
            [x] if network.known else [torch.cat([x[i : i + 1]] * (2 + i % 2)) for i in range(len(x))]
        )
        self._first = self._called(self._groups[0])
        self._thin = _thin_weights(self._first, self._leaves) if thin and network.known else {}
        self.count = 1 if self._full else self._first.shape[1]
        self.size = float((self._first[:1] * self._u[:1]).detach().square().sum())

    def of_output(self, c: int) -> Mapping[str, Tensor | _Thin]:
        """The gradient in each parameter, of one output or of all."""
        if self._network.known:
            return self._of(self._first, self._u, c)
        total: dict[str, Tensor | _Thin] = {}
        for pair, u in zip(self._groups, self._u, strict=True):
            for name, part in self._of(self._called(pair)[:1], u, c).items():
                total[name] = total[name] + part if name in total else part  # type: ignore[operator]
        return total

    def _called(self, x: Tensor) -> Tensor:
        return self._network.scores(self._network.call(self._leaves, x))

    def _of(self, scores: Tensor, u: Tensor, c: int) -> dict[str, Tensor | _Thin]:
        total = ((scores if self._full else scores[:, c : c + 1]) * u).sum()
        if not total.requires_grad:
            return {name: torch.zeros_like(leaf) for name, leaf in self._leaves.items()}
        plain = [name for name in self._leaves if name not in self._thin]
        nodes = [node for products in self._thin.values() for node, _ in products]
        wanted: list[Any] = [self._leaves[name] for name in plain]
        wanted += [GradientEdge(node, 0) for node in nodes]
        parts = torch.autograd.grad(total, wanted, retain_graph=True, materialize_grads=True)
        gradients: dict[str, Tensor | _Thin] = {
            name: part.to_dense() if part.is_sparse else part
            for name, part in zip(plain, parts, strict=False)
        }
        at = dict(zip(nodes, parts[len(plain) :], strict=True))
        for name, products in self._thin.items():
            gradients[name] = _Thin([(inputs, at[node]) for node, inputs in products])
        return gradients


def _thin_weights(scores: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, list[tuple[Node, Tensor]]]:
    """The wide matrices that only multiply a few rows h, as h Wᵀ: the products, and their h.

    Autograd would fill a matrix for each, which takes longer than all the rest of the check.
    """
    above: dict[Node, list[tuple[Node, int]]] = {}
    for node in ordered(scores.grad_fn):
        for slot, (child, _) in enumerate(node.next_functions):
            if child is not None:
                above.setdefault(child, []).append((node, slot))
    ends = {id(end.variable): end for end in above if hasattr(end, "variable")}
    thin: dict[str, list[tuple[Node, Tensor]]] = {}
    for name, leaf in leaves.items():
        if leaf.ndim != 2 or leaf.numel() < WIDE or id(leaf) not in ends:
            continue
        turns = [node for node, _ in above[ends[id(leaf)]]]
        if any(node.name() != "TBackward0" for node in turns):
            continue
        products = [_product(*use) for node in turns for use in above[node]]
        rows = sum(0 if product is None else len(product[1]) for product in products)
        if None not in products and 4 * rows < min(leaf.shape):
            thin[name] = [product for product in products if product is not None]
    return thin


def _product(node: Any, slot: int) -> tuple[Node, Tensor] | None:
    """A product h Wᵀ and its h, or None for anything else."""
    if node.name() == "AddmmBackward0" and slot == 2 and node._saved_alpha == 1:
        return node, node._saved_mat1.detach()
    if node.name() == "MmBackward0" and slot == 1:
        return node, node._saved_self.detach()
    return None


def disagreement(
    network: FunctionalModule,
    x1: Tensor,
    x2: Tensor | None,
    kernels: Mapping[Part, Tensor],
    output: Output,
    count: int,
    outputs: int,
    again: Callable[[FunctionalModule, Tensor, Tensor | None], Mapping[Part, Tensor]],
) -> str | None:
    """Compares a kernel with autograd, and describes the difference; None where rounding explains it.

    Args:
        network: the model.
        x1: the examples.
        x2: the others, or None.
        kernels: by module, or under None their sum, in the order of the interface.
        output: which kernel.
        count: examples of each side to draw.
        outputs: C.
        again: computes it by the same method for a few examples in float64, where float32 leaves a doubt.
    """
    sketch = draw(len(x1), None if x2 is None else len(x2), outputs, output, count)
    check = Check(network, x1, x2, output, None not in kernels, sketch)
    if not network.known and any(mixes(network, x) for x in check.drawn()):
        return MIXES
    truth = check.expected()
    values = {key: check.measured(kernel) for key, kernel in kernels.items()}
    gap = _gap(values, truth)
    if gap <= TOLERANCE[network.dtype]:
        return None
    message = f"it differs from autograd by {gap:.2g} of its size"
    if network.dtype == torch.float64 or gap > ROUNDING:
        return message
    return None if _is_rounding(check, values, again) else message


def _gap(values: Mapping[Part, list[float]], truth: Mapping[Part, tuple[list[float], list[float]]]) -> float:
    """The largest difference, relative to the size; infinite where there is none, or a part is missing."""
    if values.keys() != truth.keys():
        return math.inf
    largest = 0.0
    for key, (expected_values, sizes) in truth.items():
        for value, other, size in zip(values[key], expected_values, sizes, strict=True):
            gap = abs(value - other) / size if size else abs(value - other)
            largest = math.inf if math.isnan(gap) else max(largest, gap)
    return largest


def _is_rounding(
    check: Check,
    values: Mapping[Part, list[float]],
    again: Callable[[FunctionalModule, Tensor, Tensor | None], Mapping[Part, Tensor]],
) -> bool:
    """True for a difference by rounding: in float64 the same method agrees with autograd."""
    drawn = [x.double() if x.is_floating_point() else x for x in check.drawn()]
    rows = [torch.arange(len(x)) for x in drawn]
    x1, x2 = drawn[0], drawn[1] if len(drawn) == 2 else None
    sketch = replace(check.sketch, rows=rows[0], columns=None if x2 is None else rows[1])
    exact = replace(check, network=check.network.cast(torch.float64), x1=x1, x2=x2, sketch=sketch)
    try:
        truth = exact.expected()
        kernels = again(exact.network, x1, x2)
    except Exception:
        return False  # a model that is bound to float32 leaves the doubt
    in_double = {key: exact.measured(kernel) for key, kernel in kernels.items()}
    return _gap(in_double, truth) <= TOLERANCE[torch.float64] and _gap(values, truth) <= ROUNDING
