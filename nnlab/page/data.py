"""Reads what a page shows of a run folder beside its summary: curves, pictures, tables; each with a limit."""

import base64
import csv
import html
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from nnlab.errors import InputError
from nnlab.page.numbers import clean, is_number
from nnlab.page.widget import thinned
from nnlab.record import Run, schema
from nnlab.safe_yaml import load

POINTS = 240  # of a curve: more are thinned out, evenly in the logarithm of the step
METRICS, LINES = 60, 40  # curves to choose from, and lines of each
FIGURE_BYTES = 5 * 2**20  # of all figures of a page, as they stand in it
TABLE_BYTES = 1 * 2**20  # of all tables of a page
ROWS = 20_000  # of a table
FILE_BYTES = 64 * 2**20  # of any file that a page reads
CONFIG_BYTES = 2**18  # of a config
ARRAY_BYTES = 512 * 2**20  # of all arrays of a run, unpacked
PIXELS = 20 * 10**6  # of a picture
UNREADABLE = (OSError, ValueError, EOFError, LookupError, zipfile.BadZipFile, zlib.error)
"""The errors of an array file that is torn, or not numpy's."""


def own_file(run: Run, name: str, limit: int = FILE_BYTES) -> Path | None:
    """A file of a run that may be read: inside its folder once links are followed, and not beyond `limit`."""
    path = run.folder / name
    try:
        inside = path.is_file() and path.resolve().is_relative_to(run.folder.resolve())
        return path if inside and path.stat().st_size <= limit else None
    except (OSError, ValueError, RuntimeError):
        return None


def config_of(run: Run) -> dict[str, Any]:
    """The resolved config. Raises ValueError where it cannot be read."""
    if own_file(run, schema.CONFIG, CONFIG_BYTES) is None:
        raise ValueError("config.yaml is missing, too large, or leads out of the run folder")
    try:
        config = load(run.config_text(), "config.yaml")
    except (OSError, InputError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(config, dict):
        raise ValueError("config.yaml holds no mapping")
    return config


def arrays_of(run: Run) -> dict[str, NDArray[Any]] | None:
    """The arrays of a run: {} if it has none of its own, None if they are too large or cannot be read."""
    path = own_file(run, schema.ARRAYS)
    if path is None:
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        return run.arrays() if size <= ARRAY_BYTES else None
    except UNREADABLE:
        return None


@dataclass(frozen=True)
class Picture:
    """A figure of a run.

    Attributes:
        name: its file's name without suffix.
        title: the text above it, for those who cannot see it.
        source: a data: address; empty where the page has no room for it.
        size: width and height in pixels, (0, 0) where they are not known.
    """

    name: str
    title: str
    source: Markup
    size: tuple[int, int]


@dataclass(frozen=True)
class Table:
    """An array of a run as a CSV file: a data: address, empty where the page has no room for it."""

    name: str
    shape: str
    source: Markup


class Room:
    """Bytes that a page has left."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> bool:
        """Takes `size` bytes and returns True, or takes none where fewer are left."""
        if size > self.left:
            return False
        self.left -= size
        return True


def curves(run: Run) -> dict[str, dict[str, list[float]]]:
    """Metric -> split -> steps and values one after the other: [step, value, step, value, …]."""
    if own_file(run, schema.METRICS) is None:
        return {}
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in run.metrics():
        step = row.get("step")
        if not is_number(step):
            continue
        split = clean("/".join(str(row[key]) for key in ("part", "split") if key in row), 100)
        for key, value in row.items():
            if key in ("step", "epoch", "part", "split") or not is_number(value):
                continue
            name = clean(key, 100)
            metric = lines.setdefault(name, {}) if len(lines) < METRICS else lines.get(name, {})
            line = metric.setdefault(split, []) if len(metric) < LINES else metric.get(split, [])
            line.append((float(step), float(value)))
    return {
        metric: {split: _flat(points) for split, points in splits.items() if len(points) > 1}
        for metric, splits in lines.items()
        if any(len(points) > 1 for points in splits.values())
    }


def _flat(points: list[tuple[float, float]]) -> list[float]:
    chosen = (points[i] for i in thinned(len(points), POINTS))
    return [float(f"{number:.6g}") for point in chosen for number in point]


def pictures(run: Run, room: Room) -> list[Picture]:
    """The figures of a run, each as the smaller of its two files."""
    chosen = []
    for name in sorted(path.stem for path in run.folder.glob("figures/*.svg")):
        files = [own_file(run, f"figures/{name}{suffix}") for suffix in (".svg", ".png")]
        try:
            contents = [b"" if file is None else file.read_bytes() for file in files]
        except OSError:
            continue
        drawn, pixels = contents[0], _reduced(contents[1])
        forms = [(content, kind) for content, kind in ((drawn, "svg+xml"), (pixels, "png")) if content]
        if not forms:
            continue
        content, kind = min(forms, key=lambda form: len(form[0]))
        source = _address(f"image/{kind}", content, room)
        chosen.append(Picture(name, _title(drawn) or name, source, _size(drawn)))
    return chosen


def _reduced(png: bytes) -> bytes:
    """The picture in 128 colours, enough for a drawing, in a third of the bytes; empty if it is none."""
    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.width * image.height > PIXELS:
                return b""
            stream = io.BytesIO()
            few = image.convert("RGB").quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            palette = few.getpalette() or []
            few.putpalette([255 if level == 254 else level for level in palette])  # white paper stays white
            few.save(stream, "PNG")
    except (OSError, ValueError, SyntaxError, EOFError):
        return b""
    return stream.getvalue()


def _address(kind: str, content: bytes, room: Room) -> Markup:
    """A data: address, whose letters need no escape; empty where there is no room."""
    text = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return Markup(text) if room.take(len(text)) else Markup()


def _size(svg: bytes) -> tuple[int, int]:
    """Width and height that an SVG file gives itself."""
    match = re.search(rb'viewBox="0 0 (\d{1,5})[\d.]* (\d{1,5})', svg[:2_000])
    return (int(match.group(1)), int(match.group(2))) if match else (0, 0)


def _title(svg: bytes) -> str:
    """The title that matplotlib writes into an SVG file."""
    match = re.search(r"<dc:title>(.*?)</dc:title>", svg[:20_000].decode("utf-8", "replace"), re.DOTALL)
    return " ".join(html.unescape(match.group(1)).split()) if match else ""


def tables(run: Run, room: Room) -> list[Table]:
    """CSV files: rows of the experiment's table, rows of metrics.jsonl, and the arrays.

    A vector becomes a column and a matrix rows; of other arrays, and where there is no room, the shape alone.
    """
    rows = {"results": [row for row in run.summary.get("results", []) if isinstance(row, dict)]}
    if own_file(run, schema.METRICS) is not None:
        rows["metrics"] = run.metrics()
    files = []
    for name, table in rows.items():
        columns = list(dict.fromkeys(key for row in table for key in row))
        lines = itertools.chain([columns], ([row.get(key) for key in columns] for row in table))
        if table:
            files.append(Table(name, f"{len(table)} rows", _csv(lines, len(table) * len(columns), room)))
    for name, array in (arrays_of(run) or {}).items():
        drawn = array.ndim <= 2 and array.shape[:1] <= (ROWS,)
        values = array.reshape(-1, 1) if array.ndim < 2 else array
        source = _csv((row.tolist() for row in values), array.size, room) if drawn else Markup()
        files.append(Table(name, "×".join(map(str, array.shape)) or "1", source))
    return files


def _csv(rows: Iterable[Iterable[Any]], size: int, room: Room) -> Markup:
    if size > 10 * ROWS:
        return Markup()
    stream = io.StringIO()
    csv.writer(stream).writerows([_cell(value) for value in row] for row in rows)
    return _address("text/csv", stream.getvalue().encode("utf-8", "replace"), room)


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
