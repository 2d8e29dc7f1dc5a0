"""The curves of a run that grows: each reading goes on where the last one ended, and memory has a limit."""

import os
import stat
import time
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.page.data import points_of
from nnlab.page.widget import LARGEST, thinned
from nnlab.record.reading import ROW_BYTES, row_of

POINTS = 600
"""The most points of a curve that is sent."""
METRICS, LINES = 60, 200
"""Metrics, and lines of each, that are read."""
KEPT = 2**16
"""Points of a run that are held: where there are more, each two of a line become one."""
MARK = 256
"""Bytes before the place of the next reading, by which it sees that the file is still the same."""
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has neither


@dataclass
class Line:
    """The values of one metric, of one split, over the steps."""

    steps: "array[float]" = field(default_factory=lambda: array("d"))
    values: "array[float]" = field(default_factory=lambda: array("d"))

    def halve(self) -> None:
        """Leaves, of every four points, the lowest and the highest, and the last of all."""
        kept = _extremes(np.array(self.values), len(self.values) // 4)
        self.steps = array("d", (self.steps[i] for i in kept))
        self.values = array("d", (self.values[i] for i in kept))

    def points(self) -> list[float]:
        """The curve as [step, value, step, value, …], with the highest and the lowest of each stretch.

        Half of the points are spread evenly over the rows, the others over their logarithm.
        """
        chosen = np.arange(len(self.values))
        if len(chosen) > POINTS:
            even = _extremes(np.array(self.values), POINTS // 4)
            chosen = np.union1d(even, thinned(len(chosen), POINTS // 2))
        return [float(f"{number:.6g}") for i in chosen for number in (self.steps[i], self.values[i])]


def _extremes(values: NDArray[np.float64], stretches: int) -> NDArray[np.int64]:
    """The indices of the lowest and the highest value of each stretch, and both ends."""
    size = len(values)
    if stretches < 1 or size <= 2 * stretches:
        return np.arange(size)
    length = size // stretches
    whole = values[: length * stretches].reshape(stretches, length)
    starts = np.arange(stretches) * length
    found = [starts + whole.argmin(1), starts + whole.argmax(1), [0, size - 1]]
    rest = np.arange(length * stretches, size)
    if len(rest):
        found.append([rest[values[rest].argmin()], rest[values[rest].argmax()]])
    return np.unique(np.concatenate(found))


class Tail:
    """Reads a metrics.jsonl as it grows.

    Args:
        path: of the file; of a link nothing is read.

    Attributes:
        lines: metric -> split -> its curve.
        rows: that were read.
        unreadable: lines that were none.
        last: the last row.
        left_out: whether there are more lines than are read.
        whole: False where the file holds more than was read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self.lines: dict[str, dict[str, Line]] = {}
        self.rows = self.unreadable = 0
        self.left_out = False
        self.last: dict[str, Any] = {}
        self.whole = True
        self._points = 0
        self._offset, self._mark, self._too_long = 0, b"", False
        self._file: tuple[int, int] | None = None

    def read(self, seconds: float = 0.2) -> None:
        """Takes up what was added to the file, for at most so many seconds."""
        try:
            opened = os.open(self._path, _READ)
        except OSError:
            self._forget()
            return
        with open(opened, "rb") as file:
            about = os.fstat(opened)
            if not stat.S_ISREG(about.st_mode):
                self._forget()
                return
            if not self._goes_on(file, about):
                self._forget()
                self._file = (about.st_dev, about.st_ino)
            self._take(file, time.monotonic() + seconds)

    def _goes_on(self, file: Any, about: os.stat_result) -> bool:
        """Tells whether the file still has what was read: a resume cuts lines off, and writes others."""
        if self._file != (about.st_dev, about.st_ino) or about.st_size < self._offset:
            return False
        file.seek(self._offset - len(self._mark))
        return bool(file.read(len(self._mark)) == self._mark)

    def _take(self, file: Any, deadline: float) -> None:
        file.seek(self._offset)
        while block := file.read(ROW_BYTES):
            end = block.rfind(b"\n") + 1
            if end == 0:  # one line fills it, or it is not whole yet
                if len(block) < ROW_BYTES:
                    break
                self._too_long = True
                end = len(block)
            else:
                for line in block[: end - 1].split(b"\n"):
                    self._line(line)
            self._offset += end
            self._mark = (self._mark + block[:end])[-MARK:]
            if end < len(block):
                file.seek(self._offset)
            if time.monotonic() >= deadline:
                self.whole = self._offset >= os.fstat(file.fileno()).st_size
                return
        self.whole = True

    def _line(self, line: bytes) -> None:
        if self._too_long:  # the end of a line that began in another block
            self._too_long = False
            self.unreadable += 1
            return
        row = row_of(line)
        if row is None:
            self.unreadable += bool(line.strip())
            return
        self.rows += 1
        self.last = row
        for metric, split, step, value in points_of(row):
            if abs(step) < LARGEST and abs(value) < LARGEST:
                self._add(metric, split, float(step), float(value))

    def _add(self, metric: str, split: str, step: float, value: float) -> None:
        splits = self.lines.get(metric)
        if splits is None:
            if len(self.lines) >= METRICS:
                self.left_out = True
                return
            splits = self.lines[metric] = {}
        line = splits.get(split)
        if line is None:
            if len(splits) >= LINES:
                self.left_out = True
                return
            line = splits[split] = Line()
        line.steps.append(step)
        line.values.append(value)
        self._points += 1
        if self._points > KEPT:
            for other in (line for splits in self.lines.values() for line in splits.values()):
                other.halve()
            self._points = sum(len(one.steps) for splits in self.lines.values() for one in splits.values())
