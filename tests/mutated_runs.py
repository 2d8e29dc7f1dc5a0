"""Run folders with something wrong in them: a seeded mutation of one of their files."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.mutated_configs import ODD

DEEP = json.loads("[" * 900 + "]" * 900)
VALUES: tuple[Any, ...] = (
    *ODD,
    DEEP,
    10**4000,
    "x" * 2_000_000,
    "\ud800",
    "a\x00b",
    "\x1b]0;x\x07",
    -1e308,
    2**63,
)
SKIPPED = ("tensorboard",)
"""Folders that no command reads."""


def mutate(folder: Path, seed: int) -> str:
    """Spoils one file of a run folder; returns what was done to it."""
    rng = random.Random(seed)
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and not set(SKIPPED) & set(file.relative_to(folder).parts)
    )
    weights = [1 if file.parent.name == "figures" else 8 for file in files]
    (file,) = rng.choices(files, weights)
    ways = [*_ANY, *_OF_SUFFIX.get(file.suffix, ()) * 4]
    way = rng.choice(ways)
    way(file, rng)
    return f"seed {seed}: {way.__name__.strip('_')} {file.relative_to(folder)}"


# --- any file -------------------------------------------------------------------------------------------


def _cut(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content) + 1)])


def _flip(file: Path, rng: random.Random) -> None:
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 3, 30))):
        if content:
            content[rng.randrange(len(content))] = rng.randrange(256)
    file.write_bytes(content)


def _junk(file: Path, rng: random.Random) -> None:
    file.write_bytes(rng.randbytes(rng.choice((0, 1, 100, 10_000))))


def _insert(file: Path, rng: random.Random) -> None:
    content = file.read_bytes()
    at = rng.randrange(len(content) + 1)
    file.write_bytes(
        content[:at] + rng.choice((b"\x00", b"\n", b"{", b"\xff", b"NaN", b"9" * 5_000)) + content[at:]
    )


def _remove(file: Path, rng: random.Random) -> None:
    file.unlink()


def _make_folder(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.mkdir()


def _make_pipe(file: Path, rng: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def _make_link(file: Path, rng: random.Random) -> None:
    file.unlink()
    file.symlink_to(rng.choice(("/etc/passwd", "/dev/zero", "nowhere", file.name, "/", "..")))


def _make_huge(file: Path, rng: random.Random) -> None:
    os.truncate(file, 2**36)  # a hole: it takes no room on the disk


_ANY = (_cut, _flip, _junk, _insert, _remove, _make_folder, _make_pipe, _make_link, _make_huge)


# --- by kind --------------------------------------------------------------------------------------------


def _spoil(value: Any, rng: random.Random) -> Any:
    """The value with one place of it replaced, dropped, renamed or doubled."""
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    how = rng.randrange(6)
    if how <= 2:
        holder[key] = rng.choice(VALUES)
    elif how == 3:
        del holder[key]
    elif how == 4:
        holder[key] = [holder[key]]
    elif isinstance(holder, dict):
        holder[str(rng.choice(("x", "", "\x1b[0m", "<b>", "y" * 2_000)))] = holder.pop(key)
    else:
        holder.append(rng.choice(VALUES))
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    own = [(value, key) for key in keys]
    return own * 3 + [place for key in keys for place in _places(value[key])]


def _spoil_json(file: Path, rng: random.Random) -> None:
    value = _spoil(json.loads(file.read_text("utf-8")), rng)
    file.write_text(json.dumps(value), "utf-8")


def _spoil_rows(file: Path, rng: random.Random) -> None:
    lines = file.read_text("utf-8").splitlines() or ["{}"]
    for _ in range(rng.choice((1, 5))):
        at = rng.randrange(len(lines))
        try:
            lines[at] = json.dumps(_spoil(json.loads(lines[at]), rng))
        except ValueError:
            continue
    if rng.random() < 0.2:
        lines *= 20
    file.write_text("\n".join(lines) + "\n", "utf-8")


def _spoil_arrays(file: Path, rng: random.Random) -> None:
    with np.load(file) as stored:
        arrays: dict[str, Any] = dict(stored)
    if not arrays:
        return
    name = rng.choice(list(arrays))
    array = arrays[name]
    changed: list[Any] = [
        np.array([{"x": 1}], dtype=object),
        np.array("text"),
        np.zeros((0, 3)),
        np.array(np.nan),
        array[..., None],
        np.full(array.shape, np.nan),
        array.reshape(-1)[:1],
        np.full(array.shape, 1e300),
        np.zeros(50_000),
        np.array(["\x1b[31m"] * 3),
        array.astype(complex) if array.dtype.kind in "fi" else array,
    ]
    how = rng.randrange(4)
    if how == 0:
        del arrays[name]
    elif how == 1:
        arrays[rng.choice(("x", "../up", "/root", "a\x1b"))] = arrays.pop(name)
    else:
        arrays[name] = rng.choice(changed)
    np.savez(file, **arrays)


def _spoil_checkpoint(file: Path, rng: random.Random) -> None:
    state: Any = torch.load(file, weights_only=True)
    values = (
        *VALUES[:20],
        torch.zeros(3),
        torch.full((2, 2), torch.nan),
        {"a": torch.zeros(1)},
        torch.zeros(0).int(),
    )
    holder, key = rng.choice(_places(state))
    if rng.random() < 0.3:
        del holder[key]
    elif rng.random() < 0.3:
        holder["foreign" if isinstance(holder, dict) else 0] = rng.choice(values)
    else:
        holder[key] = rng.choice(values)
    torch.save(state, file)


_OF_SUFFIX: dict[str, tuple[Callable[[Path, random.Random], None], ...]] = {
    ".json": (_spoil_json, _spoil_json),
    ".jsonl": (_spoil_rows, _spoil_rows),
    ".npz": (_spoil_arrays,),
    ".pt": (_spoil_checkpoint,),
}
