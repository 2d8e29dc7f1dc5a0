"""ηλmax of the Hessian and the loss over the steps, with a slider."""

from nnlab.chapters.beyond.edge_of_stability import schema
from nnlab.page.widget import MOST, Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run


def edge_of_stability(run: Run, arrays: Arrays) -> Widget:
    """The sharpness of every training, in units of 1/η, and its loss."""
    starts, steps = rising(arrays[schema.STARTS], 0), rising(arrays[schema.STEPS], -1)
    every = -(-len(starts) * len(steps) // (MOST // 100))
    shape = len(starts), len(steps)
    sharpness, loss = (shaped(arrays[name], *shape)[:, ::every] for name in (schema.SHARPNESS, schema.LOSS))
    return Widget(
        "edge_of_stability",
        "The edge of stability",
        "The sharpness λmax of the Hessian grows while the loss falls, until a step no longer fits: at ηλmax "
        "= 2 the weights swing across the valley, which throws them back to where it is wider.",
        {
            "starts": numbers(starts),
            "steps": numbers(steps[::every], 9),
            "sharpness": numbers(sharpness),
            "loss": numbers(loss),
        },
    )
