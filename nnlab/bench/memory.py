"""How much memory a call holds at its peak."""

import threading
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")


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
