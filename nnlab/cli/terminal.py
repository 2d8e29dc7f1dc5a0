"""Progress and messages on stderr, tables and JSON on stdout, with every control character written out."""

import contextlib
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nnlab import display
from nnlab.display import visible

if TYPE_CHECKING:
    from nnlab.lab.session import Advance

VERDICT_STYLES = {"PASS": "green", "FAIL": "bold red", "INCONCLUSIVE": "yellow"}
LONG = 200
"""Rows up to which a table is drawn for a terminal; a longer one is plain text."""
LONGEST = 2_000
"""Characters of a text in a table."""


class SafeConsole(Console):
    """Console on which the texts that it prints cannot do anything but be read."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Prints as rich does; control characters in texts are written out."""
        super().print(*(visible(item) if isinstance(item, str) else item for item in objects), **options)

    def on_broken_pipe(self) -> None:
        """Leaves a pipe whose reader has gone to the command, as where `print` writes into it."""
        raise BrokenPipeError


class ForgivingStderr:
    """Standard error, which forgets what it cannot take: it is full, or its terminal was closed."""

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError: it was closed
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


class Terminal:
    """The reporter of the command line: bars where stderr is a terminal, else a line now and then.

    What cannot be written, since stderr is closed or full, is left out: it is no reason to end a run.

    Args:
        plain: lines in place of bars, also on a terminal.
    """

    def __init__(self, *, plain: bool = False) -> None:
        screen = cast(IO[str], ForgivingStderr())
        self._console = SafeConsole(file=screen, highlight=False, emoji=False, soft_wrap=True)
        self._lines = None if self._console.is_terminal and not plain else Lines(self.say)

    def say(self, message: str) -> None:
        self._console.print(message, markup=False)

    @contextmanager
    def bar(self, title: str) -> "Iterator[Advance]":
        if self._lines is not None:
            with self._lines.bar(title) as advance:
                yield advance
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False), BarColumn(),
            MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, console=self._console, transient=True, refresh_per_second=4) as progress:
            task = progress.add_task(visible(title), total=None, text="", start=True)
            yield lambda done, total, text: progress.update(
                task, completed=done, total=total, text=visible(text)
            )


class Lines:
    """Progress as plain lines: the first after a few seconds, then one each half minute, and one at the end.

    What takes no longer than a few seconds has no line, unless many such things follow each other.

    Args:
        say: prints one.
        clock: the time in seconds.
    """

    FIRST, EVERY = 3.0, 30.0
    WINDOW = 60.0
    """Seconds of the last part, whose rate says how long the rest will take."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._due = clock() + self.FIRST

    @contextmanager
    def bar(self, title: str) -> "Iterator[Advance]":
        """A bar as in `Reporter`."""
        began, last = self._clock(), ""
        latest: tuple[int, int, str] = (0, 0, "")
        passed: deque[tuple[float, int]] = deque()  # (time, steps done), a second apart

        def advance(done: int, total: int, text: str) -> None:
            nonlocal last, latest
            latest, now = (done, total, text or latest[2]), self._clock()
            if not passed or now - passed[-1][0] >= 1:
                passed.append((now, done))
            while now - passed[0][0] > self.WINDOW and len(passed) > 2:
                passed.popleft()
            if now >= self._due and (now - began >= self.FIRST or now - self._due >= self.EVERY):
                self._due = now + self.EVERY
                seconds, steps = now - passed[0][0], done - passed[0][1]
                last = _progress(title, *latest) + _left(seconds, steps, total - done)
                self._say(last)

        yield advance
        if last:
            took = display.duration(self._clock() - began)
            self._say(f"{_progress(title, *latest)}; {title} took {took}")


def _progress(title: str, done: int, total: int, text: str) -> str:
    unit = "" if title.startswith("reading") else "step "
    of = f" of {total:,} ({100 * done / total:.0f}%)" if total else ""
    return f"{title}: {unit}{done:,}{of}" + (f", {text}" if text else "")


def _left(seconds: float, steps: int, remaining: int) -> str:
    """`; about 3 min left` at the rate of the last part; nothing where that is not known, or at the end."""
    if seconds <= 0 or steps <= 0 or remaining <= 0:
        return ""
    return f"; about {display.duration(max(seconds / steps * remaining, 1))} left"


def out() -> Console:
    """The console of results; where stdout is no terminal, tables keep their full width."""
    console = SafeConsole(highlight=False, emoji=False)
    return console if console.is_terminal else SafeConsole(highlight=False, emoji=False, width=160)


def print_json(value: object) -> None:
    """Prints a value as JSON on one line of stdout, in letters that its encoding and any terminal take."""
    print(_json(value))


def print_json_list(values: Iterable[object]) -> None:
    """Prints values as one list of JSON; only one of them is held at a time."""
    print("[", end="")
    for number, value in enumerate(values):
        print(f"{', ' if number else ''}{_json(value)}", end="")
    print("]")


def _json(value: object) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    text = json.dumps(value, ensure_ascii=not encoding.lower().startswith("utf"))
    return display.UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_line(text: object) -> None:
    """Prints a path or a sentence on stdout."""
    print(visible(str(text)))


def number(value: object) -> str:
    """A number for a table: four significant digits, ≤ or ≥ for a range with an open end, `-` for none."""
    return escape(display.cell(value, digits=4)[:LONGEST]) or "-"


MEASURED = ("predicted", "measured", "interval")
"""The numbers of a claim, as columns of its table."""
ACCURACIES = ("accuracy", "accuracy_tta")  # metrics with these endings are in percent


def metric(name: str, value: object) -> str:
    """A metric for a table: accuracies in percent; over seeds, mean ± half width of the 95% interval."""
    accuracy = name.endswith(ACCURACIES)
    if isinstance(value, dict) and "mean" in value:
        mean, (low, high) = value["mean"], value["interval"]
        if mean is None or low is None or high is None:
            return metric(name, mean)
        half = float(high) / 2 - float(low) / 2
        return f"{100 * float(mean):.2f} ± {100 * half:.2f}%" if accuracy else f"{mean:.4g} ± {half:.2g}"
    return f"{100 * float(value):.2f}%" if accuracy and isinstance(value, int | float) else number(value)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table of ready strings; the first column stands left, the others right."""
    grid = Table(title=visible(title), title_justify="left", show_edge=False, pad_edge=False)
    for position, column in enumerate(columns):
        justify: Any = "left" if position == 0 else "right"
        grid.add_column(visible(escape(column[:LONGEST])), justify=justify, overflow="fold")
    for row in rows:
        grid.add_row(*map(visible, row))
    return grid


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table of texts without markup: as lines where stdout is no terminal, or where it is long."""
    console = out()
    if console.is_terminal and len(rows) <= LONG:
        cells = [[escape(cell[:LONGEST]) for cell in row] for row in rows]
        console.print(table(escape(title), columns, cells))
    else:
        print(plain_table(title, columns, rows))


def plain_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The same as text, of texts without markup: one line for each row, whatever the terminal's width.

    >>> print(plain_table("2 runs", ("run", "time"), [("a", "3 s"), ("long", "12 s")]))
    2 runs
    run   time
    a      3 s
    long  12 s
    """
    cells = [[visible(cell[:LONGEST]).replace("\n", " ") for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if position else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([visible(title), *lines])


def verdict(word: str) -> str:
    """A verdict in its colour."""
    style = VERDICT_STYLES.get(word)
    return f"[{style}]{word}[/{style}]" if style else escape(word[:LONGEST])


def claims_table(title: str, rows: Sequence[tuple[str, Mapping[str, Any], str]]) -> Table:
    """Claim, predicted, measured, interval, verdict.

    Args:
        title: above the table.
        rows: (sentence, claim as a summary has it, verdict with its markup).
    """
    cells = [
        (escape(sentence[:LONGEST]), *(number(claim.get(key)) for key in MEASURED), judged)
        for sentence, claim, judged in rows
    ]
    return table(title, ("claim", *MEASURED, "verdict"), cells)
