"""What a page takes from a run folder besides its summary: curves, pictures, tables; each with a limit."""

import base64
import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnlab.record import Run
from nnlab.report.numbers import is_number

POINTS = 240
"""Of a curve: more are thinned out, evenly in the logarithm of the step."""
FIGURE_BYTES = 5 * 2**20
"""Of all figures of a page, as they stand in it."""
TABLE_BYTES = 1 * 2**20
"""Of all tables of a page."""
ROWS = 20_000
"""Of a table."""


@dataclass(frozen=True)
class Picture:
    """A figure of a run.

    Attributes:
        name: its file's name without suffix.
        title: what stands above it, for those who cannot see it.
        source: a data: address; empty where the page has no room for it.
    """

    name: str
    title: str
    source: str


@dataclass(frozen=True)
class Table:
    """An array of a run as a CSV file: a data: address, empty where the page has no room for it."""

    name: str
    shape: str
    source: str


class Room:
    """Bytes that a page has left."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        """Whether so many were left; they are not any more."""
        if size > self.left:
            return False
        self.left -= size
        return True


def curves(run: Run) -> dict[str, dict[str, list[float]]]:
    """Metric -> split -> steps and values one after the other: [step, value, step, value, …]."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in run.metrics():
        step = row.get("step")
        if not is_number(step):
            continue
        split = "/".join(str(row[key]) for key in ("part", "split") if key in row)
        for key, value in row.items():
            if key not in ("step", "epoch", "part", "split") and is_number(value):
                found.setdefault(key, {}).setdefault(split, []).append((float(step), float(value)))
    return {
        metric: {split: _flat(_thinned(points)) for split, points in splits.items() if len(points) > 1}
        for metric, splits in found.items()
        if any(len(points) > 1 for points in splits.values())
    }


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    if len(points) <= POINTS:
        return points
    chosen = np.unique(np.geomspace(1, len(points), POINTS).round().astype(int)) - 1
    return [points[i] for i in chosen]


def _flat(points: Iterable[tuple[float, float]]) -> list[float]:
    return [float(f"{number:.6g}") for point in points for number in point]


def pictures(run: Run, room: Room) -> list[Picture]:
    """The figures of a run, each as the smaller of its two files."""
    folder = run.folder / "figures"
    found = []
    for svg in sorted(folder.glob("*.svg")):
        try:
            content = svg.read_bytes()
            kind, title = "image/svg+xml", _title(content)
            png = svg.with_suffix(".png")
            if png.is_file() and png.stat().st_size < len(content):
                kind, content = "image/png", png.read_bytes()
        except OSError:
            continue
        text = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        found.append(Picture(svg.stem, title or svg.stem, text if room.take(len(text)) else ""))
    return found


def _title(svg: bytes) -> str:
    """The title that matplotlib writes into an SVG file."""
    match = re.search(r"<dc:title>(.*?)</dc:title>", svg[:20_000].decode("utf-8", "replace"), re.DOTALL)
    if match is None:
        return ""
    words = (
        match.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    )
    return " ".join(words.split())


def tables(run: Run, room: Room) -> list[Table]:
    """The arrays of a run as CSV: vectors as one column, matrices as rows; of others the shape alone."""
    try:
        arrays = run.arrays()
    except (OSError, ValueError, EOFError, KeyError):  # torn, or not what numpy wrote
        return []
    return [Table(name, "×".join(map(str, a.shape)) or "1", _csv(a, room)) for name, a in arrays.items()]


def _csv(array: NDArray[Any], room: Room) -> str:
    if array.ndim > 2 or array.shape[:1] > (ROWS,) or array.size > 10 * ROWS:
        return ""
    stream = io.StringIO()
    rows = array.reshape(-1, 1) if array.ndim < 2 else array
    csv.writer(stream).writerows(rows.tolist())
    text = "data:text/csv;base64," + base64.b64encode(stream.getvalue().encode()).decode()
    return text if room.take(len(text)) else ""
