"""The settings of `weight_change`, and the names in its runs that the widget reads."""

from dataclasses import dataclass
from typing import Any, Literal

WIDTHS = "widths"  # array (W,)
CURVE_STEPS = "curve_steps"  # array (T,)
LOSS = "loss"  # array (W, S, T) in the group of a setting
CHANGE_CURVE = "change_curve"  # array (W, S, T) of ‖w(t) − w₀‖/‖w₀‖ in the group of a setting

WHOLE = "whole"  # the quantity ‖w − w₀‖/‖w₀‖ at the end of training
METRIC = "{key}/{quantity}"  # the exponent of a quantity in a setting
CLAIM = "{quantity}_{key}"  # on this exponent


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
