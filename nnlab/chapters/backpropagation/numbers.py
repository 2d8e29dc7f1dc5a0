"""Numbers, vectors and matrices as text: short, and never so rounded that 1 looks like 0.9999."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def truth(value: Array) -> str:
    """What a comparison says, which counts as 1 where it holds and −1 or 0 where it does not."""
    words = ["true" if x > 0 else "false" for x in value.reshape(-1)]
    return words[0] if value.ndim == 0 else f"[{', '.join(words)}]"


ENTRIES = 12
"""A larger array is told by its shape and norm."""


WRITTEN_OUT = 1e9
"""Numbers below it have no power of ten: all digits before the decimal point are shown."""


def decimal(value: float, digits: int) -> str:
    """To so many significant digits, as Python writes it.

    >>> [decimal(x, 3) for x in (0.73106, 12345.678, -1001.0, 0.0000123, 2e9, -0.0)]
    ['0.731', '12346', '-1001', '1.23e-05', '2e+09', '0']
    """
    text = f"{value + 0.0:.{digits}g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < WRITTEN_OUT else text


def number(value: float, digits: int = 4) -> str:
    """
    >>> [number(-4.0), number(0.7310585786), number(1e-7), number(123456.0), number(1.5e20)]
    ['−4', '0.7311', '1e−07', '123456', '1.5e+20']
    """
    return decimal(value, digits).replace("-", "−")


def apart(values: Sequence[float], digits: int = 4) -> list[str]:
    """Numbers side by side: those that differ look different.

    >>> [apart((1/3, 0.33334)), apart((1.0, 1.0, 3.0))]
    [['0.33333', '0.33334'], ['1', '1', '3']]
    """
    different = len({*values})
    for count in range(digits, 18):
        told = [number(value, count) for value in values]
        if len({*told}) == different:
            break
    return told


def array(value: Array, digits: int = 4) -> str:
    """
    >>> array(np.array([[1.0, 2.0], [0.5, -4.0]]))
    '[1, 2; 0.5, −4]'
    """
    if value.ndim == 0:
        return number(float(value), digits)
    if value.size > ENTRIES:
        return f"{value.shape}, norm {number(float(np.linalg.norm(value)), digits)}"
    rows = value if value.ndim == 2 else value[None]
    return "[" + "; ".join(", ".join(number(float(x), digits) for x in row) for row in rows) + "]"


def ratio(gap: float, scale: float) -> float:
    """A difference relative to a size; 0 where there is no difference, also to a size of 0."""
    return 0.0 if gap == 0 else gap / max(scale, 1e-300)
