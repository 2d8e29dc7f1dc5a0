"""Kernels as pictures: before and after training, and beside the inner products of their features."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.images import symmetric_limit
from nnlab.plot.scales import FloatArray, as_array
from nnlab.plot.style import (
    FONT_TICK,
    GRID,
    INK,
    MUTED,
    PALETTE,
    THIN,
    bare,
    colour_bar,
    dress,
    new_figure,
    nothing_to_show,
    panel_title,
)
from nnlab.plot.text import families, number

_MOST_PIXELS = 600  # along a side of a kernel's picture; larger kernels show every second, third… example
_SEQUENTIAL, _SIGNED, _DIFFERENCE = "viridis", "PuOr_r", "RdBu_r"


def kernel_images(
    start: ArrayLike, end: ArrayLike, limit: ArrayLike | None = None, title: str | None = None
) -> Figure:
    """The kernel before and after training as images, their difference, and the limit at infinite width.

    The kernels share one scale of colours, the difference has its own with symmetric limits. Of kernels with
    more than 600 examples every second, third… one is shown; the title is about all of them.

    Args:
        start: (n, n) H at the start.
        end: (n, n) H at the end.
        limit: (n, n) H∞.
        title: A sentence; by default the drift ‖H − H₀‖/‖H₀‖ in the Frobenius norm.

    Raises:
        InputError: a matrix is not square, or not as large as the others.
    """
    first, last = _square(start, "the kernel at the start"), _square(end, "the kernel at the end")
    kernels = [("H₀ at the start", first), ("H at the end", last)]
    if limit is not None:
        kernels.insert(0, ("H∞, infinite width", _square(limit, "the limiting kernel")))
    if len({kernel.shape for _, kernel in kernels}) > 1:
        shapes = ", ".join(str(kernel.shape) for _, kernel in kernels)
        raise InputError(f"figure: kernels of the shapes {shapes}; they must be equally large")
    figure = new_figure(title or _drift_title(first, last), (15.0, 4.6) if limit is not None else (12.5, 4.9))
    panels = figure.subplots(1, len(kernels) + 1)
    scale = _kernel_scale([kernel for _, kernel in kernels])
    for axes, (name, kernel) in zip(panels, kernels, strict=False):
        _matrix(axes, kernel, scale, name)
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        moved = last - first
    reach = symmetric_limit(moved)
    own = ScalarMappable(norm=Normalize(-reach, reach), cmap=_coloured(_DIFFERENCE))
    _matrix(panels[-1], moved, own, "difference H − H₀")
    every = _every(len(first))
    _name_examples(panels[0], every)
    colour_bar(figure, scale, list(panels[:-1]), "kernel")
    colour_bar(figure, own, [panels[-1]], "difference")
    return figure


def feature_map(
    x: ArrayLike, features: ArrayLike, gram: ArrayLike, kernel: ArrayLike, title: str | None = None
) -> Figure:
    """Some features φⱼ(x) = ∂f(x, w₀)/∂wⱼ over x, and the matrix of their inner products beside the kernel.

    Args:
        x: (n_x,) inputs.
        features: (n_x, k) values of k features.
        gram: (n, n) φφᵀ from all features.
        kernel: (n, n) the tangent kernel H computed in another way.
        title: A sentence; by default the largest difference of the two matrices.

    Raises:
        InputError: shapes that do not fit.
    """
    grid = as_array(x, "x")
    lines = as_array(features, "the features", dimensions=2)
    if lines.size and len(lines) != len(grid):
        raise InputError(f"figure: the features have {len(lines)} rows for {len(grid)} inputs; pass as many")
    inner, direct = _square(gram, "the Gram matrix"), _square(kernel, "the kernel")
    if inner.shape != direct.shape:
        raise InputError(f"figure: a Gram matrix {inner.shape} and a kernel {direct.shape}; pass equal ones")
    figure = new_figure(title or _gram_title(inner, direct), (14.5, 5.0))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    _features(left, grid, lines)
    scale = _kernel_scale([inner, direct])
    _matrix(middle, inner, scale, "φφᵀ, inner products")
    _matrix(right, direct, scale, "H, the tangent kernel")
    _name_examples(middle, _every(len(inner)))
    colour_bar(figure, scale, [middle, right], "kernel")
    return figure


def _square(values: ArrayLike, what: str) -> FloatArray:
    array = as_array(values, what, dimensions=2)
    if array.shape[0] != array.shape[1]:
        raise InputError(f"figure: {what} must be square, not of the shape {array.shape}")
    return array


def _every(size: int) -> int:
    return max(1, -(-size // _MOST_PIXELS))


def _coloured(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad=GRID)


def _kernel_scale(kernels: Sequence[FloatArray]) -> ScalarMappable:
    """One scale for all: symmetric if an entry is far below 0, else from the least or 0 to the largest."""
    known = np.concatenate([kernel[np.isfinite(kernel)] for kernel in kernels])
    reach = symmetric_limit(known)
    lowest = float(known.min(initial=0.0))
    if lowest < -0.1 * reach:
        return ScalarMappable(norm=Normalize(-reach, reach), cmap=_coloured(_SIGNED))
    return ScalarMappable(norm=Normalize(lowest, reach), cmap=_coloured(_SEQUENTIAL))


def _matrix(axes: Axes, values: FloatArray, scale: ScalarMappable, name: str) -> None:
    bare(axes)
    panel_title(axes, name)
    if not values.size:
        nothing_to_show(axes, "no examples")
        return
    every = _every(len(values))
    shown = np.ma.masked_invalid(values[::every, ::every])
    axes.imshow(shown, cmap=scale.get_cmap(), interpolation="nearest").set(norm=scale.norm)


def _name_examples(axes: Axes, every: int) -> None:
    thinned = "" if every == 1 else f" (1 of {every} shown)"
    for label, setter in ((f"example j{thinned}", axes.set_xlabel), ("example i", axes.set_ylabel)):
        setter(label, fontsize=FONT_TICK, family=list(families()), color=INK)


def _relative(difference: FloatArray, scale: FloatArray) -> float:
    """‖difference‖/‖scale‖ in the Frobenius norm; not-a-number without a scale."""
    size = float(np.linalg.norm(scale))
    return float(np.linalg.norm(difference)) / size if size > 0 else float("nan")


def _drift_title(first: FloatArray, last: FloatArray) -> str:
    if not (np.isfinite(first).all() and np.isfinite(last).all()):
        return "The kernel at the start and at the end; entries that are not finite are grey"
    drift = _relative(last - first, first)
    if not np.isfinite(drift):
        return "The kernel at the start and at the end of training"
    verb = "hardly moves" if drift < 0.05 else "moves"
    return f"In training the kernel {verb}: ‖H − H₀‖ / ‖H₀‖ = {number(drift)}"


def _gram_title(inner: FloatArray, direct: FloatArray) -> str:
    lead = "Features that are not linear in x, whose inner products are the kernel"
    known = np.isfinite(inner) & np.isfinite(direct)
    if not known.any():
        return lead
    furthest = float(np.abs(inner[known] - direct[known]).max())
    largest = float(np.abs(direct[known]).max())
    if furthest == 0:
        return f"{lead}: φφᵀ and H are equal"
    return f"{lead}: φφᵀ and H differ by at most {number(furthest, 2)}, with entries up to {number(largest)}"


def _features(axes: Axes, grid: FloatArray, lines: FloatArray) -> None:
    dress(axes, "input x", "feature φⱼ(x) = ∂f(x, w₀)/∂wⱼ")
    axes.axhline(0, color=MUTED, linewidth=0.8)
    order = np.argsort(grid)
    count = lines.shape[1] if lines.size else 0
    for index in range(count):
        values = np.where(np.isfinite(lines[order, index]), lines[order, index], np.nan)
        axes.plot(
            grid[order],
            values,
            color=PALETTE[index % len(PALETTE)],
            linewidth=THIN,
            alpha=0.9 if count <= 12 else 0.6,
            marker="o" if len(grid) == 1 else "none",
        )
    if not count:
        nothing_to_show(axes, "no features")
    panel_title(axes, "one feature" if count == 1 else f"{count} of the features")
