"""Step sizes: what happens around η_max = 2/λmax, and what a finite step costs against gradient flow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.plot.bands import beneath, steps_axis
from nnlab.plot.scales import FloatArray, as_array, as_pair, draw_line, log_axis, positive, with_notes
from nnlab.plot.style import (
    FONT_LABEL,
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    THIN,
    WIDE,
    Dash,
    LineLook,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    write,
)
from nnlab.plot.text import families, literal, number, paragraph

_CLIMB = 1e4  # a loss beyond this multiple of the largest first loss is on its way to infinity
_NETWORK = LineLook(PALETTE[1], "-", "o")
_LINEARIZED = LineLook(PALETTE[0], (0, (5, 1.6)), "s")
_EDGE = 2.0  # ηλmax beyond which gradient descent on a quadratic diverges
_STEEPEST = 6.0  # ηλmax that the lower row must hold
_DASHED: Dash = (0, (5, 2))


@dataclass(frozen=True)
class _Step:
    """One step size: losses of linearization and network, (K,), and ηλmax over its own steps, (K₂,)."""

    name: str
    linearized: FloatArray
    network: FloatArray
    steps: FloatArray
    sharpness: FloatArray


def step_sizes(
    steps: ArrayLike,
    losses: Mapping[str, tuple[ArrayLike, ArrayLike]],
    sharpness: Mapping[str, tuple[ArrayLike, ArrayLike]],
    title: str | None = None,
) -> Figure:
    """Training with step sizes around η_max: losses above, and below them ηλmax of the kernel on the way.

    On ½‖u‖² a fixed kernel lets gradient descent converge exactly as long as ηλmax < 2, the level across the
    lower row. A network can leave a kernel that is too steep for its step.

    Args:
        steps: (K,) steps of the losses.
        losses: Step size, such as "0.95 η_max" -> losses (K,) of the linearization and of the network.
        sharpness: Step size -> steps (K₂,) and ηλmax(H(w)) of the network there, (K₂,).
        title: A sentence; by default at which step sizes each loss ends below its start.

    Raises:
        InputError: lengths that differ.
    """
    x = as_array(steps, "the steps")
    runs = [_step(name, x, pair, sharpness.get(name)) for name, pair in losses.items()]
    columns = max(1, len(runs))
    across = max(WIDE[0], 1.2 + 2.9 * columns)
    figure = new_figure(title or _step_title(runs), (across, 6.6))
    grid = figure.subplots(2, columns, squeeze=False, sharex="col", sharey="row")
    log_axis(grid[0, 0].yaxis, _losses_in_view(runs))
    grid[1, 0].set_ylim(0, _steepest(runs))
    room = 72 * (across - 1.2) / columns
    for column, run in enumerate(runs):
        _step_panels(grid[0, column], grid[1, column], x, run, room)
    for axes, label in zip(grid[:, 0], ("training loss", "ηλmax(H)"), strict=True):
        axes.set_ylabel(label, fontsize=FONT_LABEL, family=list(families()), color=INK)
        if not runs:
            nothing_to_show(axes, "nothing was measured")
    handles = [sample(_LINEARIZED, "linearization"), sample(_NETWORK, "network")]
    handles.append(sample(LineLook(INK, _DASHED, "none"), "ηλmax = 2"))
    legend(figure, handles, "outside lower center", columns=3, size=FONT_TICK)
    return figure


def flow_gap(
    lr_lambda: ArrayLike, measured: ArrayLike, predicted: ArrayLike, title: str | None = None
) -> Figure:
    """How far gradient descent is from gradient flow, for one mode, over the product ηλ.

    To first order the gap sup_k |(1 − ηλ)ᵏ − e^{−ηλk}| is ηλ/(2e), since (1 − x)ᵏ ≈ e^{−kx}(1 − kx²/2) and
    s e^{−s} is at most 1/e.

    Args:
        lr_lambda: (K,) products ηλ.
        measured: (K,) largest distances between descent and flow over training.
        predicted: (K,) the same from (1 − ηλ)ᵏ and e^{−ηλk}.
        title: A sentence; by default the measured gap at the smallest step in units of the first-order law.

    Raises:
        InputError: lengths that differ.
    """
    products, gaps = as_pair(lr_lambda, measured, "the measured gap")
    theory = as_pair(products, predicted, "the predicted gap")[1]
    order = np.argsort(products)
    x, y, exact = products[order], gaps[order], theory[order]
    law = x / (2 * np.e)
    figure = new_figure(title or _gap_title(x, y, law), WIDE)
    axes = figure.subplots()
    dress(axes, "", "largest gap between descent and flow")
    log_axis(axes.xaxis, x)
    log_axis(axes.yaxis, np.concatenate([y, exact, law]))
    for values, color, dash, width in ((exact, PALETTE[0], "-", LINE), (law, INK, _DASHED, THIN)):
        shown = np.where(np.isfinite(values), values, np.nan)
        axes.plot(x, shown, color=color, linestyle=dash, linewidth=width)
    notes = draw_line(axes, x, y, LineLook(PALETTE[1], "none", "o"))
    axes.set_xlabel(with_notes("step size times eigenvalue, ηλ", notes))
    if not positive(y).size:
        nothing_to_show(axes, "nothing was measured")
    handles = [
        sample(LineLook(PALETTE[1], "none", "o"), "measured", line=False),
        sample(LineLook(PALETTE[0], "-", "none"), "predicted, sup |(1 − ηλ)ᵏ − e^(−ηλk)|"),
        sample(LineLook(INK, _DASHED, "none"), "first order, ηλ/(2e)"),
    ]
    legend(axes, handles, "upper left", size=FONT_TICK)
    return figure


def _step(
    name: str,
    steps: FloatArray,
    losses: tuple[ArrayLike, ArrayLike],
    sharpness: tuple[ArrayLike, ArrayLike] | None,
) -> _Step:
    linearized = as_pair(steps, losses[0], f"the linearized loss at {name!r}")[1]
    network = as_pair(steps, losses[1], f"the network's loss at {name!r}")[1]
    where, steep = sharpness or ((), ())
    places, values = as_pair(where, steep, f"the sharpness at {name!r}")
    return _Step(name, linearized, network, places, values)


def _losses_in_view(runs: Sequence[_Step]) -> FloatArray:
    """The losses that the upper row must hold: all but those on their way to infinity."""
    parts = [part for run in runs for part in (run.linearized, run.network)]
    values = positive(np.concatenate([np.zeros(0), *parts]))
    first = positive(np.concatenate([np.zeros(0), *(part[:1] for part in parts)]))
    near = values[values <= _CLIMB * first.max()] if first.size else values
    return near if near.size else values


def _steepest(runs: Sequence[_Step]) -> float:
    """The upper limit of the lower row, above the edge and above all but runaway values of ηλmax."""
    values = np.concatenate([np.zeros(0), *(run.sharpness for run in runs)])
    near = values[np.isfinite(values) & (values <= _STEEPEST)]
    return 1.08 * max(float(near.max(initial=0.0)), 1.25 * _EDGE)


def _step_panels(upper: Axes, lower: Axes, steps: FloatArray, run: _Step, room: float) -> None:
    for axes in (upper, lower):
        dress(axes)
    panel_title(upper, paragraph(literal(run.name, 60), 0.8 * room, FONT_LABEL))
    steps_axis(upper, [steps, run.steps], ticks=4)
    lower.axhline(_EDGE, color=INK, linestyle=_DASHED, linewidth=THIN)
    notes: list[str] = []
    for values, look in ((run.linearized, _LINEARIZED), (run.network, _NETWORK)):
        notes += _draw(upper, steps, values, look)
    notes += _draw(lower, run.steps, run.sharpness, _NETWORK)
    lower.set_xlabel(beneath("step k", notes, room))
    if not np.isfinite(run.sharpness).any():
        write(lower, 0.5, 0.3, "not measured", color=MUTED, ha="center")


def _draw(axes: Axes, x: FloatArray, y: FloatArray, look: LineLook) -> list[str]:
    """A line over the steps; step 0 has no place on a logarithmic axis."""
    placed = x > 0 if axes.get_xscale() == "log" else np.ones(len(x), dtype=bool)
    return draw_line(axes, x[placed], y[placed], look)


def _falls(losses: FloatArray) -> bool:
    """Whether the loss ends finite and below where it began."""
    return len(losses) > 1 and bool(np.isfinite(losses[-1]) and losses[-1] < losses[0])


def _step_title(runs: Sequence[_Step]) -> str:
    if not runs:
        return "Training with step sizes around η_max"
    linearized = _listed([run.name for run in runs if _falls(run.linearized)])
    network = _listed([run.name for run in runs if _falls(run.network)])
    return f"The loss ends below its start: for the linearization {linearized}, for the network {network}"


def _listed(names: Sequence[str]) -> str:
    """'at 0.5 and 0.95 η_max': what the names have in common after their first word is said once."""
    if not names:
        return "at no step size"
    heads, tails = zip(*(literal(name, 24).partition(" ")[::2] for name in names), strict=True)
    common = f" {tails[0]}" if tails[0] and len(set(tails)) == 1 else ""
    words = list(heads) if common else [literal(name, 24) for name in names]
    joined = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
    return f"at {joined}{common}"


def _gap_title(x: FloatArray, y: FloatArray, law: FloatArray) -> str:
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & (x > 0) & (y > 0))
    if not len(known):
        return "Gradient descent against gradient flow"
    least = known[0]
    ratio = number(float(y[least] / law[least]))
    return f"Small steps follow the flow: at ηλ = {number(float(x[least]))} the gap is {ratio} times ηλ/(2e)"
