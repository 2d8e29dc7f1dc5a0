"""Functions of two inputs: a target and networks as surfaces, and a cut along a line through cell corners."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.chapters.approximation.bins.figures.histograms import TARGET
from nnlab.errors import InputError
from nnlab.plot.outward import at_most
from nnlab.plot.scales import FloatArray, as_array, as_pair
from nnlab.plot.style import (
    FONT_LABEL,
    FONT_TICK,
    INK,
    MUTED,
    PALETTE,
    LineLook,
    colour_bar,
    dress,
    legend,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import families, literal, number, plain
from nnlab.plot.thinning import difference, draw_curve, left_out

_MAP = "cividis"  # even in lightness, and the same to the common colour-vision deficiencies
_LOOKS = (
    LineLook(PALETTE[1], "-", "none"),
    LineLook(PALETTE[0], (0, (6, 1.6)), "none"),
    LineLook(PALETTE[2], (0, (6, 1.6, 1.2, 1.6)), "none"),
    LineLook(PALETTE[3], (0, (3, 1.2, 1.2, 1.2, 1.2, 1.2)), "none"),
)
_MOST_CELLS = 160  # of a surface, along each input
_PANEL = 4.6  # inches


def surface(
    x1: ArrayLike,
    x2: ArrayLike,
    target: ArrayLike,
    networks: Mapping[str, ArrayLike],
    cut: tuple[float, ArrayLike, ArrayLike, Mapping[str, ArrayLike]],
    title: str | None = None,
    *,
    corners: tuple[ArrayLike, ArrayLike] | None = None,
    errors: Mapping[str, float] | None = None,
) -> Figure:
    """A function of two inputs and the networks that approximate it, and a cut along x₂ = c through corners.

    Where a surface has more points than are drawn, each drawn cell shows the value furthest from the target,
    so that a narrow pit at a corner of the cells is not lost.

    Args:
        x1: (G₁,) ascending first inputs.
        x2: (G₂,) ascending second inputs.
        target: (G₁, G₂), [i, j] at (x1[i], x2[j]).
        networks: Up to four, such as "isolated towers" and "quadrant thresholds" -> outputs (G₁, G₂).
        cut: c, x₁ along the cut (T,), target (T,), and network -> outputs (T,).
        title: A sentence; by default how far each is off on the cut.
        corners: The grid of the cells: inner edges along x₁ and along x₂, drawn on the cut as fine lines.
        errors: Network -> certified bound on its error, or infinity; written above its surface.

    Raises:
        InputError: an array has another shape, more than four networks, or a network without a cut.
    """
    if len(networks) > len(_LOOKS):
        raise InputError(f"figure: {len(networks)} networks; at most {len(_LOOKS)} can be told apart")
    places = as_array(x1, "x1"), as_array(x2, "x2")
    truth = _values(target, places, "the target")
    outputs = {name: _values(values, places, repr(name)) for name, values in networks.items()}
    along, line, cuts = _cut(cut, list(networks))
    count = len(outputs) + 1
    figure = new_figure(title or _surface_title(line, cuts, cut[0]), (max(11.0, _PANEL * count + 1.3), 9.4))
    layout: list[Any] = [[f"surface {index}" for index in range(count)], ["cut"] * count]
    solids: dict[Any, dict[str, Any]] = {f"surface {index}": {"projection": "3d"} for index in range(count)}
    panels = figure.subplot_mosaic(layout, per_subplot_kw=solids, height_ratios=(1.5, 1.0))
    scale = _scale([truth, *outputs.values()])
    bounds = dict(errors or {})
    solid_axes = [panels[key] for key in solids]
    lost = 0
    for axes, (name, values) in zip(solid_axes, {"target": truth, **outputs}.items(), strict=True):
        lost += _draw_surface(axes, places, values, truth, scale)
        panel_title(axes, _heading(name, bounds.get(name)))
    colour_bar(figure, scale, solid_axes, "output")
    _draw_cut(panels["cut"], along, line, cuts, cut[0], corners, lost)
    entries = [sample(TARGET, "target")]
    entries += [sample(look, plain(name, limit=34)) for look, name in zip(_LOOKS, cuts, strict=False)]
    legend(figure, entries, "outside lower center", columns=len(entries), size=FONT_TICK)
    return figure


def _values(values: ArrayLike, places: tuple[FloatArray, FloatArray], what: str) -> FloatArray:
    array = as_array(values, what, dimensions=2)
    shape = (len(places[0]), len(places[1]))
    if array.shape != shape or min(shape) < 2:
        raise InputError(
            f"figure: {what} has the shape {array.shape} for {shape[0]} and {shape[1]} inputs; "
            "must be as many, and at least two along each"
        )
    if not all(np.isfinite(p).all() and np.all(np.diff(p) > 0) for p in places):
        raise InputError("figure: the inputs of a surface must be finite and ascending")
    return np.where(np.isfinite(array), array, np.nan)


def _cut(
    cut: tuple[float, ArrayLike, ArrayLike, Mapping[str, ArrayLike]], names: list[str]
) -> tuple[FloatArray, FloatArray, dict[str, FloatArray]]:
    """Inputs and target (T,) along the cut, and the outputs (T,) of every network that has a surface."""
    along, line = as_pair(cut[1], cut[2], "the target on the cut")
    missing = [name for name in names if name not in cut[3]]
    if missing:
        raise InputError(f"figure: the cut has no outputs of {missing[0]!r}; pass those of every network")
    return along, line, {name: as_pair(along, cut[3][name], f"{name!r} on the cut")[1] for name in names}


def _scale(surfaces: list[FloatArray]) -> ScalarMappable:
    """One scale of colours and heights for all surfaces."""
    known = np.concatenate([values[np.isfinite(values)] for values in surfaces])
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-100):
        low, high = low - 0.5 * max(abs(low), 1.0), high + 0.5 * max(abs(high), 1.0)
    return ScalarMappable(Normalize(low, high), _MAP)


def furthest(
    places: tuple[FloatArray, FloatArray], values: FloatArray, reference: FloatArray, most: int = _MOST_CELLS
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A coarser surface (at most `most` along each input): per block the value furthest from the reference.

    Args:
        places: (G₁,) and (G₂,) inputs.
        values: (G₁, G₂).
        reference: (G₁, G₂).
        most: Blocks along each input.

    Returns:
        The middles of the blocks along both inputs, and the values; not-a-number where a block has none.
    """
    s, t = (math.ceil(len(p) / most) for p in places)
    gaps = np.abs(values - reference)
    blocks = _blocks(np.where(np.isfinite(gaps), gaps, -1.0), s, t, -2.0)  # the filling is never chosen
    at = blocks.argmax(axis=2)[..., None]
    coarse = np.take_along_axis(_blocks(values, s, t, np.nan), at, axis=2)[..., 0]
    starts = [p[::size] for p, size in zip(places, (s, t), strict=True)]
    stops = [
        p[np.minimum(np.arange(0, len(p), size) + size - 1, len(p) - 1)]
        for p, size in zip(places, (s, t), strict=True)
    ]
    first, second = ((start + stop) / 2 for start, stop in zip(starts, stops, strict=True))
    return first, second, coarse


def _blocks(values: FloatArray, s: int, t: int, filling: float) -> FloatArray:
    """(G₁, G₂) in blocks of s × t, the last ones filled up: (⌈G₁/s⌉, ⌈G₂/t⌉, s·t)."""
    rows, columns = math.ceil(values.shape[0] / s), math.ceil(values.shape[1] / t)
    whole = np.full((rows * s, columns * t), filling)
    whole[: values.shape[0], : values.shape[1]] = values
    return whole.reshape(rows, s, columns, t).swapaxes(1, 2).reshape(rows, columns, s * t)


def _draw_surface(
    axes: Any,
    places: tuple[FloatArray, FloatArray],
    values: FloatArray,
    truth: FloatArray,
    scale: ScalarMappable,
) -> int:
    """One surface; how many of its values are left out because they are not finite."""
    x, y, z = furthest(places, values, truth)
    grid = np.meshgrid(x, y, indexing="ij")
    axes.plot_surface(
        *grid,
        z,
        cmap=_MAP,
        norm=scale.norm,
        rcount=len(x),
        ccount=len(y),
        linewidth=0,
        antialiased=False,
        rasterized=True,
    )
    _dress_solid(axes, scale)
    return int(np.sum(~np.isfinite(values)))


def _dress_solid(axes: Any, scale: ScalarMappable) -> None:
    axes.set_zlim(scale.norm.vmin, scale.norm.vmax)
    axes.view_init(elev=32, azim=-58)
    axes.set_box_aspect((1, 1, 0.62), zoom=1.12)
    for axis, name in ((axes.xaxis, "x₁"), (axes.yaxis, "x₂"), (axes.zaxis, "")):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.set_label_text(name, fontsize=FONT_LABEL, family=list(families()), color=INK)
        axis.set_tick_params(
            labelsize=FONT_TICK - 1.5, labelfontfamily=list(families()), labelcolor=INK, pad=1
        )
    for locate in (axes.xaxis, axes.yaxis, axes.zaxis):
        locate.get_major_locator().set_params(nbins=4)


def _heading(name: str, bound: float | None) -> str:
    if bound is None:
        return plain(name, limit=30)
    return f"{plain(name, limit=24)}: error ≤ {at_most(bound)}"


def _draw_cut(
    axes: Axes,
    along: FloatArray,
    line: FloatArray,
    cuts: Mapping[str, FloatArray],
    level: float,
    corners: tuple[ArrayLike, ArrayLike] | None,
    lost: int,
) -> None:
    dress(axes, "", f"on x₂ = {number(level)}")
    for look, values in zip(_LOOKS, cuts.values(), strict=False):
        lost += draw_curve(axes, along, values, look)
    lost += draw_curve(axes, along, line, TARGET, zorder=4)
    axes.margins(x=0.015)
    notes = left_out(lost)
    if corners is not None:
        for place in as_array(corners[0], "corners along x₁"):
            axes.axvline(place, color=MUTED, linestyle=(0, (1, 2)), linewidth=1.0, zorder=1)
        notes.insert(0, "dotted: corners of the cells")
    axes.set_xlabel("      ".join(["input x₁", *notes]))


def _surface_title(line: FloatArray, cuts: Mapping[str, FloatArray], level: float) -> str:
    words = []
    for name, values in cuts.items():
        gap = np.abs(difference(values, line))
        known = gap[np.isfinite(gap)]
        if known.size:
            words.append(f"{number(float(known.max()), 2)} ({literal(name, 34)})")
    if not words:
        return "A function of two inputs and the networks that approximate it"
    return (
        f"On the line x₂ = {number(level)} through corners of the cells the error reaches {', '.join(words)}"
    )
