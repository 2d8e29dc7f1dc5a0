"""Timings of two programs in turns, so that a disturbance of the machine slows both; and peaks of memory."""

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nnlab.lab.session import Reporter

T = TypeVar("T")
Row = dict[str, Any]

# The source of the other program, and the rows of the table, whose columns are those of all rows together.
Result = tuple[str, list[Row]]

STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Timings:
    """Seconds, or other measures, of both programs in every round."""

    ours: list[float]
    theirs: list[float]

    @property
    def medians(self) -> tuple[float, float]:
        return statistics.median(self.ours), statistics.median(self.theirs)

    def ratio(self) -> dict[str, float]:
        """Columns of ours over theirs in each round."""
        return spread("ratio", [own / other for own, other in zip(self.ours, self.theirs, strict=True)])

    def speedup(self) -> dict[str, float]:
        """Columns of theirs over ours in each round."""
        return spread("speedup", [other / own for own, other in zip(self.ours, self.theirs, strict=True)])

    def per_step(self, steps: int) -> dict[str, float]:
        """Columns of the median microseconds of one of `steps`."""
        ours, theirs = (1e6 * seconds / steps for seconds in self.medians)
        return {"nnlab_us_per_step": ours, "other_us_per_step": theirs}


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int, reporter: Reporter, title: str
) -> Timings:
    """Calls two programs, which return their seconds, in turns; the first of a round alternates."""
    times = Timings([], [])
    with reporter.bar(title) as advance:
        for k in range(rounds):
            pair = (ours(), theirs()) if k % 2 == 0 else (theirs(), ours())[::-1]
            times.ours.append(pair[0])
            times.theirs.append(pair[1])
            advance(k + 1, rounds, f"ratio {pair[0] / pair[1]:.3f}")
    return times


def compare(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int, reporter: Reporter, title: str
) -> Timings:
    """Times two programs in turns."""
    return interleaved(lambda: seconds_of(ours), lambda: seconds_of(theirs), rounds, reporter, title)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """Returns the result of a call and the seconds that it takes."""
    began = time.perf_counter()
    result = call()
    return result, time.perf_counter() - began


def seconds_of(call: Callable[[], object]) -> float:
    """Returns the seconds that a call takes."""
    return timed(call)[1]


def row(what: str, against: str, unit: str, nnlab: float, other: float | None, **more: float | None) -> Row:
    """A row of a table of several measures.

    Args:
        more: `ratio`, `ratio_low`, `ratio_high` and `pairs`.
    """
    return {"what": what, "against": against, "unit": unit, "nnlab": nnlab, "other": other, **more}


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median and extremes, as columns of a table: `name`, `name_low`, `name_high`."""
    return {name: statistics.median(values), f"{name}_low": min(values), f"{name}_high": max(values)}


def megabytes(call: Callable[[], object]) -> float | None:
    """Anonymous memory (MB) that a call adds at its peak, read every ms; None without Linux's /proc."""
    if not STATUS.exists():
        return None
    before, peak, done = _anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            peak[0] = max(peak[0], _anonymous())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        done.set()
        watcher.join()
    return max(0, peak[0] - before) / 1e6


def _anonymous() -> int:
    """Bytes of memory that belong to no file."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])
