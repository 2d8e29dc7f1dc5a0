"""A user's own table: a csv file with a header line and one target column."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from nnlab.data.dataset import RawData, Split, Task
from nnlab.data.splits import group_note, hold_out
from nnlab.data.table.cells import MISSING, number
from nnlab.data.table.columns import plan, select, with_categories
from nnlab.data.table.completion import completion
from nnlab.data.table.names import Names, names_of, some
from nnlab.data.table.reader import Rows, TableReader, check_quantity, lines_text
from nnlab.data.table.sheet import Separator, Sheet, missing_column, open_sheet
from nnlab.data.table.survey import Mark, decimal_mark, survey
from nnlab.data.table.suspicions import about_codes, about_features, about_target, about_test
from nnlab.errors import DataError

BINS = 10  # of a regression target by which its rows are stratified

MARKS: dict[str, Mark] = {"point": ".", "comma": ","}


def load_csv(
    path: Path,
    *,
    target: str,
    task: Task,
    test: float | str | None,
    split_seed: int,
    columns: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    categories: Sequence[str] | None = None,
    text: Literal["error", "one_hot"] = "error",
    missing: Literal["error", "drop", "mean"] = "error",
    missing_target: Literal["error", "drop", "class"] = "error",
    group: str | None = None,
    stratify: bool | None = None,
    separator: Separator | None = None,
    decimal: Literal["point", "comma"] | None = None,
    encoding: str | None = None,
) -> RawData:
    """Reads a table, and holds out a part of its rows for the test.

    For classification the classes are the distinct texts in the target column, in alphabetical order, or by
    value where all are numbers. Whatever had to be decided stands in the notes.

    Args:
        target: the name of the target column.
        test: the part of the rows to hold out for the test, or the path of another table; None where all rows
            are for both.
        split_seed: of the draw that holds them out.
        columns: the features; None for every column but target, group and those of `ignore`.
        ignore: columns to leave out.
        categories: features that become one input for each text or number in them.
        text: whether to do so with every column of texts.
        missing: whether a missing value is an error, drops its row, or becomes the mean of training rows.
        missing_target: the same for the target; `class` takes NA and the like as a class of its own.
        group: a column whose equal values stay together: in the training, validation or test rows.
        stratify: whether each split keeps the proportions of the classes, or of tenths of a regression
            target; None for classes only.
        separator: of cells: a key of SEPARATORS; None to find out.
        decimal: the decimal mark; None to find out.
        encoding: a codec's name; None to find out.

    Raises:
        DataError: naming file, line, column and value of what does not fit.
    """
    keys = _Keys(
        target, task, columns, ignore or (), categories or (), text, missing, missing_target, group,
        separator, None if decimal is None else MARKS[decimal], encoding,
    )  # fmt: skip
    table = _read(path, keys)
    strata = _strata(table, task, stratify)
    everything = torch.arange(len(table.split))
    if test is None:
        return table.raw(everything, strata, None)
    if isinstance(test, str):
        return table.raw(everything, strata, _read_test(table, Path(test).expanduser(), path, group))
    names = table.reader.classes if task == "classification" and stratify is not False else ()
    try:
        kept, held = hold_out(
            strata, test, split_seed=split_seed, purpose="test", names=names, groups=table.groups
        )
    except DataError as error:
        if names and all(number(name) is not None for name in names):
            hint = f"{error}. Where the target is a quantity and no class, set data.task: regression"
            raise DataError(hint) from None
        raise
    notes = () if table.groups is None else (group_note(table.groups, held, test, "test"),)
    return table.raw(kept, strata, (table.split.take(held), notes))


def read_csv(path: Path, *, target: str, task: Task, **keys: Any) -> RawData:
    """Reads a table as `load_csv` does; all its rows, in the order of the file, are training and test rows.

    Args:
        keys: any other arguments of `load_csv`.

    Raises:
        DataError: naming file, line, column and value of what does not fit.
    """
    return load_csv(path, target=target, task=task, test=None, split_seed=0, **keys)


@dataclass(frozen=True, eq=False)
class _Table:
    """A table as it was read: its rows, and a reader of others like it.

    Attributes:
        path: absolute.
        groups: (N,) int64, equal for rows of one group; None where there are none.
        group_names: by their numbers.
    """

    path: Path
    split: Split
    reader: TableReader
    notes: tuple[str, ...]
    groups: Tensor | None
    group_names: tuple[str, ...]

    def raw(self, kept: Tensor, strata: Tensor, test: tuple[Split, tuple[str, ...]] | None) -> RawData:
        """Returns the data with these rows for the training.

        Args:
            kept: the indices of these rows.
            strata: (N,) int64, of all rows.
            test: the rows for the test, and notes about them; None for the same rows.
        """
        train, classes = self.split.take(kept), list(self.reader.classes)
        held, more = (train, ()) if test is None else test
        suspicions = () if test is None else about_test(self.reader, train, held)
        return RawData(
            self.reader.task,
            train,
            held,
            outputs=len(classes) or 1,
            class_names=classes,
            notes=(*self.notes, *more, *suspicions),
            reader=self.reader,
            strata=strata[kept],
            groups=None if self.groups is None else self.groups[kept],
            complete=completion(self.reader, self.path),
        )


@dataclass(frozen=True)
class _Keys:
    """The arguments of `load_csv` on how a table is read, with the decimal mark itself."""

    target: str
    task: Task
    columns: Sequence[str] | None
    ignore: Sequence[str]
    categories: Sequence[str]
    text: Literal["error", "one_hot"]
    missing: Literal["error", "drop", "mean"]
    missing_target: Literal["error", "drop", "class"]
    group: str | None
    separator: Separator | None
    decimal: Mark | None
    encoding: str | None


def _read(path: Path, keys: _Keys) -> _Table:
    if keys.task == "regression" and keys.missing_target == "class":
        raise DataError("data.missing_target: class is for classes; allowed for regression: error, drop")
    sheet = open_sheet(path, [keys.target], separator=keys.separator, encoding=keys.encoding, key="data.path")
    reader, notes = _reader(sheet, keys)
    rows = reader.with_target(sheet, reader.extract(sheet, reader.decimal, group=keys.group))
    reader, about_classes = _with_classes(reader, rows)
    groups, names, about_groups = _groups(sheet, rows, keys.group, reader.decimal)
    split = Split(rows.inputs, reader.target_values(sheet, rows))
    notes += [*about_classes, *about_groups, *rows.notes]
    notes += [*about_features(reader, split), *about_target(reader, split)]
    return _Table(sheet.path, split, reader, tuple(notes), groups, names)


def _reader(sheet: Sheet, keys: _Keys) -> tuple[TableReader, list[str]]:
    """The reader of tables like this one, whose classes are not known yet, and notes."""
    apart = {"target": keys.target} if keys.group is None else {"target": keys.target, "group": keys.group}
    for key, name in apart.items():
        if name not in sheet.names:
            raise missing_column(sheet, f"data.{key}", name)
    if keys.group == keys.target:
        raise DataError(f"data.group: {keys.group} is the target; groups need a column of their own")
    positions, left_out = select(
        sheet, columns=keys.columns, ignore=keys.ignore, categories=keys.categories, apart=apart
    )
    quantity = [sheet.names.index(keys.target)] if keys.task == "regression" else []
    profiles = survey(sheet, [*positions, *quantity])
    mark = decimal_mark(sheet, [p for p in profiles if p.name not in keys.categories], key=keys.decimal)
    columns = plan(
        sheet, profiles[: len(positions)], text=keys.text, categories=keys.categories, missing=keys.missing,
        decimal=mark,
    )  # fmt: skip
    if quantity:
        check_quantity(sheet, profiles[-1])
    columns, about_categories = with_categories(sheet, columns, positions, missing=keys.missing)
    reader = TableReader(
        keys.target, keys.task, tuple(columns), decimal=mark, missing=keys.missing,
        missing_target=keys.missing_target, separator=keys.separator, decimal_key=keys.decimal,
        encoding=keys.encoding,
    )  # fmt: skip
    unusual = (*sheet.format, *(["decimal commas"] if mark == "," else []))
    form = [f"{sheet.path}: {', '.join(unusual)}"] if unusual else []
    return reader, [*form, *left_out, *about_categories, *about_codes(columns, profiles)]


def _with_classes(reader: TableReader, rows: Rows) -> tuple[TableReader, list[str]]:
    if reader.task == "regression":
        return reader, []
    names, notes = names_of(Counter(rows.targets), reader.decimal, reader.target)
    return replace(reader, classes=tuple(names)), notes


def _groups(
    sheet: Sheet, rows: Rows, column: str | None, decimal: str
) -> tuple[Tensor | None, tuple[str, ...], list[str]]:
    if rows.groups is None or column is None:
        return None, (), []
    empty = [rows.lines[k] for k, name in enumerate(rows.groups) if name.lower() in MISSING]
    if empty:
        raise DataError(
            f"{sheet.path}, column {column}: the group is missing in {lines_text(empty)}; "
            "every row needs one, since rows of one group must stay together"
        )
    names, notes = names_of(Counter(rows.groups), decimal, column)
    if len(names) < 2:
        raise DataError(f"data.group: {sheet.path}: every row of column {column} is of the group {names[0]}")
    known = Names(names, decimal)
    return torch.tensor([known.position(name) for name in rows.groups]), tuple(names), notes


def _strata(table: _Table, task: Task, stratify: bool | None) -> Tensor:
    """The class of each row, or the bin of its target by rank; 0 for all where neither is to be kept."""
    targets = table.split.targets
    if task == "classification" and stratify is not False:
        return targets
    strata = torch.zeros(len(targets), dtype=torch.int64)
    if task == "regression" and stratify:
        bins = max(1, min(BINS, len(targets) // (2 * BINS)))
        edges = np.unique(np.quantile(targets[:, 0].numpy(), np.linspace(0, 1, bins + 1)[1:-1]))
        strata = torch.from_numpy(np.searchsorted(edges, targets[:, 0].numpy()))
    return strata


def _read_test(table: _Table, path: Path, train: Path, group: str | None) -> tuple[Split, tuple[str, ...]]:
    """The rows of the table that is the test, read in the way of the training table."""
    if path.exists() and train.exists() and path.samefile(train):
        raise DataError(
            f"data.test: {path.absolute()} is the training table; give another one, or a fraction"
        )
    reader = table.reader
    sheet = reader.open(path, "data.test")
    if reader.target not in sheet.names:
        raise missing_column(sheet, "data.target", reader.target)
    notes: tuple[str, ...] = ()
    if group is not None and group not in sheet.names:
        notes = (f"{sheet.path} has no column {group}: its groups may be those of training rows",)
        group = None
    rows = reader.with_target(sheet, reader.rows(sheet, target=True, group=group))
    if rows.groups is not None:
        known = Names(table.group_names, table.reader.decimal)
        both = sorted({name for name in rows.groups if known.position(name, rows.decimal) is not None})
        if both:
            raise DataError(
                f"data.group: {some(both)} in both {sheet.path} and "
                "the training table; a group must stand in one of them"
            )
    return Split(rows.inputs, reader.target_values(sheet, rows)), (*notes, *reader.notes(sheet, rows))
