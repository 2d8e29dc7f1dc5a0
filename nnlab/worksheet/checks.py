"""Our gradients held against others': torch.autograd for all entries, central differences for some."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from nnlab.graph.passes import directional
from nnlab.worksheet.autograd import autograd
from nnlab.worksheet.build import Worksheet
from nnlab.worksheet.differences import Difference, difference, evaluations
from nnlab.worksheet.kinks import Kink, kinks
from nnlab.worksheet.numbers import ratio

Array = NDArray[np.float64]

AUTOGRAD_TOLERANCE = 1e-10
"""Relative to the largest entry of the variable's gradient; see FLOOR."""
FLOOR = 1e-4
"""Of the largest gradient that is passed on anywhere: of what cancels down to less, only rounding is left."""
WORK = 1_000_000
"""Operations that the differences may take: of a large expression only some entries are checked."""
ENTRIES = 1_000
"""Entries of arrays that count as one operation: they take as long as the call of it."""


@dataclass(frozen=True)
class Check:
    """A variable's gradient beside others.

    Attributes:
        variable: its name.
        autograd: torch's gradient, of the same shape.
        autograd_error: the largest difference to ours, relative to the largest entry.
        differences: central differences, of some entries.
        agrees: whether torch's is the same to AUTOGRAD_TOLERANCE, and each difference within its error. What
            is not finite tells nothing: torch differentiates the branch that a `where` does not take, too.
            A difference at a kink, where left and right slopes differ, is not held against it.
    """

    variable: str
    autograd: Array
    autograd_error: float
    differences: tuple[Difference, ...]
    agrees: bool


@dataclass(frozen=True)
class Checks:
    """Everything that a worksheet was held against.

    Attributes:
        value_error: of the value beside torch's, relative.
        forward_error: largest difference of a random directional derivative in forward mode, relative.
        variables: one for each variable.
        kinks: where no derivative exists.
    """

    value_error: float
    forward_error: float
    variables: tuple[Check, ...]
    kinks: tuple[Kink, ...]

    @property
    def agree(self) -> bool:
        return all(check.agrees for check in self.variables) and self.forward_error <= AUTOGRAD_TOLERANCE


def check(sheet: Worksheet, *, seed: int = 0) -> Checks:
    """Holds values and gradients of a worksheet against torch.autograd, differences, and forward mode."""
    graph, at, gradients = sheet.graph, sheet.at, sheet.gradients
    generator = np.random.default_rng(seed)
    found = tuple(kinks(graph, sheet.values, sheet.notation.names))
    value, theirs = autograd(graph, at)
    entries = [(name, entry) for name, array in at.items() for entry in np.ndindex(array.shape)]
    costly = max((evaluations(float(at[name][entry])) for name, entry in entries[:1_000]), default=1)
    operations = len(graph.nodes) + sum(prod(shape) for shape in sheet.shapes) // ENTRIES
    room = max(1, WORK // (costly * operations))
    if len(entries) > room:
        drawn = generator.permutation(len(entries))
        firsts = {entries[i][0]: i for i in drawn[::-1]}  # one of each variable, then any
        kept = list(dict.fromkeys([*firsts.values(), *drawn]))[:room]
        entries = [entries[i] for i in sorted(kept)]
    with np.errstate(all="ignore"):
        sensitivity = sum(
            float(np.sum(np.abs(line.gradient * line.value)))
            for line in sheet.lines
            if line.gradient is not None and not line.is_given
        )
    differences: dict[str, list[Difference]] = {name: [] for name in at}
    for name, entry in entries:
        differences[name].append(difference(graph, at, name, entry, sensitivity))
    floor = FLOOR * max(
        (float(np.max(np.abs(e.passed))) for line in sheet.lines for e in line.edges), default=0.0
    )
    checks = tuple(
        _check(name, gradients[name], theirs[name], floor, tuple(differences[name]), at_kink=bool(found))
        for name in at
    )
    return Checks(
        _relative(sheet.value, value), _forward_error(sheet, gradients, floor, generator), checks, found
    )


def _check(
    name: str, ours: Array, theirs: Array, floor: float, differences: tuple[Difference, ...], *, at_kink: bool
) -> Check:
    scale = max(float(np.max(np.abs(theirs))), floor)
    error = ratio(float(np.max(np.abs(ours - theirs))), scale)
    close = all(d.agrees(float(ours[d.entry])) or (at_kink and d.bends) for d in differences if d.tells)
    knows = bool(np.all(np.isfinite(theirs)))
    return Check(name, theirs, error, differences, close and (error <= AUTOGRAD_TOLERANCE or not knows))


def _forward_error(
    sheet: Worksheet, gradients: Mapping[str, Array], floor: float, generator: np.random.Generator
) -> float:
    """Σ gradient · direction against one pass of forward mode along that direction."""
    direction = {name: generator.standard_normal(array.shape) for name, array in sheet.at.items()}
    terms = [gradients[name] * direction[name] for name in direction]
    _, along = directional(sheet.graph, sheet.at, direction)
    scale = sum(float(np.sum(np.abs(term))) for term in terms)
    return ratio(abs(float(along) - sum(float(np.sum(term)) for term in terms)), max(scale, floor))


def _relative(ours: float, theirs: float) -> float:
    return ratio(abs(ours - theirs), abs(theirs))
