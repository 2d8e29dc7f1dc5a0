"""Names of the arrays of `double_descent` that the widget reads."""

from collections.abc import Mapping

SETTING = "setting"  # (3,) n, σ, ‖β‖
GAUSSIAN, RELU = "gaussian", "relu"  # groups
FEATURES, RISK, INTERVAL = "features", "risk", "interval"  # (P,), (P,), (P, 2) in each of them
LOG_RISK = "log_risk"  # (P,) mean of the logarithm

ARRAYS: Mapping[str, str] = {
    SETTING: "(3,) examples n, noise σ and norm ‖β‖",
    f"*/{FEATURES}": "(P,) numbers of features p, ascending",
    f"*/{RISK}": "(P,) mean of the risk over the draws",
    f"*/{INTERVAL}": "(P, 2) the interval of this mean that decides: low, high",
    f"*/{LOG_RISK}": "(P,) mean of the logarithm of the risk over the draws",
}
"""Describes the arrays of `double_descent`: pattern of names -> axes and units."""
