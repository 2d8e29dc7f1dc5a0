"""Names of the arrays in this chapter's runs that the widgets read, and the form of rows of results."""

from collections.abc import Mapping
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

NOISE = "noise"  # group: the variance of the gradients of mini-batches
BATCH, MEASURED, PREDICTED, INTERVAL = "batch", "measured", "predicted", "interval"

TRAIN_LOSS = "train_loss"  # (T,) in the group of a batch size or an activation
OF_BATCH = "batch size "
ACTIVATIONS = {"relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU", "gelu": "GELU"}
"""The names of activations in words, where they differ from those of configs."""


class PenaltyRow(TypedDict):
    """A row of the results of `regularization`: one penalty with one strength."""

    penalty: str
    strength: float
    test_accuracy: float | None
    sparsity: float
    norm: float
    penalty_value: float
    kkt_violation: float


ACTIVATIONS_ARRAYS: Mapping[str, str] = {
    "z": "(401,) pre-activations",
    "*/value": "(401,) this activation function at z",
    "*/derivative": "(401,) its derivative at z",
    f"*/{TRAIN_LOSS}": "(T,) training loss of the network with this activation, one value an evaluation",
}
CONVERGENCE_ARRAYS: Mapping[str, str] = {
    STEPS: "(T,) steps",
    BOUND: "() the step size below which descent converges",
    f"{HESSIAN}/{EIGENVALUES}": "(p,) eigenvalues of the Hessian at the optimum, ascending",
    f"{HESSIAN}/{START}": "(p,) the distance to the optimum at step 0, along its eigenvectors",
    f"{DISTANCE}/*": "(T,) distance to the optimum ‖W − W*‖ with this step size, in multiples of the bound",
}
REGULARIZATION_ARRAYS: Mapping[str, str] = {
    STRENGTHS: "(K,) strengths λ",
    INPUT_SHAPE: "(3,) channels, height and width of the images, or (1,) features",
    f"*/{ACCURACY}": "(K,) test accuracy with this penalty of each strength, a fraction of 1",
    "*/sparsity": "(K,) share of weights that are exactly 0",
    f"*/{NORM}": "(K,) norm of the weights",
    f"*/{WEIGHTS}": "(K, C, d) weights of the first layer",
}
SEPARABLE_ARRAYS: Mapping[str, str] = {
    STEPS: "(T,) steps",
    LOSS: "(T,) training loss",
    NORM: "(T,) norm of all parameters",
    "least_norm": "(T,) the least norm that the loss allows",
}
SGD_ARRAYS: Mapping[str, str] = {
    f"{NOISE}/{BATCH}": "(K,) batch sizes B",
    f"{NOISE}/{MEASURED}": "(K,) mean squared distance of the mini-batch gradient from the full one",
    f"{NOISE}/{PREDICTED}": "(K,) S(N − B)/(B(N − 1))",
    f"{NOISE}/{INTERVAL}": "(K, 2) the interval of the measured values that decides: low, high",
    "noise/rival": "(K,) S/B, drawing with replacement",
    f"*/{TRAIN_LOSS}": "(T,) training loss with this batch size, one value an evaluation",
}
REGRESSION_ARRAYS: Mapping[str, str] = {
    "fit/x": "(N,) test inputs, ascending, raw units",
    "fit/target": "(N,) the true function there, or the test targets",
    "fit/prediction": "(N,) outputs of the network there",
    "fit/points_x": "(M,) training inputs, raw units",
    "fit/points_y": "(M,) training targets",
}
"""Describes the arrays of each experiment: pattern of names -> axes and units."""
