"""Values as short text, and the table of HTML that notebooks show of a result."""

import dataclasses
import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")

UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""Characters that steer a terminal, turn text around or are half of one. Line feed and tab are left out."""

LISTED = 6  # entries of an array that are written out
LONGEST = 200  # characters of a value


def visible(text: str) -> str:
    r"""Returns the text with every control character written out, as a terminal may be given it.

    >>> print(visible("a\x1b[31mb"), visible("x\u202ey"))
    a\x1b[31mb x\u202ey
    """
    return UNSEEN.sub(lambda match: _written_out(ord(match[0])), text)


def _written_out(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


_SPOKEN = {
    "relu": "ReLU",
    "leaky_relu": "leaky ReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "ntk": "NTK",
    "mup": "µP",
    "l1": "L₁",
    "l2": "L₂",
    "elastic_net": "elastic net",
    "cross_entropy": "cross entropy",
    "batch size full": "full batch",
    "train": "training",
    "val": "validation",
}
_NAMES = re.compile(rf"(?<![\w.])({'|'.join(sorted(_SPOKEN, key=len, reverse=True))})(?![\w.])")
_EXTREMES = re.compile("([λη])_?(max|min)(?![a-z])")
_POWER = re.compile(r"(?<=\w)\^([-−]?\d+(?:\.\d+)?)")
_RAISED = str.maketrans("-−0123456789.", "⁻⁻⁰¹²³⁴⁵⁶⁷⁸⁹·")
_INDEXED = re.compile(r"(?<![^\W\d])([^\W\d_])(\d+)(?!\w)")
_INDEX = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_LOWERED = {"max": "ₘₐₓ", "min": "ₘᵢₙ"}


def raised(power: str) -> str:
    """Returns a number as an exponent.

    >>> raised("-0.52")
    '⁻⁰·⁵²'
    """
    return power.translate(_RAISED)


def lowered(name: str) -> str:
    """Returns a name that ends in a number with it as an index, as on the board.

    >>> lowered("w0"), lowered("x"), lowered("w0*x0 + w12")
    ('w₀', 'x', 'w₀*x₀ + w₁₂')
    """
    return _INDEXED.sub(lambda match: match[1] + match[2].translate(_INDEX), name)


def spoken(text: str) -> str:
    """Returns a text with names of configs, and formulas as a keyboard has them, as people write them.

    >>> spoken("leaky_relu, 2 hidden layers"), spoken("l2"), spoken("1.5 η_max"), spoken("m^-0.52")
    ('leaky ReLU, 2 hidden layers', 'L₂', '1.5 ηₘₐₓ', 'm⁻⁰·⁵²')
    """
    text = _NAMES.sub(lambda match: _SPOKEN[match[0]], text)
    text = _EXTREMES.sub(lambda match: match[1] + _LOWERED[match[2]], text)
    return _POWER.sub(lambda match: raised(match[1]), text)


def duration(seconds: float) -> str:
    """Returns a duration with as many digits as an estimate has.

    >>> duration(45), duration(722), duration(5400), duration(86400 * 3)
    ('45 s', '12 min', '1.5 h', '3 days')
    """
    for most, unit, name in ((90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            value = seconds / unit
            return f"{value:.1f} {name}" if name == "h" and value < 10 else f"{value:.0f} {name}"
    return f"{seconds / 86_400:,.0f} days"


def cell(value: object, digits: int = 6) -> str:
    """A value as short text: significant digits, "0.1 to 0.2" for a range or interval, "" for None.

    >>> cell(0.123456789), cell([0.5, None]), cell((None, None)), cell({"mean": 0.5, "interval": [0.4, 0.6]})
    ('0.123457', '≥ 0.5', '', '0.5 (0.4 to 0.6)')
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, Mapping):  # a metric over seeds
        interval = cell(value.get("interval"), digits)
        return cell(value.get("mean"), digits) + (f" ({interval})" if interval else "")
    if isinstance(value, list | tuple):
        ends = [cell(end, digits) for end in value]
        if len(ends) == 2 and "" in ends:
            return f"≥ {ends[0]}" if ends[0] else f"≤ {ends[1]}" if ends[1] else ""
        return " to ".join(ends)
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table; all of its text is escaped."""

    def line(kind: str, cells: Iterable[object]) -> str:
        return "<tr>" + "".join(f"<{kind}>{html.escape(cell(c))}</{kind}>" for c in cells) + "</tr>"

    return f"<table>{line('th', columns)}{''.join(line('td', row) for row in rows)}</table>"


def describe(value: object) -> str:
    """A field of a result in a few words: an array or tensor by its shape, its type and its range.

    >>> import numpy as np
    >>> describe(np.array([1.0, 2.5])), describe(np.zeros((30, 2))), describe("full"), describe(0.25)
    ('[1.0, 2.5]', '(30, 2) of float64, 0 to 0', "'full'", '0.25')
    """
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is None or kind is None:
        text = f"{value:.6g}" if isinstance(value, float) else repr(value)
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    numbers: Any = value
    if len(shape) <= 1 and math.prod(shape) <= LISTED:
        return str([float(f"{x:.6g}") for x in numbers.tolist()]) if shape else cell(float(numbers))
    size = f"{tuple(shape)} of {str(kind).removeprefix('torch.')}"
    return (
        f"{size}, {cell(float(numbers.min()))} to {cell(float(numbers.max()))}" if math.prod(shape) else size
    )


def displayed(cls: type[Result]) -> type[Result]:
    """Gives a dataclass a short `repr`, and a table for a notebook; to be written above `@dataclass`."""

    def fields_of(self: Any) -> list[tuple[str, str]]:
        return [(field.name, describe(getattr(self, field.name))) for field in dataclasses.fields(self)]

    def short(self: Any) -> str:
        return f"{cls.__name__}({', '.join(f'{name}={text}' for name, text in fields_of(self))})"

    def as_html(self: Any) -> str:
        return table((cls.__name__, ""), fields_of(self))

    setattr(cls, "__repr__", short)  # noqa: B010 - mypy refuses the assignment
    setattr(cls, "_repr_html_", as_html)  # noqa: B010
    return cls
