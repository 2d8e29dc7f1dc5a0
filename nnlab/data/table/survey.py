"""Surveys what the cells of a table's columns hold, in one pass before any value is taken from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import isfinite
from operator import itemgetter
from typing import Literal

from nnlab.data.table.cells import kind, mark, number
from nnlab.data.table.sheet import Sheet
from nnlab.errors import DataError

Mark = Literal[".", ","]

CODES = 1000  # rows in which numbers with a zero in front are looked for

Place = tuple[int, str]
"""A line and the cell in it."""


@dataclass
class Profile:
    """Counts what the cells of one column hold.

    Attributes:
        counts: of number, truth, gap and text.
        first: the first cell of each of these kinds.
        marks: the first cell of each way to use a decimal mark, see `cells.mark`.
        code: a number with a zero in front among the first rows, as codes have it; None for none.
    """

    name: str
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("number", "truth", "gap", "text"), 0)
    )
    first: dict[str, Place] = field(default_factory=dict)
    marks: dict[str, Place] = field(default_factory=dict)
    code: Place | None = None

    def see(self, line: int, cell: str) -> None:
        """Counts one cell."""
        name = kind(cell)
        self.counts[name] += 1
        self.first.setdefault(name, (line, cell))
        if name == "number":
            self.look_at_mark(line, cell)

    def look_at_mark(self, line: int, cell: str) -> None:
        """Notes how a number's cell uses the decimal mark."""
        form = mark(cell)
        if form is not None:
            self.marks.setdefault(form, (line, cell))

    @property
    def holds(self) -> str:
        """number, truth, text, mixed, or gap where every cell is one."""
        kinds = [name for name in ("number", "truth", "text") if self.counts[name]]
        if len(kinds) > 1:
            return "text" if kinds == ["truth", "text"] else "mixed"
        return kinds[0] if kinds else "gap"


def survey(sheet: Sheet, positions: Sequence[int]) -> list[Profile]:
    """Returns a profile of each column at `positions`.

    Raises:
        DataError: a row has too few or too many cells, or there is none.
    """
    profiles = [Profile(sheet.names[k]) for k in positions]
    pick = itemgetter(*positions, positions[0]) if positions else None  # always a tuple
    plain = count = 0
    undecided = sheet.delimiter != ","
    for line, row in sheet.rows():
        count += 1
        if pick is None:
            continue
        cells = pick(row)[:-1]
        if count <= CODES:
            for profile, cell in zip(profiles, cells, strict=True):
                if profile.code is None and len(cell) > 1 and cell[0] == "0" and cell.isdecimal():
                    profile.code = line, cell
        if not _all_numbers(cells):
            for profile, cell in zip(profiles, cells, strict=True):
                profile.see(line, cell)
            continue
        plain += 1
        if plain == 1:
            for profile, cell in zip(profiles, cells, strict=True):
                profile.first.setdefault("number", (line, cell))
        if undecided:
            for profile, cell in zip(profiles, cells, strict=True):
                profile.look_at_mark(line, cell)
            undecided = not any("point" in profile.marks for profile in profiles)
    if count == 0:
        raise DataError(f"{sheet.path}: there is no row below the header line")
    for profile in profiles:
        profile.counts["number"] += plain
    return profiles


def _all_numbers(cells: Sequence[str]) -> bool:
    try:
        return isfinite(sum(map(float, cells))) and "_" not in "".join(cells)
    except ValueError:
        return False


def decimal_mark(
    sheet: Sheet,
    profiles: Iterable[Profile],
    *,
    key: Mark | None,
    fallback: Mark | None = None,
    notes: list[str] | None = None,
) -> Mark:
    """Returns the decimal mark of the table's columns of numbers, a point or a comma.

    One cell such as 2,5 or 0.25 tells it for the whole table. 1,234 alone does not, since a comma may also
    part thousands; and neither does 1.234 where no comma separates the cells, as in the same countries.

    Args:
        key: what the user says; None to find out.
        fallback: what holds where the cells do not tell; None for an error.
        notes: gains a sentence where a cell could be read in two ways, and the fallback decides.

    Raises:
        DataError: both marks are used, or the cells could be read in two ways.
    """
    if key is not None:
        return key
    marks: dict[str, tuple[str, Place]] = {}
    for profile in profiles:
        if profile.holds in ("number", "truth", "gap"):
            for form, place in profile.marks.items():
                marks.setdefault(form, (profile.name, place))
    if "comma" in marks and "point" in marks:
        raise DataError(
            f"{sheet.path}: decimal commas and decimal points in one table: {_at(marks['comma'])} and "
            f"{_at(marks['point'])}; write one of them everywhere"
        )
    if "comma" in marks:
        return ","
    group = "comma group" if "comma group" in marks else "point group"
    unclear = group in marks and "point" not in marks and (group == "comma group" or sheet.delimiter != ",")
    if not unclear:
        return "."
    cell = marks[group][1][1]
    if fallback is not None:
        value = number(cell, fallback)
        if notes is not None and value is not None:
            mark_of = "by the decimal mark of the training table"
            notes.append(f"{sheet.path}: {_at(marks[group])} is read as {value:.15g}, {mark_of}")
        return fallback
    digits = cell.replace(",", "").replace(".", "")
    fraction = cell.replace(",", ".")
    raise DataError(
        f"{sheet.path}: {_at(marks[group])} may be {fraction} or {digits}; set data.decimal: "
        f"{group.removesuffix(' group')} if it is {fraction}, and write {digits} without a mark if it is that"
    )


def _at(mark: tuple[str, Place]) -> str:
    name, (line, cell) = mark
    return f"line {line}, column {name}: {cell}"
