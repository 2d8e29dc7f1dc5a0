"""Timings of two programs in turns, so that what slows the machine down slows both."""

import statistics
import time
from collections.abc import Callable, Sequence

from nnlab.lab.session import Reporter


def interleaved(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int, reporter: Reporter, title: str
) -> list[tuple[float, float]]:
    """(our seconds, their seconds) of each round; who goes first alternates."""
    times = []
    with reporter.bar(title) as advance:
        for round_ in range(rounds):
            first, second = (ours, theirs) if round_ % 2 == 0 else (theirs, ours)
            pair = first(), second()
            times.append(pair if round_ % 2 == 0 else (pair[1], pair[0]))
            advance(round_ + 1, rounds, f"ratio {times[-1][0] / times[-1][1]:.3f}")
    return times


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median and extremes, as columns of a table: `name`, `name_low`, `name_high`."""
    return {name: statistics.median(values), f"{name}_low": min(values), f"{name}_high": max(values)}


def per_step(times: Sequence[tuple[float, float]], steps: int) -> dict[str, float]:
    """Median microseconds of one of `steps`, of either program."""
    ours, theirs = (1e6 * statistics.median(column) / steps for column in zip(*times, strict=True))
    return {"nnlab_us_per_step": ours, "other_us_per_step": theirs}
