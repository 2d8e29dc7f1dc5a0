"""One interactive figure, and numbers in the form in which it takes them."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Arrays = Mapping[str, NDArray[Any]]

MOST = 60_000
"""The largest number of numbers in one array of a page."""
CURVE = 120
"""The number of points of a measured curve."""
LARGEST = 1e100
"""A number beyond it counts as infinite."""
MOST_BYTES = 500_000
"""The largest number of numbers in a packed array."""


@dataclass(frozen=True)
class Widget:
    """An interactive figure.

    Attributes:
        kind: names the JavaScript that draws it: `nnlab.widget(kind, …)` in a script of its chapter or of
            the page.
        title: above it.
        text: a sentence or two on what it shows.
        data: JSON for the drawing.
    """

    kind: str
    title: str
    text: str
    data: dict[str, Any]


def numbers(array: ArrayLike, digits: int = 5) -> Any:
    """The numbers of an array as nested lists, rounded to significant digits.

    Raises:
        ValueError: one of them cannot be drawn, or there are too many.

    >>> numbers([[1 / 3, 2.0]], 2)
    [[0.33, 2.0]]
    """

    def rounded(value: Any) -> Any:
        return [rounded(v) for v in value] if isinstance(value, list) else float(f"{value:.{digits}g}")

    return rounded(_drawable(array, MOST).tolist())


def _drawable(array: ArrayLike, most: int) -> NDArray[np.float64]:
    values = np.asarray(array, np.float64)
    if values.size > most or not (np.abs(values) < LARGEST).all():
        raise ValueError(f"{values.size} numbers: too many, or not all of them finite")
    return values


def packed(array: ArrayLike) -> dict[str, Any]:
    """Packs an array for colours, one byte a number: 128 is exactly 0, 1 and 255 are −`scale` and `scale`.

    Raises:
        ValueError: a number cannot be drawn, or there are too many.

    >>> packed([0.0, 0.001, -2.0])
    {'shape': [3], 'scale': 2.0, 'bytes': 'gIEB'}
    """
    values = _drawable(array, MOST_BYTES)
    scale = float(np.abs(values).max(initial=0)) or 1.0
    steps = np.sign(values) * np.maximum(np.round(127 * np.abs(values) / scale), 1)
    content = (128 + steps).astype(np.uint8).tobytes()
    return {"shape": list(values.shape), "scale": scale, "bytes": base64.b64encode(content).decode()}


def floats(array: ArrayLike) -> dict[str, Any]:
    """Keeps an array as it is in float32, four bytes a number.

    Raises:
        ValueError: a number cannot be drawn, or there are too many.

    >>> floats([1.0, -0.5])
    {'shape': [2], 'floats': 'AACAPwAAAL8='}
    """
    values = _drawable(array, MOST_BYTES // 4)
    content = values.astype("<f4").tobytes()
    return {"shape": list(values.shape), "floats": base64.b64encode(content).decode()}


def shaped(array: NDArray[Any], *shape: int) -> NDArray[Any]:
    """Returns the array. Raises ValueError if it has another shape, or is empty."""
    if array.shape != shape or array.size == 0:
        raise ValueError(f"{array.shape} where {shape} was expected")
    return array


def positive(array: NDArray[Any]) -> NDArray[Any]:
    """Returns the array. Raises ValueError unless all of it is above 0, as a logarithmic axis asks for."""
    if not (array > 0).all():
        raise ValueError("numbers above 0 were expected")
    return array


def rising(array: NDArray[Any], above: float = -np.inf) -> NDArray[Any]:
    """Returns the array. Raises ValueError unless it is a rising vector that begins above a number."""
    if array.ndim != 1 or len(array) < 2 or not (array[0] > above and (np.diff(array) > 0).all()):
        raise ValueError("a rising vector was expected")
    return array


def thinned(length: int, most: int) -> NDArray[np.int64]:
    """Returns at most `most` of the indices 0 … length − 1, both ends included, denser at the start."""
    if length <= most:
        return np.arange(length)
    return np.unique(np.geomspace(1, length, most).round().astype(np.int64)) - 1
