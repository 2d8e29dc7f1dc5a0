"""The residual along each eigenvector of the kernel at the start: predicted and measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from nnlab.errors import InputError
from nnlab.plot.bands import label_columns
from nnlab.plot.scales import FloatArray, as_array, log_axis
from nnlab.plot.style import (
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    shared_labels,
    write,
)
from nnlab.plot.text import number, percent

_MOST = 6
_MARKS = 12  # measured points along a trajectory, evenly on the logarithmic axis
_REACH = 2.5  # a coefficient beyond this multiple of its first value leaves the panel
_DESCENT = LineLook(INK, "-", "none")
_FLOW = LineLook(MUTED, (0, (3, 2)), "none")
_NETWORK = LineLook(PALETTE[1], "none", "o")
_LINEARIZED = LineLook(PALETTE[0], "none", "s")


@dataclass(frozen=True)
class _Mode:
    """One mode in units of its first coefficient: everything (K,) over the steps."""

    rank: int  # 1 is the first row that was given
    eigenvalue: float
    flow: FloatArray
    descent: FloatArray
    network: FloatArray
    linearized: FloatArray


def mode_trajectories(
    steps: ArrayLike,
    eigenvalues: ArrayLike,
    flow: ArrayLike,
    descent: ArrayLike,
    network: ArrayLike,
    linearized: ArrayLike,
    title: str | None = None,
    *,
    lr: float | None = None,
) -> Figure:
    """The residual's coefficient along each eigenvector of H₀ over training: predicted and measured.

    Each is shown in units of the predicted one at the first step, u₀·vᵢ, so that every curve starts at 1. Of
    more than six modes, the six in which the residual starts largest are shown. Step 0 has no place on the
    logarithmic axis and is left out.

    Args:
        steps: (K,) steps, ascending.
        eigenvalues: (r,) eigenvalues λᵢ.
        flow: (r, K) predicted by gradient flow, e^{−λᵢt} u₀·vᵢ.
        descent: (r, K) predicted by gradient descent, (1 − ηλᵢ)ᵏ u₀·vᵢ.
        network: (r, K) coefficients measured on the network.
        linearized: (r, K) coefficients measured on its linearization.
        title: A sentence; by default how far the network is from the prediction in any mode, shown or not,
            in percent of the norm of u₀.
        lr: The step size η of a loss whose residuals follow u̇ = −Hu. With it half-lives are in steps and
            marked by a vertical line; without it they are in units of time, ln 2/λᵢ.

    Raises:
        InputError: an array has another shape.
    """
    x = as_array(steps, "the steps")
    values = as_array(eigenvalues, "the eigenvalues")
    kinds = {"flow": flow, "descent": descent, "network": network, "linearized": linearized}
    shape = (len(values), len(x))
    curves = {name: _of_shape(array, shape, f"the modes ({name})") for name, array in kinds.items()}
    modes = [_mode(row, values, curves) for row in _strongest(curves["descent"])]
    columns = min(3, max(1, len(modes)))
    rows = max(1, math.ceil(len(modes) / columns))
    size = ((10.0, 11.5, 14.0)[columns - 1], 5.6 if rows == 1 else 7.8)
    figure = new_figure(title or _title(curves["network"], curves["descent"]), size)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    log_axis(panels[0, 0].xaxis, x)
    panels[0, 0].set_ylim(*_limits(modes))
    for axes, mode in zip(panels.flat, modes, strict=False):
        _panel(axes, x, mode, lr)
    for axes in panels.flat[len(modes) :]:
        axes.set_axis_off() if modes else nothing_to_show(axes, "no modes")
    label_columns(panels, len(modes), "step k")
    shared_labels(figure, "", "residual uᵢ(k) / uᵢ(0)")
    _name_lines(figure, lr)
    return figure


def _of_shape(values: ArrayLike, shape: tuple[int, int], what: str) -> FloatArray:
    array = as_array(values, what, dimensions=2)
    if array.size == 0 and 0 in shape:
        return np.zeros(shape)
    if array.shape != shape:
        raise InputError(f"figure: {what} must have the shape {shape}, not {array.shape}")
    return array


def _mode(row: int, eigenvalues: FloatArray, curves: Mapping[str, FloatArray]) -> _Mode:
    """One row of every array, divided by the first predicted coefficient if that is a number but 0."""
    first = curves["descent"][row, :1]
    unit = float(first[0]) if first.size and np.isfinite(first[0]) and first[0] != 0 else 1.0
    scaled = {name: _finite(array[row]) / unit for name, array in curves.items()}
    return _Mode(row + 1, float(eigenvalues[row]), **scaled)


def _strongest(coefficients: FloatArray) -> list[int]:
    """The rows of (r, K) coefficients that start largest, at most _MOST, in their order."""
    if not coefficients.size:
        return []
    start = np.nan_to_num(np.abs(coefficients[:, 0]), nan=0.0)
    return sorted(np.argsort(-start, kind="stable")[:_MOST].tolist())


def _finite(values: FloatArray) -> FloatArray:
    shown: FloatArray = np.where(np.isfinite(values), values, np.nan)
    return shown


def _limits(modes: Sequence[_Mode]) -> tuple[float, float]:
    """From the lowest to the highest coefficient, with 0 and 1 inside, but not beyond ±_REACH."""
    parts = [part for mode in modes for part in (mode.flow, mode.descent, mode.network, mode.linearized)]
    known = np.concatenate([[0.0, 1.0], *(part[np.isfinite(part)] for part in parts)])
    low, high = max(float(known.min()), -_REACH), min(float(known.max()), _REACH)
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _panel(axes: Axes, steps: FloatArray, mode: _Mode, lr: float | None) -> None:
    dress(axes)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    shown = np.flatnonzero(np.isfinite(steps) & (steps > 0))
    single = "_" if len(shown) == 1 else "none"
    for values, look, width in ((mode.descent, _DESCENT, LINE), (mode.flow, _FLOW, THIN)):
        (line,) = axes.plot(steps[shown], values[shown], color=look.color, linestyle=look.dash)
        line.set(linewidth=width, marker=single)
    places = _places(steps, shown)
    few = len(places) <= _MARKS
    for values, look, at, face, size in (
        (mode.linearized, _LINEARIZED, places if few else places[1::2], PAPER, 9),
        (mode.network, _NETWORK, places if few else places[::2], None, 6),
    ):
        (line,) = axes.plot(steps[at], values[at], linestyle="none", marker=look.marker, color=look.color)
        line.set(markersize=size, markerfacecolor=face or look.color, markeredgewidth=1.5, zorder=3)
    if not np.all(np.abs(mode.network) <= _REACH):
        write(axes, 0.97, 0.93, "network leaves the panel", color=MUTED, ha="right")
    half = _half_life(mode.eigenvalue, lr)
    low, high = axes.get_xlim()
    if lr is not None and low < half < high:
        axes.axvline(half, color=MUTED, linewidth=THIN, linestyle=(0, (1, 2)))
    unit = "" if lr is None else " step" if number(half) == "1" else " steps"
    life = f"half-life {number(half)}{unit}" if math.isfinite(half) else "never halves"
    panel_title(axes, f"mode {mode.rank}, λ = {number(mode.eigenvalue)}\n{life}")


def _half_life(eigenvalue: float, lr: float | None) -> float:
    """ln 2/λ in units of time, ln 2/(ηλ) in steps; infinite where nothing decays."""
    rate = eigenvalue * (1.0 if lr is None else lr)
    return math.log(2) / rate if rate > 0 else math.inf


def _places(steps: FloatArray, shown: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where to put marks: at most twice _MARKS of the shown steps, evenly on a logarithmic axis."""
    if len(shown) <= _MARKS:
        return shown
    wanted = np.geomspace(steps[shown].min(), steps[shown].max(), 2 * _MARKS)
    nearest = np.abs(np.log(steps[shown])[:, None] - np.log(wanted)).argmin(axis=0)
    chosen: NDArray[np.int64] = shown[np.unique(nearest)]
    return chosen


def _name_lines(figure: Figure, lr: float | None) -> None:
    linearized = sample(_LINEARIZED, "linearization", line=False)
    linearized.set(markerfacecolor=PAPER, markeredgewidth=1.5)
    handles: list[Line2D] = [
        sample(_DESCENT, "(1 − ηλᵢ)ᵏ", marker=False),
        sample(_FLOW, "gradient flow, e^(−λᵢt)", marker=False),
        sample(_NETWORK, "network", line=False),
        linearized,
    ]
    if lr is not None:
        handles.append(sample(LineLook(MUTED, (0, (1, 2)), "none"), "half-life"))
    columns = len(handles) if figure.get_figwidth() > 11 else 2
    legend(figure, handles, "outside lower center", columns=columns, size=FONT_TICK)


def _title(network: FloatArray, descent: FloatArray) -> str:
    gaps = np.abs(_finite(network) - _finite(descent))
    scale = float(np.linalg.norm(_finite(descent)[:, 0])) if descent.size else 0.0
    known = gaps[np.isfinite(gaps)]
    if not (known.size and np.isfinite(scale) and scale > 0) or known.max() > scale:
        return "The residual, mode by mode: predicted and measured"
    furthest = percent(float(known.max()) / scale)
    return f"In every mode the network's residual stays within {furthest} of ‖u₀‖ of the predicted one"
