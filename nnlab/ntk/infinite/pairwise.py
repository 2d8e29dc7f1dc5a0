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
means. Of a node with itself

| h | covariance | tangent kernel |
| --- | --- | --- |
| W h/√n + b | Σ⁺ = σ_w² K + σ_b² | Θ⁺ = σ_w² Θ + Σ⁺, whose second part is of its own W and b |
| convolution, k × k | σ_w²/k² Σ_Δ K(p + Δ, p' + Δ) + σ_b² | σ_w²/k² Σ_Δ Θ(p + Δ, p' + Δ) + Σ⁺(p, p') |
| φ(z) | E[φ(u)φ(v)] | E[φ'(u)φ'(v)] Θ |
| norm with mean m, deviation s | (K − m μ' − μ m' + m m')/ss' | Θ/ss', and K⁺ + 1 at p = p' of its own |

A norm's mean and deviation are averages over all channels and do not move: their gradients vanish like 1/√n.
The covariance of a node with itself may also be held as half a squared distance, see `nonlinearities`.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from nnlab.ntk.infinite.moments import Block, Setting
from nnlab.ntk.infinite.nodes import Fixed, Linear, Node, Nonlinear, Norm, Pool, Sum
from nnlab.ntk.infinite.pair_steps import (
    Run,
    State,
    diagonal_step,
    distance_step,
    dual_step,
    gaussian_norm_step,
    input_step,
    linear_step,
    means_step,
    norm_parameters_step,
    norm_step,
    pool_step,
    slope_step,
    sum_step,
)


@dataclass(frozen=True)
class Step:
    """One state of the program.

    Attributes:
        run: makes it from the states that it needs, which it may overwrite.
        inputs: places of these states.
        numbers: of a pair of examples, of covariance and tangent kernel together.
    """

    run: Run
    inputs: tuple[int, ...]
    numbers: int


class Program:
    """The steps to one state of a node with itself.

    Attributes:
        numbers: held for a pair of examples at the worst moment.
        duals: nodes whose expectations of pairs the steps ask for.
        looked_up: nodes whose moments the steps ask for.
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
        places = {place: k for k, place in enumerate(sorted(needed))}
        self._steps = [
            Step(step.run, tuple(places[i] for i in step.inputs), step.numbers)
            for step in (planner.steps[place] for place in sorted(needed))
        ]
        self._last_use = {i: k for k, step in enumerate(self._steps) for i in step.inputs}
        self.numbers = self._peak()

    def _peak(self) -> int:
        held, peak = 0, 0
        for k, step in enumerate(self._steps):
            held += step.numbers
            peak = max(peak, held + step.numbers)  # and what it works with
            held -= sum(self._steps[i].numbers for i in set(step.inputs) if self._last_use[i] == k)
        return peak

    def prepare(self, setting: Setting) -> None:
        """Computes what all blocks look up."""
        for node in sorted(self.looked_up, key=lambda node: node.index):
            for moments in (setting.left, setting.right):
                moments.variance(node)
                moments.mean(node)
        for one, two in self.duals:
            setting.dual(one, two)

    def run(self, block: Block) -> State:
        """The last state, for a block of pairs."""
        states: list[State | None] = []
        for k, step in enumerate(self._steps):
            inputs = []
            for i in step.inputs:
                state = states[i]
                assert state is not None
                last = self._last_use[i] == k and step.inputs.count(i) == 1
                inputs.append(state if last else _copied(state))
                if last:
                    states[i] = None
            states.append(step.run(block, inputs))
            del inputs
        final = states[-1]
        assert final is not None
        return final


def independent(node: Sum) -> bool:
    """Whether a sum is Gaussian and has terms without covariance."""
    with _deep(node):
        return _Planner().independent(node)


@contextmanager
def _deep(node: Node) -> Iterator[None]:
    """While open, the planner may call itself as deep as the network is."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 1000 + 8 * node.index))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _copied(state: State) -> State:
    return state[0].clone(), None if state[1] is None else state[1].clone()


class _Planner:
    """Writes the program: which states it takes, each computed once."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.duals: set[tuple[Nonlinear, Nonlinear]] = set()
        self.looked_up: set[Node] = set()
        self._places: dict[tuple[Node, Node, bool, bool, bool], int | None] = {}

    def pair(self, one: Node, two: Node, *, full: bool, distance: bool, scale: bool = True) -> int | None:
        """Where the state of two nodes stands; None where it is 0.

        Args:
            full: for all pairs of positions.
            distance: as half a squared distance.
            scale: with the part of a norm's own scale, of which both nodes are the field.
        """
        full = full and max(one.positions, two.positions) > 1
        key = (one, two, full, distance, scale)
        if key not in self._places:
            if not scale and one is two and isinstance(one, Norm):
                self._places[key] = self._norm_of_gaussian(one, full, distance, (False, one.trains[1]))
            else:
                self._places[key] = self._made(one, two, full, distance)
        return self._places[key]

    def _made(self, one: Node, two: Node, full: bool, distance: bool) -> int | None:
        if one is two and isinstance(one, Fixed | Linear | Nonlinear):
            return self._alone(one, full, distance)
        if one is two and isinstance(one, Norm) and one.gaussian:
            return self._norm_of_gaussian(one, full, distance, one.trains)
        if distance and one is two and isinstance(one, Sum) and self.independent(one):
            parts = [(f * f, self.pair(node, node, full=full, distance=True)) for f, node in one.terms]
            return self._combination(parts, self._numbers(one, one, full))
        if distance:
            return self._as_distance(one, two, full)
        return self._covariance(one, two, full)

    def independent(self, node: Sum) -> bool:
        """Whether different terms have no covariance; what was planned to find out is left out later."""
        nodes = [term for _, term in node.terms]
        return node.gaussian and all(
            self.pair(one, two, full=False, distance=False) is None
            for k, one in enumerate(nodes)
            for two in nodes[k + 1 :]
        )

    def _alone(self, node: Node, full: bool, distance: bool) -> int:
        numbers = self._numbers(node, node, full)
        if isinstance(node, Fixed):
            self.looked_up.add(node)
            return self._add(input_step(node, full, distance), (), numbers // 2)
        if isinstance(node, Nonlinear):
            self.duals.add((node, node))
            self.looked_up.update((node, node.source))
            before = self.pair(node.source, node.source, full=full, distance=True, scale=False)
            assert before is not None
            return self._add(dual_step(node, node, full, distance), (before,), numbers)
        assert isinstance(node, Linear)
        self.looked_up.update((node, node.source) if distance else ())
        before = self.pair(
            node.source, node.source, full=full and node.windows is not None, distance=distance
        )
        assert before is not None
        return self._add(linear_step(node, full, distance), (before,), numbers)

    def _norm_of_gaussian(self, node: Norm, full: bool, distance: bool, trains: tuple[bool, bool]) -> int:
        self.looked_up.update((node, node.source))
        before = self.pair(node.source, node.source, full=full, distance=True)
        assert before is not None
        step = gaussian_norm_step(node, full, distance, trains)
        return self._add(step, (before,), self._numbers(node, node, full))

    def _as_distance(self, one: Node, two: Node, full: bool) -> int | None:
        before = self.pair(one, two, full=full, distance=False)
        if before is None:
            return None
        self.looked_up.update((one, two))
        return self._add(distance_step(one, two, full), (before,), self._numbers(one, two, full))

    def _covariance(self, one: Node, two: Node, full: bool) -> int | None:
        """Of two nodes, one of which is a sum, an average or a norm, or which differ."""
        later_is_left = one.index >= two.index
        later, other = (one, two) if later_is_left else (two, one)
        numbers = self._numbers(one, two, full)

        def with_(node: Node, full: bool = full) -> int | None:
            pair = (node, other) if later_is_left else (other, node)
            return self.pair(*pair, full=full, distance=False)

        if isinstance(later, Linear):
            return None
        if isinstance(later, Sum):
            return self._combination([(factor, with_(node)) for factor, node in later.terms], numbers)
        if isinstance(later, Pool):
            if one is two:  # of all positions, first to one side
                return self._pooled_twice(later, full)
            return self._pooled(later, with_(later.source, full=True), one, two, full, later_is_left)
        if isinstance(later, Norm):
            if one is two:
                return self._norm_twice(later, full)
            return self._normed(later, with_(later.source), other, numbers, full, later_is_left)
        assert isinstance(later, Nonlinear)
        if other.gaussian:
            before = with_(later.source)
            self.looked_up.add(later.source)
            step = slope_step(later, full, later_is_left)
            return None if before is None else self._add(step, (before,), numbers)
        if isinstance(other, Nonlinear):
            return self._cross(one, two, full)  # type: ignore[arg-type]
        if isinstance(other, Sum):
            pairs = [((later, node) if later_is_left else (node, later), f) for f, node in other.terms]
            parts = [(f, self.pair(*pair, full=full, distance=False)) for pair, f in pairs]
            return self._combination(parts, numbers)
        assert isinstance(other, Pool | Norm)
        sources = (later, other.source) if later_is_left else (other.source, later)
        if isinstance(other, Pool):
            before = self.pair(*sources, full=True, distance=False)
            return self._pooled(other, before, one, two, full, not later_is_left)
        before = self.pair(*sources, full=full, distance=False)
        return self._normed(other, before, later, numbers, full, not later_is_left)

    def _cross(self, one: Nonlinear, two: Nonlinear, full: bool) -> int | None:
        """Functions of two fields."""
        self.looked_up.update((one, two, one.source, two.source))
        numbers = self._numbers(one, two, full)
        if self.pair(one.source, two.source, full=full, distance=False) is None:
            if one.function.odd or two.function.odd:
                return None
            return self._add(means_step(one, two, full), (), numbers // 2)
        before = self.pair(one.source, two.source, full=full, distance=True, scale=False)
        assert before is not None
        self.duals.add((one, two))
        return self._add(dual_step(one, two, full, False), (before,), numbers)

    def _pooled_twice(self, node: Pool, full: bool) -> int | None:
        source = node.source
        before = self.pair(source, source, full=True, distance=False)
        assert before is not None
        half = self._add(pool_step(node, True), (before,), 2 * node.positions * source.positions)
        whole = self._add(pool_step(node, False), (half,), 2 * node.positions**2)
        return whole if full or node.positions == 1 else self._diagonal(whole, node.positions)

    def _pooled(
        self, node: Pool, before: int | None, one: Node, two: Node, full: bool, left: bool
    ) -> int | None:
        if before is None:
            return None
        whole = self._add(pool_step(node, left), (before,), 2 * one.positions * two.positions)
        return whole if full or node.positions == 1 else self._diagonal(whole, node.positions)

    def _diagonal(self, before: int, positions: int) -> int:
        return self._add(diagonal_step, (before,), 2 * positions)

    def _norm_twice(self, node: Norm, full: bool) -> int | None:
        """A norm of what is not Gaussian: from one side, from the other, and its own parameters."""
        source = node.source
        before = self.pair(source, source, full=full, distance=False)
        numbers = self._numbers(node, node, full)
        half = self._normed(node, before, source, numbers, full, False)
        whole = self._normed(node, half, node, numbers, full, True)
        assert whole is not None
        return self._add(norm_parameters_step(node), (whole,), numbers)

    def _normed(
        self, node: Norm, before: int | None, other: Node, numbers: int, full: bool, left: bool
    ) -> int | None:
        self.looked_up.update((node, node.source, other))
        if before is None and (node.gaussian or other.gaussian):
            return None
        inputs = () if before is None else (before,)
        return self._add(norm_step(node, other, full, left), inputs, numbers)

    def _combination(self, parts: Sequence[tuple[float, int | None]], numbers: int) -> int | None:
        there = [(factor, place) for factor, place in parts if place is not None]
        if not there:
            return None
        factors = [factor for factor, _ in there]
        return self._add(sum_step(factors), tuple(place for _, place in there), numbers)

    def _add(self, run: Run, inputs: tuple[int, ...], numbers: int) -> int:
        self.steps.append(Step(run, inputs, numbers))
        return len(self.steps) - 1

    def _numbers(self, one: Node, two: Node, full: bool) -> int:
        return 2 * one.positions * (two.positions if full else 1)
