"""The reading of rows, of the training table as of new ones."""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import ConfigDict, TypeAdapter
from torch import Tensor

from nnlab.data.dataset import Task
from nnlab.data.reader import NewExamples
from nnlab.data.table.cells import MISSING, MISSING_NUMBERS, number, quoted
from nnlab.data.table.columns import Column, gap, no_number
from nnlab.data.table.names import Names, show, some
from nnlab.data.table.sheet import Separator, Sheet, missing_column, open_sheet
from nnlab.data.table.survey import Mark, Profile, decimal_mark, survey
from nnlab.errors import DataError

LARGEST = torch.finfo(torch.float32).max

LISTED = 5  # lines that a message names


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows as they were read.

    Attributes:
        inputs: (N, features) float64, NaN where a value is missing.
        targets: N texts; None where they were not asked for.
        groups: N texts; None where they were not asked for.
        lines: the line of each row.
        numbers: the number of each row, from 1.
        decimal: the decimal mark of the table.
        notes: what a user should know about how they were read.
    """

    inputs: Tensor
    targets: list[str] | None
    groups: list[str] | None
    lines: list[int]
    numbers: list[int]
    decimal: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)

    def take(self, kept: Sequence[int]) -> "Rows":
        """Returns the rows at these positions."""
        targets, groups = self.targets, self.groups
        return Rows(
            self.inputs[torch.tensor(kept, dtype=torch.int64)],
            None if targets is None else [targets[k] for k in kept],
            None if groups is None else [groups[k] for k in kept],
            [self.lines[k] for k in kept],
            [self.numbers[k] for k in kept],
            self.decimal,
            self.notes,
        )


@dataclass(frozen=True)
class TableReader:
    """Reads tables in the way of a training table: columns by their names, in any order, among others.

    Attributes:
        target: the name of the target column.
        task: what the target is.
        columns: the features in their order.
        classes: names of the classes; empty for regression.
        decimal: the decimal mark of the training table.
        missing: what becomes of a row in which a feature is missing.
        missing_target: what becomes of a row whose target is missing.
        separator, decimal_key, encoding: of new tables; None to find out.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")
    kind: ClassVar[str] = "table"

    target: str
    task: Task
    columns: tuple[Column, ...]
    classes: tuple[str, ...] = ()
    decimal: Mark = "."
    missing: Literal["error", "drop", "mean"] = "error"
    missing_target: Literal["error", "drop", "class"] = "error"
    separator: Separator | None = None
    decimal_key: Mark | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Raises ValueError where the parts do not belong together."""
        names = [column.name for column in self.columns]
        if not names or len({*names, self.target}) <= len(names):
            raise ValueError("a table has at least one feature, and no two columns of one name")
        if self.task == "regression" and self.classes:
            raise ValueError("a regression has no classes")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, UnicodeError):
                raise ValueError(f"{self.encoding} is no encoding") from None

    def as_dict(self) -> dict[str, Any]:
        """Returns the reader as JSON can hold it, every number exactly."""
        return {"kind": self.kind, **_ADAPTER.dump_python(self, mode="json")}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Returns the reader that `as_dict` described.

        Raises:
            ValueError: for content that is none.
        """
        fields = {key: value for key, value in dict(content).items() if key != "kind"}
        return _ADAPTER.validate_python(fields)  # type: ignore[return-value]

    def read(self, path: Path, *, progress: Callable[[int, int], None] | None = None) -> NewExamples:
        """Reads new rows; the target column may be absent, and then there are no targets.

        Raises:
            DataError: naming file, line, column and value of what does not fit the training table.
        """
        try:
            sheet = self.open(path)
            has_target = self.target in sheet.names
            rows = self.rows(sheet, target=has_target)
        except DataError as error:
            raise _with_remedy(error) from None
        inputs, changes = complete(rows.inputs, self.columns)
        targets, why = self._targets(rows, sheet) if has_target else (None, None)
        notes = (*self.notes(sheet, rows), *changes, *([] if why is None else [why]))
        return NewExamples(inputs, targets, [str(n) for n in rows.numbers], notes)

    def open(self, path: Path, key: str | None = None) -> Sheet:
        """Returns the table at `path`, which has every feature.

        Args:
            key: the key of the config that names it, if one does.

        Raises:
            DataError: it is no table, or a feature is no column of it.
        """
        names = [column.name for column in self.columns]
        sheet = open_sheet(
            path, [*names, self.target], separator=self.separator, encoding=self.encoding, key=key
        )
        absent = [name for name in names if name not in sheet.names]
        if absent:
            more = f" (and {len(absent) - 1} more of its features)" if len(absent) > 1 else ""
            whose = "the trained model" if key is None else f"{key}: the training"
            raise missing_column(sheet, f"{whose} needs {len(names)} features{more}", absent[0])
        return sheet

    def notes(self, sheet: Sheet, rows: Rows) -> tuple[str, ...]:
        """Returns what a user should know about how a new table was read."""
        used = {*(column.name for column in self.columns), self.target}
        extra = [name for name in sheet.names if name and name not in used]
        passed = f"{sheet.path}: columns that were no features are passed over: {some(extra)}"
        return (
            *(f"{sheet.path}: {remark}" for remark in sheet.format),
            *([passed] if extra else []),
            *rows.notes,
        )

    def rows(self, sheet: Sheet, *, target: bool, group: str | None = None) -> Rows:
        """Returns the rows of a table of whose columns nothing is known yet.

        Raises:
            DataError: naming file, line, column and value of what does not fit.
        """
        positions = [sheet.names.index(column.name) for column in self.columns]
        quantity = target and self.task == "regression"
        surveyed = [*positions, sheet.names.index(self.target)] if quantity else positions
        profiles = survey(sheet, surveyed)
        numeric = [p for p, c in zip(profiles, self.columns, strict=False) if c.kind == "number"]
        notes: list[str] = []
        decimal = decimal_mark(
            sheet, [*numeric, *profiles[len(positions) :]], key=self.decimal_key, fallback=self.decimal,
            notes=notes,
        )  # fmt: skip
        for profile, column in zip(profiles, self.columns, strict=False):
            _check_kind(sheet, profile, column)
        rows = self.extract(sheet, decimal, target=target, group=group)
        return replace(rows, notes=(*notes, *rows.notes))

    def extract(self, sheet: Sheet, decimal: str, *, target: bool = True, group: str | None = None) -> Rows:
        """Returns the rows of a table whose columns hold what they should.

        Args:
            decimal: the decimal mark of this table.
            target: whether to read the target column.
            group: the name of a column to read beside the features.
        """
        names = sheet.names
        positions = [names.index(column.name) for column in self.columns]
        aside = [names.index(name) for name in ([self.target] if target else []) + ([group] if group else [])]
        pick = itemgetter(*positions, *positions[:1])
        plain = decimal == "." and all(column.kind == "number" for column in self.columns)
        numbers, lines, texts = array("d"), array("q"), [list[str]() for _ in aside]
        unknown = Counter[tuple[str, str]]()
        seen: dict[str, str] = {}
        for line, row in sheet.rows():
            cells = pick(row)[:-1]
            try:
                values = list(map(float, cells)) if plain else None
            except ValueError:
                values = None
            numbers.extend(self._values(sheet, line, cells, decimal, unknown) if values is None else values)
            lines.append(line)
            for kept, position in zip(texts, aside, strict=True):
                kept.append(seen.setdefault(row[position], row[position]))
        inputs = torch.frombuffer(numbers, dtype=torch.float64).reshape(len(lines), -1).clone()
        self._check_sizes(sheet, inputs, lines)
        notes = self._unknown_notes(sheet, unknown)
        rows = Rows(
            inputs,
            texts[0] if target else None,
            texts[-1] if group else None,
            lines.tolist(),
            list(range(1, len(lines) + 1)),
            decimal,
            notes,
        )
        return self._gaps(sheet, rows)

    def _values(
        self, sheet: Sheet, line: int, cells: Sequence[str], decimal: str, unknown: Counter[tuple[str, str]]
    ) -> Iterator[float]:
        for column, cell in zip(self.columns, cells, strict=True):
            try:
                yield from column.values(cell, decimal, unknown)
            except ValueError:
                profile = Profile(column.name)
                profile.see(line, cell)
                raise no_number(sheet, profile, line, cell) from None

    @cached_property
    def inputs_of(self) -> list[tuple[int, int]]:
        """The first input of each column, and one past its last."""
        ends = [0]
        for column in self.columns:
            ends.append(ends[-1] + column.width)
        return list(pairwise(ends))

    def column_of(self, k: int) -> Column:
        """Returns the column that input k comes from."""
        return next(c for c, (_, end) in zip(self.columns, self.inputs_of, strict=True) if k < end)

    def _check_sizes(self, sheet: Sheet, inputs: Tensor, lines: Sequence[int]) -> None:
        beyond = torch.nonzero(inputs.abs() > LARGEST)
        if len(beyond):
            row, k = beyond[0].tolist()
            raise DataError(
                f"{sheet.path}, line {lines[row]}, column {self.column_of(k).name}: "
                f"{inputs[row, k].item():g} is beyond float32 (at most {LARGEST:.2g}); write the column in "
                f"larger units, or leave it out by data.ignore: [{self.column_of(k).name}]"
            )

    def _unknown_notes(self, sheet: Sheet, unknown: Counter[tuple[str, str]]) -> tuple[str, ...]:
        notes = []
        for column in self.columns:
            texts = [(text, n) for (name, text), n in unknown.most_common() if name == column.name]
            if texts:
                listed = ", ".join(f"{show(text)} ({n})" for text, n in texts[:5])
                more = ", …" if len(texts) > 5 else ""
                notes.append(
                    f"{sheet.path}, column {column.name}: categories that the training table does not have "
                    f"count as none: {listed}{more}; it has {some(column.categories)}"
                )
        return tuple(notes)

    def _gaps(self, sheet: Sheet, rows: Rows) -> Rows:
        """Refuses, drops or keeps rows in which a value is missing."""
        incomplete = rows.inputs.isnan().any(1)
        if not bool(incomplete.any()):
            return rows
        if self.missing == "error":
            row = int(incomplete.nonzero()[0])
            column = self.column_of(int(rows.inputs[row].isnan().nonzero()[0]))
            line = rows.lines[row]
            cell = next(r[sheet.names.index(column.name)] for at, r in sheet.rows() if at == line)
            raise gap(sheet, column.name, (line, cell))
        where = f"{lines_text([rows.lines[k] for k in incomplete.nonzero()[:, 0].tolist()])} of {sheet.path}"
        if self.missing == "mean":
            note = f"values are missing in {where}; the means of the training rows stand for them"
            return replace(rows, notes=(*rows.notes, note))
        note = f"values are missing in {where}; left out"
        before, rows = rows.targets, rows.take((~incomplete).nonzero()[:, 0].tolist())
        if not len(rows):
            raise DataError(f"{sheet.path}: values are missing in every row, and data.missing is drop")
        lost = sorted({*(before or ())} - {*(rows.targets or ())}) if self.task == "classification" else []
        if lost:
            note += f", and with them every row of {some(lost)} in column {self.target}"
        return replace(rows, notes=(*rows.notes, note))

    def _targets(self, rows: Rows, sheet: Sheet) -> tuple[Tensor | None, str | None]:
        """Targets of new rows where every row has one that can be judged; else the reason why not."""
        missing = self.without_target(rows)
        if missing:
            where = lines_text([rows.lines[k] for k in missing])
            reason = f"{sheet.path}, column {self.target}: the target is missing in {where}; no metrics"
            return None, reason
        try:
            return self.target_values(sheet, rows), None
        except DataError as error:
            return None, f"{error}; no metrics"

    def without_target(self, rows: Rows) -> list[int]:
        """Returns the positions of the rows whose target is missing."""
        words = MISSING_NUMBERS if self.task == "regression" else MISSING
        words = frozenset({""}) if self.missing_target == "class" else words
        return [k for k, text in enumerate(rows.targets or ()) if text.lower() in words]

    def with_target(self, sheet: Sheet, rows: Rows) -> Rows:
        """Returns the rows that have a target.

        Raises:
            DataError: one has none, and `missing_target` does not say to leave it out; or none has one.
        """
        missing = self.without_target(rows)
        if not missing:
            return rows
        assert rows.targets is not None
        first, where = missing[0], lines_text([rows.lines[k] for k in missing])
        if self.missing_target != "drop":
            cell = rows.targets[first]
            what = f"{quoted(cell)} says that the target is missing" if cell else "the target is empty"
            what += f" (in {where})" if len(missing) > 1 else ""
            choice = "data.missing_target: drop"
            if cell and self.task == "classification":
                choice += f", or take {cell} as a class by data.missing_target: class"
            raise DataError(
                f"{sheet.path}, line {rows.lines[first]}, column {self.target}: {what}; fill or "
                f"remove the row, or leave such rows out by {choice}"
            )
        out = set(missing)
        rows = rows.take([k for k in range(len(rows)) if k not in out])
        if not len(rows):
            raise DataError(f"{sheet.path}, column {self.target}: the target is missing in every row")
        note = f"{sheet.path}, column {self.target}: the target is missing in {where}; left out"
        return replace(rows, notes=(*rows.notes, note))

    def target_values(self, sheet: Sheet, rows: Rows) -> Tensor:
        """Returns classes (N,) int64, or quantities (N, 1) float64.

        Raises:
            DataError: a class is unknown, or a target is no number that float32 holds.
        """
        assert rows.targets is not None
        place = f"{sheet.path}, line {{}}, column {self.target}"
        if self.task == "regression":
            values = [number(text, rows.decimal) for text in rows.targets]
            for line, text, value in zip(rows.lines, rows.targets, values, strict=True):
                if value is None:
                    raise DataError(
                        f"{place.format(line)}: {quoted(text)} is not a finite number, as a quantity must be"
                    )
                if abs(value) > LARGEST:
                    raise DataError(
                        f"{place.format(line)}: {text} is beyond float32 (at most {LARGEST:.2g}); write the "
                        "target in larger units"
                    )
            return torch.tensor(values, dtype=torch.float64)[:, None]
        names = Names(self.classes, self.decimal)
        positions = [names.position(text, rows.decimal) for text in rows.targets]
        if None in positions:
            k = positions.index(None)
            raise DataError(
                f"{place.format(rows.lines[k])}: {quoted(rows.targets[k])} is no class of the training "
                f"table, which has {some(self.classes, 10)}"
            )
        return torch.tensor(positions, dtype=torch.int64)


_KEYS = ("missing", "decimal", "separator", "encoding", "text", "categories", "ignore")

_ADAPTER = TypeAdapter(TableReader)


def _with_remedy(error: DataError) -> DataError:
    """The error about a new table, for which no key of the config can be changed any more."""
    named = next((key for key in _KEYS if f"data.{key}" in str(error)), None)
    return (
        error if named is None else DataError(f"{error}. For that, data.{named} must be set in the training")
    )


def _check_kind(sheet: Sheet, profile: Profile, column: Column) -> None:
    """Raises DataError where a column of a new table holds something else than that of the training."""
    if column.kind == "category":
        return
    if profile.counts["text"]:
        raise no_number(sheet, profile, *profile.first["text"])
    if column.kind == "number" and profile.counts["truth"]:
        raise no_number(sheet, profile, *profile.first["truth"])
    if column.kind == "truth" and profile.counts["number"]:
        line, cell = profile.first["number"]
        raise DataError(
            f"{sheet.path}, line {line}, column {column.name}: {quoted(cell)} is neither true nor "
            "false, as in the training table"
        )


def check_quantity(sheet: Sheet, profile: Profile) -> None:
    """Raises DataError where a regression target holds what is no number."""
    if profile.holds in ("number", "gap"):
        return
    line, cell = profile.first["text" if profile.counts["text"] else "truth"]
    raise DataError(
        f"{sheet.path}, line {line}, column {profile.name}: {quoted(cell)} is not a finite number, as a "
        "regression target must be; mend the cell, or set data.task: classification if it names a class"
    )


def complete(inputs: Tensor, columns: Sequence[Column]) -> tuple[Tensor, list[str]]:
    """Returns inputs with means for missing values and constants for what was never trained, and notes."""
    inputs, notes, begin = inputs.clone(), list[str](), 0
    for column in columns:
        part = inputs[:, begin : begin + column.width]
        begin += column.width
        if column.means:
            means = torch.tensor(column.means, dtype=torch.float64)
            part.copy_(torch.where(part.isnan(), means, part))
        if any(value is not None for value in column.constants):
            fixed = [math.nan if value is None else value for value in column.constants]
            constants = torch.tensor(fixed, dtype=torch.float64)
            other = ~constants.isnan() & (part != constants)
            if bool(other.any()):
                count = int(other.any(1).sum())
                notes.append(
                    f"column {column.name} is constant in the training rows and differs in {count:,} "
                    f"other{'s' * (count > 1)}; it counts for nothing"
                )
            part.copy_(torch.where(constants.isnan(), part, constants))
    return inputs, notes


def lines_text(lines: Sequence[int]) -> str:
    """Returns `lines 3, 7, 12`, or of many the first ones and how many there are."""
    listed = ", ".join(map(str, lines[:LISTED]))
    if len(lines) > LISTED:
        return f"{len(lines):,} lines ({listed}, …)"
    return f"lines {listed}" if len(lines) > 1 else f"line {listed}"
