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

from nnlab.chapters.approximation.drawing import TARGET, drawable, largest
from nnlab.plot.lines import difference, draw_curve, left_out
from nnlab.plot.scales import FloatArray
from nnlab.plot.style import (
    FONT_LABEL,
    FONT_TICK,
    MUTED,
    PALETTE,
    THIN,
    LineLook,
    dress,
    font,
    legend_below,
    new_figure,
    sample,
    with_notes,
)
from nnlab.plot.text import at_most, literal, number, plain

_MAP = "cividis"  # even in lightness, and the same to the common colour-vision deficiencies
_LOOKS = (LineLook(PALETTE[1], "-", "none"), LineLook(PALETTE[0], (0, (6, 1.6)), "none"))
_MOST_CELLS = 160  # of a surface, along each input
_PANEL = 4.6  # inches


def surfaces(
    x1: ArrayLike,
    x2: ArrayLike,
    target: ArrayLike,
    networks: Mapping[str, tuple[ArrayLike, float]],
    cut: tuple[float, ArrayLike, ArrayLike, Mapping[str, ArrayLike]],
    corners: ArrayLike,
) -> Figure:
    """A function of two inputs and the networks that approximate it, and a cut along x₂ = c through corners.

    Where a surface has more points than are drawn, each drawn cell shows the value furthest from the target,
    so that a narrow pit at a corner of the cells is not lost.

    Args:
        x1: (G₁,) ascending first inputs.
        x2: (G₂,) ascending second inputs.
        target: (G₁, G₂), [i, j] at (x1[i], x2[j]).
        networks: Up to two, such as "isolated towers" -> outputs (G₁, G₂), certified bound on the error.
        cut: c, x₁ along the cut (T,), target (T,), and network -> outputs (T,).
        corners: Inner edges of the cells along x₁, drawn on the cut as fine lines.
    """
    level, along, line, outputs = cut
    along, line, *cuts = drawable(along, line, *(outputs[name] for name in networks))
    truth, *values = (
        np.where(np.isfinite(z), z, np.nan) for z in drawable(target, *(z for z, _ in networks.values()))
    )
    count = len(networks) + 1
    title = _surface_title({n: difference(y, line) for n, y in zip(networks, cuts, strict=True)})
    figure = new_figure(title, (max(11.0, _PANEL * count + 1.3), 9.4))
    panels = figure.subplot_mosaic([["space"], ["cut"]], height_ratios=(1.9, 1.0))
    panels[
        "space"
    ].set_axis_off()  # for the surfaces, whose margins would take most of what a grid gives them
    scale = _scale([truth, *values])
    places = drawable(x1, x2)
    headings = ["target", *(f"{plain(n, limit=24)}\nerror ≤ {at_most(b)}" for n, (_, b) in networks.items())]
    for index, (heading, z) in enumerate(zip(headings, [truth, *values], strict=True)):
        place = (index / count, 0.47, 1 / count, 0.36)
        axes: Any = figure.add_axes(place, projection="3d")
        _draw_surface(axes, (places[0], places[1]), z, truth, scale)
        figure.text((index + 0.5) / count, 0.85, heading, ha="center", va="top", **font(FONT_TICK))
    lost = sum(int(np.sum(~np.isfinite(z))) for z in (truth, *values))
    dress(panels["cut"])
    for look, y in zip(_LOOKS, cuts, strict=False):
        lost += draw_curve(panels["cut"], along, y, look)
    lost += draw_curve(panels["cut"], along, line, TARGET, zorder=4)
    _finish_cut(panels["cut"], drawable(corners)[0], f"input x₁, at x₂ = {number(level)}", lost)
    entries = [sample(look, plain(name, limit=34)) for look, name in zip(_LOOKS, networks, strict=False)]
    entries.append(sample(LineLook(MUTED, (0, (1, 2)), "none"), "edges of the cells"))
    entries[-1].set_linewidth(THIN)
    legend_below(figure, [sample(TARGET, "target"), *entries], inches=1.5)
    return figure


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
    first, second = (
        (p[::size] + p[np.minimum(np.arange(0, len(p), size) + size - 1, len(p) - 1)]) / 2
        for p, size in zip(places, (s, t), strict=True)
    )
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
) -> None:
    x, y, z = furthest(places, values, truth)
    axes.plot_surface(
        *np.meshgrid(x, y, indexing="ij"),
        z,
        cmap=_MAP,
        norm=scale.norm,
        rcount=len(x),
        ccount=len(y),
        linewidth=0,
        antialiased=False,
        rasterized=True,
    )
    axes.grid(visible=False)
    axes.set_zlim(scale.norm.vmin, scale.norm.vmax)
    axes.view_init(elev=32, azim=-58)
    axes.set_box_aspect((1, 1, 0.62), zoom=1.15)
    for axis, name in ((axes.xaxis, "x₁"), (axes.yaxis, "x₂"), (axes.zaxis, "")):
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.set_label_text(name, **font(FONT_LABEL))
        axis.labelpad = -12
        axis.set_ticklabels([])  # the colours say how high, and the cut where


def _finish_cut(axes: Axes, corners: FloatArray, label: str, lost: int) -> None:
    """Draws the corners of the cells as dotted lines, and writes the label of the x axis."""
    axes.margins(x=0.015)
    for place in corners:
        axes.axvline(place, color=MUTED, linestyle=(0, (1, 2)), linewidth=THIN, zorder=1)
    axes.set_xlabel(with_notes(label, left_out(lost)))


def _surface_title(errors: Mapping[str, FloatArray]) -> str:
    words = [f"{number(largest(error), 2)} with {literal(name, 34)}" for name, error in errors.items()]
    return f"At the corners of the cells the error is {', '.join(words)}"
