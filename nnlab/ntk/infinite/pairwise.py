"""Covariances and tangent kernels between two nodes of a network: a program that computes a block of pairs.

Between nodes g and h a state holds E[g_c(x, p) h_c(x', p')] and the tangent kernel ⟨∂g_c(x, p), ∂h_c(x',
p')⟩, for all p, p' or for p = p' only. Both are bilinear in g and h. Of two different nodes let h be the
later one, which g does not depend on:

| h | state of (g, h) |
| --- | --- |
| linear layer | 0: its weights are independent of g, and their products with other weights average out |
| sum, average, norm | sums, averages, multiples of the states of g and what h is made of |
| φ(z), g Gaussian | the state of (g, z) times E[φ'(z)]: Stein's lemma |
| φ(z), g = χ(y) | E[χ(y) φ(z)] and E[χ'(y) φ'(z)] Θ(y, z), of the covariance of y and z |

So branches that share a field have cross terms and independent ones do not, apart from the product of their
means. For a node with itself `nnlab.ntk.infinite.kernel` has the table.

A norm's mean and deviation are averages over all channels and do not move: their gradients vanish like 1/√n.
The covariance of a node with itself may also be held as half a squared distance, see `nonlinearities`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

from nnlab.ntk.infinite import pair_steps as steps
from nnlab.ntk.infinite.moments import Block, Setting
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Pool, Sum
from nnlab.ntk.infinite.pair_steps import State


@dataclass(frozen=True)
class Step:
    """One state of the program.

    Attributes:
        run: computes it from a block and the states that it needs, which it may overwrite.
        inputs: places of these states.
        numbers: of a pair of examples, of covariance and tangent kernel together.
    """

    run: Callable[..., State]
    inputs: tuple[int, ...]
    numbers: int


class Program:
    """The steps to one state of a node with itself.

    Attributes:
        numbers: held for a pair of examples at the worst moment.
        duals: pairs of nodes whose expectations the steps use.
        looked_up: nodes whose moments the steps use.
    """

    def __init__(self, node: Node) -> None:
        planner = _Planner()
        with _deep(node):
            last = planner.pair(node, node, full=False, distance=False)
        assert last is not None
        self.duals, self.looked_up = planner.duals, planner.looked_up
        needed = {last}
        for place in range(last, -1, -1):
            if place in needed:
                needed.update(planner.steps[place].inputs)
        self._last = last
        self._steps = {place: planner.steps[place] for place in sorted(needed)}
        self._last_use = {i: place for place, step in self._steps.items() for i in step.inputs}
        self.numbers, held = 0, 0
        for place, step in self._steps.items():
            held += step.numbers
            self.numbers = max(self.numbers, held + step.numbers)  # with the temporaries of the step
            held -= sum(self._steps[i].numbers for i in set(step.inputs) if self._last_use[i] == place)

    def prepare(self, setting: Setting) -> None:
        """Computes all that blocks look up."""
        for node in sorted(self.looked_up, key=lambda node: node.index):
            for moments in (setting.left, setting.right):
                moments.variance(node)
                moments.mean(node)
        for one, two in self.duals:
            setting.dual(one, two)

    def run(self, block: Block) -> State:
        """The last state, for a block of pairs."""
        states: dict[int, State] = {}
        for place, step in self._steps.items():
            inputs = []
            for i in step.inputs:
                last = self._last_use[i] == place and step.inputs.count(i) == 1
                inputs.append(states.pop(i) if last else steps.both(torch.clone, states[i]))
            states[place] = step.run(block, *inputs)
            del inputs
        return states[self._last]


def independent(node: Sum) -> bool:
    """True for a Gaussian sum whose terms have no covariance."""
    with _deep(node):
        return _Planner().independent(node)


@contextmanager
def _deep(node: Node) -> Iterator[None]:
    """Allows the planner to call itself as deep as the network is."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1000 + 8 * node.index))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


class _Planner:
    """Plans a program: the states that it needs, each computed once."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.duals: set[tuple[Nonlinear, Nonlinear]] = set()
        self.looked_up: set[Node] = set()
        self._places: dict[tuple[Node, Node, bool, bool, bool], int | None] = {}

    def pair(self, one: Node, two: Node, *, full: bool, distance: bool, scale: bool = True) -> int | None:
        """Returns the place of the state of two nodes; None if it is 0.

        Args:
            full: for all pairs of positions.
            distance: as half a squared distance.
            scale: with the part of a norm's own scale, of which both nodes are the field.
        """
        full = full and max(one.positions, two.positions) > 1
        key = (one, two, full, distance, scale)
        if key not in self._places:
            self._places[key] = self._planned(*key)
        return self._places[key]

    def _planned(self, one: Node, two: Node, full: bool, distance: bool, scale: bool) -> int | None:
        if one is two and isinstance(one, Fixed | Linear | Nonlinear):
            return self._alone(one, full, distance)
        if one is two and isinstance(one, Norm) and one.gaussian:
            self.looked_up.update((one, one.source))
            before = self.pair(one.source, one.source, full=full, distance=True)
            trains = one.trains if scale else (False, one.trains[1])
            step = partial(steps.gaussian_norm, one, full, distance, trains)
            return self._add(step, (before,), _numbers(one, one, full))
        if distance and one is two and isinstance(one, Sum) and self.independent(one):
            parts = [(f * f, self.pair(node, node, full=full, distance=True)) for f, node in one.terms]
            return self._combination(parts, _numbers(one, one, full))
        if distance:
            before = self.pair(one, two, full=full, distance=False)
            if before is not None:
                self.looked_up.update((one, two))
            return self._add(
                partial(steps.half_distances, one, two, full), (before,), _numbers(one, two, full)
            )
        return self._covariance(one, two, full)

    def independent(self, node: Sum) -> bool:
        """True for a Gaussian sum whose terms have no covariance; steps planned to find out are unused."""
        nodes = [term for _, term in node.terms]
        return node.gaussian and all(
            self.pair(one, two, full=False, distance=False) is None
            for k, one in enumerate(nodes)
            for two in nodes[k + 1 :]
        )

    def _alone(self, node: Fixed | Linear | Nonlinear, full: bool, distance: bool) -> int | None:
        numbers = _numbers(node, node, full)
        if isinstance(node, Fixed):
            self.looked_up.add(node)
            return self._add(partial(steps.input_field, node, full, distance), (), numbers // 2)
        source = node.source
        if isinstance(node, Nonlinear):
            self.duals.add((node, node))
            self.looked_up.update((node, source))
            before = self.pair(source, source, full=full, distance=True, scale=False)
            return self._add(partial(steps.dual, node, node, full, distance), (before,), numbers)
        self.looked_up.update((node, source) if distance else ())
        before = self.pair(source, source, full=full and node.windows is not None, distance=distance)
        return self._add(partial(steps.linear, node, full, distance), (before,), numbers)

    def _covariance(self, one: Node, two: Node, full: bool) -> int | None:
        """Plans two nodes of which one is a sum, an average or a norm, or which differ."""
        left = one.index >= two.index
        node, other = (one, two) if left else (two, one)
        if isinstance(node, Linear):
            return None
        numbers = _numbers(one, two, full)
        if isinstance(node, Nonlinear) and other.gaussian:
            self.looked_up.add(node.source)
            pair = (node.source, other) if left else (other, node.source)
            before = self.pair(*pair, full=full, distance=False)
            return self._add(partial(steps.slope, node, full, left), (before,), numbers)
        if isinstance(node, Nonlinear) and isinstance(other, Nonlinear):
            return self._cross(one, two, full)  # type: ignore[arg-type]
        if isinstance(node, Nonlinear):  # the other one is a sum, an average or a norm
            node, other, left = other, node, not left

        def with_other(field: Node, full: bool = full) -> int | None:
            pair = (field, other) if left else (other, field)
            return self.pair(*pair, full=full, distance=False)

        if isinstance(node, Sum):
            return self._combination([(factor, with_other(term)) for factor, term in node.terms], numbers)
        if isinstance(node, Pool):
            return self._pooled(node, one, two, full, left)
        assert isinstance(node, Norm)
        if one is not two:
            return self._normed(node, with_other(node.source), other, numbers, full, left)
        before = self.pair(node.source, node.source, full=full, distance=False)
        half = self._normed(node, before, node.source, numbers, full, False)
        whole = self._normed(node, half, node, numbers, full, True)
        return self._add(partial(steps.norm_parameters, node), (whole,), numbers)

    def _cross(self, one: Nonlinear, two: Nonlinear, full: bool) -> int | None:
        """Plans functions of two fields."""
        self.looked_up.update((one, two, one.source, two.source))
        numbers = _numbers(one, two, full)
        if self.pair(one.source, two.source, full=full, distance=False) is None:
            if one.function.odd or two.function.odd:
                return None
            return self._add(partial(steps.product_of_means, one, two, full), (), numbers // 2)
        before = self.pair(one.source, two.source, full=full, distance=True, scale=False)
        self.duals.add((one, two))
        return self._add(partial(steps.dual, one, two, full, False), (before,), numbers)

    def _pooled(self, node: Pool, one: Node, two: Node, full: bool, left: bool) -> int | None:
        """Plans an average and another node, or an average and itself: first of one side."""
        source = node.source
        if one is two:
            before = self.pair(source, source, full=True, distance=False)
            before = self._add(partial(steps.pool, node, True), (before,), _numbers(node, source, True))
            left = False
        else:
            pair = (source, two) if left else (one, source)
            before = self.pair(*pair, full=True, distance=False)
        whole = self._add(partial(steps.pool, node, left), (before,), _numbers(one, two, True))
        if full or node.positions == 1:
            return whole
        return self._add(steps.equal_positions, (whole,), 2 * node.positions)

    def _normed(
        self, node: Norm, before: int | None, other: Node, numbers: int, full: bool, left: bool
    ) -> int | None:
        self.looked_up.update((node, node.source, other))
        if before is None and (node.gaussian or other.gaussian):
            return None
        inputs = () if before is None else (before,)
        return self._add(partial(steps.norm, node, other, full, left), inputs, numbers)

    def _combination(self, parts: Sequence[tuple[float, int | None]], numbers: int) -> int | None:
        terms = [(factor, place) for factor, place in parts if place is not None]
        if not terms:
            return None
        step = partial(steps.weighted_sum, [factor for factor, _ in terms])
        return self._add(step, tuple(place for _, place in terms), numbers)

    def _add(self, run: Callable[..., State], inputs: tuple[int | None, ...], numbers: int) -> int | None:
        """Appends a step, and returns its place; None if its input is 0."""
        places = tuple(place for place in inputs if place is not None)
        if len(places) < len(inputs):
            return None
        self.steps.append(Step(run, places, numbers))
        return len(self.steps) - 1


def _numbers(one: Node, two: Node, full: bool) -> int:
    """The numbers of a state of two nodes, for a pair of examples."""
    return 2 * one.positions * (two.positions if full else 1)
