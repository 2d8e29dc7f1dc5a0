"""The settings of `weight_change`, and the names in its runs that the widget reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

WIDTHS = "widths"  # array (W,)
CURVE_STEPS = "curve_steps"  # array (T,)
LOSS = "loss"  # array (W, S, T) in the group of a setting
EIGENVALUES = "eigenvalues"  # array (W, S, n) in the group of a setting, ascending
LR = "lr"  # array (W, S) likewise
EDGE = "edge"  # group: step sizes across the edge of stability
CHANGE = "change"  # array (W, S) of ‖w − w₀‖/‖w₀‖ at the end, likewise
KERNEL_DRIFT, JACOBIAN_DRIFT = "kernel_drift", "jacobian_drift"  # arrays (W, S), likewise
RESIDUAL_ERROR = "residual_error"  # array (W, S), likewise
LINEAR = "linear"  # group in a setting: what the linearized network of infinite width predicts, (W, S)
CHANGE_CURVE = "change_curve"  # array (W, S, T) of ‖w(t) − w₀‖/‖w₀‖ in the group of a setting

WHOLE = "whole"  # the quantity ‖w − w₀‖/‖w₀‖ at the end of training
METRIC = "{key}/{quantity}"  # the exponent of a quantity in a setting
CLAIM = "{quantity}_{key}"  # on this exponent, or on this value
PREFACTOR = "prefactor_{key}"  # on the value of the change of all weights


@dataclass(frozen=True)
class Family:
    """Networks that differ in width and seed only."""

    depth: int
    parameterization: Literal["ntk", "standard"]

    @property
    def key(self) -> str:
        return f"{self.parameterization}-{self.depth}"

    def __str__(self) -> str:
        return f"{self.parameterization}, {self.depth} hidden layer{'s' if self.depth > 1 else ''}"


@dataclass(frozen=True)
class Setting:
    """A family, and how its step size is chosen."""

    family: Family
    protocol: Literal["constant", "stable"]

    @property
    def key(self) -> str:
        """The name of its group of arrays."""
        return f"{self.family.key}-{self.protocol}"

    @classmethod
    def of(cls, key: str) -> "Setting":
        """Returns the setting that has the key. Raises ValueError where none can have it."""
        parts: list[Any] = key.rsplit("-", 2)
        parameterization, depth, protocol = parts
        return cls(Family(int(depth), parameterization), protocol)

    def __str__(self) -> str:
        return f"{self.family}, {self.protocol}"


ARRAYS: Mapping[str, str] = {
    WIDTHS: "(W,) widths m",
    CURVE_STEPS: "(T,) recorded steps",
    f"*/{LOSS}": "(W, S, T) training loss",
    f"*/{CHANGE_CURVE}": "(W, S, T) relative weight change ‖w − w₀‖/‖w₀‖",
    "*/change": "(W, S) the same at the end",
    "*/layer_change": "(W, S, layers) relative change of each layer in Frobenius norm, at the end",
    "*/layer_operator_change": "(W, S, layers) the same in operator norm",
    "*/kernel_drift": "(W, S) relative change of the tangent kernel ‖H − H₀‖/‖H₀‖",
    "*/kernel_change": "(W, S) H − H₀ along the change that units which switch predict, over that; NaN where "
    "none is predicted",
    "*/jacobian_drift": "(W, S) relative change of the derivatives ‖J − J₀‖/‖J₀‖ in Frobenius norm",
    "*/residual_error": "(W, S) largest distance of the residual from what the kernel at the start predicts, "
    "over ‖u₀‖",
    "*/linear/*": "(W, S) this relative change of the weights as the infinitely wide network predicts it",
    "edge/products": "(K,) step size times largest eigenvalue, ηλmax(H₀)",
    "edge/*": "(W, S, K) the factor by which a step multiplies a small residual along the leading mode",
    "*/eigenvalues": "(W, S, n) eigenvalues of the kernel at the start, ascending",
    "*/eta_lambda_max": "(W, S) step size times largest eigenvalue, ηλmax(H₀)",
    "*/lr": "(W, S) step size η",
    "*/start_loss": "(W, S) loss at the start",
    "*/final_loss": "(W, S) loss at the end",
    "*/highest_loss": "(W, S) the highest loss on the way",
    "*/diverged": "(W, S) whether the loss did not stay finite",
    "*/steps": "(W, S) steps until the training stopped",
}
"""Describes the arrays of `weight_change`: pattern of names -> axes and units; S seeds."""
