"""The arrays of a run of `ntk` that its widgets read: groups, and NamedTuples of the names in them."""

from typing import NamedTuple

from nnlab.record.arrays import Array

STEPS = "steps"  # (K,) at which the run's own trainings are recorded
MODES = "modes"
EDGE = "edge"
UNIT = "η_max"


class Modes(NamedTuple):
    """The residual of one network along the eigenvectors of its kernel H₀, in the group MODES."""

    flow: Array  # (nC, K) predicted by gradient flow
    descent: Array  # (nC, K) predicted by gradient descent
    network: Array  # (nC, K)
    linearized: Array  # (nC, K)
    eigenvalues: Array  # (nC,) of the dynamics u̇ = −Hu
    lr: Array  # () the step size η


class EdgeModes(NamedTuple):
    """The start of the trainings with step sizes around η_max, in the group EDGE."""

    steps: Array  # (T + 1,) from 0 on
    eigenvalues: Array  # (nC,) of the dynamics u̇ = −Hu
    start: Array  # (nC,) the residual along the eigenvectors
    lr_max: Array  # () η_max = 2/λmax


class EdgeCurves(NamedTuple):
    """The training with one step size, in a group `label_of` of the group EDGE."""

    linearized: Array  # (T + 1,) losses of the linearization
    network: Array  # (T + 1,) losses of the network
    look: Array  # (K,) steps at which the kernel of the network was computed
    sharpness: Array  # (K,) ηλmax of that kernel


def label_of(multiple: float) -> str:
    """Returns the name of the step size `multiple`·η_max."""
    return f"{multiple:g} {UNIT}"


def multiple_of(label: str) -> float:
    """Returns the multiple that a label names, to six digits."""
    return float(label.removesuffix(UNIT))
