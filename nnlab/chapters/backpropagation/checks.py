"""Our gradients held against others': torch.autograd for all entries, central differences for some."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnlab.chapters.backpropagation.autograd import autograd
from nnlab.chapters.backpropagation.build import Worksheet
from nnlab.chapters.backpropagation.differences import Difference, difference, evaluations
from nnlab.chapters.backpropagation.kinks import Entry, Kink, Sides, kinks
from nnlab.chapters.backpropagation.numbers import ratio
from nnlab.expressions.passes import directional

Array = NDArray[np.float64]

AUTOGRAD_TOLERANCE = 1e-10
"""Relative to the largest entry of the variable's gradient; see FLOOR."""
FLOOR = 1e-4
"""Of the largest gradient that is passed on anywhere: of what cancels down to less, only rounding is left."""
TELLING = 1e-2
"""A difference with a larger error tells nothing; relative to it, the largest entry or FLOOR."""
WORK = 1_000_000
"""Operations that the differences may take: of a large expression only some entries are checked."""
ENTRIES = 1_000
"""Entries of arrays that count as one operation: they take as long as the call of it."""
NORMAL = float(np.finfo(np.float64).smallest_normal)
"""Below it floats have fewer digits."""
DIRECTIONS = 8
"""Drawn at random: along one forward mode is checked, along all the function is looked at for kinks."""


@dataclass(frozen=True)
class Check:
    """A variable's gradient beside others.

    Attributes:
        variable: its name.
        autograd: torch's gradient, of the same shape. What is not finite tells nothing: torch differentiates
            the branch that a `where` does not take, too.
        autograd_error: the largest difference to ours, relative to the largest entry; NaN if none is finite.
        differences: central differences, of some entries.
        agrees: whether torch's is the same to AUTOGRAD_TOLERANCE, and each difference within its error. Where
            the function has a kink, or may have one, a difference is not held against the gradient.
        checked: how many entries torch, or a difference, tells something of.
    """

    variable: str
    autograd: Array
    autograd_error: float
    differences: tuple[Difference, ...]
    agrees: bool
    checked: int

    @property
    def unchecked(self) -> int:
        """Entries that were held against nothing."""
        return self.autograd.size - self.checked


@dataclass(frozen=True)
class Checks:
    """Everything that a worksheet was held against.

    Attributes:
        value_error: of the value beside torch's, relative.
        forward_error: largest difference of a random directional derivative in forward mode, relative.
        variables: one for each variable.
        kinks: where no derivative exists.
        sides: variable and entry -> the limits and slopes to either side, where the function has a kink
            or may have one.
    """

    value_error: float
    forward_error: float
    variables: tuple[Check, ...]
    kinks: tuple[Kink, ...]
    sides: Mapping[Entry, Sides]

    @property
    def value_agrees(self) -> bool:
        return self.value_error <= AUTOGRAD_TOLERANCE

    @property
    def forward_agrees(self) -> bool:
        return self.forward_error <= AUTOGRAD_TOLERANCE

    @property
    def agree(self) -> bool:
        """Whether nothing was found that does not; of what was not checked nothing is known."""
        return self.value_agrees and self.forward_agrees and all(check.agrees for check in self.variables)


def check(sheet: Worksheet, *, seed: int = 0) -> Checks:
    """Holds values and gradients of a worksheet against torch.autograd, differences, and forward mode."""
    graph, at, gradients = sheet.graph, sheet.at, sheet.gradients
    generator = np.random.default_rng(seed)
    value, theirs = autograd(graph, at)
    sensitivity = _sensitivity(sheet)
    floor = FLOOR * _largest(sheet)
    value_scale = max(abs(value), FLOOR * sensitivity)
    entries = _entries(sheet, generator)
    directions = [
        {name: generator.standard_normal(array.shape) for name, array in at.items()}
        for _ in range(DIRECTIONS)
    ]
    found, sides = kinks(sheet, entries, directions, value_scale=value_scale, slope_scale=floor)
    differences: dict[str, list[Difference]] = {name: [] for name in at}
    for name, entry in entries:
        differences[name].append(difference(graph, at, name, entry, sensitivity))
    checks = tuple(
        _check(name, gradients[name], theirs[name], floor, differences[name], sides) for name in at
    )
    return Checks(
        ratio(abs(sheet.value - value), value_scale),
        _forward_error(sheet, gradients, floor, directions[0]),
        checks,
        tuple(found),
        sides,
    )


def _sensitivity(sheet: Worksheet) -> float:
    """Σ |∂f/∂v · v| over the values on the way, and over the terms that sums and products @ add up.

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
    """The largest gradient that is passed on, or that arrives at a tanh: its slope 1 − f² cancels."""
    found = [edge.passed for line in sheet.lines for edge in line.edges]
    found += [line.gradient for line in sheet.lines if line.kind == "tanh" and line.gradient is not None]
    return max((float(np.max(np.abs(gradient))) for gradient in found), default=1.0)


def _entries(sheet: Worksheet, generator: np.random.Generator) -> list[Entry]:
    """The numbers of variables that differences are taken in: all, or as many as WORK allows."""
    entries = [(name, entry) for name, array in sheet.at.items() for entry in np.ndindex(array.shape)]
    costly = max((evaluations(float(sheet.at[name][entry])) for name, entry in entries[:1_000]), default=1)
    operations = len(sheet.graph.nodes) + sum(prod(shape) for shape in sheet.shapes) // ENTRIES
    room = max(1, WORK // (costly * operations))
    if len(entries) <= room:
        return entries
    drawn = generator.permutation(len(entries))
    firsts = {entries[i][0]: i for i in drawn[::-1]}  # one of each variable, then any
    kept = list(dict.fromkeys([*firsts.values(), *drawn]))[:room]
    return [entries[i] for i in sorted(kept)]


def _check(
    name: str, ours: Array, theirs: Array, floor: float, differences: Sequence[Difference],
    sides: Mapping[Entry, Sides],
) -> Check:  # fmt: skip
    finite = np.asarray(np.isfinite(theirs))
    scale = max(float(np.max(np.abs(theirs), where=finite, initial=0.0)), floor)
    error = ratio(float(np.max(np.abs(ours - theirs), where=finite, initial=0.0)), scale)
    close, told = error <= AUTOGRAD_TOLERANCE, finite.copy()
    for found in differences:
        seen = sides.get((name, found.entry))
        tells = found.error <= TELLING * max(abs(found.derivative), scale)
        if tells and not (seen and seen.is_known):
            agrees, is_smooth = found.agrees(float(ours[found.entry])), seen is None and not found.bends
            close = close and (agrees or not is_smooth)
            told[found.entry] |= agrees or is_smooth
    checked = int(np.sum(told))
    return Check(name, theirs, error if np.any(finite) else math.nan, tuple(differences), close, checked)


def _forward_error(
    sheet: Worksheet, gradients: Mapping[str, Array], floor: float, direction: Mapping[str, Array]
) -> float:
    """Σ gradient · direction against one pass of forward mode along that direction."""
    terms = [gradients[name] * direction[name] for name in direction]
    _, along = directional(sheet.graph, sheet.at, direction)
    scale = sum(float(np.sum(np.abs(term))) for term in terms)
    return ratio(abs(float(along) - sum(float(np.sum(term)) for term in terms)), max(scale, floor))
