"""A user's own table: a csv file with a header line and one target column."""

import csv
import math
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import torch

from nnlab.data.dataset import RawData, Split, Task
from nnlab.data.splits import hold_out
from nnlab.errors import DataError, suggest

LARGEST = torch.finfo(torch.float32).max


def load_csv(path: Path, *, target: str, task: Task, test: float, split_seed: int) -> RawData:
    """Reads a table as `read_csv` does, and holds out a part of its rows for the test.

    Args:
        target: the name of the target column.
        test: the part of the rows to hold out for the test.
        split_seed: of the draw that holds them out.

    Raises:
        DataError: naming file, line, column and value of what does not fit.
    """
    rows, names = read_csv(path, target=target, task=task)
    strata = rows.targets if task == "classification" else torch.zeros(len(rows), dtype=torch.int64)
    try:
        kept, held = hold_out(strata, test, split_seed=split_seed, purpose="test", names=names)
    except DataError as error:
        if names and all(_number(name) is not None for name in names):
            hint = f"{error}. Where the target is a quantity and no class, set data.task: regression"
            raise DataError(hint) from None
        raise
    return RawData(task, rows.take(kept), rows.take(held), outputs=len(names) or 1, class_names=names)


def read_csv(path: Path, *, target: str, task: Task) -> tuple[Split, list[str]]:
    """Reads a comma-separated table in UTF-8 whose first line names the columns.

    Every column but `target` is a feature and holds numbers. For classification the classes are the
    distinct texts in the target column, in alphabetical order, or by value where all are numbers.

    Returns:
        All rows in the order of the file, features (N, d) in float64, and the names of the classes, of
        which there are none for regression: its targets are (N, 1) in float64.

    Raises:
        DataError: naming file, line, column and value of what does not fit.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            numbers, labels = _parse(path, _rows(path, file), target, numeric_target=task == "regression")
    except FileNotFoundError:
        raise DataError(f"data.path: {path}: no such file") from None
    except OSError as error:
        raise DataError(f"data.path: {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: this is no text in UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    inputs = torch.frombuffer(numbers, dtype=torch.float64).reshape(len(labels), -1).clone()
    if task == "regression":
        return Split(inputs[:, :-1], inputs[:, -1:]), []
    names = _classes(labels)
    positions = {name: k for k, name in enumerate(names)}
    return Split(inputs, torch.tensor([positions[label] for label in labels])), names


def _classes(labels: list[str]) -> list[str]:
    numbers = {label: _number(label) for label in labels}
    if any(number is None for number in numbers.values()):
        return sorted(numbers)
    return sorted(numbers, key=lambda label: (numbers[label], label))


def _number(cell: str) -> float | None:
    """The finite number that a cell holds. (Python would also read 1_000, which no table means.)"""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


# --- reading ------------------------------------------------------------------------------------------


Table = tuple["array[float]", list[str]]
"""Numbers row by row, the features and then the target where it is a number; and the targets as texts."""


def _parse(path: Path, rows: Iterator[tuple[int, list[str]]], target: str, numeric_target: bool) -> Table:
    _, names = next(rows, (0, []))
    position = _check_header(path, names, target)
    features = [k for k in range(len(names)) if k != position]
    numeric = [*features, position] if numeric_target else features
    numbers, labels = array("d"), []
    for line, row in rows:
        place = f"{path}, line {line}"
        if len(row) != len(names):
            raise DataError(f"{place}: {len(row)} cells, but the header names {len(names)} columns")
        numbers.extend(_cell(f"{place}, column {names[k]}", row[k]) for k in numeric)
        if not row[position]:
            raise DataError(f"{place}, column {target}: the target is empty; fill or remove the row")
        labels.append(row[position])
    if not labels:
        raise DataError(f"{path}: there is no row below the header line")
    return numbers, labels


def _rows(path: Path, file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank."""
    reader = csv.reader(file, strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: this is not a valid csv row: {error}") from None
        if row is None:
            return
        if row:
            yield reader.line_num, [cell.strip() for cell in row]


def _check_header(path: Path, names: list[str], target: str) -> int:
    """The position of the target column."""
    if not names:
        raise DataError(f"{path}: the file is empty; its first line must name the columns")
    if all(_number(name) is not None for name in names):
        raise DataError(
            f"{path}, line 1: it must name the columns, but holds only numbers: {', '.join(names[:5])}"
        )
    for k, name in enumerate(names):
        if not name:
            raise DataError(f"{path}, line 1: column {k + 1} has no name")
        if name in names[:k]:
            raise DataError(f"{path}, line 1: two columns are named {name}; names must differ")
    if target not in names:
        alone = " (the columns must be separated by commas)" if len(names) == 1 else ""
        raise DataError(f"data.target: {target} is no column of {path}; {suggest(target, names)}{alone}")
    if len(names) == 1:
        raise DataError(f"{path}: the target {target} is the only column; there must be at least one feature")
    return names.index(target)


def _cell(place: str, cell: str) -> float:
    value = _number(cell)
    if value is None:
        raise DataError(
            f"{place}: {repr(cell) if cell else 'an empty cell'} is not a finite number; "
            "every column but a class target must hold numbers"
        )
    if abs(value) > LARGEST:
        raise DataError(f"{place}: {cell} is beyond float32 (at most {LARGEST:.2g})")
    return value
