"""The feature columns of a table: which there are, what each holds, and the numbers that it becomes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from nnlab.data.table.cells import MISSING, MISSING_NUMBERS, TRUTHS, number, quoted, why_no_number
from nnlab.data.table.names import Names, names_of, some
from nnlab.data.table.sheet import Sheet, missing_column
from nnlab.data.table.survey import Profile
from nnlab.errors import DataError

ColumnKind = Literal["number", "truth", "category"]

MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class Column:
    """One column of features, and how its cells become numbers.

    Attributes:
        kind: `number`; `truth`, false and true as 0 and 1; or `category`, a number 0 or 1 for each.
        decimal: the decimal mark by which categories that are numbers are compared.
        categories: of a category column; one that is none of them is 0 everywhere.
        means: what stands for a missing value, one for each number; empty where none may be missing.
        constants: for each number, what it is in every training row, where it is the same in all of them,
            else None; empty where nothing was trained.
    """

    name: str
    kind: ColumnKind
    categories: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."
    means: tuple[float, ...] = ()
    constants: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not belong together."""
        if len(self.means) not in (0, self.width) or len(self.constants) not in (0, self.width):
            raise ValueError(f"column {self.name} has {self.width} inputs, each with a mean and a constant")
        if not all(value is None or math.isfinite(value) for value in (*self.means, *self.constants)):
            raise ValueError(f"column {self.name}: every number must be finite")

    @property
    def width(self) -> int:
        """The number of inputs that a cell becomes."""
        return len(self.categories) if self.kind == "category" else 1

    @cached_property
    def _names(self) -> Names:
        return Names(self.categories, self.decimal)

    def values(self, cell: str, decimal: str, unknown: Counter[tuple[str, str]]) -> list[float]:
        """Returns the numbers of a cell, NaN where it is missing.

        Args:
            decimal: the decimal mark of numbers.
            unknown: counts texts that are none of the categories, with the name of the column.

        Raises:
            ValueError: the cell holds what the column does not.
        """
        if self.kind == "category":
            return self._indicators(cell, decimal, unknown)
        if cell.lower() in MISSING_NUMBERS:
            return [math.nan]
        value = TRUTHS.get(cell.lower()) if self.kind == "truth" else number(cell, decimal)
        if value is None:
            raise ValueError(cell)
        return [value]

    def _indicators(self, cell: str, decimal: str, unknown: Counter[tuple[str, str]]) -> list[float]:
        if cell.lower() in MISSING:
            return [math.nan] * self.width
        values, position = [0.0] * self.width, self._names.position(cell, decimal)
        if position is None:
            unknown[self.name, cell] += 1
        else:
            values[position] = 1.0
        return values

    def trained(self, means: Sequence[float], constants: Sequence[float | None]) -> "Column":
        """Returns the column with what the training rows say about it."""
        return replace(self, means=tuple(means), constants=tuple(constants))


def select(
    sheet: Sheet,
    *,
    columns: Sequence[str] | None,
    ignore: Sequence[str],
    categories: Sequence[str],
    apart: dict[str, str],
) -> tuple[list[int], list[str]]:
    """Returns the positions of the features, and notes about what is left out.

    Args:
        columns: the features; None for every column that is not left out.
        ignore: columns to leave out.
        categories: features that are categories.
        apart: keys that name other columns, such as the target, and those columns.

    Raises:
        DataError: a name that is no column, or stands under two keys; or no feature is left.
    """
    names = sheet.names
    for key, listed in (("columns", columns or ()), ("ignore", ignore), ("categories", categories)):
        for name in listed:
            if name not in names:
                raise missing_column(sheet, f"data.{key}", name)
            for other, column in apart.items():
                if name == column and not (key == "ignore" and other == "group"):
                    raise DataError(
                        f"data.{key}: {name} is the column of data.{other}; name it in one key alone"
                    )
            if key != "ignore" and name in ignore:
                raise DataError(f"data.{key}: {name} is also in data.ignore; name it in one of them")
            if key == "categories" and columns is not None and name not in columns:
                raise DataError(f"data.categories: {name} is not among data.columns; add it there")
    if columns is not None:
        return [names.index(name) for name in columns], []
    out, (nameless, notes) = {*ignore, *apart.values()}, _nameless(sheet)
    features = [k for k, name in enumerate(names) if name not in out and k not in nameless]
    if not features:
        raise DataError(
            f"{sheet.path}: the target {apart['target']} is the only column left; there must be at least one "
            "feature"
        )
    return features, notes


def _nameless(sheet: Sheet) -> tuple[set[int], list[str]]:
    """Columns without a name that hold nothing, or row numbers as pandas writes them in front."""
    nameless = [k for k, name in enumerate(sheet.names) if not name]
    if not nameless:
        return set(), []
    kept: dict[int, list[tuple[int, str]]] = {k: [] for k in nameless}
    for line, row in sheet.rows():
        for k in nameless:
            kept[k].append((line, row[k]))
    notes = []
    for k, cells in kept.items():
        place = f"{sheet.path}, line {sheet.header}: column {k + 1} has no name"
        if not any(cell for _, cell in cells):
            notes.append(f"{place} and is empty; it is left out")
        elif k == 0 and all(c.isdecimal() for _, c in cells) and len({c for _, c in cells}) == len(cells):
            notes.append(f"{place} and numbers the rows; it is left out")
        else:
            line, cell = next((line, cell) for line, cell in cells if cell)
            raise DataError(
                f"{place}, but holds values such as {quoted(cell)} in line {line}; write a name into the "
                "header line, and set data.ignore to it if it is no feature"
            )
    return set(nameless), notes


def plan(
    sheet: Sheet,
    profiles: Sequence[Profile],
    *,
    text: str,
    categories: Sequence[str],
    missing: str,
    decimal: Literal[".", ","],
) -> list[Column]:
    """Returns a column for each profile; those of categories have none yet.

    Raises:
        DataError: a column holds texts, or nothing, or what is missing, and no key says what to do then.
    """
    columns = []
    for profile in profiles:
        kind = _kind(sheet, profile, text, profile.name in categories)
        if profile.counts["gap"] and missing == "error" and kind != "category":
            raise gap(sheet, profile.name, profile.first["gap"])
        columns.append(Column(profile.name, kind, decimal=decimal if kind == "category" else "."))
    return columns


def _kind(sheet: Sheet, profile: Profile, text: str, chosen: bool) -> ColumnKind:
    if profile.holds == "gap" and not chosen:
        raise _empty(sheet, profile.name)
    if chosen or (profile.holds == "text" and text == "one_hot"):
        return "category"
    if profile.holds == "number":
        return "number"
    if profile.holds == "truth":
        return "truth"
    raise no_number(sheet, profile, *profile.first["text" if profile.counts["text"] else "truth"])


def _empty(sheet: Sheet, name: str) -> DataError:
    return DataError(
        f"{sheet.path}: every cell of column {name} is empty; leave it out by data.ignore: [{name}]"
    )


def no_number(sheet: Sheet, profile: Profile, line: int, cell: str) -> DataError:
    """Returns the error for a cell that should hold a number, with what may be wrong and what to do."""
    name, numbers = profile.name, profile.counts["number"]
    hint, mixed = why_no_number(cell), profile.holds == "mixed"
    remedy = f"mend the cell, or leave the column out by data.ignore: [{name}]"
    if not hint and not mixed:
        remedy = (
            f"text columns become numbers by data.text: one_hot, or are left out by data.ignore: [{name}]"
        )
    elif not hint:
        hint = f"numbers in other cells of the column: {numbers:,}" if numbers else ""
        remedy += f", or take its texts and numbers as categories by data.categories: [{name}]"
    why = f" ({hint})" if hint else ""
    return DataError(
        f"{sheet.path}, line {line}, column {name}: {quoted(cell)} is not a finite number{why}; {remedy}"
    )


def gap(sheet: Sheet, name: str, place: tuple[int, str]) -> DataError:
    """Returns the error for a missing value."""
    line, cell = place
    what = f"{quoted(cell)} is not a finite number" if cell else "an empty cell, in which a value is missing"
    return DataError(
        f"{sheet.path}, line {line}, column {name}: {what}; fill it in, or choose "
        "data.missing: drop (leaves out such rows) or data.missing: mean (of the training rows)"
    )


def with_categories(
    sheet: Sheet, columns: list[Column], positions: Sequence[int], *, missing: str
) -> tuple[list[Column], list[str]]:
    """Returns the columns with their categories, and notes about these.

    Raises:
        DataError: a column has more categories than a table can be expected to have, or one is missing.
    """
    open_ones = [(k, p) for k, p in enumerate(positions) if columns[k].kind == "category"]
    counts: dict[int, Counter[str]] = {k: Counter() for k, _ in open_ones}
    rows, notes = 0, []
    for line, row in sheet.rows():
        rows += 1
        for k, position in open_ones:
            if row[position].lower() not in MISSING:
                counts[k][row[position]] += 1
            elif missing == "error":
                raise gap(sheet, columns[k].name, (line, row[position]))
    for k, texts in counts.items():
        column = columns[k]
        if not texts:
            raise _empty(sheet, column.name)
        if len(texts) > MOST_CATEGORIES or (rows >= 20 and len(texts) > rows / 2):
            raise DataError(
                f"{sheet.path}: column {column.name} holds {len(texts):,} different texts in {rows:,} rows, "
                f"too many for categories; leave it out by data.ignore: [{column.name}]"
            )
        names, odd = names_of(texts, column.decimal, column.name)
        notes += odd
        columns[k] = replace(column, categories=tuple(names))
        notes.append(f"column {column.name}: {len(names)} categories, one input each: {some(names)}")
    return columns, notes
