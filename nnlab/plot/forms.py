"""The form of a picture: as in a run folder and on its page, or for a paper or a slide.

A figure function says how large its figure would like to be and writes with the fonts of `nnlab.plot.style`.
The form gives it room, with the same fonts, so that everything is laid out in it; what it draws is then
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
        name: as on the command line; that of run folders cannot be chosen there.
        widths: inches of a narrow picture and of a wide one.
        height: inches at most; 0 where pictures keep the proportions that their functions ask for.
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
        """Returns the inches that a figure gets before it is scaled; its function asks for `size`."""
        across = self.widths[size[0] > NARROW if wide is None else wide] / self.scale
        if self.height:
            larger = max(1.0, size[1] / TALLEST)
            return across * larger, self.height / self.scale * larger
        return across, TALLER * size[1] * across / size[0]


NARROW = 10.5  # inches: up to here a figure has one panel, which a column of a paper holds
TALLEST = 9.6  # inches that a figure may ask for: one of even more panels gets smaller text on a page
TALLER = 1.15  # than its function asks for: a smaller picture needs more of its height for labels

PAGE = Form("page", (23 / 3, 23 / 3), 14 / 3, 1.0, titled=True, family="")
"""Of run folders: 1,150 × 700 pixels at 150 dots per inch, as a slide of a page has them, with text of 28."""
PAPER = Form("paper", (3.3, 7.0), 0.0, 8 / 13.5, titled=False, family="STIXGeneral")
SLIDE = Form(
    "slide", (40 / 3, 40 / 3), 7.5, 1.5, titled=True, family=""
)  # 16:9; the smallest text has 18 points
FORMS = {form.name: form for form in (PAPER, SLIDE)}

_FORM: ContextVar[tuple[Form, bool | None]] = ContextVar("form", default=(PAGE, None))
_LIMITS: ContextVar[Limits | None] = ContextVar("limits", default=None)


@contextmanager
def drawing_for(form: Form, *, wide: bool | None = None) -> Iterator[None]:
    """Makes the figures of the block for a form; `wide` chooses the width, else the figure does."""
    token = _FORM.set((form, wide))
    try:
        yield
    finally:
        _FORM.reset(token)


def form() -> Form:
    """Returns the form that figures are made for."""
    return _FORM.get()[0]


def on_a_slide() -> bool:
    """Tells whether figures are made for a form of fixed height, whose text is large."""
    return form().height > 0


def room_for(size: tuple[float, float]) -> tuple[float, float]:
    """Returns the inches of a figure whose function asks for `size`."""
    chosen, wide = _FORM.get()
    return chosen.room(size, wide=wide)


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
