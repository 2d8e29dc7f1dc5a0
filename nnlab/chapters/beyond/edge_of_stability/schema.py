"""Names of the arrays of `edge_of_stability` that the widget reads."""

from collections.abc import Mapping

STARTS = "starts"  # (K,) ηλmax at the start of each training
STEPS = "steps"  # (T,) steps at which the sharpness was measured
SHARPNESS, LOSS = "sharpness", "loss"  # (K, T) ηλmax of the Hessian, and the loss
FLOW = "flow"  # group: sharpness λmax/λmax(0), loss along the small steps

ARRAYS: Mapping[str, str] = {
    STARTS: "(K,) ηλmax of the Hessian at the start of each training",
    STEPS: "(T,) steps at which it was measured",
    SHARPNESS: "(K, T) ηλmax of the Hessian",
    LOSS: "(K, T) training loss",
    f"{FLOW}/{SHARPNESS}": "(F,) λmax over its first value, along small steps",
    f"{FLOW}/{LOSS}": "(F,) training loss along small steps",
}
"""Describes the arrays of `edge_of_stability`: pattern of names -> axes and units."""
