"""Power laws over the width, with the fitted exponent written at each line."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nnlab.errors import InputError
from nnlab.plot.bands import beneath, solid
from nnlab.plot.labels import label_ends
from nnlab.plot.powerlaws import Law, PowerLaw, draw_power_law, exponent_words, power_law, power_words
from nnlab.plot.scales import log_axis, ticks_at, with_notes
from nnlab.plot.style import (
    FONT_TICK,
    MUTED,
    LineLook,
    dress,
    legend,
    line_look,
    new_figure,
    nothing_to_show,
    panel_title,
    sample,
    shared_labels,
    write,
)
from nnlab.plot.text import literal, plain

_ACROSS = {1: 10.0, 2: 14.0, 3: 17.0}  # inches, by the number of panels side by side
_TICK_GAPS = {1: 0.06, 2: 0.1, 3: 0.2}  # what a width with four digits needs of the x axis


def width_scaling(
    panels: Mapping[str, Mapping[str, Law]],
    y_label: str,
    title: str | None = None,
    predicted: Mapping[str, float] | None = None,
) -> Figure:
    """Quantities over the width on logarithmic axes, with the fitted exponent written at each line.

    Points are geometric means over the seeds with the band of `over_seeds` as a bar; the line has the fitted
    slope and passes through the mean of the points, where least squares puts it. Values that are not positive
    and finite have no logarithm: they are left out and counted in a note.

    Args:
        panels: Setting -> name of a quantity -> widths (K,), values (K, S), fitted exponent, and its interval
            (low, high), None where there is none.
        y_label: What is measured.
        title: A sentence; by default the exponents.
        predicted: Exponents to draw dashed through the same mean point: under the name of a quantity for
            every panel that has it, or under the name of a panel for all its quantities.

    Raises:
        InputError: an array has another shape, or a prediction is for nothing that is shown.
    """
    names = list(dict.fromkeys(name for laws in panels.values() for name in laws))
    looks = {name: solid(line_look(index)) for index, name in enumerate(names)}
    settings = {
        setting: [
            power_law(f"{name!r} in {setting!r}", name, looks[name], law, "widths")
            for name, law in laws.items()
        ]
        for setting, laws in panels.items()
    }
    expected = dict(predicted or {})
    unknown = [key for key in expected if key not in names and key not in panels]
    if unknown:
        known = ", ".join(repr(name) for name in [*names, *panels])
        raise InputError(f"figure: predicted[{unknown[0]!r}] names nothing that is shown; allowed: {known}")
    count = max(1, len(settings))
    columns = min(count, 2 if count <= 4 else 3)
    rows = math.ceil(count / columns)
    figure = new_figure(title or _scaling_title(settings, y_label), (_ACROSS[columns], 1.7 + 3.9 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    everything = [np.concatenate([s.means, s.low, s.high]) for laws in settings.values() for s in laws]
    log_axis(grid[0, 0].yaxis, np.concatenate([np.zeros(0), *everything]))
    for axes, (setting, laws) in zip(grid.flat, settings.items(), strict=False):
        slopes = {s.name: expected.get(s.name, expected.get(setting)) for s in laws}
        _law_panel(figure, axes, setting, laws, slopes, columns)
    for axes in grid.flat[len(settings) :]:
        nothing_to_show(axes, "nothing was measured") if not settings else axes.set_axis_off()
    shared_labels(figure, "", plain(y_label))
    _law_legend(figure, looks)
    return figure


def _law_panel(
    figure: Figure,
    axes: Axes,
    setting: str,
    laws: Sequence[PowerLaw],
    slopes: Mapping[str, float | None],
    columns: int,
) -> None:
    dress(axes)
    widths = np.concatenate([np.zeros(0), *(s.sizes for s in laws)])
    log_axis(axes.xaxis, widths)
    ticks_at(axes.xaxis, widths, gap=_TICK_GAPS[columns])
    ends = [draw_power_law(axes, s, predicted=slopes[s.name]) for s in laws]
    if not any(ends):
        write(axes, 0.5, 0.5, "nothing was measured", color=MUTED, ha="center")
    drawn = [slope for slope in slopes.values() if slope is not None and np.isfinite(slope)]
    powers = ", ".join(dict.fromkeys(power_words(slope) for slope in drawn))
    label = with_notes("width m", [f"- - -  predicted {powers}"] if powers else [])
    omitted = sum(s.omitted for s in laws)
    notes = [f"left out: {omitted} values ≤ 0 or not finite"] if omitted else []
    axes.set_xlabel(beneath(label, notes, 72 * _ACROSS[columns] / columns))
    panel_title(axes, plain(setting, limit=34))
    label_ends(figure, axes, ends)


def _law_legend(figure: Figure, looks: Mapping[str, LineLook]) -> None:
    handles: list[Line2D] = [sample(look, plain(name, limit=34)) for name, look in looks.items()]
    if handles:
        columns = max(1, min(len(handles), int(figure.get_figwidth() // 3.2)))
        legend(figure, handles, "outside lower center", columns=columns, size=FONT_TICK)


def _scaling_title(settings: Mapping[str, Sequence[PowerLaw]], y_label: str) -> str:
    fits = [(s, setting) for setting, laws in settings.items() for s in laws if np.isfinite(s.slope)]
    subject = literal(y_label, 60)
    subject = subject[:1].upper() + subject[1:]
    if not fits:
        return f"{subject} over the width"
    if len(fits) == 1:
        return f"{subject} scales with the width like {exponent_words(fits[0][0])}"
    (least, here), (most, there) = (pick(fits, key=lambda fit: fit[0].slope) for pick in (min, max))
    several = len(settings) > 1
    words = [
        f"{power_words(s.slope)} ({literal(s.name, 30)}{', ' + literal(where, 40) if several else ''})"
        for s, where in ((most, there), (least, here))
    ]
    return f"{subject}: from {words[0]} to {words[1]}"
