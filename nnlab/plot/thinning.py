"""Curves of any number of points: as many are drawn as a screen can show, and no extreme is lost."""

import math

import numpy as np
from matplotlib.axes import Axes

from nnlab.plot.scales import FloatArray
from nnlab.plot.style import LINE, LineLook

MOST_POINTS = 4000  # of one curve; twice what a slide has pixels across


def thinned(x: FloatArray, y: FloatArray, most: int = MOST_POINTS) -> tuple[FloatArray, FloatArray]:
    """At most about `most` of the points (T,), (T,), x ascending: of each stretch the lowest and the highest.

    The drawn curve then covers the same pixels as the whole one, which drawing every k-th point would not:
    a spike of one point stays. A stretch without a finite value becomes one gap.

    >>> x = np.arange(1000.0)
    >>> fewer = thinned(x, np.where(x == 501, 7.0, 0.0), most=20)
    >>> len(fewer[0]) <= 22, float(fewer[1].max())
    (True, 7.0)
    """
    if len(x) <= most:
        return x, y
    size = math.ceil(len(x) / (most // 2))
    rows = math.ceil(len(x) / size)
    padded = np.full(rows * size, np.nan)
    padded[: len(y)] = y
    blocks = padded.reshape(rows, size)
    known = np.isfinite(blocks)
    lowest = np.where(known, blocks, np.inf).argmin(axis=1)
    highest = np.where(known, blocks, -np.inf).argmax(axis=1)
    inside = (np.stack([lowest, highest], axis=1) + size * np.arange(rows)[:, None]).ravel()
    kept = np.unique(np.concatenate([[0], inside, [len(x) - 1]]))
    return x[kept], y[kept]


def ascending(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The points (T,), (T,) by ascending x; those without a finite x are dropped, infinite y become gaps."""
    placed = np.isfinite(x)
    if not placed.all():
        x, y = x[placed], y[placed]
    if np.any(np.diff(x) < 0):
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return x, np.where(np.isfinite(y), y, np.nan)


def draw_curve(
    axes: Axes, x: FloatArray, y: FloatArray, look: LineLook, width: float = LINE, *, zorder: float = 2
) -> int:
    """Draw the curve through the points (T,), (T,), with gaps where y is not finite.

    A curve of more points than are drawn is an image in the SVG too, so that the file opens quickly.

    Returns:
        How many points were left out because x or y is not finite.
    """
    places, values = thinned(*ascending(x, y))
    alone = int(np.isfinite(values).sum()) == 1
    axes.plot(
        places,
        values,
        color=look.color,
        linestyle=look.dash,
        linewidth=width,
        marker="D" if alone else "none",
        rasterized=len(x) > MOST_POINTS,
        zorder=zorder,
    )
    return int(len(x) - np.sum(np.isfinite(x) & np.isfinite(y)))


def shade_between(
    axes: Axes, x: FloatArray, low: float, y: FloatArray, color: str, opacity: float = 0.15
) -> None:
    """Tint what lies between the level `low` and the curve (T,), (T,)."""
    places, values = thinned(*ascending(x, y))
    axes.fill_between(
        places, low, values, color=color, alpha=opacity, linewidth=0, rasterized=len(x) > MOST_POINTS
    )


def difference(first: FloatArray, second: FloatArray) -> FloatArray:
    """first − second, (T,) each; not-a-number where either is not finite."""
    known = np.isfinite(first) & np.isfinite(second)
    gaps: FloatArray = np.subtract(first, second, out=np.full(len(first), np.nan), where=known)
    return gaps


def left_out(count: int) -> list[str]:
    """The note on values that could not be drawn; none where there are none."""
    if not count:
        return []
    return [
        f"left out: {count} value{'s' if count > 1 else ''} that {'are' if count > 1 else 'is'} not finite"
    ]
