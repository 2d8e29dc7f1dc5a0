"""The form of a picture: as in a run folder, or for a paper or a slide.

A figure function says how large its figure is and writes with the fonts of `nnlab.plot.style`. For a paper or
a slide it gets less room, with the same fonts, so that everything is laid out anew; what it draws is then
scaled as a whole to the size of the picture, and its fonts to those of the form.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Limits = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Form:
    """A form of pictures.

    Attributes:
        name: as on the command line.
        widths: inches of a narrow picture and of a wide one.
        height: inches at most; 0 where pictures keep the proportions that they have in a run folder.
        scale: of fonts: those of 13 points become 13 · scale points.
        titled: whether the title is part of the picture; else it is for the caption.
        family: the font of its texts; "" for that of run folders.
    """

    name: str
    widths: tuple[float, float]
    height: float
    scale: float
    titled: bool
    family: str

    def room(self, size: tuple[float, float], *, wide: bool | None = None) -> tuple[float, float]:
        """Returns the inches that a figure gets before it is scaled; it has `size` in a run folder."""
        across = self.widths[size[0] > NARROW if wide is None else wide] / self.scale
        if self.height:
            across *= CROWDED[1] if size[0] > CROWDED[0] else 1
            return across, across * self.height / self.widths[0]
        return across, TALLER * size[1] * across / size[0]


NARROW = 10.5  # inches: up to here a figure of a run folder is one panel, which a column of a paper holds
CROWDED = (13.5, 1.25)  # inches of a figure of many panels, and what it gets on a slide beyond the others
TALLER = 1.15  # than in a run folder: a smaller picture needs more of its height for labels

PAPER = Form("paper", (3.3, 7.0), 0.0, 8 / 12.5, titled=False, family="STIXGeneral")
SLIDE = Form(
    "slide", (40 / 3, 40 / 3), 7.5, 1.5, titled=True, family=""
)  # 16:9; the smallest text has 18 points
FORMS = {form.name: form for form in (PAPER, SLIDE)}

_FORM: ContextVar[tuple[Form, bool | None] | None] = ContextVar("form", default=None)
_LIMITS: ContextVar[Limits | None] = ContextVar("limits", default=None)


@contextmanager
def drawing_for(form: Form, *, wide: bool | None = None) -> Iterator[None]:
    """Makes the figures of the block for a form; `wide` chooses the width, else the figure does."""
    token = _FORM.set((form, wide))
    try:
        yield
    finally:
        _FORM.reset(token)


def form() -> Form | None:
    """Returns the form that figures are made for; None in a run folder."""
    current = _FORM.get()
    return None if current is None else current[0]


def on_a_slide() -> bool:
    """Tells whether figures are made for a form of fixed height, whose text is large."""
    current = _FORM.get()
    return current is not None and current[0].height > 0


def room_for(size: tuple[float, float]) -> tuple[float, float]:
    """Returns the inches of a figure that has `size` in a run folder."""
    current = _FORM.get()
    return size if current is None else current[0].room(size, wide=current[1])


@contextmanager
def within(limits: Limits) -> Iterator[None]:
    """Gives the axes of the figure of the block these y limits, in the order in which it makes them."""
    token = _LIMITS.set(limits)
    try:
        yield
    finally:
        _LIMITS.reset(token)


def limits_of(index: int) -> tuple[float, float] | None:
    """Returns the y limits of axes number `index`; None where they follow from what is drawn."""
    limits = _LIMITS.get()
    return None if limits is None or index >= len(limits) else limits[index]
