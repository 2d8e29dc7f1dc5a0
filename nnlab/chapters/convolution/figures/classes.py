"""Accuracy by class, classes in two dimensions, the answer to one image, accuracy with shuffled pixels."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from nnlab.plot.canvas import Canvas, box_of
from nnlab.plot.scales import FloatArray, as_numbers
from nnlab.plot.style import (
    DOUBLE,
    FONT_LABEL,
    FONT_NOTE,
    INK,
    MARKERS,
    MUTED,
    PALETTE,
    THIN,
    LineLook,
    bare,
    dress,
    legend,
    legend_beside,
    new_figure,
    panel_title,
    sample,
)
from nnlab.plot.text import chance, families, literal, number, percent, plain

MOST_CLASSES = 12  # drawn one by one; of more, the worst and the best
_DASHED = (0, (5, 1.6))

# --- the accuracy of each class -------------------------------------------------------------------------


def class_accuracy(
    accuracy: ArrayLike, class_names: Sequence[str], intervals: ArrayLike, overall: float
) -> Figure:
    """Draws the accuracy of each class as a bar with its interval, best first, beside chance and the mean.

    The title names the hardest and the easiest class.

    Args:
        accuracy: (C,), not-a-number for a class without examples.
        class_names: C names.
        intervals: (C, 2), low and high.
        overall: The accuracy over all examples.
    """
    values, ends = as_numbers(accuracy), as_numbers(intervals)
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
    half = MOST_CLASSES // 2
    kept = order if len(order) <= MOST_CLASSES else np.concatenate([order[:half], order[-half:]])
    figure = new_figure(_classes_title(values, class_names, order), (10.0, max(3.6, 1.7 + 0.34 * len(kept))))
    axes = figure.subplots()
    dress(axes, "accuracy on the test set (%)", "")
    places = np.arange(len(kept))
    axes.barh(places, 100 * np.nan_to_num(values[kept]), height=0.68, color=PALETTE[4])
    known = np.isfinite(ends[kept]).all(1)
    low, high = (100 * ends[kept][known].clip(0, 1)).T
    axes.hlines(places[known], low, high, color=INK, linewidth=2)
    axes.set_yticks(places, [plain(class_names[index], limit=24) for index in kept])
    axes.set_ylim(len(kept) - 0.4, -0.6)
    axes.set_xlim(0, 100)
    axes.set_xticks(range(0, 101, 20))
    axes.grid(visible=False, axis="y")
    for place, index in enumerate(kept):
        text = "no examples" if np.isnan(values[index]) else percent(float(values[index]))
        axes.text(102, place, text, va="center", fontsize=FONT_NOTE, color=INK, family=list(families()))
    guess = 1 / len(values)
    axes.axvline(100 * overall, color=PALETTE[1], linewidth=2)
    axes.axvline(100 * guess, color=MUTED, linewidth=2, linestyle=_DASHED)
    handles = [
        Line2D([], [], color=PALETTE[1], linewidth=2, label=f"all: {percent(overall, 2)}"),
        Line2D([], [], color=MUTED, linewidth=2, linestyle=_DASHED, label=f"chance: {percent(guess)}"),
        Line2D([], [], color=INK, linewidth=2, label="95 % interval"),
    ]
    legend(figure, handles, "outside lower center", columns=3)
    if len(order) > len(kept):
        axes.axhline(half - 0.5, color=MUTED, linewidth=1)
    return figure


def _classes_title(values: FloatArray, class_names: Sequence[str], order: NDArray[np.int64]) -> str:
    known = [index for index in order if np.isfinite(values[index])]
    if len(known) < 2:
        return "Accuracy of each class"
    ends = [known[0], known[-1]]
    names = [literal(class_names[index], 24) for index in ends]
    shares = [percent(float(values[index])) for index in ends]
    if values[ends[0]] == values[ends[1]]:
        return f"Every class is recognized in {shares[0]} of its examples"
    count = f" ({MOST_CLASSES} of {len(values)} classes)" if len(values) > MOST_CLASSES else ""
    return f"Easiest class: {names[0]}, {shares[0]}; hardest: {names[1]}, {shares[1]}{count}"


# --- the last hidden layer in two dimensions ------------------------------------------------------------

_THUMB = 34.0  # points: side of a thumbnail
_LISTED = 12  # classes in the legend, which is no higher than the figure
_NAMED = 20  # classes with a colour and mark of their own; those beyond share them


Pictures = Sequence[NDArray[np.float64]] | Mapping[int, NDArray[np.float64]]


def middle_examples(points: FloatArray, labels: NDArray[np.int_], classes: int) -> dict[int, int]:
    """Returns the example nearest to the middle of each class, by number: of up to twenty classes.

    Args:
        points: (N, 2).
        labels: (N,) class numbers.
        classes: their number.
    """
    nearest = {}
    for index in range(min(classes, _NAMED)):
        own = np.flatnonzero((labels == index) & np.isfinite(points).all(axis=1))
        if len(own):
            middle = np.median(points[own], axis=0)
            nearest[index] = int(own[((points[own] - middle) ** 2).sum(1).argmin()])
    return nearest


def representation(
    points: ArrayLike,
    labels: Sequence[int],
    class_names: Sequence[str],
    explained: Sequence[float],
    pictures: Pictures,
) -> Figure:
    """Draws examples on the first two principal components of their features, coloured by class.

    Args:
        points: (N, 2), N ≥ 1.
        labels: N class numbers.
        class_names: A name per class.
        explained: The shares of the features' variance along both axes.
        pictures: Images (H, W) or (H, W, 3) in [0, 1] by the number of their example, at least of the
            `middle_examples`: there they are drawn where there is room.
    """
    places, classes = as_numbers(points), np.asarray(labels, dtype=int)
    figure = new_figure(_representation_title(places, classes, explained), (11.2, 6.6))
    axes = figure.subplots()
    dress(axes, *(f"component {i + 1}: {percent(explained[i])} of the variance" for i in (0, 1)))
    looks = [
        LineLook(PALETTE[index % len(PALETTE)], "none", MARKERS[(index // len(PALETTE)) % len(MARKERS)])
        for index in range(len(class_names))
    ]
    size = float(np.clip(900 / np.sqrt(len(places)) / 4, 3.0, 7.0))
    for index, look in enumerate(looks):
        own = places[classes == index]
        axes.plot(*own.T, linestyle="none", marker=look.marker, color=look.color, markersize=size, alpha=0.6,
                  markeredgewidth=0)  # fmt: skip
    named = [
        sample(look, plain(name, limit=18), line=False) for look, name in zip(looks, class_names, strict=True)
    ]
    more = len(named) - _LISTED
    rest = [Line2D([], [], linestyle="none", label=f"{more:,} more")] if more > 0 else []
    legend_beside(axes, [*named[:_LISTED], *rest])
    figure.draw_without_rendering()  # a thumbnail's room is known once the axes have their limits
    _draw_thumbnails(axes, places, classes, pictures, looks)
    return figure


def _representation_title(places: FloatArray, classes: NDArray[np.int_], explained: Sequence[float]) -> str:
    """How many examples lie nearest to the middle of their own class in the plane that is drawn."""
    known = np.isfinite(places).all(1)
    names = np.unique(classes[known])
    middles = np.array([np.median(places[known & (classes == name)], axis=0) for name in names])
    lead = f"Two directions hold {percent(sum(explained[:2]), 0)} of the last hidden layer's variance"
    if len(names) < 2:
        return lead
    nearest = names[((places[known][:, None] - middles) ** 2).sum(2).argmin(1)]
    share = percent(float(np.mean(nearest == classes[known])), 0)
    return f"{lead}: there {share} of the examples are nearest to their own class"


def _draw_thumbnails(
    axes: Axes,
    places: FloatArray,
    classes: NDArray[np.int_],
    pictures: Pictures,
    looks: Sequence[LineLook],
) -> None:
    """Draws for each class the example nearest to its middle, but none over another."""
    drawn: list[FloatArray] = []
    room = 1.35 * _THUMB * axes.figure.dpi / 72
    for index, nearest in middle_examples(places, classes, len(looks)).items():
        at = axes.transData.transform(places[nearest])
        if any(np.abs(at - other).max() < room for other in drawn):
            continue
        drawn.append(at)
        _draw_thumbnail(axes, places[nearest], pictures[nearest], looks[index].color)


def _draw_thumbnail(axes: Axes, place: FloatArray, picture: NDArray[np.float64], colour: str) -> None:
    zoom = _THUMB / max(picture.shape[:2])
    image = OffsetImage(picture, zoom=zoom, cmap=colormaps["gray"], norm=Normalize(0, 1))
    image.image.set_interpolation("nearest")
    box = AnnotationBbox(image, tuple(place), pad=0.12)
    box.patch.set(edgecolor=colour, linewidth=2.4)
    axes.add_artist(box)


# --- a model's answer to one image ----------------------------------------------------------------------

MOST_PROBABLE = 5
_IMAGE_SIDE = 1.45  # inches


def class_probabilities(
    original: ArrayLike,
    resized: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    name: str,
    words: str,
) -> Figure:
    """Draws an image as it came, as the model sees it, and the model's five most probable classes.

    Args:
        original: (H, W) or (H, W, 3) in [0, 1].
        resized: The same at the model's size.
        probabilities: (C,).
        class_names: C names.
        name: Of the image.
        words: How it was brought to the model's size and colours.
    """
    chances = as_numbers(probabilities)
    best = np.argsort(-chances, kind="stable")[:MOST_PROBABLE]
    answer = f"{literal(class_names[best[0]], 24)}, {chance(float(chances[best[0]]))}"
    canvas = Canvas(f"{literal(name, 40)}: the model says {answer}")
    for top, pixels, heading in ((0.3, original, "the image"), (2.1, resized, "as the model sees it")):
        picture = as_numbers(pixels)
        across, down = box_of(picture.shape, (2 * _IMAGE_SIDE, _IMAGE_SIDE))
        canvas.note(0.3, top - 0.13, heading, FONT_NOTE)
        canvas.picture((0.3, top, across, down), picture, colormaps["gray"], Normalize(0, 1))
    canvas.note(0.3, 3.85, plain(words, limit=70), FONT_NOTE, MUTED)
    for row, index in enumerate(best):
        y = 0.6 + 0.56 * row
        width = 1.6 * float(chances[index])
        canvas.note(5.0, y, plain(class_names[index], limit=16), FONT_LABEL, ha="right")
        canvas.frame((5.1, y - 0.17, max(width, 0.01), 0.34), PALETTE[4], 0.0, fill=PALETTE[4])
        canvas.note(5.1 + width + 0.08, y, chance(float(chances[index])), FONT_LABEL)
    return canvas.figure


# --- shuffled pixels ------------------------------------------------------------------------------------

_LABELS = ("plain pixels", "shuffled pixels")
_COLOURS = (PALETTE[0], PALETTE[1])
_HATCHES = ("", "//")  # told apart without colour
_WIDTH = 0.36  # of a bar; networks stand 1 apart


def shuffled_pixels(
    image: ArrayLike,
    shuffled: ArrayLike,
    accuracies: Mapping[str, tuple[ArrayLike, ArrayLike]],
    chance_level: float,
) -> Figure:
    """Draws two bars for each network, plain and shuffled, with a dot for each training.

    The title tells what shuffling costs each network.

    Args:
        image: (H, W) grey or (H, W, 3) colours in [0, 1].
        shuffled: The same image with its pixels moved.
        accuracies: Network → (plain, shuffled) accuracies of its trainings, (S,) each, fractions of 1.
        chance_level: The accuracy of guessing, drawn as a dashed line.
    """
    pairs = {name: [100 * as_numbers(values) for values in pair] for name, pair in accuracies.items()}
    figure = new_figure(_shuffled_title(pairs), DOUBLE)
    panels = figure.subplot_mosaic([["plain", "bars"], ["shuffled", "bars"]], width_ratios=(1, 3))
    for name, picture, label in zip(("plain", "shuffled"), (image, shuffled), _LABELS, strict=True):
        panels[name].imshow(as_numbers(picture).clip(0, 1), cmap="gray", vmin=0, vmax=1)
        bare(panels[name])
        panel_title(panels[name], label.split()[0])
    _draw_bars(panels["bars"], pairs, chance_level)
    return figure


def _draw_bars(axes: Axes, pairs: Mapping[str, list[FloatArray]], chance_level: float) -> None:
    dress(axes, "", "test accuracy (%)")
    axes.grid(visible=False, axis="x")
    for place, pair in enumerate(pairs.values()):
        for side, values in enumerate(pair):
            _draw_bar(axes, place + (side - 0.5) * (_WIDTH + 0.04), values, side)
    axes.set_xticks(range(len(pairs)), [plain(name, limit=24) for name in pairs])
    axes.tick_params(axis="x", length=0, labelsize=FONT_LABEL)
    axes.set_xlim(-0.6, len(pairs) - 0.4)
    axes.set_ylim(0, 100)
    axes.set_yticks(range(0, 101, 20))
    axes.axhline(100 * chance_level, color=MUTED, linewidth=THIN, linestyle=_DASHED)
    handles: list[Patch | Line2D] = [
        Patch(facecolor=colour, edgecolor=colour, alpha=0.6, hatch=hatch, label=label)
        for colour, hatch, label in zip(_COLOURS, _HATCHES, _LABELS, strict=True)
    ]
    handles.append(_dots([], [], label="one training"))
    handles.append(Line2D([], [], color=MUTED, linestyle=_DASHED, label=f"chance: {percent(chance_level)}"))
    handles[-1].set_linewidth(THIN)
    legend(axes.figure, handles, "outside lower center", columns=len(handles))  # type: ignore[arg-type]


def _draw_bar(axes: Axes, place: float, values: FloatArray, side: int) -> None:
    """Draws the mean with its number above, and a dot for each value."""
    mean, colour = float(values.mean()), _COLOURS[side]
    axes.bar(place, mean, _WIDTH, color=colour, alpha=0.6, edgecolor=colour, hatch=_HATCHES[side])
    spread = np.linspace(-0.3, 0.3, len(values)) * _WIDTH if len(values) > 1 else np.zeros(1)
    axes.add_line(_dots(place + spread, values))
    above = axes.annotate(f"{mean:.1f}", (place, float(values.max())), (0, 7), textcoords="offset points")
    above.set(annotation_clip=False, ha="center", fontsize=FONT_LABEL, color=INK, family=list(families()))


def _dots(x: ArrayLike, y: ArrayLike, label: str = "_seeds") -> Line2D:
    return Line2D(
        np.asarray(x), np.asarray(y), linestyle="none", marker="o", markersize=6, color=INK,
        markeredgecolor="white", markeredgewidth=0.8, label=label,
    )  # fmt: skip


def _shuffled_title(pairs: Mapping[str, list[FloatArray]]) -> str:
    words = [
        f"the {literal(name, 24)} network {_points(float(before.mean() - after.mean()))}"
        for name, (before, after) in pairs.items()
    ]
    return f"Shuffle the pixels, and {', '.join(words)} of accuracy"


def _points(loss: float) -> str:
    """Returns the fate of an accuracy in percentage points.

    >>> _points(12.34), _points(-0.02), _points(-1.5)
    ('loses 12.3 points', 'keeps all points', 'gains 1.5 points')
    """
    if round(abs(loss), 1) == 0:
        return "keeps all points"
    return f"{'loses' if loss > 0 else 'gains'} {number(round(abs(loss), 1))} points"
