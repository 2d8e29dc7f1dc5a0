"""The content of a cell: a number, a truth, nothing, or a text; and why a text is no number."""

import math
import re
from decimal import Decimal, InvalidOperation

_OF_SPREADSHEETS = {"#n/a", "#nv", "#n/d", "#n/d!", "#n/b", "#i/t", "#saknas!", "#н/д"}  # Excel's NA()
_OF_DATABASES = {"null", "\\n"}  # the second of MySQL and PostgreSQL

MISSING = frozenset({"", "na", "n/a", "<na>", "nan", "?", *_OF_SPREADSHEETS, *_OF_DATABASES})
"""Cells that say that a value is missing, in small letters."""

MISSING_NUMBERS = MISSING | {"none", "nil", "nat", "-", "--", ".", "missing"}
"""The same, in a column of numbers."""

_MAY_BE_MISSING = frozenset({"k.a.", "k. a.", "keine angabe", "n.a.", "n.d.", "n/d", "unknown", "unbekannt"})
_ERROR = re.compile(r"#\w+(/\w+)?[!?]")

LONG = 60  # letters, beyond which a cell is a text and is not shown whole

TRUTHS = {"false": 0.0, "true": 1.0}

_NUMBER = re.compile(r"[+\-−]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][+\-−]?\d+)?")
_GROUP = re.compile(r"[+\-−]?[1-9]\d{0,2}[.,]\d{3}")

_HINTS = (
    (r"[+\-−]?(inf|infinity)|[+\-−]?∞", "an infinite value cannot be learned from"),
    (r".*\d\s*[%‰]", "write it without the percent sign, in the whole column"),
    (r"#\w+[/!?].*", "an error of a spreadsheet; mend its formula"),
    (r"=.*", "a formula of a spreadsheet; write its value"),
    (r"\([\d.,]+\)|[\d.,]+[\-−]", "write a negative number with a minus sign in front"),
    (
        r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([ T].*)?|\d{1,2}:\d{2}.*|.*\d{4}-\d{2}-\d{2}.*",
        "a date or a time; write it as a number, such as the days since a first one",
    ),
    (
        r"[+\-−]?\d{1,3}([.,'’ \u00a0\u202f_]\d{3})+([.,]\d*)?|[\d.,]*[.,][\d.,]*[.,][\d.,]*|[\d_]+",
        "write numbers without groups of thousands",
    ),
    (r"[+\-−]?\d+,\d+(e.*)?", "for decimal commas set data.decimal: comma"),
    (r"[+\-−]?\d+\.\d+(e.*)?", "a decimal point in a table with decimal commas"),
    (r"[+\-−]?[\d.,]+\s*\D+|\D{1,3}\s*[\d.,]+", "leave the number alone in the cell, without a unit"),
)


def number(cell: str, decimal: str = ".") -> float | None:
    """Returns the finite number that a cell holds, None where it holds none.

    Groups of thousands are not read: 1,000 and 1_000 are no numbers.

    Args:
        decimal: the decimal mark, a point or a comma.
    """
    if decimal == ",":
        if "." in cell:
            return None
        cell = cell.replace(",", ".")
    try:
        value = float(cell.replace("−", "-"))
    except ValueError:
        return None
    return value if math.isfinite(value) and "_" not in cell else None


def is_number(cell: str) -> bool:
    """Tells whether the cell holds a number, with a decimal point or a decimal comma."""
    return number(cell) is not None or number(cell, ",") is not None


def exact(cell: str, decimal: str = ".") -> Decimal | str:
    """Returns the number of a cell in full, so that 1, 1.0 and +1 are equal; a text as it is."""
    if number(cell, decimal) is None:
        return cell
    try:
        return Decimal(cell.replace("−", "-").replace(",", "."))
    except InvalidOperation:  # an exponent of twenty digits
        return cell


def kind(cell: str) -> str:
    """Returns what the cell seems to hold, whatever the decimal mark: number, truth, gap or text."""
    if _NUMBER.fullmatch(cell):
        return "number"
    lower = cell.lower()
    if lower in MISSING_NUMBERS:
        return "gap"
    return "truth" if lower in TRUTHS else "text"


def mark(cell: str) -> str | None:
    """Returns what a number's cell says about the decimal mark.

    `point` and `comma` where it can be nothing else; `point group` and `comma group` where it may also part
    thousands, as in 1.234; `grouped` where it must; None where there is no mark.
    """
    points, commas = cell.count("."), cell.count(",")
    if points + commas == 0:
        return None
    if points + commas > 1:
        return "grouped"
    name = "point" if points else "comma"
    return f"{name} group" if _GROUP.fullmatch(cell) else name


def may_be_missing(cell: str) -> bool:
    """Tells whether a text seems to say that a value is missing, or is an error of a spreadsheet."""
    lower = cell.casefold()
    return lower in MISSING_NUMBERS - MISSING or lower in _MAY_BE_MISSING or bool(_ERROR.fullmatch(cell))


def quoted(cell: str) -> str:
    """Returns the cell in quotes for a message, a long one by its beginning."""
    return repr(cell) if len(cell) <= LONG else f"{cell[:LONG]!r}…"


def why_no_number(cell: str) -> str:
    """Returns what may be wrong with a cell that should hold a number; empty for a plain text."""
    if len(cell) > LONG:
        return ""
    return next((hint for form, hint in _HINTS if re.fullmatch(form, cell, re.IGNORECASE)), "")
