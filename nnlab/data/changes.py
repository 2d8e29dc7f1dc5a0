"""Says what is different between the data of a run and those that are read now.

The digests of the tensors decide, since these are what a training sees; those of files, of a table's columns
and of its rows name what is different.
"""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nnlab.data.fingerprint import BLOCKS, ArrayMark, Fingerprint, TableMark

DECODER = "pillow"
"""The package that decodes images, among the versions of a fingerprint."""


class Comparison(NamedTuple):
    """Sentences about what is different: `changes` are other examples, `notes` are not."""

    changes: list[str]
    notes: list[str]


def compare(before: Fingerprint, now: Fingerprint) -> Comparison:
    """Returns what is different between the data of a run and those that are read now."""
    changes, notes = [], []
    for one, other in zip(before.tables, now.tables, strict=False):
        changes += _table_changes(one, other, before.target)
    changes += _image_changes(before.images, now.images)
    changed = [key for key, mark in before.tensors.items() if now.tensors.get(key) != mark]
    changed += [key for key in now.tensors if key not in before.tensors]
    if changed and not changes:
        text = _tensor_changes(before, now, changed)
        if before.drawn:
            notes.append(f"{text}; they are drawn from the seed, and a run of another machine differs so")
        elif _is_decoding(before, now, changed):
            notes.append(f"{text}; the same images are decoded to slightly other pixels")
        else:
            changes.append(text)
    moved = before.path != now.path
    if moved and changes:
        changes.insert(0, f"the data were read from {before.path}, and now are from {now.path}")
    elif moved:
        notes.append(f"the data of {before.path} are read from {now.path}: the same content")
    return Comparison(changes, notes)


def _is_decoding(before: Fingerprint, now: Fingerprint, changed: Sequence[str]) -> bool:
    """Tells whether the same image files became other pixels of as many images by another decoder alone."""
    others = {name for name in before.versions if before.versions[name] != now.versions.get(name)}
    same_shapes = all(
        key.endswith("inputs") and key in now.tensors and before.tensors[key].shape == now.tensors[key].shape
        for key in changed
        if key in before.tensors
    )
    return bool(before.images) and others == {DECODER} and same_shapes and set(changed) <= set(before.tensors)


def _table_changes(before: TableMark, now: TableMark, target: str | None) -> list[str]:
    if before.digest == now.digest:
        return []
    words = [*_column_changes(before, now, target), *_row_changes(before, now)]
    if not words and before.columns and before.columns == now.columns:
        words = ["the same cells are written otherwise (blanks, quotes, line ends, separators or encoding)"]
    words = words or [f"{before.size:,} bytes then, {now.size:,} bytes now, with another content"]
    return [f"{now.path}: {'; '.join(words)}"]


def _column_changes(before: TableMark, now: TableMark, target: str | None) -> list[str]:
    then, later = before.columns, now.columns
    if not then or not later:
        return []
    words = [
        f"the column{'s' * (len(names) > 1)} {', '.join(names)} {what}"
        for names, what in (
            ([name for name in later if name not in then], "came in"),
            ([name for name in then if name not in later], "went away"),
        )
        if names
    ]
    if not words and list(then) != list(later):
        words.append(f"the columns stand in another order: {', '.join(then)} then, {', '.join(later)} now")
    if before.rows == now.rows:
        other = [name for name in then if name in later and then[name] != later[name]]
        named = [f"{name} (the target)" if name == target else name for name in other]
        if named:
            words.append(f"other values in the column{'s' * (len(named) > 1)} {', '.join(named)}")
    return words


def _row_changes(before: TableMark, now: TableMark) -> list[str]:
    if before.rows == now.rows and (before.blocks == now.blocks or set(before.columns) != set(now.columns)):
        return []
    counts = f"{before.rows:,} rows then, {now.rows:,} now"
    size = max(1, math.ceil(before.rows / BLOCKS))
    if size != max(1, math.ceil(now.rows / BLOCKS)) or list(before.columns) != list(now.columns):
        return [counts] if before.rows != now.rows else []
    pairs = zip(before.blocks, now.blocks, strict=False)
    common = min(len(before.blocks), len(now.blocks))
    first = next((k for k, (one, other) in enumerate(pairs) if one != other), common)
    if before.rows == now.rows:
        return [f"the first difference is in row {_rows(first, size)}"]
    if first * size >= before.rows:
        return [f"{counts}: {now.rows - before.rows:,} appended"]
    if first * size >= now.rows:
        return [f"{counts}: {before.rows - now.rows:,} removed at the end"]
    return [f"{counts}; the first difference is in row {_rows(first, size)}"]


def _rows(block: int, size: int) -> str:
    return str(block + 1) if size == 1 else f"{block * size + 1:,} to {(block + 1) * size:,}"


def _image_changes(
    before: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]
) -> list[str]:
    then, later = (
        {os.path.join(d, f): m for d, files in m.items() for f, m in files.items()} for m in (before, now)
    )
    added = [name for name in later if name not in then]
    removed = [name for name in then if name not in later]
    moved = _moved({name: then[name] for name in removed}, {name: later[name] for name in added})
    added = [name for name in added if name not in moved.values()]
    removed = [name for name in removed if name not in moved]
    replaced = [name for name in then if name in later and then[name] != later[name]]
    words = [
        _counted(added, "added"),
        _counted(removed, "removed"),
        _counted(replaced, "replaced by another"),
    ]
    words.append(_counted([f"{one} → {other}" for one, other in moved.items()], "moved or renamed"))
    return [text for text in words if text]


def _moved(removed: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """The files of one content that stand elsewhere now; only where their content is unique."""
    counts = Counter([*removed.values()]), Counter([*added.values()])
    places = {mark: name for name, mark in added.items()}
    return {
        name: places[mark]
        for name, mark in removed.items()
        if " " in mark and counts[0][mark] == counts[1][mark] == 1
    }


def _counted(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    if len(names) == 1:
        return f"1 image {what}: {names[0]}"
    return f"{len(names):,} images {what}, the first {names[0]}"


def _tensor_changes(before: Fingerprint, now: Fingerprint, changed: Sequence[str]) -> str:
    words = []
    for key in changed:
        shapes = [_shape(mark.tensors[key]) if key in mark.tensors else "none" for mark in (before, now)]
        words.append(
            f"other {key} ({' then, '.join(dict.fromkeys(shapes))}{' now' * (shapes[0] != shapes[1])})"
        )
    versions = [
        f"{package} {before.versions.get(package)} then, {version} now"
        for package, version in now.versions.items()
        if before.versions.get(package) != version
    ]
    same = "the files are the same but are read as " if before.tables or before.images else ""
    return f"data.name: {now.name}: {same}{', '.join(words)}{''.join(f'; {v}' for v in versions)}"


def _shape(mark: ArrayMark) -> str:
    return " × ".join(f"{side:,}" for side in mark.shape)
