"""A model's answer to one image: its most probable classes."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from nnlab.errors import InputError
from nnlab.plot.canvas import Canvas, box_of
from nnlab.plot.images import chance
from nnlab.plot.scales import as_array, as_numbers
from nnlab.plot.style import FONT_LABEL, FONT_NOTE, MUTED, PALETTE
from nnlab.plot.text import literal, plain

MOST = 5
_SIZE = (12.0, 3.9)
_SIDE = 2.9  # inches


def class_probabilities(
    original: ArrayLike,
    seen: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    name: str,
    words: str = "",
    title: str | None = None,
) -> Figure:
    """An image as it came, as the model sees it, and the model's five most probable classes.

    Args:
        original: (H, W) or (H, W, 3) in [0, 1].
        seen: the same of the model's size.
        probabilities: (C,).
        class_names: C names.
        name: of the image.
        words: what was done to it.
        title: A sentence.

    Raises:
        InputError: not as many probabilities as classes.
    """
    chances = as_array(probabilities, "the probabilities")
    if len(chances) != len(class_names) or not len(chances):
        raise InputError(f"figure: {len(chances)} probabilities for {len(class_names)} class names")
    best = np.argsort(-chances, kind="stable")[:MOST]
    answer = f"{literal(class_names[best[0]], 24)}, {chance(float(chances[best[0]]))}"
    canvas = Canvas(title or f"{literal(name, 40)}: the model says {answer}", *_SIZE)
    for left, pixels, heading in ((0.3, original, "the image"), (3.55, seen, "what the model sees")):
        picture = as_numbers(pixels, heading)
        across, down = box_of(picture.shape, (_SIDE, _SIDE))
        canvas.heading(left, heading)
        canvas.picture((left, 0.45, across, down), picture, colormaps["gray"], Normalize(0, 1))
    canvas.note(0.3, _SIZE[1] - 0.25, plain(words, limit=110), FONT_NOTE, MUTED)
    for row, index in enumerate(best):
        y = 0.75 + 0.56 * row
        width = 2.5 * float(chances[index])
        canvas.note(8.35, y, plain(class_names[index], limit=16), FONT_LABEL, ha="right")
        canvas.frame((8.5, y - 0.17, max(width, 0.01), 0.34), PALETTE[4], 0.0, fill=PALETTE[4])
        canvas.note(8.5 + width + 0.1, y, chance(float(chances[index])), FONT_LABEL)
    return canvas.figure
