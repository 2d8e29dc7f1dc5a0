"""Names of the arrays in this chapter's runs that the widgets read, and the form of rows of results."""

from typing import TypedDict

STEPS, LOSS, NORM = "steps", "loss", "norm"  # (T,); with penalties, (K,) norms in the group of each

STRENGTHS = "strengths"  # (K,) values of λ
INPUT_SHAPE = "input_shape"
WEIGHTS, ACCURACY = "weights", "accuracy"  # (K, …) of the first layer, (K,) on the test split: in that group

BOUND = "bound"  # () the step size below which descent converges
UNIT = "× bound"
DISTANCE = "distance"  # group: (T,) to the optimum for each step size, "0.5 × bound"
HESSIAN = "hessian"  # group: the quadratic model at the optimum
EIGENVALUES, START = "eigenvalues", "start"  # (p,) of it, and the distance at step 0 along its eigenvectors


class PenaltyRow(TypedDict):
    """A row of the results of `regularization`: one penalty with one strength."""

    penalty: str
    strength: float
    test_accuracy: float | None
    sparsity: float
    norm: float
    penalty_value: float
    kkt_violation: float
