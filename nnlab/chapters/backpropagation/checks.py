"""Our gradients held against central differences, and against torch.autograd where these leave a question.

Loading torch takes longer than all else. So it is asked where the differences do not settle every entry (at
a kink, or where they reach only some entries of a large array), where they disagree, or on demand.

The quotient (f(x + h) − f(x − h)) / 2h is off by two errors: that of its formula, of order h² for a smooth f
and of order h for one whose slope bends, and that of rounding, of order ε/h times Σ |∂f/∂v · v| over the
values v on the way to f. Several h are tried; the first is taken from how far the quotient moves from one h
to the next, the second from that sum (Press et al., Numerical Recipes, 3rd ed., 5.7).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.kinks import Direction, Entry, Sides, kinks
from nnlab.chapters.backpropagation.worksheet import Worksheet
from nnlab.expressions import Graph
from nnlab.expressions.algebras import FLOATS
from nnlab.expressions.passes import directional, forward

Array = NDArray[np.float64]

AUTOGRAD_TOLERANCE = 1e-10
"""Allowed difference to torch, relative to the largest entry of the variable's gradient; see FLOOR."""
FLOOR = 1e-4
"""Relative to the largest gradient that is passed on: what cancels down to less is rounding error."""
TELLING = 1e-2
"""A difference with a larger error tells nothing; relative to it, the largest entry or FLOOR."""
WORK = 1_000_000
"""Operations that the differences may take: of a large expression only some entries are checked."""
ENTRIES = 1_000
"""Entries of arrays that count as one operation: they take as long as the call of it."""
NORMAL = float(np.finfo(np.float64).smallest_normal)
"""The smallest float with all its digits."""
DIRECTIONS = 8
"""Random directions: along one forward mode is checked, along all the function is searched for kinks."""


@dataclass(frozen=True)
class Check:
    """A variable's gradient beside others.

    Attributes:
        variable: its name.
        autograd: torch's gradient, of the same shape; None if torch was not asked. What is not finite tells
            nothing: torch differentiates the branch that a `where` does not take, too.
        autograd_error: the largest difference to ours, relative to the largest entry; NaN if none is finite,
            or torch was not asked.
        differences: central differences, of some entries.
        agrees: True where torch's is the same to AUTOGRAD_TOLERANCE, and each difference within its error.
            Where the function has a kink, or may have one, a difference is not held against the gradient.
        entries: how many entries the variable has.
        checked: how many of them torch, or a difference, tells something of.
    """

    variable: str
    autograd: Array | None
    autograd_error: float
    differences: tuple["Difference", ...]
    agrees: bool
    entries: int
    checked: int

    @property
    def unchecked(self) -> int:
        """The number of entries that were held against nothing."""
        return self.entries - self.checked


@dataclass(frozen=True)
class Checks:
    """The results of all checks of a worksheet.

    Attributes:
        value_error: of the value beside torch's, relative; None if torch was not asked.
        forward_error: largest difference of a random directional derivative in forward mode, relative.
        variables: one for each variable.
        kinks: operation where no derivative exists -> True where the function is known to bend or jump for
            it, False where that is only possible.
        sides: variable and entry -> the limits and slopes to either side, where the function has a kink
            or may have one.
    """

    value_error: float | None
    forward_error: float
    variables: tuple[Check, ...]
    kinks: Mapping[int, bool]
    sides: Mapping[Entry, Sides]

    @property
    def agree(self) -> bool:
        """True where no check failed; entries that were not checked do not count."""
        errors = (self.value_error or 0.0, self.forward_error)
        is_close = all(error <= AUTOGRAD_TOLERANCE for error in errors)
        return is_close and all(check.agrees for check in self.variables)

    @property
    def asked_torch(self) -> bool:
        return self.value_error is not None


def check(sheet: Worksheet, *, torch: bool = False) -> Checks:
    """Holds the gradients of a worksheet against differences and forward mode, and against torch.autograd.

    Args:
        sheet: the worksheet.
        torch: True to ask torch in any case, and not only where the differences leave a question.
    """
    graph, at = sheet.graph, sheet.at
    sensitivity = _sensitivity(sheet)
    floor = FLOOR * _largest(sheet)
    value_scale = max(abs(sheet.value), FLOOR * sensitivity)
    entries = _entries(sheet)
    at_kinks, sides = kinks(
        sheet, entries, lambda: _directions(sheet, DIRECTIONS), value_scale=value_scale, slope_scale=floor
    )
    differences: dict[str, list[Difference]] = {name: [] for name in at}
    for name, entry in entries:
        differences[name].append(difference(graph, at, name, entry, sensitivity))

    def checked(theirs: Mapping[str, Array]) -> tuple[Check, ...]:
        return tuple(
            _check(name, ours, theirs.get(name), floor, differences[name], sides)
            for name, ours in sheet.gradients.items()
        )

    forward_error, value_error = _forward_error(sheet, floor, _directions(sheet, 1)[0]), None
    variables = checked({})
    if torch or any(one.unchecked or not one.agrees for one in variables):
        from nnlab.chapters.backpropagation.autograd import autograd

        value, theirs = autograd(graph, at)
        value_error = relative_error(abs(sheet.value - value), value_scale)
        variables = checked(theirs)
    return Checks(value_error, forward_error, variables, at_kinks, sides)


def _directions(sheet: Worksheet, count: int) -> list[Direction]:
    """Draws random directions, the same ones each time."""
    generator = random.Random(0)
    return [
        {
            name: np.array([generator.gauss(0, 1) for _ in range(array.size)]).reshape(array.shape)
            for name, array in sheet.at.items()
        }
        for _ in range(count)
    ]


def relative_error(gap: float, scale: float) -> float:
    """Returns a difference relative to a size; 0 where there is no difference, also to a size of 0."""
    return 0.0 if gap == 0 else gap / max(scale, 1e-300)


def _sensitivity(sheet: Worksheet) -> float:
    """Returns Σ |∂f/∂v · v| over the values on the way, and over the terms of sums and products @.

    A relative error in all of these moves f by so much of it. Below NORMAL errors are no smaller than there.
    """
    moves = []
    for line in sheet.lines:
        if line.gradient is not None and not line.is_given:
            moves.append((line.gradient, line.value))
            mixed = (edge for edge in line.edges if edge.derivative is None)
            moves += [(edge.passed, sheet.values[edge.argument]) for edge in mixed]
    with np.errstate(all="ignore"):  # what is not needed may be infinite, and gets no gradient
        parts = [np.abs(gradient) * (np.abs(value) + NORMAL) for gradient, value in moves]
        return sum(
            float(np.sum(part, where=gradient != 0)) for part, (gradient, _) in zip(parts, moves, strict=True)
        )


def _largest(sheet: Worksheet) -> float:
    """Returns the largest gradient that is passed on, or arrives at a tanh, whose slope 1 − f² cancels."""
    gradients = [edge.passed for line in sheet.lines for edge in line.edges]
    gradients += [line.gradient for line in sheet.lines if line.kind == "tanh" and line.gradient is not None]
    return max((float(np.max(np.abs(gradient))) for gradient in gradients), default=1.0)


def _entries(sheet: Worksheet) -> list[Entry]:
    """Returns the entries of variables that differences are taken in: all, or as many as WORK allows."""
    entries = [(name, entry) for name, array in sheet.at.items() for entry in np.ndindex(array.shape)]
    evaluations = (2 * len(_steps(float(sheet.at[name][entry]))) + 1 for name, entry in entries[:1_000])
    operations = len(sheet.graph.nodes) + sum(prod(shape) for shape in sheet.shapes) // ENTRIES
    room = max(1, WORK // (max(evaluations, default=1) * operations))
    if len(entries) <= room:
        return entries
    drawn = random.Random(0).sample(range(len(entries)), len(entries))
    firsts = {entries[i][0]: i for i in reversed(drawn)}  # one of each variable, then any
    kept = list(dict.fromkeys([*firsts.values(), *drawn]))[:room]
    return [entries[i] for i in sorted(kept)]


def _check(
    name: str, ours: Array, theirs: Array | None, floor: float, differences: Sequence["Difference"],
    sides: Mapping[Entry, Sides],
) -> Check:  # fmt: skip
    compared = np.full(ours.shape, np.nan) if theirs is None else theirs
    finite = np.asarray(np.isfinite(compared))
    size = ours if theirs is None else theirs
    scale = max(float(np.max(np.abs(size), where=np.isfinite(size), initial=0.0)), floor)
    error = relative_error(float(np.max(np.abs(ours - compared), where=finite, initial=0.0)), scale)
    agrees, is_checked = error <= AUTOGRAD_TOLERANCE, finite.copy()
    for one in differences:
        at_kink = sides.get((name, one.entry))
        tells = one.error <= TELLING * max(abs(one.derivative), scale)
        if tells and not (at_kink and at_kink.is_known):
            is_close, is_smooth = one.agrees(float(ours[one.entry])), at_kink is None and not one.bends
            agrees = agrees and (is_close or not is_smooth)
            is_checked[one.entry] |= is_close or is_smooth
    error = error if np.any(finite) else math.nan
    return Check(name, theirs, error, tuple(differences), agrees, ours.size, int(np.sum(is_checked)))


def _forward_error(sheet: Worksheet, floor: float, direction: Mapping[str, Array]) -> float:
    """Holds Σ gradient · direction against one pass of forward mode along that direction."""
    terms = [sheet.gradients[name] * move for name, move in direction.items()]
    _, along = directional(sheet.graph, sheet.at, direction)
    scale = sum(float(np.sum(np.abs(term))) for term in terms)
    return relative_error(abs(float(along) - sum(float(np.sum(term)) for term in terms)), max(scale, floor))


# --- central differences, each with the step that keeps its error least ---

RATIO = 4.0
EPSILON = float(np.finfo(np.float64).eps)
STEPS = 30
"""Steps tried for an entry of value 0: from 1/8 down by factors of RATIO."""
SMALLEST = 1e-14
"""Steps for other entries begin at an eighth of their size, or of 1, and end at this share of it."""


@dataclass(frozen=True)
class Difference:
    """A derivative by differences.

    Attributes:
        variable: its name.
        entry: which entry of it, () for a number.
        derivative: the central difference at the best step; NaN where the function cannot be evaluated to
            both sides at any step.
        step: h.
        error: the estimate of how far the derivative is off.
        left, right: the slopes to either side.
        bends: True where they differ, and do not come nearer to each other with a smaller step: a kink.
    """

    variable: str
    entry: tuple[int, ...]
    derivative: float
    step: float
    error: float
    left: float
    right: float
    bends: bool

    def agrees(self, derivative: float) -> bool:
        """True where another value is the same as far as the differences can tell."""
        return abs(self.derivative - derivative) <= 10 * self.error + 1e-9 * abs(derivative) + 1e-300


def difference(
    graph: Graph, at: Mapping[str, Array], variable: str, entry: tuple[int, ...], sensitivity: float
) -> Difference:
    """Computes the derivative of a scalar expression in one entry of a variable.

    A step counts only if its derivative is that of all narrower steps too, up to rounding: a kink near by, or
    a wave too narrow for the step, is seen by narrower ones alone. Of these steps the best has the least
    error relative to the derivative; one over which the function looks like a line, and not as if it had a
    pole inside, comes before any other.
    `sensitivity` is by how much of a relative rounding error in all values f moves: Σ |∂f/∂v · v|.
    """
    compared = [i for node in graph.nodes if node.operation in ("less", "less_equal") for i in node.arguments]

    def f(x: float) -> float:
        moved = np.array(at[variable])
        moved[entry] = x
        values = forward(graph, FLOATS, {**at, variable: moved})
        return math.nan if any(np.any(np.isnan(values[i])) for i in compared) else float(values[-1])

    center = float(at[variable][entry])
    steps = np.array(_steps(center))
    with np.errstate(all="ignore"):
        up, down = center + steps, center - steps
        middle, above, below = f(center), np.array([*map(f, up)]), np.array([*map(f, down)])
        central = np.where((down < center) & (center < up), (above - below) / (up - down), np.nan)
        left, right, half = (
            (middle - below) / (center - down),
            (above - middle) / (up - center),
            (up - down) / 2,
        )
        rounding = (
            EPSILON / half * sensitivity * 2 + EPSILON / half * abs(above) + EPSILON / half * abs(below)
        )
        gap = abs(right - left)
        is_near_line = gap <= 0.5 * (abs(left) + abs(right))
        narrow = central[1:]
        error = abs(central[:-1] - narrow) / (RATIO - 1) + rounding[1:]
        is_off = abs(narrow[:, None] - narrow) > 10 * error[:, None] + 10 * rounding[1:]
        is_usable = ~np.triu(is_off).any(1) & np.isfinite(error)
        relative = np.where(narrow == 0, np.where(error == 0, 0.0, np.inf), error / abs(narrow))
    usable = np.flatnonzero(is_usable[:-1])  # the last has no narrower step that could contradict it
    lines = [i for i in usable if is_near_line[i] and is_near_line[i + 1]]
    if not len(usable):
        return Difference(variable, entry, np.nan, np.nan, np.inf, np.nan, np.nan, bends=False)
    wide = min(lines or usable, key=lambda i: (relative[i], error[i]))
    best = wide + 1
    bends = bool(gap[best] > 0.5 * gap[wide] and gap[best] > 100 * rounding[best])
    derivative, step, to_left, to_right = (float(x[best]) for x in (central, half, left, right))
    return Difference(variable, entry, derivative, step, float(error[wide]), to_left, to_right, bends)


def _steps(center: float) -> list[float]:
    """Returns steps from wide to narrow: powers of two, so that center ± step is exact but for a carry.

    Near the smallest floats they go down to the smallest of all.
    """
    size = abs(center)
    step = 2.0 ** math.floor(math.log2(max(size, 1.0) / 8))
    last = SMALLEST * size if size else step / RATIO**STEPS
    steps = []
    while step > last:
        steps.append(step)
        step /= RATIO
    return steps
