"""The arrays of a run of `rich`; K widths, S seeds, G step sizes of a search."""

from typing import Literal

Parameterization = Literal["mup", "ntk"]
Optimizer = Literal["sgd", "adam"]
PARAMETERIZATIONS: tuple[Parameterization, ...] = ("mup", "ntk")
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam")

WIDTHS = "widths"
FEATURES = "features/{name}"
BEST = "best_step/{optimizer}/{name}"
GRID = "grid/{optimizer}/{name}"
LOSS = "loss/{optimizer}/{name}"

ARRAYS = {
    WIDTHS: "(K,) widths of both hidden layers, ascending",
    "features/*": "(K, S) relative change of the last hidden layer after the steps of gradient descent",
    "best_step/*": "(K, S) log₂ of the step size with the least loss",
    "grid/*": "(K, G) log₂ of the step sizes that were tried first",
    "loss/*": "(K, G) natural logarithm of the loss there, mean over the seeds; infinite where one diverged",
}
