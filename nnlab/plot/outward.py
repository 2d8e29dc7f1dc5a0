"""Bounds in words: rounded so that what is written is still a bound."""

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from nnlab.plot.text import number


def at_most(value: float, digits: int = 3) -> str:
    """An upper bound with so many significant digits, rounded up.

    >>> at_most(0.30502), at_most(1.28e-6), at_most(float("inf"))
    ('0.306', '1.28·10⁻⁶', '∞')
    """
    return _rounded(value, digits, ROUND_CEILING)


def at_least(value: float, digits: int = 3) -> str:
    """A lower bound with so many significant digits, rounded down.

    >>> at_least(0.30598), at_least(-0.30502)
    ('0.305', '−0.306')
    """
    return _rounded(value, digits, ROUND_FLOOR)


def _rounded(value: float, digits: int, direction: str) -> str:
    if not math.isfinite(value) or value == 0:
        return number(value)
    # The shortest decimal that reads back as the same number, such as 0.1, and not its binary expansion:
    # otherwise every bound that a person typed would be written one digit higher.
    shown = Context(prec=digits, rounding=direction).plus(Decimal(repr(float(value))))
    return number(float(shown), digits)
