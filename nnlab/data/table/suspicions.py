"""Notes about columns and rows of a table that may not be what they seem."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from nnlab.data.dataset import Split
from nnlab.data.table.cells import may_be_missing, number
from nnlab.data.table.columns import Column
from nnlab.data.table.names import some
from nnlab.data.table.reader import TableReader
from nnlab.data.table.survey import Profile

_ID = re.compile(
    r"(?i:(.*[_ .-])?(id|ids|index|idx|nr|no|number|row|rownames|key|uuid)|.*nummer|unnamed: ?\d+)"
    r"|.*[a-zäöüß](ID|Id|Nr|No|Number)"
)

_LOW = (-99999.0, -9999.0, -999.0, -99.0)  # for missing values, among positive ones
_HIGH = (99.0, 999.0, 9999.0, 99999.0)  # the same, far above all others

FEW_OF_A_CLASS = 5
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
    for column, (begin, end) in zip(reader.columns, reader.inputs_of, strict=True):
        out = f"leave it out by data.ignore: [{column.name}] if so"
        values = rows.inputs[:, begin:end]
        if len(rows) >= FEW_ROWS:
            notes += _of_target(column, values, reader, rows.targets)
        notes += [
            f"column {column.name}: the category {name} may stand for a missing value; leave its cells empty "
            "if so"
            for name in column.categories
            if may_be_missing(name)
        ]
        if column.kind != "number":
            continue
        values = rows.inputs[:, begin]
        if len(rows) >= 3 and bool((values.diff() == 1).all()):
            notes.append(f"column {column.name} counts the rows, and may be no feature; {out}")
        elif _ID.fullmatch(column.name) and len(rows) >= 3 and _all_differ(values):
            notes.append(f"column {column.name} is different in every row, and may name it; {out}")
        notes += _stand_in(column.name, values)
    return notes


def _of_target(column: Column, values: Tensor, reader: TableReader, targets: Tensor) -> list[str]:
    """A note about a column, (N, k), that is the target or tells it."""
    out = f"leave it out by data.ignore: [{column.name}]"
    if column.kind == "number" and _is_target(values[:, 0], reader, targets):
        return [f"column {column.name} equals the target in every row; {out}"]
    if _tells_class(values, reader, targets):
        why = "has one value for each class, the same in every row of it, and may be made of the target"
        return [f"column {column.name} {why}; {out} if so"]
    return []


def _stand_in(name: str, values: Tensor) -> list[str]:
    """A note about one extreme value, such as −999 or 999, that surveys write for a missing one."""
    numbers = values[~values.isnan()]
    if not len(numbers):
        return []
    low, high = numbers.min().item(), numbers.max().item()
    odd, why = None, ""
    if low in _LOW and not bool(((numbers < 0) & (numbers != low)).any()):
        odd, why = low, "the only negative value"
    elif high in _HIGH and bool((numbers[numbers != high].abs() < high / 2).all()) and low != high:
        odd, why = high, "far above all others"
    if odd is None:
        return []
    count = int((numbers == odd).sum())
    return [
        f"column {name}: {odd:g} in {count:,} row{'s' * (count > 1)} is {why}, and may stand for a "
        "missing one; leave the cells empty if so"
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


def _tells_class(values: Tensor, reader: TableReader, targets: Tensor) -> bool:
    """Tells whether the values of a column, (N, k), and the classes (N,) are the same up to their names."""
    classes = len(reader.classes)
    if classes < 2 or bool(values.isnan().any()) or int(torch.bincount(targets).min()) < FEW_OF_A_CLASS:
        return False
    cells = values @ torch.arange(1.0, values.shape[1] + 1, dtype=torch.float64)
    if len(torch.unique(cells[:1000])) > classes:  # as in most columns
        return False
    different, positions = torch.unique(cells, return_inverse=True)
    return len(different) == classes == len(torch.unique(positions * classes + targets))


def about_target(reader: TableReader, rows: Split) -> list[str]:
    """Returns notes about a target that looks like one of the other task."""
    name, n = reader.target, len(rows)
    if reader.task == "regression":
        values = torch.unique(rows.targets[:, 0])
        if len(values) == 1:
            return [f"the target {name} is {values.item():.15g} in every row: there is nothing to learn"]
        notes = _stand_in(name, rows.targets[:, 0])
        if n >= FEW_ROWS and len(values) <= min(10, n / 4) and bool((values == values.round()).all()):
            listed = ", ".join(f"{v:g}" for v in values.tolist())
            notes.append(
                f"the target {name} has only the values {listed}; where these are classes, set data.task: "
                "classification"
            )
        return notes
    notes = [
        f"the class {label} of {name} may stand for a missing target; leave its cells empty if so"
        for label in reader.classes
        if may_be_missing(label)
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
