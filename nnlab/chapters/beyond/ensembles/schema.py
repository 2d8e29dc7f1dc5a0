"""Names of the arrays in runs of `ensembles` that its widget reads."""

from collections.abc import Mapping

ANGLES = "angles"  # (g,) in degrees
POINTS, TARGETS = "points", "targets"  # (n,) in degrees, and (n,) of the first output
STARTED, TRAINED, LAST = "start", "all_layers", "last_layer"  # the groups, one for each kind of training
FUNCTIONS, MEAN, STD = "functions", "mean", "std"  # (S, g), and (g,) predicted of the first output

ARRAYS: Mapping[str, str] = {
    ANGLES: "(g,) angles of the new points on the circle, in degrees",
    POINTS: "(n,) angles of the training points, in degrees",
    TARGETS: "(n,) targets of the first output",
    f"*/{FUNCTIONS}": "(networks, g) first output of every network: at the start, and after training all "
    "layers or the last one",
    f"*/{MEAN}": "(g,) its predicted mean at infinite width",
    f"*/{STD}": "(g,) its predicted standard deviation",
}
