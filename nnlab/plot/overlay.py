"""Several runs in one figure: their median as the lines, and a band around each.

A figure that is made of lines over a common x is drawn three times, from the middle of the runs' numbers and
from the ends of the band, number by number; between the lines of the last two lies the band.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnlab.plot.bands import quantile
from nnlab.plot.forms import within
from nnlab.plot.scales import FloatArray
from nnlab.plot.style import entitle

Drawn = Callable[..., Figure]
F = TypeVar("F", bound=Drawn)

FEW = 4  # runs; of fewer the band reaches from the smallest to the largest
_TINT = 0.2  # opacity


class NotOverlaid(Exception):
    """Several runs of this figure cannot be one; the message says why."""


def of_lines(function: F) -> F:
    """Marks a figure function whose lines have a common x in all runs of an experiment."""
    function.of_lines = True  # type: ignore[attr-defined]
    return function


def words(runs: int) -> str:
    """Returns what lines and bands of a figure of so many runs mean."""
    band = "smallest to largest" if runs < FEW else "lower to upper quartile"
    return f"line: median of {runs} runs, band: {band}"


def overlay(function: Drawn, arguments: Sequence[Mapping[str, Any]]) -> Figure:
    """Draws the median of several runs with a band: their quartiles, of fewer than four the whole range.

    Args:
        function: a figure function.
        arguments: of each run, by parameter.

    Raises:
        NotOverlaid: the figure is not made of lines, or the runs differ in more than numbers.
    """
    if not getattr(function, "of_lines", False):
        raise NotOverlaid("it is not made of lines over a common x: draw it for each run alone")
    if all(_equal(arguments[0], other) for other in arguments[1:]):
        figure = function(**arguments[0])
        _say(figure, f"the same in {len(arguments)} runs")
        return figure
    outer = 0.0 if len(arguments) < FEW else 0.25
    parts = {q: {key: _merged([one.get(key) for one in arguments], q, key) for key in _keys(arguments)}
             for q in (outer, 0.5, 1 - outer)}  # fmt: skip
    low, middle, high = (function(**parts[q]) for q in (outer, 0.5, 1 - outer))
    limits = [_union(axes) for axes in zip(low.axes, middle.axes, high.axes, strict=True)]
    with within(limits):
        figure = function(**parts[0.5])
    for axes, below, above, ends in zip(figure.axes, low.axes, high.axes, limits, strict=True):
        axes.set_ylim(ends)
        lines = [_lines(one) for one in (axes, below, above)]
        if len({len(ones) for ones in lines}) != 1:
            raise NotOverlaid("its lines differ in number from run to run")
        for line, under, over in zip(*lines, strict=True):
            _band(axes, line, under, over)
    _say(figure, words(len(arguments)))
    return figure


def _keys(arguments: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for one in arguments for key in one))


def _lines(axes: Axes) -> list[Line2D]:
    """Returns the lines in data coordinates, without marks at the edges."""
    return [line for line in axes.lines if line.get_transform() == axes.transData]


def _union(axes: Sequence[Axes]) -> tuple[float, float]:
    ends = [one.get_ylim() for one in axes]
    if ends[0][0] > ends[0][1]:  # an axis that points down
        return max(end[0] for end in ends), min(end[1] for end in ends)
    return min(end[0] for end in ends), max(end[1] for end in ends)


def _band(axes: Axes, line: Line2D, under: Line2D, over: Line2D) -> None:
    points: list[FloatArray] = [np.asarray(one.get_xydata(), np.float64) for one in (line, under, over)]
    if len({len(one) for one in points}) != 1 or not all(
        np.allclose(one[:, 0], points[0][:, 0], equal_nan=True) for one in points
    ):
        raise NotOverlaid("the runs have values at different places")
    low, high = np.minimum(points[1][:, 1], points[2][:, 1]), np.maximum(points[1][:, 1], points[2][:, 1])
    if axes.get_yscale() == "log":
        low, high = np.clip(low, *axes.get_ylim()), np.clip(high, *axes.get_ylim())
    if len(low) and not np.array_equal(low, high, equal_nan=True):
        axes.fill_between(
            points[0][:, 0], low, high, color=line.get_color(), alpha=_TINT, linewidth=0, zorder=1
        )


def _say(figure: Figure, text: str) -> None:
    """Adds the meaning of lines and bands to the title, or to the caption."""
    entitle(figure, f"{figure.get_label()} ({text})")


# --- arguments ------------------------------------------------------------------------------------------


def _merged(values: Sequence[Any], q: float, name: str) -> Any:
    """Returns the q-quantile of the runs' values, number by number; what is equal in all stays as it is."""
    first = values[0]
    if all(_equal(first, other) for other in values[1:]):
        return first
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None if not known else _merged(known, q, name) if _numeric(known[0]) else None
    if all(isinstance(value, Mapping) for value in values):
        if len({tuple(value) for value in values}) != 1:
            raise NotOverlaid(f"the runs differ in the parts of {name}")
        return {key: _merged([value[key] for value in values], q, f"{name}, {key}") for key in first}
    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        fields = {
            field.name: _merged([getattr(value, field.name) for value in values], q, f"{name}, {field.name}")
            for field in dataclasses.fields(first)
        }
        return type(first)(**fields)
    if all(_numeric(value) for value in values):
        return _quantile(values, q, name)
    if all(isinstance(value, list | tuple) and len(value) == len(first) for value in values):
        return type(first)(_merged(items, q, name) for items in zip(*values, strict=True))
    if name == "title":
        return None  # it told the numbers of one run
    raise NotOverlaid(f"the runs differ in {name}, which is no number")


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        return list(first) == list(second) and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        one, other = np.asarray(first), np.asarray(second)
        numbers = one.dtype.kind == other.dtype.kind == "f"
        return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=numbers))
    if dataclasses.is_dataclass(first) and type(first) is type(second):
        return all(_equal(getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first))
    return bool(first == second) or (first != first and second != second)


def _numeric(value: Any) -> bool:
    """Tells whether a value is a number, or made of numbers as an array is."""
    if isinstance(value, str | Mapping) or dataclasses.is_dataclass(value):
        return False
    if isinstance(value, list | tuple) and not all(isinstance(item, int | float) for item in value):
        return False
    return np.asarray(value).dtype.kind in "iuf"


def _quantile(values: Sequence[Any], q: float, name: str) -> Any:
    """Returns the q-quantile over the runs; arrays that end earlier than others have no values there."""
    arrays = [np.asarray(value, np.float64) for value in values]
    if len({array.shape[1:] for array in arrays}) != 1 or len({array.ndim for array in arrays}) != 1:
        raise NotOverlaid(f"{name} has another form in other runs")
    if arrays[0].ndim:
        longest = max(len(array) for array in arrays)
        arrays = [
            np.concatenate([array, np.full((longest - len(array), *array.shape[1:]), np.nan)])
            for array in arrays
        ]
    shape = arrays[0].shape
    result = quantile(np.stack([array.ravel() for array in arrays]), q).reshape(shape)
    return float(result) if not shape else result
