"""The direction of the weights beside that of the largest margin, with a slider over the steps."""

from nnlab.chapters.beyond.max_margin import schema
from nnlab.page.widget import Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run


def max_margin(run: Run, arrays: Arrays) -> Widget:
    """The signed examples with the weights at every step, and the angle that is left."""
    steps = rising(arrays[schema.STEPS], 0)
    points = arrays[schema.POINTS]
    return Widget(
        "max_margin",
        "The weights turn towards the largest margin",
        "Each point is an example times its class. The weights w grow without end, and their direction tends "
        "to that of the support vector machine, which keeps every point as far in front as can be; but "
        "slowly, like 1/log t.",
        {
            "steps": numbers(steps, 9),
            "angle": numbers(shaped(arrays[schema.ANGLE], len(steps))),
            "predicted": numbers(shaped(arrays[schema.PREDICTED], len(steps))),
            "vectors": numbers(shaped(arrays[schema.VECTORS], len(steps), 2)),
            "points": numbers(shaped(points, len(points), 2)),
            "margin": numbers(shaped(arrays[schema.MARGIN], 2)),
        },
    )
