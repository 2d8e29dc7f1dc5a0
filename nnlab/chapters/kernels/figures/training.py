"""Training beside what the kernel at the start predicts: losses, residuals, modes, classes, step sizes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from nnlab.plot.bands import band_words, draw_band, over_seeds, steps_axis, width_looks
from nnlab.plot.lines import draw_line, label_ends, line_end
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, finite, log_axis, up_to
from nnlab.plot.style import (
    FONT_LABEL,
    FONT_TICK,
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    THIN,
    WIDE,
    LineLook,
    dress,
    font,
    footnote,
    legend,
    legend_below,
    line_look,
    new_figure,
    only_below,
    panel_grid,
    panel_title,
    sample,
    shared_labels,
    with_notes,
    write,
)
from nnlab.plot.text import families, listed, number, percent, power_of_ten

NETWORK = LineLook(PALETTE[1], "-", "o")
LINEARIZED = LineLook(PALETTE[0], (0, (5, 1.6)), "s")
DESCENT = LineLook(INK, (0, (5, 2)), "none")
FLOW = LineLook(MUTED, (0, (1.2, 1.4)), "none")
HALF_LIFE = LineLook(MUTED, (0, (1, 2)), "none")

CURVES = ("flow", "descent", "network", "linearized")
CLIMB = 100.0  # a loss beyond this multiple of the first one is on its way to infinity
EDGE_CLIMB = 1e4  # likewise for step sizes around η_max, at which a loss may come down again
FAITHFUL = -8  # decades below the first loss: further down rounding decides, and ratios say nothing
MODES = 6  # modes that are drawn
MARKS = 12  # measured points along a curve, evenly on its axis
REACH = 2.5  # a coefficient beyond this multiple of its first value leaves the panel
EDGE = 2.0  # ηλmax beyond which gradient descent on a quadratic diverges
STEEPEST = 6.0  # ηλmax that the lower row of panels must hold


# --- the loss and the residual ----------------------------------------------------------------------


@of_lines
def loss_prediction(steps: FloatArray, losses: Mapping[str, FloatArray]) -> Figure:
    """Draws the loss that the kernel at the start predicts, beside those of a network and its linearization.

    Step 0 has no place on the logarithmic axis and is left out.

    Args:
        steps: (K,) steps from 0 on.
        losses: (K,) each: "descent", predicted by the residuals (I − ηH₀)ᵏu₀; "flow", by e^{−H₀t}u₀;
            "network" and "linearized", measured.
    """
    flow, theory, measured, linear = (as_numbers(losses[name]) for name in CURVES)
    figure = new_figure(_loss_title(theory, measured), WIDE)
    axes = figure.subplots()
    dress(axes, "", "training loss")
    log_axis(axes.xaxis, steps)
    log_axis(axes.yaxis, up_to(CLIMB * theory[0], theory, measured, linear))
    for values, look, width in ((flow, FLOW, THIN), (theory, DESCENT, LINE)):
        axes.plot(
            steps[1:], finite(values[1:]), color=look.color, linestyle=look.dash, linewidth=width,
            marker="D" if len(steps) == 2 else "none", zorder=4,
        )  # fmt: skip
    notes = draw_line(axes, steps, linear, LINEARIZED) + draw_line(axes, steps, measured, NETWORK)
    axes.set_xlabel(with_notes("step k", notes))
    entries = [
        sample(DESCENT, "predicted, (I − ηH₀)ᵏu₀"),
        sample(FLOW, "gradient flow, exp(−H₀t)u₀"),
        sample(LINEARIZED, "linearization"),
        sample(NETWORK, "network"),
    ]
    legend(axes, entries, "lower left", size=FONT_TICK)
    return figure


def _loss_title(theory: FloatArray, measured: FloatArray) -> str:
    """The largest factor between measured and predicted loss, where rounding does not decide."""
    if not np.isfinite(measured).all():
        return "The training loss that the kernel at the start predicts; the network diverges from it"
    compared = (theory > 10.0**FAITHFUL * theory[0]) & np.isfinite(theory) & (measured > 0)
    if not compared.any():
        return "The training loss, beside what the kernel at the start predicts"
    factor = float(np.exp(np.abs(np.log(measured[compared] / theory[compared])).max()))
    until = "" if compared[-1] else f", until it has fallen to {power_of_ten(FAITHFUL)} of its initial value"
    return f"The network's loss stays within a factor of {number(factor)} of the predicted one{until}"


@of_lines
def residual_error(steps: FloatArray, errors: Mapping[int, FloatArray]) -> Figure:
    """Draws the distance of the measured residuals from (I − ηH₀)ᵏu₀ over training, at every width.

    Args:
        steps: (K,) steps from 0 on.
        errors: Width m -> relative distances (S, K) of the residuals from the predicted ones; infinite where
            a network diverged.
    """
    bands = {
        width: over_seeds(as_numbers(values)[:, 1:]) for width, values in sorted(errors.items())
    }  # at the start there is nothing to predict, and the distance is 0 but for rounding
    figure = new_figure(_error_title({m: float(band.middle.max()) for m, band in bands.items()}), WIDE)
    axes = figure.subplots()
    dress(axes, "", "relative distance of residuals")
    log_axis(axes.yaxis, np.concatenate([part for band in bands.values() for part in band.parts]))
    steps_axis(axes, [steps])
    looks = width_looks(bands)
    notes, ends = [], []
    for width, band in bands.items():
        notes += draw_band(axes, steps[1:], band, looks[width])
        ends.append(line_end(f"m = {width}", looks[width], steps[1:], band.middle))
    axes.set_xlabel(with_notes("step k", notes))
    footnote(figure, band_words(band.seeds for band in bands.values()))
    label_ends(figure, axes, ends)
    return figure


def _error_title(furthest: Mapping[int, float]) -> str:
    """The largest distance at the smallest and at the largest width."""
    ends = [(width, value) for width, value in furthest.items() if value > 0]
    if not ends:
        return "The distance of the residuals from those that the kernel at the start predicts"
    words = [f"{percent(v) if np.isfinite(v) else '∞'} at m = {m}" for m, v in (ends[0], ends[-1])]
    if len(ends) == 1:
        return f"The residual is off its prediction by at most {words[0]}"
    lead = "Wide networks train as predicted" if ends[-1][1] < ends[0][1] else "Width does not help here"
    return f"{lead}: the residual is off by at most {words[0]}, and by at most {words[1]}"


# --- modes and classes ------------------------------------------------------------------------------


@of_lines
def mode_trajectories(
    steps: FloatArray, eigenvalues: FloatArray, modes: Mapping[str, FloatArray], *, lr: float
) -> Figure:
    """Draws the residual's coefficient along each eigenvector of H₀ over training: predicted and measured.

    Each is shown in units of the predicted one at the first step, u₀·vᵢ, so that every curve starts at 1. Of
    more than six modes, the six in which the residual starts largest are shown. Step 0 has no place on the
    logarithmic axis and is left out.

    Args:
        steps: (K,) steps from 0 on.
        eigenvalues: (r,) eigenvalues λᵢ, of a loss whose residuals follow u̇ = −Hu.
        modes: (r, K) coefficients each: "flow", predicted by gradient flow, e^{−λᵢt} u₀·vᵢ; "descent", by
            gradient descent, (1 − ηλᵢ)ᵏ u₀·vᵢ; "network" and "linearized", measured.
        lr: The step size η.
    """
    curves = [finite(as_numbers(modes[name])) for name in CURVES]
    strongest = np.sort(np.argsort(-np.abs(curves[1][:, 0]), kind="stable")[:MODES])
    units = curves[1][strongest, :1]
    scaled = [values[strongest] / np.where(units == 0, 1.0, units) for values in curves]
    figure, panels = panel_grid(_modes_title(curves[2], curves[1]), len(strongest))
    log_axis(panels[0, 0].xaxis, steps)
    reach = np.clip([0.0, 1.0, *(end for v in scaled for end in (np.nanmin(v), np.nanmax(v)))], -REACH, REACH)
    margin = 0.06 * np.ptp(reach)
    panels[0, 0].set_ylim(reach.min() - margin, reach.max() + margin)
    for axes, mode, *values in zip(panels.flat, strongest, *scaled, strict=False):
        _mode_panel(axes, steps, values)
        rate = lr * eigenvalues[mode]
        half = math.log(2) / rate if rate > 0 else math.inf
        if axes.get_xlim()[0] < half < axes.get_xlim()[1]:
            axes.axvline(half, color=HALF_LIFE.color, linewidth=THIN, linestyle=HALF_LIFE.dash)
        life = f"{number(half)} steps" if math.isfinite(half) else "never halves"
        panel_title(axes, f"λ{_lowered(mode + 1)} = {number(float(eigenvalues[mode]))}, {life}")
    only_below(panels, len(strongest), "step k")
    shared_labels(figure, "", "residual uᵢ(k) / uᵢ(0)")
    handles = [
        sample(LineLook(INK, "-", "none"), "(1 − ηλᵢ)ᵏ"),
        sample(FLOW, "gradient flow, exp(−λᵢt)"),
        sample(NETWORK, "network", line=False),
        sample(LINEARIZED, "linearization", line=False),
        sample(HALF_LIFE, "half-life"),
    ]
    for thin in (handles[1], handles[4]):
        thin.set_linewidth(THIN)
    handles[3].set(markerfacecolor=PAPER, markeredgewidth=1.5)
    legend_below(figure, handles, inches=2.5)
    return figure


def _lowered(index: int) -> str:
    return str(index).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _mode_panel(axes: Axes, steps: FloatArray, curves: Sequence[FloatArray]) -> None:
    """One mode in units of its first coefficient: every curve (K,) over the steps, in the order of CURVES."""
    flow, descent, network, linearized = curves
    dress(axes)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    single = "_" if len(steps) == 2 else "none"
    for values, color, dash, width in ((descent, INK, "-", LINE), (flow, FLOW.color, FLOW.dash, THIN)):
        axes.plot(steps[1:], values[1:], color=color, linestyle=dash, linewidth=width, marker=single)
    at = 1 + _evenly(np.log(steps[1:]), 2 * MARKS)
    few = len(at) <= MARKS  # else the two take turns
    for values, look, places, face, size in (
        (linearized, LINEARIZED, at if few else at[1::2], PAPER, 9),
        (network, NETWORK, at if few else at[::2], NETWORK.color, 6),
    ):
        (line,) = axes.plot(steps[places], values[places], linestyle="none", marker=look.marker)
        line.set(color=look.color, markersize=size, markerfacecolor=face, markeredgewidth=1.5, zorder=3)
    if not np.all(np.abs(network) <= REACH):
        write(axes, 0.97, 0.93, "network leaves the panel", ha="right")


def _evenly(places: FloatArray, count: int) -> NDArray[np.int64]:
    """Indices of at most `count` of ascending places, about equally far apart; all up to MARKS places."""
    if len(places) <= MARKS:
        return np.arange(len(places))
    wanted = np.linspace(places[0], places[-1], count)
    chosen: NDArray[np.int64] = np.unique(np.abs(places[:, None] - wanted).argmin(axis=0))
    return chosen


def _modes_title(network: FloatArray, descent: FloatArray) -> str:
    """The largest distance from the prediction in any mode, drawn or not."""
    gaps, scale = np.abs(network - descent), float(np.linalg.norm(descent[:, 0]))
    if not scale > 0 or np.nanmax(gaps) > scale:
        return "The residual, mode by mode: predicted and measured"
    furthest, count = percent(float(np.nanmax(gaps)) / scale), len(gaps)
    shown = f" ({MODES} of {count} modes are drawn)" if count > MODES else ""
    return f"In every mode the residual stays within {furthest} of ‖u₀‖ of the predicted one{shown}"


@of_lines
def class_probabilities(t: FloatArray, predicted: FloatArray, measured: FloatArray) -> Figure:
    """Draws class probabilities over training with cross-entropy: predicted lines, measured marks.

    Args:
        t: (K,) time ηk from 0 on.
        predicted: (n, C, K) for n examples and C classes, from integrating ḟ = −H₀(softmax f − y).
        measured: (n, C, K) of the network.
    """
    figure, panels = panel_grid(_classes_title(predicted - measured), len(predicted))
    looks = [line_look(index) for index in range(predicted.shape[1])]
    steps_axis(panels[0, 0], [t], ticks=5, whole=False)
    log = panels[0, 0].get_xscale() == "log"
    placed = t > 0 if log else np.ones(len(t), dtype=bool)
    times = t[placed]
    at = _evenly(np.log(times) if log else times, MARKS)
    for index, (axes, lines, marks) in enumerate(zip(panels.flat, predicted, measured, strict=False)):
        dress(axes)
        panel_title(axes, f"example {index + 1}")
        for look, line, points in zip(looks, lines[:, placed], finite(marks[:, placed]), strict=True):
            marker = "_" if len(times) == 1 else "none"
            axes.plot(times, line, color=look.color, linestyle=look.dash, linewidth=LINE, marker=marker)
            (drawn,) = axes.plot(times[at], points[at], linestyle="none", marker=look.marker)
            drawn.set(color=look.color, markersize=7, markeredgecolor=PAPER, zorder=3)
    only_below(panels, len(predicted), "time t = ηk")
    shared_labels(figure, "", "class probability")
    kinds = [
        sample(LineLook(INK, "-", "none"), "predicted by the kernel"),
        sample(LineLook(INK, "none", "o"), "network", line=False),
    ]
    legend_below(figure, kinds)
    classes = [sample(look, str(index)) for index, look in enumerate(looks)]
    box = legend(figure, classes, "outside right center", columns=-(-len(classes) // 14), size=FONT_TICK)
    box.set_title("class", FontProperties(size=FONT_TICK, family=list(families())))
    return figure


def _classes_title(gaps: FloatArray) -> str:
    if not np.isfinite(gaps).all():
        return "Cross-entropy: some probabilities are no longer finite, and are left out"
    gap = number(float(np.abs(gaps).max()), 2)
    return f"Cross-entropy: predicted and measured class probabilities differ by at most {gap}"


# --- step sizes -------------------------------------------------------------------------------------


@of_lines
def step_sizes(
    steps: FloatArray,
    losses: Mapping[float, tuple[FloatArray, FloatArray]],
    sharpness: Mapping[float, tuple[FloatArray, FloatArray]],
) -> Figure:
    """Draws training with step sizes around η_max: losses above, and ηλmax of the moving kernel below.

    On ½‖u‖² a fixed kernel lets gradient descent converge exactly as long as ηλmax < 2, the level across the
    lower row. A network can leave a kernel that is too steep for its step.

    Args:
        steps: (K,) steps of the losses, from 0 on.
        losses: Step size over η_max -> losses (K,) of the linearization and of the network.
        sharpness: Step size over η_max -> steps (K₂,) and ηλmax(H(w)) of the network at them, (K₂,).
    """
    runs = {m: tuple(as_numbers(v) for v in pair) for m, pair in losses.items()}
    steep = {m: (places, as_numbers(v)) for m, (places, v) in sharpness.items()}
    across = max(WIDE[0], 1.2 + 2.9 * len(runs))
    figure = new_figure(_step_title(runs), (across, 6.6))
    grid = figure.subplots(2, len(runs), squeeze=False, sharex="col", sharey="row")
    everything = [values for pair in runs.values() for values in pair]
    log_axis(grid[0, 0].yaxis, up_to(EDGE_CLIMB * max(v[0] for v in everything), *everything))
    near = up_to(STEEPEST, *(values for _, values in steep.values()))
    grid[1, 0].set_ylim(0, 1.08 * near.max(initial=1.25 * EDGE, where=near <= STEEPEST))
    marked: list[str] = []
    for upper, lower, multiple in zip(*grid, runs, strict=True):
        dress(upper)
        dress(lower)
        panel_title(upper, f"{multiple:g} ηₘₐₓ")
        places, values = steep[multiple]
        steps_axis(upper, [steps, places], ticks=4)
        lower.axhline(EDGE, color=INK, linestyle=DESCENT.dash, linewidth=THIN)
        linear, network = runs[multiple]
        notes = draw_line(upper, steps, linear, LINEARIZED) + draw_line(upper, steps, network, NETWORK)
        notes += draw_line(lower, places, values, NETWORK)
        lower.set_xlabel("step k")
        marked += notes
        if not np.isfinite(values).any():
            write(lower, 0.5, 0.3, "not measured")
    for axes, label in zip(grid[:, 0], ("loss", "ηλₘₐₓ(H)"), strict=True):
        axes.set_ylabel(label, **font(FONT_LABEL))
    grid[1, 0].set_xlabel(with_notes("step k", marked))
    handles = [sample(LINEARIZED, "linearization"), sample(NETWORK, "network"), sample(DESCENT, "ηλₘₐₓ = 2")]
    handles[2].set_linewidth(THIN)
    legend_below(figure, handles)
    return figure


def _step_title(runs: Mapping[float, Sequence[FloatArray]]) -> str:
    """The step sizes at which the loss ends finite and below its start."""
    words = []
    for which in (0, 1):
        falls = [f"{m:g}" for m, pair in runs.items() if pair[which][-1] < pair[which][0]]
        words.append(f"at {listed(falls)} ηₘₐₓ" if falls else "at no step size")
    return f"Training lowers the loss of the linearization {words[0]}, that of the network {words[1]}"


@of_lines
def flow_gap(
    products: FloatArray, to_flow: FloatArray, to_modified: FloatArray, first_order: FloatArray
) -> Figure:
    """Draws the distance of gradient descent from gradient flow, and from the modified flow, over ηλmax.

    Args:
        products: (K,) products ηλmax(H₀), descending.
        to_flow: (K,) distance of the weights from those of the flow at the same time.
        to_modified: (K,) the same from the flow of L + η/4 ‖∇L‖².
        first_order: (K,) the predicted distance from the flow, η‖D‖.
    """
    off = number(100 * abs(float(to_flow[-1] / first_order[-1]) - 1), 2)
    least = number(float(products[-1]))
    title = f"Small steps follow the flow: at ηλₘₐₓ = {least} the gap is its first order to within {off} %"
    figure = new_figure(title, WIDE)
    axes = figure.subplots()
    dress(axes, "step size times largest eigenvalue, ηλₘₐₓ(H₀)", "distance of weights")
    log_axis(axes.xaxis, products)
    log_axis(axes.yaxis, np.concatenate([to_flow, to_modified, first_order]))
    curves = (
        (first_order, DESCENT, THIN, "first order, η‖D‖"),
        (to_flow, LineLook(PALETTE[1], "none", "o"), LINE, "to the gradient flow, like η"),
        (to_modified, LineLook(PALETTE[0], "-", "s"), LINE, "to the flow of L + η/4 ‖∇L‖², like η²"),
    )
    for values, look, width, _ in curves:
        draw_line(axes, products, values, look, width)
    handles = [sample(look, label) for _, look, _, label in curves]
    handles[0].set_linewidth(THIN)
    legend_below(figure, handles, inches=2.0)
    return figure
