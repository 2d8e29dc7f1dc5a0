"""What shuffling the pixels of all images costs networks, beside one image before and after."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.scales import FloatArray, as_array, as_numbers
from nnlab.plot.style import (
    DOUBLE,
    FONT_LABEL,
    FONT_NOTE,
    INK,
    MUTED,
    PALETTE,
    THIN,
    bare,
    dress,
    legend,
    new_figure,
    nothing_to_show,
    panel_title,
)
from nnlab.plot.text import families, literal, number, percent, plain

_LABELS = ("plain pixels", "shuffled pixels")
_COLOURS = (PALETTE[0], PALETTE[1])
_HATCHES = ("", "//")  # told apart without colour
_WIDTH = 0.36  # of a bar; networks stand 1 apart


def shuffled_pixels(
    image: ArrayLike,
    shuffled: ArrayLike,
    accuracies: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    chance: float | None = None,
    title: str | None = None,
) -> Figure:
    """Two bars for each network, plain and shuffled, with a dot for each training.

    Args:
        image: (H, W) grey or (H, W, 3) colours in [0, 1].
        shuffled: the same image with its pixels moved.
        accuracies: network → (plain, shuffled) accuracies of its trainings, (S,) each, fractions of 1.
        chance: the accuracy of guessing, drawn as a dashed line.
        title: A sentence; by default what each network loses.

    Raises:
        InputError: pictures of different shapes, or accuracies that are no sequences.
    """
    pictures = [as_numbers(picture, "the image") for picture in (image, shuffled)]
    shape = pictures[0].shape
    if shape != pictures[1].shape or not (len(shape) == 2 or shape[2:] == (3,)) or min(shape) < 1:
        raise InputError(
            f"figure: images of shape {shape} and {pictures[1].shape}; must be two of (H, W) or (H, W, 3)"
        )
    pairs = {
        name: [100 * as_array(values, f"the accuracies of {name!r}") for values in pair]
        for name, pair in accuracies.items()
    }
    figure = new_figure(title or _title(pairs), DOUBLE)
    panels = figure.subplot_mosaic([["plain", "bars"], ["shuffled", "bars"]], width_ratios=(1, 2.6))
    for name, picture, label in zip(("plain", "shuffled"), pictures, _LABELS, strict=True):
        panels[name].imshow(np.nan_to_num(picture).clip(0, 1), cmap="gray", vmin=0, vmax=1)
        bare(panels[name])
        panel_title(panels[name], label)
    _bars(panels["bars"], pairs, chance)
    return figure


def _bars(axes: Axes, pairs: Mapping[str, list[FloatArray]], chance: float | None) -> None:
    dress(axes, "", "accuracy on the test set (%)")
    axes.grid(visible=False, axis="x")
    if not pairs:
        nothing_to_show(axes, "nothing was trained")
        return
    for place, pair in enumerate(pairs.values()):
        for side, values in enumerate(pair):
            _bar(axes, place + (side - 0.5) * (_WIDTH + 0.04), values, side)
    axes.set_xticks(range(len(pairs)), [plain(name, limit=24) for name in pairs])
    axes.tick_params(axis="x", length=0, labelsize=FONT_LABEL)
    axes.set_xlim(-0.6, len(pairs) - 0.4)
    everything = np.concatenate([values for pair in pairs.values() for values in pair])
    highest = float(everything[np.isfinite(everything)].max(initial=20.0))
    axes.set_ylim(0, highest + 10)  # room for a number above the highest bar
    axes.set_yticks(range(0, min(100, int(axes.get_ylim()[1])) + 1, 20))
    handles: list[Patch | Line2D] = [
        Patch(facecolor=colour, edgecolor=colour, alpha=0.6, hatch=hatch, label=label)
        for colour, hatch, label in zip(_COLOURS, _HATCHES, _LABELS, strict=True)
    ]
    handles.append(_dots([], [], label="one training"))
    if chance is not None:
        axes.axhline(100 * chance, color=MUTED, linewidth=THIN, linestyle=(0, (5, 1.6)))
        handles.append(
            Line2D([], [], color=MUTED, linestyle=(0, (5, 1.6)), label=f"chance: {percent(chance)}")
        )
    legend(axes.figure, handles, "outside lower right", columns=len(handles))  # type: ignore[arg-type]


def _bar(axes: Axes, place: float, values: FloatArray, side: int) -> None:
    """The mean with its number above, and a dot for each value."""
    known = values[np.isfinite(values)]
    if not known.size:
        axes.text(
            place, 1, "not\nmeasured", ha="center", fontsize=FONT_NOTE, color=INK, family=list(families())
        )
        return
    mean = float(known.mean())
    axes.bar(
        place, mean, _WIDTH, color=_COLOURS[side], alpha=0.6, edgecolor=_COLOURS[side], hatch=_HATCHES[side]
    )
    spread = np.linspace(-0.3, 0.3, len(known)) * _WIDTH if len(known) > 1 else np.zeros(1)
    axes.add_line(_dots(place + spread, known))
    above = axes.annotate(f"{mean:.1f}", (place, float(known.max())), (0, 7), textcoords="offset points")
    above.set(ha="center", fontsize=FONT_LABEL, color=INK, family=list(families()))


def _dots(x: ArrayLike, y: ArrayLike, label: str = "_seeds") -> Line2D:
    return Line2D(
        np.asarray(x), np.asarray(y), linestyle="none", marker="o", markersize=6, color=INK,
        markeredgecolor="white", markeredgewidth=0.8, label=label,
    )  # fmt: skip


def _title(pairs: Mapping[str, list[FloatArray]]) -> str:
    losses = {
        name: float(before.mean() - after.mean())
        for name, (before, after) in pairs.items()
        if before.size and after.size and np.isfinite([*before, *after]).all()
    }
    if not losses:
        return "What shuffling the pixels of all images costs"
    told = [f"the {literal(name, 24)} network {_points(loss)}" for name, loss in losses.items()]
    return f"Shuffle the pixels, and {', '.join(told)} of accuracy"


def _points(loss: float) -> str:
    """What becomes of an accuracy, in percentage points.

    >>> _points(12.34), _points(-0.02), _points(-1.5)
    ('loses 12.3 points', 'keeps all points', 'gains 1.5 points')
    """
    if round(abs(loss), 1) == 0:
        return "keeps all points"
    return f"{'loses' if loss > 0 else 'gains'} {number(round(abs(loss), 1))} points"
