"""The modes of a kernel on the circle: which of them a network without bias cannot see."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.scales import FloatArray, as_pair, log_axis, with_notes
from nnlab.plot.style import (
    DOUBLE,
    FONT_TICK,
    INK,
    LINE,
    PAPER,
    Dash,
    LineLook,
    dress,
    legend,
    line_look,
    new_figure,
    nothing_to_show,
    sample,
)
from nnlab.plot.text import number

_VANISHED = 1e-9  # of the largest mode: below it a mode is zero but for rounding
_LOOKS = (line_look(0), line_look(1))
_DASHED: Dash = (0, (5, 2))
_NAMES = ("without bias", "with bias")


@dataclass(frozen=True)
class _Modes:
    """The eigenvalues (K,) of one kernel at the frequencies k (K,)."""

    name: str
    look: LineLook
    k: FloatArray
    values: FloatArray

    @property
    def scale(self) -> float:
        return float(np.max(np.abs(self.values[np.isfinite(self.values)]), initial=0.0))

    @property
    def visible(self) -> FloatArray:
        """The eigenvalues that are more than rounding; 0 for the others, not-a-number stays."""
        shown: FloatArray = np.where(self.values <= _VANISHED * self.scale, 0.0, self.values)
        return shown

    @property
    def high_odd(self) -> FloatArray:
        """The eigenvalues of the odd modes from the third on."""
        chosen: FloatArray = self.values[(self.k % 2 == 1) & (self.k >= 3) & np.isfinite(self.values)]
        return chosen


def circle_harmonics(
    k: ArrayLike,
    without_bias: ArrayLike,
    with_bias: ArrayLike,
    constant: float | None = None,
    title: str | None = None,
) -> Figure:
    """The eigenvalue λₖ of every Fourier mode of a kernel on the circle, without bias and with it.

    Filled marks are even modes, open ones odd modes. A mode of at most 10⁻⁹ of the largest is zero but for
    rounding: it is marked at the lower edge, as the label of the x axis says. The right panel shows k²λₖ.

    Args:
        k: (K,) frequencies; k = 0 has no place on the logarithmic axis and is left out.
        without_bias: (K,) eigenvalues of the kernel of a network without bias.
        with_bias: (K,) eigenvalues with bias.
        constant: What k²λₖ is predicted to tend to with bias, drawn dashed.
        title: A sentence; by default what the odd modes do, and where k²λₖ ends.

    Raises:
        InputError: lengths that differ.
    """
    frequencies, lacking = as_pair(k, without_bias, "the modes without bias")
    having = as_pair(frequencies, with_bias, "the modes with bias")[1]
    usable = np.isfinite(frequencies) & (frequencies > 0)
    kernels = [
        _Modes(name, look, frequencies[usable], np.where(np.isfinite(values), values, np.nan)[usable])
        for name, look, values in zip(_NAMES, _LOOKS, (lacking, having), strict=True)
    ]
    figure = new_figure(title or _title(*kernels), DOUBLE)
    left, right = figure.subplots(1, 2)
    _panel(left, kernels, 0, "eigenvalue λₖ", None)
    _panel(right, kernels, 2, "k² λₖ", constant)
    _legend(figure)
    return figure


def _panel(axes: Axes, kernels: Sequence[_Modes], power: int, label: str, constant: float | None) -> None:
    """kᵖλₖ over k for both kernels, p being 0 or 2."""
    dress(axes, "", label)
    scaled = [modes.k**power * modes.visible for modes in kernels]
    level = constant if constant is not None and np.isfinite(constant) and constant > 0 else None
    notes = [] if level is None else [f"- - -  predicted limit {number(level)}"]
    log_axis(axes.xaxis, kernels[0].k)
    log_axis(axes.yaxis, np.concatenate([*scaled, [] if level is None else [level]]))
    if level is not None:
        axes.axhline(level, color=INK, linestyle=_DASHED, linewidth=LINE, zorder=1)
    for modes, values in zip(kernels, scaled, strict=True):
        for odd in (False, True):
            _draw(axes, modes, values, odd)
            notes += _mark_zeros(axes, modes, values, odd) if power == 0 else []
    axes.set_xlabel(with_notes("frequency k", notes))
    if not any(np.isfinite(values).any() for values in scaled):
        nothing_to_show(axes, "no modes")


def _draw(axes: Axes, modes: _Modes, values: FloatArray, odd: bool) -> None:
    shown = (modes.k % 2 == 1) == odd
    shown &= values > 0
    axes.plot(modes.k[shown], values[shown], marker=modes.look.marker, markersize=7, **_style(modes, odd))


def _mark_zeros(axes: Axes, modes: _Modes, values: FloatArray, odd: bool) -> list[str]:
    """The modes that vanish, on the lower edge; the note that they need."""
    gone = ((modes.k % 2 == 1) == odd) & (values == 0)
    if not gone.any():
        return []
    places, edge = modes.k[gone], axes.get_xaxis_transform()
    style = _style(modes, odd)
    axes.plot(places, np.zeros(len(places)), marker="v", markersize=8, transform=edge, clip_on=False, **style)
    return ["▼ zero but for rounding"]


def _style(modes: _Modes, odd: bool) -> dict[str, Any]:
    """No line; filled marks for the even modes, open ones for the odd."""
    color = modes.look.color
    face = PAPER if odd else color
    return {"linestyle": "none", "color": color, "markerfacecolor": face, "markeredgewidth": 1.6}


def _legend(figure: Figure) -> None:
    handles = []
    for name, look in zip(_NAMES, _LOOKS, strict=True):
        even, odd = (sample(look, f"{name}, {kind} k", line=False) for kind in ("even", "odd"))
        odd.set(markerfacecolor=PAPER, markeredgewidth=1.6)
        handles += [even, odd]
    legend(figure, handles, "outside lower center", columns=len(handles), size=FONT_TICK)


def _title(lacking: _Modes, having: _Modes) -> str:
    parts = []
    if lacking.high_odd.size and lacking.scale > 0:
        share = float(np.abs(lacking.high_odd).max()) / lacking.scale
        if share <= _VANISHED:
            parts.append("without bias the odd modes k ≥ 3 vanish")
        else:
            parts.append(f"without bias the odd modes k ≥ 3 reach {number(share, 2)} of the largest mode")
    known = np.flatnonzero(np.isfinite(having.values) & (having.values > 0))
    if len(known):
        last = known[np.argmax(having.k[known])]
        product = having.k[last] ** 2 * having.values[last]
        parts.append(f"with bias k²λₖ is {number(float(product))} at k = {number(having.k[last], 6)}")
    sentence = "; ".join(parts) or "the modes of the kernel on the circle"
    return sentence[0].upper() + sentence[1:]
