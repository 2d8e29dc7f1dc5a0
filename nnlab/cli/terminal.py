"""Progress and messages on stderr, tables on stdout, for a person to read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from nnlab import display

if TYPE_CHECKING:
    from nnlab.lab.session import Advance

VERDICT_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}


class Terminal:
    """The reporter of the command line. Where stderr is no terminal, bars and colours stay away."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def say(self, message: str) -> None:
        self._console.print(message, markup=False)

    @contextmanager
    def bar(self, title: str) -> "Iterator[Advance]":
        if not self._console.is_terminal:
            yield lambda done, total, text: None
            return
        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(),
            MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, console=self._console, transient=True, refresh_per_second=4) as progress:
            task = progress.add_task(title, total=None, text="", start=True)
            yield lambda done, total, text: progress.update(task, completed=done, total=total, text=text)


def out() -> Console:
    """The console of results; where stdout is no terminal, tables keep their full width."""
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=160)


def number(value: object) -> str:
    """A number for a table: four significant digits, ≤ or ≥ for a range with an open end, `-` for none."""
    return escape(display.cell(value, digits=4)) or "-"


ACCURACIES = ("accuracy", "accuracy_tta")  # metrics with these endings are in percent


def metric(name: str, value: object) -> str:
    """A metric for a table: accuracies in percent; over seeds, mean ± half width of the 95% interval."""
    accuracy = name.endswith(ACCURACIES)
    if isinstance(value, dict) and "mean" in value:
        mean, (low, high) = value["mean"], value["interval"]
        if mean is None or low is None:
            return metric(name, mean)
        half = (high - low) / 2
        return f"{100 * mean:.2f} ± {100 * half:.2f}%" if accuracy else f"{mean:.4g} ± {half:.2g}"
    return f"{100 * value:.2f}%" if accuracy and isinstance(value, int | float) else number(value)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of ready strings; the first column stands left, the others right."""
    grid = Table(title=title, title_justify="left", show_edge=False, pad_edge=False)
    for position, column in enumerate(columns):
        grid.add_column(escape(column), justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid


def verdict(word: str) -> str:
    """A verdict in its colour."""
    style = VERDICT_STYLES.get(word, "")
    return f"[{style}]{word}[/{style}]"


def claims_table(title: str, rows: Sequence[tuple[str, Mapping[str, Any], str]]) -> Table:
    """Claim, predicted, measured, interval, verdict.

    Args:
        title: above the table.
        rows: (sentence, claim as a summary has it, verdict with its markup).
    """
    cells = [
        (escape(sentence), *(number(claim[key]) for key in ("predicted", "measured", "interval")), judged)
        for sentence, claim, judged in rows
    ]
    return table(title, ("claim", "predicted", "measured", "interval", "verdict"), cells)
