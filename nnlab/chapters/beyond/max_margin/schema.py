"""Names of the arrays of `max_margin` that the widget reads."""

from collections.abc import Mapping

STEPS = "steps"  # (T,) steps, on a logarithmic scale
ANGLE = "angle"  # (T,) angle from the max-margin direction, in degrees
PREDICTED = "predicted"  # (T,) the same, predicted
VECTORS = "vectors"  # (T, 2) w of the trained model
POINTS = "points"  # (N, 2) y·x
MARGIN = "max_margin"  # (2,) of the SVM
CENTRE = "mean_difference"  # (2,) mean of y·x

ARRAYS: Mapping[str, str] = {
    STEPS: "(T,) steps at which the weights were measured",
    ANGLE: "(T,) angle between the weights and the max-margin direction, in degrees",
    PREDICTED: "(T,) the same, predicted",
    VECTORS: "(T, 2) difference of the two rows of weights",
    POINTS: "(N, 2) examples times their class, ±1",
    MARGIN: "(2,) weights of the support vector machine",
    CENTRE: "(2,) mean of the examples times their class",
    "loss": "(T,) training loss",
}
"""Describes the arrays of `max_margin`: pattern of names -> axes and units."""
