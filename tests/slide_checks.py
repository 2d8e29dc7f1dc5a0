"""What is wrong with the layout of a page in a browser: letters too small, cut or on top of each other."""

from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_suffix(".js").read_text("utf-8")


def faults(page: Any, smallest: float) -> list[str]:
    """What is wrong with the slide that a page shows; letters below `smallest` pixels are."""
    found: list[str] = page.evaluate(SCRIPT, smallest)
    return found
