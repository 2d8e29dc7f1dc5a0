"""The outputs of many networks at one point of the circle, with a slider over its angle."""

from nnlab.chapters.beyond.ensembles import schema
from nnlab.page.widget import Arrays, Widget, numbers, packed, rising, shaped
from nnlab.record import Run
from nnlab.record.arrays import group

NAMES = {
    schema.STARTED: "at the start",
    schema.TRAINED: "after training all layers",
    schema.LAST: "after training the last layer",
}


def ensembles(run: Run, arrays: Arrays) -> Widget:
    """Histograms of what the networks say at an angle, beside the predicted normal densities."""
    angles = rising(arrays[schema.ANGLES], -1)
    kinds = []
    for key, name in NAMES.items():
        mine = group(arrays, key)
        functions = mine[schema.FUNCTIONS]
        kinds.append(
            {
                "name": name,
                "functions": packed(shaped(functions, len(functions), len(angles))),
                "mean": numbers(shaped(mine[schema.MEAN], len(angles))),
                "std": numbers(shaped(mine[schema.STD], len(angles))),
            }
        )
    points = arrays[schema.POINTS]
    return Widget(
        "ensembles",
        "Many networks are a Gaussian process",
        "Every network starts at random and learns the same points. What they say elsewhere is spread as a "
        "normal distribution that is known in advance: another one if the last layer alone is trained.",
        {
            "angles": numbers(angles),
            "points": numbers(points),
            "targets": numbers(shaped(arrays[schema.TARGETS], len(points))),
            "kinds": kinds,
        },
    )
