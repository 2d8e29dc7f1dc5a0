"""Notes about columns and rows of a table that may not be what they seem."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from nnlab.data.dataset import Split
from nnlab.data.table.cells import MISSING, MISSING_NUMBERS, number
from nnlab.data.table.columns import Column
from nnlab.data.table.names import some
from nnlab.data.table.reader import TableReader
from nnlab.data.table.survey import Profile

_ID = re.compile(
    r"(.*[_ ])?(id|ids|index|idx|nr|no|number|row|rownames|key|uuid)|unnamed: ?\d+", re.IGNORECASE
)

_STAND_INS = (-9999.0, -999.0, -99.0)  # for missing values, among positive ones

FEW_ROWS = 20
"""Rows below which chance explains what a note would tell."""


def about_codes(columns: Sequence[Column], profiles: Sequence[Profile]) -> list[str]:
    """Returns notes about columns of numbers that are written as codes are, such as 01067."""
    return [
        f"column {column.name}: {profile.code[1]} in line {profile.code[0]} begins with a zero, as codes do; "
        f"data.categories: [{column.name}] takes its values as categories"
        for column, profile in zip(columns, profiles, strict=False)
        if column.kind == "number" and profile.code is not None
    ]


def about_features(reader: TableReader, rows: Split) -> list[str]:
    """Returns notes about columns that number the rows, name them, repeat the target, or hide gaps."""
    notes = []
    for column, (begin, _) in zip(reader.columns, reader.inputs_of, strict=True):
        if column.kind != "number":
            continue
        values = rows.inputs[:, begin]
        out = f"leave it out by data.ignore: [{column.name}] if so"
        if len(rows) >= 3 and bool((values.diff() == 1).all()):
            notes.append(f"column {column.name} counts the rows, and may be no feature; {out}")
        elif _ID.fullmatch(column.name) and len(rows) >= 3 and _all_differ(values):
            notes.append(f"column {column.name} is different in every row, and may name it; {out}")
        if len(rows) >= FEW_ROWS and _is_target(values, reader, rows.targets):
            notes.append(f"column {column.name} equals the target in every row; {out.removesuffix(' if so')}")
        notes += _stand_in(column.name, values)
    return notes


def _stand_in(name: str, values: Tensor) -> list[str]:
    low = values.nan_to_num(0.0).min().item()
    if low not in _STAND_INS or bool(((values < 0) & (values != low)).any()):
        return []
    return [
        f"column {name}: {low:g} in {int((values == low).sum()):,} rows is the only negative value, and may "
        "stand for a missing one; leave the cells empty if so"
    ]


def _all_differ(values: Tensor) -> bool:
    return bool((values == values.round()).all()) and len(torch.unique(values)) == len(values)


def _is_target(values: Tensor, reader: TableReader, targets: Tensor) -> bool:
    if reader.task == "regression":
        return bool((values == targets[:, 0]).all())
    numbers = [number(name, reader.decimal) for name in reader.classes]
    if len(numbers) < 2 or None in numbers:
        return False
    return bool((values == torch.tensor(numbers, dtype=torch.float64)[targets]).all())


def about_target(reader: TableReader, rows: Split) -> list[str]:
    """Returns notes about a target that looks like one of the other task."""
    name, n = reader.target, len(rows)
    if reader.task == "regression":
        values = torch.unique(rows.targets[:, 0])
        if len(values) == 1:
            return [f"the target {name} is {values.item():.15g} in every row: there is nothing to learn"]
        if n >= FEW_ROWS and len(values) <= min(10, n / 4) and bool((values == values.round()).all()):
            listed = ", ".join(f"{v:g}" for v in values.tolist())
            return [
                f"the target {name} has only the values {listed}; where these are classes, set data.task: "
                "classification"
            ]
        return []
    notes = [
        f"the class {label} of {name} may stand for a missing target; leave its cells empty if so"
        for label in reader.classes
        if label.casefold() in MISSING_NUMBERS - MISSING
    ]
    numbers = [number(label, reader.decimal) for label in reader.classes]
    quantity = all(value is not None for value in numbers)
    fractions = quantity and len(numbers) > 2 and any(value is not None and value % 1 for value in numbers)
    if n >= FEW_ROWS and (len(numbers) > n / 2 or (quantity and len(numbers) > max(20, n / 10)) or fractions):
        hint = "; where it is a quantity, set data.task: regression" if quantity else ""
        notes.append(f"the target {name} has {len(numbers):,} classes in {n:,} rows{hint}")
    return notes


def about_test(reader: TableReader, train: Split, test: Split) -> tuple[str, ...]:
    """Returns notes about classes without a test row, and about test rows that are training rows, too."""
    notes = []
    if reader.classes:
        absent = torch.bincount(test.targets, minlength=len(reader.classes)) == 0
        if bool(absent.any()):
            names = [reader.classes[k] for k in absent.nonzero()[:, 0].tolist()]
            notes.append(f"the test has no row of the class {some(names)}")
    known = set(_keys(train))
    twice = sum(key in known for key in _keys(test))
    if twice:
        notes.append(
            f"{twice:,} of {len(test):,} test rows equal a training row in every column that is used: on "
            "these the test does not show how the model does on new rows"
        )
    return tuple(notes)


def _keys(rows: Split) -> list[int]:
    targets = rows.targets.double().reshape(len(rows), -1)
    values = torch.cat([rows.inputs, targets], 1) + 0.0  # −0 is 0
    return [hash(row.tobytes()) for row in values.numpy()]
