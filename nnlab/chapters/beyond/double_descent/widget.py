"""The risk over the number of features, in its two parts, with a slider."""

from nnlab.chapters.beyond.double_descent import schema
from nnlab.page.widget import Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run
from nnlab.record.arrays import group


def double_descent(run: Run, arrays: Arrays) -> Widget:
    """The measured risks; the page computes the formula itself."""
    examples, noise, norm = map(float, shaped(arrays[schema.SETTING], 3))
    measured = {}
    for name in (schema.GAUSSIAN, schema.RELU):
        values = group(arrays, name)
        features = rising(values[schema.FEATURES], 0)
        measured[name] = {
            "features": numbers(features, 9),
            "risk": numbers(shaped(values[schema.RISK], len(features))),
        }
    return Widget(
        "double_descent",
        "Double descent",
        "The error on new examples of the shortest weights that fit best, over the number of features. The "
        "noise costs most where features and examples are equally many; with more features it is shared by "
        "many weights, and what the examples do not show of the target remains.",
        {"examples": int(examples), "noise": noise, "norm": norm, **measured},
    )
