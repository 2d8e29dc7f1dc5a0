"""Our gradients held against others': torch.autograd for all entries, central differences for some."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nnlab.graph.algebras import FLOATS
from nnlab.graph.passes import directional, forward
from nnlab.worksheet.autograd import autograd
from nnlab.worksheet.build import Worksheet
from nnlab.worksheet.differences import STEPS, Difference, difference
from nnlab.worksheet.kinks import Kink, kinks

Array = NDArray[np.float64]

AUTOGRAD_TOLERANCE = 1e-10
"""Relative to the largest entry of the variable's gradient."""
WORK = 1_000_000
"""Operations that the differences may take: of a large expression only some entries are checked."""


@dataclass(frozen=True)
class Check:
    """A variable's gradient beside others.

    Attributes:
        variable: its name.
        autograd: torch's gradient, of the same shape.
        autograd_error: the largest difference to ours, relative to the largest entry.
        differences: central differences, of some entries.
        agrees: whether torch's is the same to AUTOGRAD_TOLERANCE, and each difference within its error.
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
    with np.errstate(all="ignore"):
        values = forward(graph, FLOATS, at)
    found = tuple(kinks(graph, values, sheet.notation.names))
    value, theirs = autograd(graph, at)
    entries = [(name, entry) for name, array in at.items() for entry in np.ndindex(array.shape)]
    room = max(1, WORK // (2 * STEPS * len(graph.nodes)))
    if len(entries) > room:
        kept = sorted(generator.choice(len(entries), room, replace=False))
        entries = [entries[i] for i in kept]
    differences: dict[str, list[Difference]] = {name: [] for name in at}
    for name, entry in entries:
        differences[name].append(difference(graph, at, name, entry))
    checks = tuple(
        _check(name, gradients[name], theirs[name], tuple(differences[name]), at_kink=bool(found))
        for name in at
    )
    return Checks(_relative(sheet.value, value), _forward_error(sheet, gradients, generator), checks, found)


def _check(
    name: str, ours: Array, theirs: Array, differences: tuple[Difference, ...], *, at_kink: bool
) -> Check:
    error = (
        float(np.max(np.abs(ours - theirs)) / max(float(np.max(np.abs(theirs))), 1e-300))
        if np.any(ours - theirs)
        else 0.0
    )
    close = all(d.agrees(float(ours[d.entry])) or (at_kink and d.bends) for d in differences)
    return Check(name, theirs, error, differences, error <= AUTOGRAD_TOLERANCE and close)


def _forward_error(sheet: Worksheet, gradients: Mapping[str, Array], generator: np.random.Generator) -> float:
    """Σ gradient · direction against one pass of forward mode along that direction."""
    direction = {name: generator.standard_normal(array.shape) for name, array in sheet.at.items()}
    terms = [gradients[name] * direction[name] for name in direction]
    _, along = directional(sheet.graph, sheet.at, direction)
    scale = sum(float(np.sum(np.abs(term))) for term in terms)
    gap = abs(float(along) - sum(float(np.sum(term)) for term in terms))
    return 0.0 if gap == 0 else gap / max(scale, 1e-300)


def _relative(ours: float, theirs: float) -> float:
    return 0.0 if ours == theirs else abs(ours - theirs) / max(abs(theirs), 1e-300)
