"""Shipped configs with something wrong in them: a seeded mutation of the text, or of the values."""

import random
from collections.abc import Callable
from typing import Any

import yaml

from nnlab.lab.config import shipped_configs

Value = Any
ODD: tuple[Value, ...] = (
    None, True, False, "", " ", "x", "nan", "1e400", "\x1b[31m", "ключ", "\u202eabc", "a" * 5_000, "1:30",
    0, -1, 1, 2, 0.5, -0.0, 1e308, float("inf"), float("nan"), 10**18, 10**400, -(10**30),
    [], [1], ["a", "b"], [[]], [None], [1, "x", {}], {}, {"name": 1}, {"name": "x"}, {"a": {"b": {"c": 1}}},
    {1: 2}, {None: 1}, {"name": None}, {"": ""}, list(range(200)),
)  # fmt: skip
"""Values that stand in the place of others."""
TEXTS = (
    "&a", "*a", "!!python/object/apply:os.system [ls]", "!!int x", "!!binary ''", "!!set {a, b}", "${HOME}",
    "? [a]\n: b", "<<: *x", "%YAML 9", "---", "...", "\t", "\x00", "\x85", "\ufeff", "'", '"', "{", "[", "}",
    "]", ": ", "- ", "#", "|", ">-", "@", "`", "\\x", "é" * 20, "🂡", "\ud7ff", "!!timestamp 2001-99-99",
    "!!float .", "0o9", "1_000", "2001-01-01", "~", "0x", "=",
)  # fmt: skip
"""Pieces that are put into the text."""


def mutated(seed: int) -> tuple[str, str]:
    """Returns the name of a shipped config and its text with one to three mutations."""
    rng = random.Random(seed)
    name, path = rng.choice(list(shipped_configs().items()))
    text = path.read_text("utf-8")
    for _ in range(rng.choice((1, 1, 2, 3))):
        text = rng.choice((_of_values, _of_values, _of_values, _of_lines, _of_letters))(text, rng)
    return name, text


def _of_values(text: str, rng: random.Random) -> str:
    try:
        values = yaml.safe_load(text)
    except Exception:  # spoiled by the mutation before
        return _of_letters(text, rng)
    places = list(_places(values))
    if not places:
        return _of_letters(text, rng)
    holder, key = rng.choice(places)
    rng.choice(_CHANGES)(holder, key, rng)
    try:
        return yaml.safe_dump(values, allow_unicode=rng.random() < 0.5, sort_keys=False)
    except Exception:
        return _of_letters(text, rng)


def _places(value: Value) -> list[tuple[Value, Value]]:
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in _places(value[key])]


def _replace(holder: Value, key: Value, rng: random.Random) -> None:
    holder[key] = rng.choice(ODD)


def _drop(holder: Value, key: Value, rng: random.Random) -> None:
    del holder[key]


def _rename(holder: Value, key: Value, rng: random.Random) -> None:
    value = holder[key]
    if isinstance(holder, dict):
        del holder[key]
        letters = list(str(key))
        rng.shuffle(letters)
        names = (f"{key}s", "".join(letters), str(key).upper(), str(key)[:-1], f" {key}", f"{key}.x", 3, None)
        holder[rng.choice(names)] = value
    else:
        holder.insert(0, value)


def _wrap(holder: Value, key: Value, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 60))):
        holder[key] = rng.choice(([holder[key]], {"name": holder[key]}, {str(key): holder[key]}))


def _as_text(holder: Value, key: Value, rng: random.Random) -> None:
    holder[key] = str(holder[key])


def _grow(holder: Value, key: Value, rng: random.Random) -> None:
    value = holder[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        factor = rng.choice((-1, 0, 1e9, 1e-9, 10**25))
        holder[key] = value * (factor if abs(value) < 1e300 else -1)
    elif isinstance(value, list):
        holder[key] = value * 50
    else:
        holder[key] = [value, value]


def _swap(holder: Value, key: Value, rng: random.Random) -> None:
    other = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], holder[key]


_CHANGES: tuple[Callable[[Value, Value, random.Random], None], ...] = (
    _replace, _replace, _replace, _drop, _rename, _wrap, _as_text, _grow, _swap,
)  # fmt: skip


def _of_lines(text: str, rng: random.Random) -> str:
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    how = rng.randrange(5)
    if how == 0:
        lines.insert(at, lines[at])  # a key twice
    elif how == 1:
        lines[at] = "  " * rng.randrange(1, 4) + lines[at]
    elif how == 2:
        del lines[at:]
    elif how == 3:
        lines[at] += rng.choice(TEXTS)
    else:
        rng.shuffle(lines)
    return "\n".join(lines)


def _of_letters(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    how = rng.randrange(4)
    if how == 0:
        return text[:at]
    if how == 1:
        return text[:at] + rng.choice(TEXTS) + text[at:]
    if how == 2:
        return text[:at] + text[at + rng.randrange(1, 4) :]
    letter = rng.choice("\x00\t\r\x1b\"':[{\u202e\ufeff\U0001f600")
    return text[:at] + letter + text[at + 1 :]
