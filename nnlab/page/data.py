"""Reads what a page shows of a run folder beside its summary: curves, pictures, tables; each with a limit."""

import base64
import csv
import html
import io
import os
import re
import warnings
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from nnlab.errors import InputError, RunFolderError
from nnlab.page.numbers import clean, is_number
from nnlab.page.widget import thinned
from nnlab.record import Run, schema
from nnlab.record.arrays import read_arrays
from nnlab.record.figures import calls_of
from nnlab.safe_yaml import load

POINTS = 240  # of a curve: more are thinned out, evenly in the logarithm of the step
NUMBERS, FEWEST = 200_000, 16  # steps and values of all curves of a run, and points that each keeps at least
METRICS, LINES = 60, 400  # curves to choose from, and lines of each
NAMES = ("step", "epoch", "part", "split")  # the keys of a row that are no metric
LEFT_OUT = 100_000  # curves that are counted though there is no room for them
FIGURE_BYTES = 5 * 2**20  # of all figures of a page, as they stand in it
TABLE_BYTES = 1 * 2**20  # of all tables of a page
ROWS, CELLS = 20_000, 200_000  # of a table
FILE_BYTES = 64 * 2**20  # of any other file that a page reads
METRICS_BYTES = 4 * 2**30  # of metrics.jsonl, which is read line by line
CONFIG_BYTES = 2**18  # of a config
ARRAY_BYTES = 512 * 2**20  # of all arrays of a run, unpacked
MISSING = 100  # figures that are named though they were not drawn
PIXELS = 20 * 10**6  # of a picture
PICTURES = 200  # of a run


def refused(run: Run, name: str) -> bool:
    """Tells whether there is something of that name which may not be read."""
    return run.file(name, FILE_BYTES) is None and os.path.lexists(run.folder / name)


def config_of(run: Run) -> dict[str, Any]:
    """The resolved config. Raises ValueError where it cannot be read."""
    if run.file(schema.CONFIG, CONFIG_BYTES) is None:
        raise ValueError("config.yaml is missing, too large, or leads out of the run folder")
    try:
        config = load(run.config_text(), "config.yaml")
    except (OSError, InputError, RecursionError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(config, dict):
        raise ValueError("config.yaml holds no mapping")
    return config


def arrays_of(run: Run) -> dict[str, NDArray[Any]] | None:
    """The arrays of a run: {} if it has none of its own, None if they are too large or cannot be read.

    Those that are the arguments of one figure alone are left out.
    """
    path = run.file(schema.ARRAYS, FILE_BYTES)
    if path is None:
        return None if refused(run, schema.ARRAYS) else {}
    try:
        arrays = read_arrays(path, ARRAY_BYTES)
    except RunFolderError:
        return None
    own = f"{schema.FIGURES}/"
    return {name: array for name, array in arrays.items() if not name.startswith(own)}


@dataclass(frozen=True)
class Picture:
    """A figure of a run.

    Attributes:
        name: its file's name without suffix.
        title: the text above it, for those who cannot see it.
        source: a data: address; empty where the page has no room for it, or where it was not drawn.
        size: width and height in pixels, (0, 0) where they are not known.
        note: why it is not there, if it was not drawn.
    """

    name: str
    title: str
    source: Markup
    size: tuple[int, int]
    note: str = ""


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


@dataclass
class Metrics:
    """The part of metrics.jsonl that a page shows.

    Attributes:
        lines: metric -> split -> its steps and values.
        columns: the keys of all rows, those of the first rows alone where there are too many.
        rows: the rows, empty where a table has no room for them.
        count: how many rows there are.
        unreadable: lines that are no row.
        left_out: curves beyond the limits, as metric and split.
    """

    lines: dict[str, dict[str, tuple["array[float]", "array[float]"]]] = field(default_factory=dict)
    columns: dict[str, None] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    count: int = 0
    unreadable: int = 0
    left_out: set[tuple[str, str]] = field(default_factory=set)

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Metric -> split -> steps and values one after the other: [step, value, step, value, …]."""
        count = sum(map(len, self.lines.values()))
        points = max(FEWEST, min(POINTS, NUMBERS // (2 * max(count, 1))))
        drawn = {
            metric: {split: _flat(*line, points) for split, line in splits.items() if len(line[0]) > 1}
            for metric, splits in self.lines.items()
        }
        return {metric: splits for metric, splits in drawn.items() if splits}

    def add(self, row: dict[str, Any]) -> None:
        """Takes the next row."""
        self.count += 1
        if self.count == 1 or self.rows:
            self.columns.update(dict.fromkeys(row))
            self.rows.append(row)
            if len(self.columns) * len(self.rows) > CELLS:
                self.rows = []
        for point in points_of(row):
            self._add(*point)

    def _add(self, name: str, split: str, step: float, value: float) -> None:
        metric = self.lines.setdefault(name, {}) if len(self.lines) < METRICS else self.lines.get(name)
        if metric is None or (split not in metric and len(metric) >= LINES):
            if len(self.left_out) < LEFT_OUT:
                self.left_out.add((name, split))
            return
        if split not in metric:
            metric[split] = (array("d"), array("d"))
        steps, values = metric[split]
        steps.append(step)
        values.append(value)


def points_of(row: Mapping[str, Any]) -> Iterable[tuple[str, str, float, float]]:
    """The points that a row of metrics.jsonl adds to curves: (metric, split, step, value) of each number."""
    step = row.get("step")
    if not is_number(step):
        return
    split = clean("/".join(str(row[key]) for key in ("part", "split") if key in row), 100)
    for key, value in row.items():
        if key not in NAMES and is_number(value):
            yield clean(key, 100), split, step, value


def metrics_of(run: Run) -> Metrics | None:
    """Reads metrics.jsonl once, row by row; None where it is there, but cannot be read."""
    metrics = Metrics()
    if run.file(schema.METRICS, METRICS_BYTES) is None:
        return None if os.path.lexists(run.folder / schema.METRICS) else metrics
    rows = run.rows()
    try:
        for row in rows:
            metrics.add(row)
    except RunFolderError:
        return None
    metrics.unreadable = rows.unreadable
    return metrics


def _flat(steps: Sequence[float], values: Sequence[float], points: int) -> list[float]:
    chosen = thinned(len(steps), points)
    return [float(f"{number:.6g}") for i in chosen for number in (steps[i], values[i])]


def pictures(run: Run, room: Room) -> list[Picture]:
    """The figures of a run, each as the smaller of its two files."""
    chosen = []
    names = _figure_names(run)
    for name in names[:PICTURES]:
        files = [run.file(f"figures/{name}{suffix}", FILE_BYTES) for suffix in (".svg", ".png")]
        try:
            contents = [b"" if file is None else file.read_bytes() for file in files]
        except OSError:
            contents = [b"", b""]
        drawn, pixels = contents[0], _reduced(contents[1])
        forms = [(content, kind) for content, kind in ((drawn, "svg+xml"), (pixels, "png")) if content]
        if not forms:
            reason = "a link that leads elsewhere, no ordinary file, damaged, or too large"
            chosen.append(_absent(f"figures/{name}", f"figures/{name} is left out: {reason}."))
            continue
        content, kind = min(forms, key=lambda form: len(form[0]))
        source = _address(f"image/{kind}", content, room)
        chosen.append(Picture(name, _title(drawn) or name, source, _size(drawn)))
    if len(names) > PICTURES:
        note = f"There are {len(names) - PICTURES:,} more pictures in the run folder."
        chosen.append(Picture("more", "", Markup(), (0, 0), note))
    return chosen + _undrawn(run, {picture.name for picture in chosen})


def _figure_names(run: Run) -> list[str]:
    """The names of the pictures in the folder of figures, which may be no link that leads elsewhere."""
    folder = run.folder / schema.FIGURES
    try:
        if not folder.resolve().is_relative_to(run.folder.resolve()):
            return [""]
        files = [Path(entry) for entry in os.listdir(folder)]
    except (OSError, RuntimeError):
        return []
    return sorted({file.stem for file in files if file.suffix in (".svg", ".png")})


def _absent(name: str, note: str) -> Picture:
    return Picture(name, name, Markup(), (0, 0), note)


def _undrawn(run: Run, drawn: set[str]) -> list[Picture]:
    """The figures that the run has the numbers of, but no picture."""
    if run.file(schema.FIGURE_CALLS, FILE_BYTES) is None or run.status == "running":
        return []
    try:
        names = [name for name in calls_of(run) if name not in drawn][:MISSING]
    except RunFolderError:
        return []
    sentence = "The figure {0} is missing: nnlab plot RUN --figure {0} draws it."
    return [_absent(name, sentence.format(name)) for name in names]


def _reduced(png: bytes) -> bytes:
    """The picture in 128 colours, enough for a drawing, in a third of the bytes; empty if it is none."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if image.width * image.height > PIXELS:
                return b""
            stream = io.BytesIO()
            few = image.convert("RGB").quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
            palette = few.getpalette() or []
            few.putpalette([255 if level == 254 else level for level in palette])  # white paper stays white
            few.save(stream, "PNG")
    except Exception:  # whatever Pillow raises for one that is torn or far too large
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


def tables(run: Run, metrics: Metrics | None, room: Room) -> list[Table]:
    """CSV files: rows of the experiment's table, rows of metrics.jsonl, and the arrays.

    A vector becomes a column and a matrix rows; of other arrays, and where there is no room, the shape alone.
    """
    results: list[dict[str, Any]] = run.summary.get("results", [])
    columns = dict.fromkeys(key for row in results for key in row)
    files = [_rows("results", columns, results, len(results), room)]
    if metrics is not None:
        files.append(_rows("metrics", metrics.columns, metrics.rows, metrics.count, room))
    for name, values in (arrays_of(run) or {}).items():
        drawn = values.ndim <= 2 and values.shape[:1] <= (ROWS,)
        lines = values.reshape(-1, 1) if values.ndim < 2 else values
        source = _csv((row.tolist() for row in lines), values.size, room) if drawn else Markup()
        files.append(Table(name, "×".join(map(str, values.shape)) or "1", source))
    return [file for file in files if file.shape != "0 rows"]


def _rows(name: str, columns: Iterable[str], rows: list[dict[str, Any]], count: int, room: Room) -> Table:
    """The table of rows; without an address where they are not all there."""
    columns = list(columns)
    lines: list[list[Any]] = [columns, *([row.get(key) for key in columns] for row in rows)]
    source = _csv(lines, count * len(columns), room) if len(rows) == count else Markup()
    return Table(name, f"{count} rows", source)


def _csv(rows: Iterable[Iterable[Any]], size: int, room: Room) -> Markup:
    if size > CELLS:
        return Markup()
    stream = io.StringIO()
    csv.writer(stream).writerows([_cell(value) for value in row] for row in rows)
    return _address("text/csv", stream.getvalue().encode("utf-8", "replace"), room)


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
