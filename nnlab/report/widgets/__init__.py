"""Interactive figures: what the page's JavaScript draws, with the numbers it needs."""

from dataclasses import dataclass
from typing import Any

from nnlab.record import Run


@dataclass(frozen=True)
class Widget:
    """An interactive figure.

    Attributes:
        kind: names the JavaScript that draws it: `nnlab.widget(kind, …)` in templates/widgets.
        title: what stands above it.
        text: what is to be seen, in a sentence or two.
        data: JSON for the drawing.
    """

    kind: str
    title: str
    text: str
    data: dict[str, Any]


def widgets_of(run: Run) -> list[Widget]:
    """The interactive figures of a run."""
    return []


def standing_widgets(section: int) -> list[Widget]:
    """The interactive figures of a section of the lecture that need no run."""
    return []
