"""The arrays and rows in this chapter's runs that the widgets read: groups, and the names in them."""

from typing import NamedTuple, TypedDict

from nnlab.record.arrays import Array

# --- regularization ---------------------------------------------------------------------------------

STRENGTHS = "strengths"  # (K,) values of λ
INPUT_SHAPE = "input_shape"
WEIGHTS = "weights"  # (K, …) of the first layer, in the group of a penalty
ACCURACY = "accuracy"  # (K,) on the test split, in the group of a penalty
NORM = "norm"  # (K,) in the group of a penalty


class PenaltyRow(TypedDict):
    """A row of results: one penalty with one strength."""

    penalty: str
    strength: float
    test_accuracy: float | None
    sparsity: float
    norm: float
    penalty_value: float
    kkt_violation: float


# --- convergence ------------------------------------------------------------------------------------

STEPS = "steps"  # (T,)
BOUND = "bound"  # () the step size below which convergence is guaranteed
HESSIAN = "hessian"
DISTANCE = "distance"  # group: (T,) for every step size, named by `label_of`


class Hessian(NamedTuple):
    """The quadratic model at the optimum, in the group HESSIAN."""

    eigenvalues: Array  # (p,)
    start: Array  # (p,) the distance at step 0 along the eigenvectors


def label_of(multiple: float) -> str:
    """Returns the name of a step size in units of the bound."""
    return f"{multiple:g} × bound"


def multiple_of(label: str) -> float:
    """Returns the multiple that a label names, to six digits."""
    return float(label.partition(" × ")[0])


# --- separable --------------------------------------------------------------------------------------


class Growth(NamedTuple):
    """Training on separable data."""

    steps: Array  # (T,)
    loss: Array  # (T,)
    norm: Array  # (T,) of all parameters
    least_norm: Array  # (T,) the least norm that the loss allows
