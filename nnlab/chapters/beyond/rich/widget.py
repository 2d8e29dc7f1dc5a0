"""Loss over the step size at every width, and the change of the features, with a slider over the width."""

import numpy as np

from nnlab.chapters.beyond.rich import schema
from nnlab.page.widget import Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run


def rich(run: Run, arrays: Arrays) -> Widget:
    """The loss after a few steps over the step size, and how far the last hidden layer moved."""
    widths = rising(arrays[schema.WIDTHS], 0)
    curves = []
    for optimizer in schema.OPTIMIZERS:
        for name in schema.PARAMETERIZATIONS:
            key = {"optimizer": optimizer, "name": name}
            grid, loss = arrays[schema.GRID.format(**key)], arrays[schema.LOSS.format(**key)]
            shaped(loss, len(widths), grid.shape[1])
            rows = [
                numbers(np.stack([row, values], 1)[np.isfinite(values)])
                for row, values in zip(grid, loss, strict=True)
            ]
            best = shaped(arrays[schema.BEST.format(**key)].mean(1), len(widths))
            curves.append({**key, "curves": rows, "best": numbers(best)})
    features = {
        name: numbers(np.exp(np.log(arrays[schema.FEATURES.format(name=name)]).mean(1)))
        for name in schema.PARAMETERIZATIONS
    }
    return Widget(
        "rich",
        "In µP features move, and one step size serves all widths",
        "The loss after a few steps over the step size η, and how far the last hidden layer moved, at every "
        "width. In ntk parameterization the features of wide networks stay where they are, and the best "
        "step size of Adam falls like 1/m.",
        {"widths": numbers(widths, 9), "searches": curves, "features": features},
    )
