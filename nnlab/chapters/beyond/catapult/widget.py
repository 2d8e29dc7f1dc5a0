"""The map of two numbers for a step size of the reader's choice, beside the trainings."""

from nnlab.chapters.beyond.catapult import schema
from nnlab.page.widget import Arrays, Widget, numbers, rising, shaped
from nnlab.record import Run

SHOWN = 60  # steps: a catapult is over by then


def catapult(run: Run, arrays: Arrays) -> Widget:
    """The start, from which the page follows the map itself, and the losses of the trainings."""
    products = rising(arrays[schema.PRODUCTS], 0)
    output, kernel, x, width = map(float, shaped(arrays[schema.START], 4))
    curves = [arrays[name][:, : SHOWN + 1] for name in (schema.LOSS, schema.SHARPNESS)]
    loss, sharpness = (numbers(shaped(curve, len(products), curve.shape[1])) for curve in curves)
    return Widget(
        "catapult",
        "The catapult",
        "Two linear layers on one example: each step is a map of the output f and the kernel λ. Below ηλ = 2 "
        "the loss falls, between 2 and 4 it climbs until λ has fallen, beyond 4 it grows without end.",
        {
            "start": {"output": output, "kernel": kernel, "x": x, "width": width},
            "steps": curves[0].shape[1] - 1,
            "products": numbers(products, 9),
            "loss": loss,
            "sharpness": sharpness,
        },
    )
