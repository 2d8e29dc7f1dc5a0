"""Arrays in groups: `arrays.npz` holds the array x of the group g as `g/x`; a group may hold others."""

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def under(name: str, arrays: Mapping[str, Value]) -> dict[str, Value]:
    """Returns the arrays of one group by the names that they have outside it."""
    return {f"{name}/{rest}": array for rest, array in arrays.items()}


def group(arrays: Mapping[str, Value], name: str) -> dict[str, Value]:
    """Returns the arrays of one group by their names in it; empty where there is no such group."""
    start = f"{name}/"
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


def groups(arrays: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Returns every group by its name; arrays that are in none are left out.

    >>> groups({"steps": 40, "fast/loss": 0.1, "slow/loss": 0.5})
    {'fast': {'loss': 0.1}, 'slow': {'loss': 0.5}}
    """
    names = dict.fromkeys(key.partition("/")[0] for key in arrays if "/" in key)
    return {name: group(arrays, name) for name in names}
