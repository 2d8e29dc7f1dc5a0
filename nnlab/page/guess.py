"""Predict first: figures whose measured curve is hidden until the reader has drawn a guess."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nnlab.page.widget import Widget, numbers, rising, shaped

HANDLES = 4
"""The number of points that the reader drags where no others are asked for."""
HOW = "Drag the points to where you expect the curve, or choose a sentence; then show the measurement."


def guess(
    name: str,
    title: str,
    question: str,
    x: ArrayLike,
    measured: ArrayLike,
    *,
    x_label: str,
    y_label: str,
    predicted: ArrayLike | None = None,
    interval: ArrayLike | None = None,
    given: int = 1,
    handles: int = HANDLES,
    options: Mapping[str, ArrayLike] | None = None,
    limits: tuple[float, float] | None = None,
    logarithmic: bool = True,
) -> Widget:
    """A figure of the kind "guess-NAME": the reader guesses a curve, then sees the measured one.

    The reader drags points of the curve, or chooses a sentence that stands for one. Then the measurement and
    the theory are drawn, and the figure says by how much the guess was off: by which exponent where both axes
    are logarithmic, else by its largest difference.

    Args:
        name: the rest of its kind, one word; unique among the figures of a run.
        title, question: to the reader; neither must give the answer away.
        x: (T,) where it was measured, rising.
        measured: (T,) the curve that is hidden at first, from its `given` first points on.
        x_label, y_label: of the axes.
        predicted: (T,) the theory.
        interval: (T, 2) around the measured values.
        given: the number of points that the reader sees.
        handles: the number of points that the reader drags.
        options: sentence -> (T,) the curve that it stands for.
        limits: of the y axis; if left out there is about as much room above the last given point as below.
        logarithmic: both axes; else none.

    Raises:
        ValueError: the arrays do not fit, or a logarithmic axis has no place for a value.
    """
    at = rising(np.asarray(x, float), 0 if logarithmic else -np.inf)
    count = len(at)
    curves = {"measured": measured, **({} if predicted is None else {"predicted": predicted})}
    drawn = {key: shaped(np.asarray(curve, float), count) for key, curve in curves.items()}
    chosen = {words: shaped(np.asarray(curve, float), count) for words, curve in (options or {}).items()}
    if not 1 <= given < count:
        raise ValueError(f"{given} of {count} points are given")
    if logarithmic and not all((curve > 0).all() for curve in (*drawn.values(), *chosen.values())):
        raise ValueError("a logarithmic axis has no place for a value that is not positive")
    ends = limits or _limits(at, np.stack([*drawn.values(), *chosen.values()]), given, logarithmic)
    return Widget(
        f"guess-{name}",
        title,
        HOW,
        {
            "question": question,
            "x": numbers(at),
            **{key: numbers(curve) for key, curve in drawn.items()},
            "interval": None if interval is None else numbers(shaped(np.asarray(interval, float), count, 2)),
            "xLabel": x_label,
            "yLabel": y_label,
            "given": given,
            "handles": _handles(at, given, handles, logarithmic),
            "options": [[words, numbers(curve)] for words, curve in chosen.items()],
            "limits": numbers(ends),
            "log": logarithmic,
        },
    )


def power(x: ArrayLike, y: float, exponent: float, at: int = 0) -> NDArray[np.float64]:
    """The power law through the point `at` of x: y (x/x[at])^exponent, for options.

    >>> power([1.0, 2.0, 4.0], 8.0, -1.0)
    array([8., 4., 2.])
    """
    points = np.asarray(x, float)
    return np.asarray(y * (points / points[at]) ** exponent)


def _limits(
    x: NDArray[np.float64], curves: NDArray[np.float64], given: int, logarithmic: bool
) -> tuple[float, float]:
    """Ends that tell nothing of the curve: both leave room for a factor as large as that of x."""
    low, high, start = float(curves.min()), float(curves.max()), float(curves[0, given - 1])
    if logarithmic:
        reach = float(x[-1] / x[given - 1])
        return min(low, start / reach) / 1.3, max(high, start * reach) * 1.3
    reach = 1.2 * max(start - low, high - start)
    return (max(0.0, start - reach) if low >= 0 else start - reach), start + reach


def _handles(x: NDArray[np.float64], given: int, count: int, logarithmic: bool) -> list[int]:
    """The indices of points that are dragged, evenly along the axis, the last point among them."""
    place = np.log(x) if logarithmic else x
    wanted = np.linspace(place[given - 1], place[-1], count + 1)[1:]
    found = {int(np.abs(place[given:] - w).argmin()) + given for w in wanted}
    return sorted(found)
