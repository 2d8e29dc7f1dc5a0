"""Kernels: their spectra at every width, their entries, their features, and their modes on the circle."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from nnlab.display import spoken
from nnlab.plot.bands import band_words, draw_band, draw_spread, over_seeds, width_entries, width_looks
from nnlab.plot.images import symmetric_limit
from nnlab.plot.lines import ZERO_NOTE
from nnlab.plot.overlay import of_lines
from nnlab.plot.scales import FloatArray, as_numbers, log_axis, ticks_at, whole_numbers
from nnlab.plot.style import (
    DOUBLE,
    FONT_NOTE,
    FONT_TICK,
    GRID,
    INK,
    LINE,
    MUTED,
    PALETTE,
    PAPER,
    SIGNED,
    THIN,
    WIDE,
    LineLook,
    bare,
    colour_bar,
    dress,
    font,
    footnote,
    legend,
    legend_below,
    legend_beside,
    line_look,
    new_figure,
    panel_title,
    sample,
    with_notes,
)
from nnlab.plot.text import number, percent

LIMIT = LineLook(INK, (0, (5, 2)), "none")
MANY = 40  # eigenvalues: from here on their index is on a logarithmic axis
MOST_PIXELS = 600  # along a side of a kernel's picture; larger kernels show every second, third… example
VANISHED = 1e-9  # of the largest mode on the circle: below it a mode is zero but for rounding


# --- spectra ----------------------------------------------------------------------------------------


@of_lines
def kernel_spectra(
    spectra: Mapping[int, FloatArray], limit: FloatArray | None = None, *, threshold: float
) -> Figure:
    """Draws the eigenvalues of the kernel at every width, and their distance from those at infinite width.

    An eigenvalue that is not positive has no place on the logarithmic axis: a mark at the lower edge and the
    label of the x axis tell of it. Eigenvalues within rounding of zero lie in the grey zone. The distance is
    ‖λ − λ∞‖/‖λ∞‖, both vectors in descending order (Hoffman and Wielandt, "The variation of the spectrum of a
    normal matrix", 1953: a lower bound of ‖H − H∞‖/‖H∞‖ in the Frobenius norm).

    Args:
        spectra: Width m -> eigenvalues (S, r) of S seeds, descending.
        limit: (r,) eigenvalues at infinite width, descending.
        threshold: What an eigenvalue must exceed to count as positive.
    """
    spectra = {width: as_numbers(values) for width, values in sorted(spectra.items())}
    limit = None if limit is None else as_numbers(limit)
    distances = {}
    if limit is not None and limit.any():
        scale = np.linalg.norm(limit)
        distances = {m: np.linalg.norm(values - limit, axis=1) / scale for m, values in spectra.items()}
    both = len(distances) >= 2
    title = _spectra_title(spectra, threshold, {m: float(np.median(d)) for m, d in distances.items()})
    figure = new_figure(title, DOUBLE if both else WIDE)
    panels = figure.subplots(1, 2 if both else 1, squeeze=False, width_ratios=(1.5, 1) if both else None)[0]
    looks = width_looks(spectra)
    _spectra_panel(panels[0], spectra, limit, threshold, looks)
    entries = width_entries(looks) + ([] if limit is None else [sample(LIMIT, "m → ∞")])
    footnote(figure, band_words(len(values) for values in spectra.values()))
    if both:
        _distance_panel(panels[1], distances, looks)
        legend(figure, entries, "outside right center", size=FONT_TICK)
    else:
        legend_beside(panels[0], entries, size=FONT_TICK)
    return figure


def _spectra_panel(
    axes: Axes,
    spectra: Mapping[int, FloatArray],
    limit: FloatArray | None,
    threshold: float,
    looks: Mapping[int, LineLook],
) -> None:
    dress(axes)
    panel_title(axes, "eigenvalues λᵢ")
    everything = np.concatenate([np.zeros(0) if limit is None else limit, *map(np.ravel, spectra.values())])
    log_axis(axes.yaxis, everything)
    count = next(iter(spectra.values())).shape[1]
    index = np.arange(1.0, count + 1)
    if count >= MANY:
        log_axis(axes.xaxis, index)
    else:
        axes.set_xlim(0.5, count + 0.5)
        whole_numbers(axes.xaxis)
    low, high = axes.get_ylim()
    if low < threshold < high:  # grey where an eigenvalue cannot be told from zero
        axes.axhspan(low, threshold, color=GRID, alpha=0.6, linewidth=0, zorder=0)
        at = axes.get_yaxis_transform()
        axes.text(0.01, threshold, "zero but for rounding", va="top", transform=at, **font(FONT_NOTE, MUTED))
    notes: list[str] = []
    for width, values in spectra.items():
        notes += draw_band(axes, index, over_seeds(values), looks[width])
    notes = [note for note in notes if note != ZERO_NOTE]
    if missing := sum(int(np.sum(values <= 0)) for values in spectra.values()):
        notes.append(f"▼ λ ≤ 0: {missing} of {sum(values.size for values in spectra.values())}")
    if limit is not None:
        visible = limit > 0
        (line,) = axes.plot(index[visible], limit[visible], color=INK, linestyle=LIMIT.dash)
        line.set(linewidth=LINE, marker="_" if visible.sum() == 1 else "none", zorder=4)
    axes.set_xlabel(with_notes("index i", notes))


def _distance_panel(axes: Axes, distances: Mapping[int, FloatArray], looks: Mapping[int, LineLook]) -> None:
    dress(axes, "width m")
    panel_title(axes, "‖λ − λ∞‖ / ‖λ∞‖")
    widths = np.array(list(distances), dtype=np.float64)
    log_axis(axes.xaxis, widths)
    ticks_at(axes.xaxis, widths, gap=0.13)
    log_axis(axes.yaxis, np.concatenate(list(distances.values())))
    medians = np.array([np.median(values) for values in distances.values()])
    axes.plot(widths, medians, color=MUTED, linewidth=THIN)
    for (width, values), median in zip(distances.items(), medians, strict=True):
        look, place = looks[width], np.array([width])
        draw_spread(axes, place, values[None].min(1), values[None].max(1), look)
        axes.plot(place, [median], color=look.color, marker=look.marker, markersize=9)


def _spectra_title(
    spectra: Mapping[int, FloatArray], threshold: float, distances: Mapping[int, float]
) -> str:
    sentence = _definiteness(spectra, threshold)
    if len(distances) >= 2:
        (narrow, far), *_, (wide, near) = distances.items()
        verb = "falls" if near < far else "goes"
        reach = f"from {percent(far)} (m = {narrow}) to {percent(near)} (m = {wide})"
        sentence += f"; its distance from the limit {verb} {reach}"
    return sentence


def _definiteness(spectra: Mapping[int, FloatArray], threshold: float) -> str:
    lowest = {width: float(values.min()) for width, values in spectra.items()}
    definite = [width for width, value in lowest.items() if value > threshold]
    if not definite:
        counts = np.concatenate([(values > threshold).sum(1) for values in spectra.values()])
        size = next(iter(spectra.values())).shape[1]
        few = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
        return f"Only {few} of {size} eigenvalues are above zero: the kernel is singular"
    bound = f"λₘᵢₙ ≥ {number(min(lowest[width] for width in definite))}"
    if len(definite) == len(spectra):
        single = len(spectra) == 1 and len(next(iter(spectra.values()))) == 1
        return f"{'The' if single else 'Every'} kernel is positive definite, {bound}"
    rising = min(definite) > max(width for width in spectra if width not in definite)
    onward = f"from m = {definite[0]} on" if rising else "at some widths only"
    return f"The kernel is positive definite {onward}, {bound}"


# --- entries and features ---------------------------------------------------------------------------


def kernel_images(start: FloatArray, end: FloatArray, limit: FloatArray | None, title: str) -> Figure:
    """Draws the kernel before and after training as images, their difference, and the limit where known.

    The kernels share one scale of colours, the difference has its own with symmetric limits. Of kernels with
    more than 600 examples every second, third… one is shown.

    Args:
        start: (n, n) H at the start.
        end: (n, n) H at the end.
        limit: (n, n) H∞.
        title: A sentence.
    """
    kernels = [("H₀: start", start), ("H: end", end)]
    if limit is not None:
        kernels.insert(0, ("H∞: m → ∞", limit))
    figure = new_figure(spoken(title), (15.0, 4.6) if limit is not None else (12.5, 4.9))
    panels = figure.subplots(1, len(kernels) + 1)
    scale = _kernel_scale([kernel for _, kernel in kernels])
    for axes, (name, kernel) in zip(panels, kernels, strict=False):
        _matrix(axes, kernel, scale, name)
    reach = symmetric_limit(end - start)
    own = ScalarMappable(norm=Normalize(-reach, reach), cmap=SIGNED.with_extremes(bad=GRID))
    _matrix(panels[-1], end - start, own, "H − H₀")
    _name_examples(panels[0], len(start))
    colour_bar(figure, scale, list(panels[:-1]), "kernel", below=True)
    colour_bar(figure, own, [panels[-1]], "difference", below=True)
    return figure


def feature_map(x: FloatArray, features: FloatArray, gram: FloatArray, kernel: FloatArray) -> Figure:
    """Draws features φⱼ(x) = ∂f(x, w₀)/∂wⱼ over x, and the matrix of inner products beside the kernel.

    Args:
        x: (g,) inputs, ascending.
        features: (g, k) values of k features.
        gram: (n, n) φφᵀ from all features.
        kernel: (n, n) the tangent kernel H computed in another way.
    """
    furthest, largest = float(np.abs(gram - kernel).max()), float(np.abs(kernel).max())
    ending = f"H to within {number(furthest, 2)} of {number(largest)}" if furthest else "exactly H"
    figure = new_figure(f"Features that are not linear in x: their inner products are {ending}", (14.5, 5.0))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    dress(left, "input x")
    left.axhline(0, color=MUTED, linewidth=0.8)
    count = features.shape[1]
    for index, values in enumerate(features.T):
        color, alpha = PALETTE[index % len(PALETTE)], 0.9 if count <= 12 else 0.6
        left.plot(x, values, color=color, linewidth=THIN, alpha=alpha)
    which = f"{count} of the features" if count > 1 else "a feature"
    panel_title(left, f"{which}\nφⱼ(x) = ∂f(x, w₀)/∂wⱼ")
    scale = _kernel_scale([gram, kernel])
    _matrix(middle, gram, scale, "φφᵀ")
    _matrix(right, kernel, scale, "H")
    _name_examples(middle, len(gram))
    colour_bar(figure, scale, [middle, right], "kernel", below=True)
    return figure


def _every(size: int) -> int:
    return max(1, -(-size // MOST_PIXELS))


def _kernel_scale(kernels: Sequence[FloatArray]) -> ScalarMappable:
    """One scale for all: symmetric if an entry is far below 0, else from the least or 0 to the largest."""
    known = np.concatenate([kernel[np.isfinite(kernel)] for kernel in kernels])
    reach = symmetric_limit(known)
    lowest = float(known.min(initial=0.0))
    if lowest < -0.1 * reach:
        return ScalarMappable(norm=Normalize(-reach, reach), cmap=SIGNED.with_extremes(bad=GRID))
    return ScalarMappable(norm=Normalize(lowest, reach), cmap=colormaps["viridis"].with_extremes(bad=GRID))


def _matrix(axes: Axes, values: FloatArray, scale: ScalarMappable, name: str) -> None:
    bare(axes)
    panel_title(axes, name)
    every = _every(len(values))
    pixels = np.ma.masked_invalid(values[::every, ::every])
    axes.imshow(pixels, cmap=scale.get_cmap(), interpolation="nearest").set(norm=scale.norm)


def _name_examples(axes: Axes, size: int) -> None:
    thinned = "" if _every(size) == 1 else f" (1 of {_every(size)} shown)"
    axes.set_xlabel(f"example j{thinned}", **font(FONT_TICK))
    axes.set_ylabel("example i", **font(FONT_TICK))


# --- the circle -------------------------------------------------------------------------------------


@of_lines
def circle_harmonics(k: FloatArray, without_bias: FloatArray, with_bias: FloatArray, tail: float) -> Figure:
    """Draws the eigenvalue λₖ of every Fourier mode of a kernel on the circle, without bias and with it.

    Filled marks are even modes, open ones odd modes. A mode of at most 10⁻⁹ of the largest is zero but for
    rounding: it is marked at the lower edge, as the label of the x axis says. The right panel shows k²λₖ.

    Args:
        k: (K,) frequencies from 1 on.
        without_bias: (K,) eigenvalues of the kernel of a network without bias.
        with_bias: (K,) eigenvalues with bias.
        tail: What k²λₖ is predicted to tend to with bias, drawn dashed.
    """
    kernels = {"without bias": without_bias, "with bias": with_bias}
    visible = [np.where(values > VANISHED * values.max(), values, 0.0) for values in kernels.values()]
    figure = new_figure(_circle_title(k, visible[0], with_bias), DOUBLE)
    left, right = figure.subplots(1, 2)
    handles, notes = [], []
    for axes, power, label in ((left, 0, "eigenvalue λₖ"), (right, 2, "k² λₖ")):
        dress(axes)
        panel_title(axes, label)
        log_axis(axes.xaxis, k)
        log_axis(axes.yaxis, np.append(np.concatenate([k**power * values for values in visible]),
                                       tail if power else []))  # fmt: skip
        for index, (name, values) in enumerate(zip(kernels, visible, strict=True)):
            look = line_look(index)
            for kind, chosen in (("even", k % 2 == 0), ("odd", k % 2 == 1)):
                style = {"color": look.color, "markeredgewidth": 1.6,
                         "markerfacecolor": look.color if kind == "even" else PAPER}  # fmt: skip
                seen, gone = k[chosen & (values > 0)], k[chosen & (values == 0)]
                (points,) = axes.plot(seen, (k**power * values)[chosen & (values > 0)], look.marker)
                points.set(markersize=7, **style)
                if power == 0:
                    handles.append(sample(look, f"{name}, {kind} k", line=False))
                    handles[-1].set(**style)
                if power == 0 and gone.size:
                    edge = axes.get_xaxis_transform()
                    (points,) = axes.plot(gone, np.zeros(len(gone)), "v", transform=edge, clip_on=False)
                    points.set(markersize=8, **style)
                    notes = ["▼ zero but for rounding"]
    left.set_xlabel(with_notes("frequency k", notes))
    right.axhline(tail, color=INK, linestyle=LIMIT.dash, linewidth=LINE, zorder=1)
    right.set_xlabel("frequency k")
    handles.append(sample(LIMIT, f"predicted limit {number(tail)}"))
    legend_below(figure, handles, inches=2.0)
    return figure


def _circle_title(k: FloatArray, lacking: FloatArray, having: FloatArray) -> str:
    share = lacking[(k % 2 == 1) & (k >= 3)].max(initial=0.0) / lacking.max()
    odd = f"reach {number(float(share), 2)} of the largest mode" if share else "vanish"
    last = number(float(k[-1] ** 2 * having[-1]))
    return f"Without bias the odd modes k ≥ 3 {odd}; with bias k²λₖ is {last} at k = {k[-1]:g}"
