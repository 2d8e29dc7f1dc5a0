"""Points (x, y) from a text file: how it is written is found out, and what could be two things is refused."""

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from nnlab.errors import InputError

SEPARATORS = ";\t, "
"""The separators of cells, in the order in which they are tried."""

Row = tuple[int, list[str]]
"""The number of a line, and its cells."""


def read_points_file(path: str) -> list[tuple[float, float]]:
    """Returns the points of a file, ascending in x.

    Read are two columns separated by commas, semicolons, tabs or blanks, with or without a header. A header
    that names x, or y, says which column that is; then there may be others. Cells have decimal points, or
    decimal commas where commas do not separate them. Spreadsheets' first line `sep=;` is honoured.

    Raises:
        InputError: the file cannot be read, a row has not two finite numbers, commas that may separate cells
            or decimals. The message names the line and the column.
    """
    table = _Table(path, _lines(path))
    return sorted(table.point(number, cells) for number, cells in table.rows)


def _lines(path: str) -> list[tuple[int, str]]:
    """Returns the lines that are not empty, with their numbers."""
    try:
        file = Path(path).expanduser()
        raw = file.read_bytes()
        wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except FileNotFoundError:
        place = "" if os.path.isabs(path) else f" in {os.getcwd()}"
        raise InputError(f"target: {path}: no such file{place}") from None
    except UnicodeDecodeError as error:
        where = f"byte {error.start} is no text in UTF-8; save the file as CSV UTF-8"
        raise InputError(f"target: {path}: cannot be read: {where}") from None
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: ~ of an unknown user
        raise InputError(f"target: {path}: cannot be read: {error}") from None
    lines = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip(" \t;,")]
    comments = [line.lstrip().startswith("#") for _, line in lines]
    first = [(n, line.lstrip(" \t#")) for n, line in lines[:1]]  # a comment on top may be the header
    return first + [pair for pair, is_comment in zip(lines[1:], comments[1:], strict=True) if not is_comment]


@dataclass
class _Table:
    """The rows of a file as they are cut into cells, without its header.

    Attributes:
        path: of the file, for messages.
        rows: of numbers.
        columns: positions of x and y; None where there are two columns and no header says more.
        names: of the header; empty where there is none.
        separator: between two cells; a blank for any number of blanks.
    """

    path: str
    rows: list[Row]
    columns: tuple[int, int] | None
    names: list[str]
    separator: str

    def __init__(self, path: str, lines: list[tuple[int, str]]) -> None:
        self.path, self.columns, self.names = path, None, []
        named = re.fullmatch(r"\s*\"?sep=(.)\"?\s*", lines[0][1]) if lines else None
        lines = lines[bool(named) :]
        self.separator = named.group(1) if named else self._guess(lines)
        self.rows = [(number, self._cells(number, line, self.separator)) for number, line in lines]
        if self.rows and _is_header(self.rows[0][1]):
            self.names, self.rows = self.rows[0][1], self.rows[1:]
            self.columns = self._named_columns()
        self._refuse_thousands()

    def _guess(self, lines: list[tuple[int, str]]) -> str:
        """Returns what cuts all lines into two numbers, or else into cells with a number among them."""
        bodies: dict[str, list[list[str]]] = {}
        for separator in SEPARATORS:
            with suppress(InputError):
                rows = [self._cells(n, line, separator) for n, line in lines]
                bodies[separator] = rows[1:] if rows and _is_header(rows[0]) else rows
        pairs = [s for s, body in bodies.items() if body and all(map(_is_pair, body))]
        if pairs:
            return pairs[0]
        if bodies.get(",") and all(map(_halves, bodies[","])):
            number = lines[-len(bodies[","])][0]
            raise InputError(
                f"target: {self.path}, line {number}: four numbers, or two with decimal commas? Separate the "
                "cells by semicolons, or write decimal points"
            )
        tables = [s for s, body in bodies.items() if body and all(map(_is_row, body))]
        return max(tables, key=lambda s: len(bodies[s][0])) if tables else ","

    def _cells(self, number: int, line: str, separator: str) -> list[str]:
        if separator == " ":
            return line.split()
        try:
            (cells,) = csv.reader(io.StringIO(line), delimiter=separator)
        except (csv.Error, ValueError) as error:
            raise InputError(f"target: {self.path}, line {number}: cannot be read: {error}") from None
        return [cell.strip() for cell in cells]

    def _named_columns(self) -> tuple[int, int] | None:
        """Returns the columns that the header calls x and y; of two columns one name is enough."""
        names = [name.lower() for name in self.names]
        twice = [name for name in ("x", "y") if names.count(name) > 1]
        if twice:
            raise InputError(f"target: {self.path}: the header names {twice[0]} twice; leave one column")
        if "x" in names and "y" in names:
            return names.index("x"), names.index("y")
        if len(names) == 2 and ("x" in names or "y" in names):
            x = names.index("x") if "x" in names else 1 - names.index("y")
            return x, 1 - x
        return None

    def _refuse_thousands(self) -> None:
        """Refuses decimal commas that may all be those of thousands."""
        if self.separator == ",":
            return
        with_comma = [(n, cell) for n, row in self.rows for cell in row if "," in cell]
        if with_comma and all(re.fullmatch(r"[-+−]?[1-9]\d{0,2}(,\d{3})+", cell) for _, cell in with_comma):
            number, cell = with_comma[0]
            raise InputError(
                f"target: {self.path}, line {number}: {cell} may be {cell.replace(',', '.')} or "
                f"{cell.replace(',', '')}; write a decimal point, or no comma"
            )

    def point(self, number: int, cells: list[str]) -> tuple[float, float]:
        """Returns the point of a row.

        Raises:
            InputError: naming the line, and the column if that is known.
        """
        place = f"target: {self.path}, line {number}: {self.separator.join(cells)[:80]}"
        if self.columns is None or len(cells) <= max(self.columns):
            finite = [x for cell in cells if (x := self._number(cell)) is not None and math.isfinite(x)]
            if not len(finite) == len(cells) == 2:
                hint = " (give the header x,y to choose two columns)" if len(cells) > 2 else ""
                raise InputError(f"{place}: must be two finite numbers, x,y{hint}")
        pair = [cells[column] for column in self.columns or (0, 1)]
        values = list(map(self._number, pair))
        for value, cell, column, name in zip(values, pair, self.columns or (0, 1), "xy", strict=True):
            if value is None or not math.isfinite(value):
                raise InputError(
                    f"{place}: {cell[:40] or 'an empty cell'} in column {column + 1} is no finite number; "
                    f"must be {name}"
                )
        return values[0] or 0.0, values[1] or 0.0

    def _number(self, text: str) -> float | None:
        text = text.replace("−", "-")
        if self.separator != ",":
            text = text.replace(",", ".")
        try:
            return float(text)
        except ValueError:
            return None


def _may_be_number(cell: str) -> bool:
    """True for a number with a decimal point or a decimal comma, and for nan and inf."""
    try:
        float(cell.replace("−", "-").replace(",", ".") or "x")
    except ValueError:
        return False
    return True


def _is_header(cells: Sequence[str]) -> bool:
    return not any(map(_may_be_number, cells)) and any(re.search(r"[^\W\d_]", cell) for cell in cells)


def _is_pair(cells: Sequence[str]) -> bool:
    return len(cells) == 2 and all(map(_may_be_number, cells))


def _is_row(cells: Sequence[str]) -> bool:
    return len(cells) > 1 and any(map(_may_be_number, cells))


def _halves(cells: Sequence[str]) -> bool:
    """True for four cells that may be two numbers with decimal commas."""
    return len(cells) == 4 and all(
        re.fullmatch(r"[-+−]?\d+", cells[i]) and cells[i + 1].isdigit() for i in (0, 2)
    )
