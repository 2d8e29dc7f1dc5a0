"""Functions of one variable in configs: a name, an expression in x, or points with lines between them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nnlab.errors import InputError
from nnlab.expressions import evaluate, parse

Array = NDArray[np.float64]

PLACES = np.linspace(-1, 1, 401)
"""Where an expression must have a value."""
LARGEST = 1e30


def of_expression(text: str) -> Callable[[Array], Array]:
    """The function that an expression in x is, elementwise.

    Raises:
        ValueError: it cannot be read, or has no value somewhere on [−1, 1].
    """
    try:
        graph = parse(text, ("x",))
        with np.errstate(all="ignore"):
            values = np.broadcast_to(evaluate(graph, {"x": PLACES}), PLACES.shape)
    except InputError as error:
        raise ValueError(f"is no function of x: {error}") from None
    lost = PLACES[~(np.abs(values) < LARGEST)]
    if len(lost):
        raise ValueError(f"has no value, or a huge one, at x = {lost[0]:g}; x goes from −1 to 1")
    return lambda x: np.broadcast_to(evaluate(graph, {"x": x}), x.shape)


def of_points(points: Sequence[Sequence[float]]) -> Callable[[Array], Array]:
    """Straight lines between points [x, y] of rising x, level beyond the ends."""
    x, y = np.asarray(points, np.float64).T
    return lambda at: np.asarray(np.interp(at, x, y))
